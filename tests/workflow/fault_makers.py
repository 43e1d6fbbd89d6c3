"""Slides with one thing wrong each, and what the verbs of one slide make of them.

`FAULTS` names each fault and what has to happen: at which step the slide stops, and words of the
message.  `stopped` runs the verbs in this process and says where, with what, and what was kept.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import openslide
import tifffile
from scipy import ndimage as ndi

from wsi_pipeline.cli import main
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom import write_slide_tiff
from wsi_pipeline.slide import openslide_reader
from wsi_pipeline.stages.failure import read_failure

FAST = tuple(
    word
    for text in ("tiling.tile_px=256", "store.chunk_px=64", "segment.model=colour-baseline")
    for word in ("--set", text)
)
MPP, SHAPE = 2.0, (1100, 1300)
STEPS = ("inspect", "tile", "segment")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    name
        What a user would call it.
    damage
        Changes the good slide file at a path.
    step
        Step at which the slide has to stop.
    said
        Words of the message, as a regular expression.
    after
        Step after which the damage happens; "" for before the first.
    disk
        Makes reading fail while a step runs.
    """

    name: str
    damage: Callable[[Path], object]
    step: str
    said: str
    after: str = ""
    disk: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a slide ended.

    Parameters
    ----------
    code
        Exit code of the last step that ran.
    step
        That step.
    said
        What it wrote to the terminal as its error.
    noted
        What the reports will say.
    kept
        Files and stores in the slide's folder, besides the note.
    """

    code: int
    step: str
    said: str
    noted: str
    kept: tuple[str, ...]


def write_good_slide(path: Path) -> Path:
    """Two pink pieces with some texture on glass, as a pyramid of JPEG tiles."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    tissue = (np.hypot(rows - 550, (columns - 380) / 1.2) < 280) | (
        np.hypot(rows - 550, columns - 1000) < 200
    )
    picture = np.full((*SHAPE, 3), (244, 243, 245), np.float32)
    picture[tissue] = (205, 120, 170)
    grain = ndi.gaussian_filter(rng.normal(0, 1, SHAPE), 2)[..., None] * 60
    picture += np.where(tissue[..., None], grain, grain / 20)
    write_slide_tiff(path, picture.clip(0, 255).astype(np.uint8), mpp=MPP, jpeg_quality=90)
    return path


def stopped(fault: Fault, *, folder: Path, good: Path) -> Stopped:
    """Damage a copy of a good slide and run the steps until one fails."""
    slide, out = folder / "slide.tiff", folder / "slides" / "s"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(good, slide)
    if not fault.after:
        fault.damage(slide)
    for step in STEPS:
        code, said = _run_step(step, slide=slide, out=out, disk=fault.disk)
        if code:
            break
        if step == fault.after:
            fault.damage(slide)
    kept = sorted(path.name for path in out.iterdir() if path.name != "failure.json")
    noted = read_failure(out / "failure.json").reason if code else ""
    return Stopped(code, step, said, noted, tuple(kept))


def _run_step(
    step: str, *, slide: Path, out: Path, disk: Callable[[], AbstractContextManager[object]]
) -> tuple[int, str]:
    """Exit code and error output of one verb."""
    record = out / "slide.json"
    words = {
        "inspect": ["inspect", slide, "--out", record, "--slide-id", "s"],
        "tile": ["tile", record, "--out", out / "tiles.json", *FAST],
        "segment": [
            *("segment", record, "--tiles", out / "tiles.json", "--workers", 1),
            *("--out", out / "segmentation.ome.zarr", *FAST),
        ],
    }[step]
    note = {"WSI_FAILURE_NOTE": str(out / "failure.json"), "WSI_FAILURE_LOG": f"{step}.log"}
    errors, code = io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["wsi-pipeline", *map(str, words)]),
        mock.patch.dict(os.environ, note),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(io.StringIO()),
        disk(),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return code, errors.getvalue()


@contextmanager
def bad_sectors() -> Iterator[None]:
    """A disk that cannot read what lies under one place of level 0."""
    read, bad = openslide_reader._read, Box(600, 300, 610, 310)

    def fails_there(handle: openslide.OpenSlide, box: Box, *, level: int) -> object:
        if level == 0 and min((box & bad).shape) > 0:
            raise openslide.OpenSlideError("Input/output error")
        return read(handle, box, level=level)

    with mock.patch.object(openslide_reader, "_read", fails_there):
        yield


def _cut(share: float) -> Callable[[Path], object]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def _spoil_tiles(level: int) -> Callable[[Path], object]:
    """Overwrite the JPEG of a third of the tiles of a level with noise."""

    def damage(path: Path) -> None:
        with tifffile.TiffFile(path) as file:
            page = file.pages[level]
            spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        noise = np.random.default_rng(1)
        with path.open("r+b") as raw:
            for start, length in spans[::3]:
                raw.seek(start)
                raw.write(noise.integers(0, 256, length, dtype=np.uint8).tobytes())

    return damage


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _to_other_slide(path: Path) -> None:
    """The same picture saved again after it was inspected: other bytes."""
    with tifffile.TiffFile(path) as file:
        picture = file.pages[0].asarray()
    write_slide_tiff(path, picture[::-1], mpp=MPP, jpeg_quality=80)


def _nothing(path: Path) -> None:
    """The file itself is sound."""


FAULTS = (
    Fault("zero-byte file", lambda p: os.truncate(p, 0), "inspect", r"0 bytes.*copy it again"),
    Fault("folder instead of a file", _to_folder, "inspect", r"is a folder.*name the slide file"),
    Fault("file gone", Path.unlink, "inspect", r"no such file.*correct column 'path'"),
    Fault(
        "text instead of a slide",
        lambda p: p.write_text("not a slide"),
        "inspect",
        r"not a slide.*copy it again",
    ),
    Fault("truncated TIFF (half)", _cut(0.5), "inspect", r"cut short.*copy it again"),
    Fault("truncated TIFF (last bytes)", _cut(0.999), "inspect", r"cut short.*copy it again"),
    Fault(
        "corrupted JPEG tiles, coarse level", _spoil_tiles(-1), "tile", r"cannot be decoded in Box"
    ),
    Fault("corrupted JPEG tiles, level 0", _spoil_tiles(0), "segment", r"cannot be decoded in Box"),
    Fault(
        "read error in the middle of a slide",
        _nothing,
        "segment",
        r"cannot be decoded in Box.*Input/output error.*in the tile of rows",
        disk=bad_sectors,
    ),
    Fault("file gone between steps", Path.unlink, "tile", r"no such file", after="inspect"),
    Fault("file cut between steps", _cut(0.7), "segment", r"changed since", after="tile"),
    Fault(
        "slide changed between steps", _to_other_slide, "tile", r"changed since", after="inspect"
    ),
)
