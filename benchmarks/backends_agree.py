"""Do OpenSlide and tiffslide read the same pixels?

1. Take slide files, or folders that hold some.
2. Read the same random boxes of each with both libraries, at level 0 and on a coarser plane.
3. Print one row per slide and plane: levels each library draws on, largest difference in grey
   levels, pixels that differ, and the seconds each library took.

A slide that one of them cannot open is listed with the reason.  Differences on the coarser
plane are expected where ``levels`` differ: a library that must leave a stored level out
averages a finer one.

    python benchmarks/backends_agree.py SLIDE_OR_FOLDER [SLIDE_OR_FOLDER …]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.errors import WsiPipelineError
from wsi_pipeline.geometry import Box
from wsi_pipeline.slide import Slide, open_slide

SUFFIXES = (".svs", ".tif", ".tiff", ".dcm")
# Any plausible pixel size: agreement does not depend on it.
MPP = 0.5
COLUMNS = (
    "slide",
    "plane",
    "levels openslide / tiffslide",
    "boxes",
    "largest difference",
    "pixels that differ",
    "openslide s",
    "tiffslide s",
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Compare OpenSlide with tiffslide.")
    parser.add_argument("paths", nargs="+", type=Path, help="slide files, or folders of them")
    parser.add_argument("--boxes", type=int, default=200, help="boxes per slide and plane")
    parser.add_argument("--edge-px", type=int, default=256, help="their edge on the plane")
    parser.add_argument("--reduction", type=float, default=4.0, help="coarser plane, times native")
    chosen = parser.parse_args()
    print("|", " | ".join(COLUMNS), "|")
    print("|", " | ".join("---" for _ in COLUMNS), "|")
    for path in _slide_files(chosen.paths):
        for row in _rows(path, chosen):
            print("|", " | ".join(row), "|", flush=True)


def _slide_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are, folders by what they hold."""
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        yield from (file for file in inside if file.suffix in SUFFIXES)


def _rows(path: Path, chosen: argparse.Namespace) -> Iterator[list[str]]:
    """One row per plane, or one that says why there is none."""
    try:
        with (
            open_slide(path, mpp=MPP, backend="openslide") as one,
            open_slide(path, mpp=MPP, backend="tiffslide") as other,
        ):
            for mpp in (MPP, MPP * chosen.reduction):
                yield _compared(
                    one,
                    other,
                    mpp=mpp,
                    boxes=_boxes(one, mpp, edge_px=chosen.edge_px, count=chosen.boxes),
                )
    except WsiPipelineError as fault:
        yield [path.name, str(fault)]


def _boxes(slide: Slide, mpp: float, *, edge_px: int, count: int) -> list[Box]:
    """Random places, some of them across the edge."""
    shape = slide.grid.at_mpp(mpp).shape
    corners = np.random.default_rng(0).integers(-edge_px // 4, shape, (count, 2)).tolist()
    return [Box(top, left, top + edge_px, left + edge_px) for top, left in corners]


def _compared(one: Slide, other: Slide, *, mpp: float, boxes: list[Box]) -> list[str]:
    """Row of the table for one plane."""
    ours, our_s = _read(one, boxes, mpp=mpp)
    theirs, their_s = _read(other, boxes, mpp=mpp)
    difference = [np.abs(a.astype(int) - b) for a, b in zip(ours, theirs, strict=True)]
    differing = sum(int(d.any(axis=-1).sum()) for d in difference)
    levels = [len(slide.info.levels_read) for slide in (one, other)]
    return [
        one.path.name,
        f"{mpp / MPP:g} × native",
        f"{levels[0]} / {levels[1]}",
        str(len(boxes)),
        str(max(int(d.max()) for d in difference)),
        f"{differing:,} of {sum(box.area_px for box in boxes):,}",
        f"{our_s:.1f}",
        f"{their_s:.1f}",
    ]


def _read(slide: Slide, boxes: list[Box], *, mpp: float) -> tuple[list[NDArray[np.uint8]], float]:
    """All boxes, and the seconds it took."""
    start = time.perf_counter()
    pixels = [slide.read_region(box, mpp) for box in boxes]
    return pixels, time.perf_counter() - start


if __name__ == "__main__":
    main()
