"""What does a table of many small slides cost?

    python benchmarks/batch.py FOLDER [--slides 1000] [--size-px 512] [--cores 2] [--dag-only]

1. One small painted slide is written, and a case table that names it N times.
2. The job graph alone is built (``run --dry-run``): wall clock, processor time, peak memory.
3. Unless only that was asked for, the whole table is run to the cohort page, with the model that
   costs nothing; what remains is the price of starting a process per step and of the reports.

Processor seconds stand beside the wall clock, for a machine that is shared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

from wsi_pipeline.phantom import write_slide_tiff

FAST = ("tiling.tile_px=256", "store.chunk_px=64", "segment.model=colour-baseline")
SLIDES_PER_CASE = 4
MPP = 2.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took, with all processes it started.

    ``peak_mib`` is that of the largest single process.
    """

    code: int
    wall_s: float
    processor_s: float
    peak_mib: float


def write_table(folder: Path, *, slides: int, size_px: int) -> Path:
    """Case table that names one small slide many times."""
    folder.mkdir(parents=True, exist_ok=True)
    write_small_slide(folder / "small.tiff", size_px=size_px)
    lines = [
        f"case{number // SLIDES_PER_CASE:04d}\tslide{number:04d}\tsmall.tiff\tvertical"
        for number in range(slides)
    ]
    table = folder / f"cases-{slides}.tsv"
    table.write_text("\n".join(["case_id\tslide_id\tpath\tsection", *lines]) + "\n")
    return table


def write_small_slide(path: Path, *, size_px: int) -> None:
    """A pink disc with some texture on glass."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:size_px, :size_px]
    disc = np.hypot(rows - size_px / 2, columns - size_px / 2) < 0.35 * size_px
    picture = np.where(disc[..., None], (205, 120, 170), (244, 243, 245)).astype(np.float32)
    grain = ndi.gaussian_filter(rng.normal(0, 60, (size_px, size_px)), 2)[..., None]
    picture += np.where(disc[..., None], grain, grain / 20)
    write_slide_tiff(path, picture.clip(0, 255).astype(np.uint8), mpp=MPP, jpeg_quality=90)


def cost_of(*words: str | Path, log: Path) -> Cost:
    """Run a verb and measure it."""
    code = "from wsi_pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, words)]
    began = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        process.returncode,
        time.monotonic() - began,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
    )


def show(name: str, slides: int, cost: Cost) -> None:
    """One line of the table."""
    print(
        f"{name:<12} {slides:>6} {cost.code:>5} {cost.wall_s:>9.1f} {cost.processor_s:>12.1f} "
        f"{cost.processor_s / slides:>10.3f} {cost.peak_mib:>9.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slides", type=int, default=1000)
    parser.add_argument("--size-px", type=int, default=512)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--dag-only", action="store_true")
    parser.add_argument("--profile", default="local")
    asked = parser.parse_args()
    table = write_table(asked.folder, slides=asked.slides, size_px=asked.size_px)
    out = asked.folder / f"out-{asked.slides}"
    shutil.rmtree(out, ignore_errors=True)
    words = ["run", table, "--out", out, "--cores", str(asked.cores), "--profile", asked.profile]
    words += [word for text in FAST for word in ("--set", text)]
    print(
        f"{'':<12} {'slides':>6} {'code':>5} {'wall s':>9} {'processor s':>12} {'per slide':>10} "
        f"{'peak MiB':>9}"
    )
    logs = asked.folder / "dag.log", asked.folder / "run.log"
    show("job graph", asked.slides, cost_of(*words, "--dry-run", log=logs[0]))
    if not asked.dag_only:
        done = cost_of(*words, log=logs[1])
        show("whole run", asked.slides, done)
        sys.exit(done.code)


if __name__ == "__main__":
    main()
