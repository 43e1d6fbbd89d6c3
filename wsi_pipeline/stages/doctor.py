"""Is this installation fit to work?"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wsi_pipeline.errors import WsiPipelineError
from wsi_pipeline.stages.resources import share_folder

_PACKAGES = (
    "numpy", "scipy", "scikit-image", "torch", "dask", "distributed", "zarr", "snakemake",
    "openslide-python", "openslide-bin", "tiffslide", "tifffile", "imagecodecs",
)  # fmt: skip
_MIN_FREE_GIB = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    subject
        What was looked at.
    is_good
        Whether it is as it should be.
    detail
        What was found, and what to do if it is not good.
    """

    subject: str
    is_good: bool
    detail: str


def examine(folder: Path) -> list[Finding]:
    """Look at packages, back-ends, models, processor and disk.

    Parameters
    ----------
    folder
        Where results would be written.
    """
    return [*_packages(), _openslide(), *_models(), _torch(), _disk(folder)]


def _packages() -> Iterator[Finding]:
    yield Finding("python", True, platform.python_version())
    for name in _PACKAGES:
        try:
            yield Finding(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, f"not installed; pip install {name}")


def _models() -> Iterator[Finding]:
    from wsi_pipeline.segment import load_segmenter  # noqa: PLC0415

    for card in sorted((share_folder() / "models").glob("*/model.toml")):
        folder = card.parent

        def check(folder: Path = folder) -> str:
            return (
                f"loads and runs, sha256 {load_segmenter(folder, device='cpu').card.sha256[:16]}…"
            )

        yield _try(f"model {folder.name}", check)


def _openslide() -> Finding:
    def version() -> str:
        import openslide  # noqa: PLC0415

        return f"library {openslide.__library_version__}"

    return _try("OpenSlide", version)


def _torch() -> Finding:
    import torch  # noqa: PLC0415

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    capability = torch.backends.cpu.get_cpu_capability()
    return Finding("compute", True, f"{capability}, {torch.get_num_threads()} threads, {gpu}")


def _disk(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    detail = f"{free_gib:.0f} GiB free at {existing}"
    return Finding("disk", free_gib >= _MIN_FREE_GIB, detail)


def _try(subject: str, describe: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, describe())
    except (ImportError, OSError, WsiPipelineError) as fault:
        return Finding(subject, False, str(fault))
