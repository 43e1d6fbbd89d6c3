"""Is this installation fit to work?

1. `examine` looks at everything in turn; each look gives `Finding` values, and none stops another.
2. Software is looked at here: packages and their versions, the command itself, each slide back-end
   on a slide painted for the purpose, each model with its checksums.
3. The machine is looked at in `machine`.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.config import parse_config
from wsi_pipeline.errors import WsiPipelineError
from wsi_pipeline.geometry import Box
from wsi_pipeline.nuclei import NUCLEAR_CLASSES
from wsi_pipeline.stages.machine import Finding, Status, examine_machine
from wsi_pipeline.stages.resources import share_folder

__all__ = ["Finding", "Status", "examine"]
_DISTRIBUTION = "wsi-pipeline"
_REINSTALL = "install the package again: pip install wsi-pipeline"
_COLOUR = (200, 120, 160)
_TOLERANCE = 6  # of 255: JPEG keeps a plain colour that well


def examine(folder: Path) -> list[Finding]:
    """Look at packages, back-ends, models, processor, GPU, cluster and disk.

    Parameters
    ----------
    folder
        Where results would be written.
    """
    return [
        *_packages(),
        _command(),
        *_backends(),
        *_models(),
        *examine_machine(folder),
    ]


def _packages() -> Iterator[Finding]:
    yield Finding("python", "ok", platform.python_version())
    try:
        wanted = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("wsi-pipeline", "warn", "not installed, only found", _REINSTALL)
        return
    yield Finding(_DISTRIBUTION, "ok", importlib.metadata.version(_DISTRIBUTION))
    for requirement in sorted(map(Requirement, wanted), key=lambda each: each.name):
        if requirement.marker is None:  # the others belong to extras
            yield _package(requirement)


def _package(requirement: Requirement) -> Finding:
    """Whether a package is there, in a version that was tried."""
    remedy = f"pip install '{requirement}'"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(requirement.name, "fail", "not installed", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        detail = f"{version}, wanted {requirement.specifier}"
        return Finding(requirement.name, "warn", detail, remedy)
    return Finding(requirement.name, "ok", version)


def _command() -> Finding:
    """Whether jobs of the workflow find the command they call."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(_DISTRIBUTION, path=beside) or shutil.which(_DISTRIBUTION)
    if found is None:
        detail = f"no 'wsi-pipeline' in {beside} or on PATH, which the workflow calls"
        return Finding("command", "fail", detail, _REINSTALL)
    return Finding("command", "ok", found)


def _backends() -> Iterator[Finding]:
    """Each library reads a slide that is painted for it."""
    with tempfile.TemporaryDirectory(prefix="wsi-doctor-") as folder:
        path = Path(folder) / "plain.tiff"
        try:
            _paint(path)
        except (ImportError, OSError) as fault:
            yield Finding("trial slide", "fail", str(fault), "pip install tifffile imagecodecs")
            return
        for backend, package in (("openslide", "openslide-bin"), ("tiffslide", "tiffslide")):
            remedy = f"pip install --force-reinstall {package}"
            yield _try(f"back-end {backend}", partial(_read, path, backend), remedy)


def _paint(path: Path) -> None:
    from wsi_pipeline.phantom import write_slide_tiff  # noqa: PLC0415

    image = np.full((512, 512, 3), _COLOUR, np.uint8)
    write_slide_tiff(path, image, mpp=0.5, jpeg_quality=90)


def _read(path: Path, backend: str) -> str:
    """Version of a library that reads the plain slide back; the error of one that does not.

    Raises
    ------
    ImportError, OSError, WsiPipelineError
        If it cannot be loaded, or reads something else.
    """
    from wsi_pipeline.slide import open_slide  # noqa: PLC0415

    with open_slide(path, backend=backend) as slide:
        rgb = slide.read_region(Box(16, 16, 80, 80), slide.grid.mpp)
        if np.abs(rgb.astype(int) - np.array(_COLOUR)).max() > _TOLERANCE:
            raise OSError("a plain slide was read in another colour")
        return f"{slide.info.backend_version} reads a slide painted here"


def _models() -> Iterator[Finding]:
    for card in sorted((share_folder() / "models").glob("*/model.toml")):
        remedy = f"restore {card.parent} as it was published"
        yield _try(f"model {card.parent.name}", partial(_load, card.parent), remedy)


def _load(folder: Path) -> str:
    from wsi_pipeline.segment import load_segmenter  # noqa: PLC0415

    of_nuclei = folder.name == parse_config({}).nuclei.model
    classes = NUCLEAR_CLASSES if of_nuclei else CLASS_NAMES
    card = load_segmenter(folder, classes=classes, device="cpu").card
    return f"loads and runs, sha256 {card.sha256[:16]}…"


def _try(subject: str, describe: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(subject, "ok", describe())
    except (ImportError, OSError, WsiPipelineError) as fault:
        return Finding(subject, "fail", str(fault), remedy)
