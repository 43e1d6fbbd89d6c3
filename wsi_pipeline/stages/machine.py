"""Is this machine fit to work?

1. Processor: cores, and whether it multiplies bfloat16 in hardware.
2. GPU: whether torch sees the one that is there.
3. Cluster: whether the commands and the plug-in that a Slurm profile needs are there.
4. Memory and disk: room for a slide, where results and where temporary files go.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wsi_pipeline.cores import available_cores

Status = Literal["ok", "warn", "fail"]
_MIN_FREE_GIB, _GOOD_FREE_GIB = 1.0, 10.0
"""Room below which no slide, and above which an evening's table, can be written; a slide of 1 cm²
takes about 100 MB."""
_GOOD_MEMORY_GIB = 4.0
"""What one worker takes (1.1 GiB) with room for the measurements of a large slide."""
_BFLOAT16 = ("avx512_bf16", "amx_bf16")
_CPUINFO = Path("/proc/cpuinfo")
_PLUGIN = "snakemake_executor_plugin_slurm"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    subject
        What was looked at.
    status
        ``ok``; ``warn``: it works, but slower or not everywhere; ``fail``: a run would end badly.
    detail
        What was found.
    remedy
        What to do about it; "" where nothing is to be done.
    """

    subject: str
    status: Status
    detail: str
    remedy: str = ""


def examine_machine(folder: Path) -> Iterator[Finding]:
    """Look at processor, GPU, cluster, memory and disk.

    Parameters
    ----------
    folder
        Where results would be written.
    """
    yield _processor(cpu_flags(_CPUINFO))
    yield _gpu()
    yield _slurm(shutil.which)
    yield _memory()
    yield _room("disk for results", folder)
    yield _room("disk for temporary files", Path(tempfile.gettempdir()))


def cpu_flags(path: Path) -> frozenset[str]:
    """Features the processor states, in the words of Linux; empty where it states none."""
    if not path.is_file():
        return frozenset()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    names = (line.partition(":")[2].split() for line in lines if line.startswith("flags"))
    return frozenset(next(names, []))


def _processor(flags: frozenset[str]) -> Finding:
    import torch  # noqa: PLC0415

    fast = [name for name in _BFLOAT16 if name in flags]
    detail = f"{available_cores()} cores, {torch.backends.cpu.get_cpu_capability()}"
    if fast:
        return Finding("processor", "ok", f"{detail}, bfloat16 by {', '.join(fast)}")
    remedy = "a processor with AVX512-BF16 or AMX segments twice as fast; results are as good"
    return Finding("processor", "warn", f"{detail}, no bfloat16: computes in float32", remedy)


def _gpu() -> Finding:
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Finding("GPU", "ok", f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    if shutil.which("nvidia-smi"):
        remedy = "install the CUDA build of torch, or a driver that fits it"
        return Finding("GPU", "warn", f"torch {torch.__version__} does not see the GPU", remedy)
    return Finding("GPU", "ok", "none; the processor computes")


def _slurm(which: Callable[[str], str | None]) -> Finding:
    """Slurm's commands, and what Snakemake needs to use them."""
    missing = [name for name in ("sbatch", "squeue", "scancel", "srun") if not which(name)]
    if "sbatch" in missing:
        return Finding("Slurm", "ok", "none here; only a Slurm profile needs it")
    if missing:
        remedy = "run on a node that has all of Slurm's commands"
        return Finding("Slurm", "warn", f"no {', '.join(missing)}", remedy)
    if importlib.util.find_spec(_PLUGIN) is None:
        remedy = "pip install snakemake-executor-plugin-slurm"
        return Finding("Slurm", "warn", "Snakemake's plug-in for it is not installed", remedy)
    if which("sacct") and not _answers("sacct"):
        remedy = "set 'slurm-status-command: squeue' in the profile"
        return Finding("Slurm", "warn", "sacct gives no answer (no accounting)", remedy)
    return Finding("Slurm", "ok", "commands and plug-in are there")


def _answers(command: str) -> bool:
    try:
        done = subprocess.run([command, "--noheader"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _memory() -> Finding:
    pages, size = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    free_gib = pages * size / 2**30
    if free_gib < _GOOD_MEMORY_GIB:
        remedy = "use fewer workers (--set segment.workers=1) or a machine with more memory"
        return Finding("memory", "warn", f"{free_gib:.1f} GiB free", remedy)
    return Finding("memory", "ok", f"{free_gib:.0f} GiB free")


def _room(subject: str, folder: Path) -> Finding:
    """Whether a folder, or the one it would be made in, can be written to and has room."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    detail = f"{free_gib:.0f} GiB free at {existing}"
    if not os.access(existing, os.W_OK):
        return Finding(subject, "fail", f"{existing} cannot be written", "choose another folder")
    if free_gib < _MIN_FREE_GIB:
        return Finding(subject, "fail", detail, "make room, or choose another disk")
    if free_gib < _GOOD_FREE_GIB:
        return Finding(subject, "warn", detail, "make room before a large table")
    return Finding(subject, "ok", detail)
