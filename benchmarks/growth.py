"""Does memory stay where it is, and time follow the tissue, however large the slide?

    python benchmarks/growth.py FOLDER [--model skin-tumour-5] [--most 16] [--rounds 1]

1. One square of 8,192 px at 0.5 µm/px is painted, about 40 % of it tissue, and compressed once.
2. Slides of 1, 4, 16, 64 and 256 such squares are put together from its compressed tiles; and as
   large ones in which a single square has tissue and the others are glass.
3. Each is inspected and tiled, then segmented in a process of its own (`benchmarks/floor.py`).

The table says how much was decided, how long that took, and the most memory the process had.
``--most`` is the edge of the largest slide in squares; 16 makes 131,072 px, 3 GB on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from painted_slide import MPP, SEED
from run import measure, plan_slide

from wsi_pipeline.phantom import paint_phantom, sample_spec
from wsi_pipeline.phantom.tiff import TILE_PX, halve

SQUARE_PX = 8192
LEVELS = 6  # the coarsest square is one tile
PHANTOM_MM = (3.4, 2.6)
Levels = list[list[bytes]]
"""Compressed tiles of a square, row by row, finest level first."""


def painted_square(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """A square with a phantom in its middle, and one of glass."""
    path = folder / "phantom.npz"
    if not path.exists():
        spec = sample_spec(SEED, grade=2, width_mm=PHANTOM_MM[0], height_mm=PHANTOM_MM[1])
        np.savez(path, image=paint_phantom(spec).image)
    image = np.load(path)["image"]
    glass = np.median(np.concatenate((image[0], image[-1])), axis=0).astype(np.uint8)
    empty = np.broadcast_to(glass, (SQUARE_PX, SQUARE_PX, 3)).copy()
    square = empty.copy()
    top, left = ((SQUARE_PX - count) // 2 for count in image.shape[:2])
    square[top : top + image.shape[0], left : left + image.shape[1]] = image
    return square, empty


def compressed(square: np.ndarray, path: Path) -> Levels:
    """Tiles of a square's pyramid as they lie in a file."""
    with tifffile.TiffWriter(path) as file:
        for level in range(LEVELS):
            square = halve(square) if level else square
            file.write(
                square, photometric="rgb", subsampling=(2, 2), tile=(TILE_PX, TILE_PX),
                compression="jpeg", compressionargs={"level": 85}, metadata=None,
            )  # fmt: skip
    found = []
    with tifffile.TiffFile(path) as file:
        for page in file.pages:
            tiles = []
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                file.filehandle.seek(offset)
                tiles.append(file.filehandle.read(count))
            found.append(tiles)
    path.unlink()
    return found


def write_slide(path: Path, squares: list[list[Levels]]) -> None:
    """Slide of squares side by side; no pixel is touched again."""
    partial = path.with_suffix(".partial")
    with tifffile.TiffWriter(partial, bigtiff=True) as file:
        for level in range(LEVELS):
            edge = len(squares) * SQUARE_PX >> level
            per_cm = 1e4 / (MPP * (1 << level))
            file.write(
                rows_of_tiles(squares, level), shape=(edge, edge, 3), dtype=np.uint8,
                photometric="ycbcr", subsampling=(2, 2), tile=(TILE_PX, TILE_PX),
                compression="jpeg", resolution=(per_cm, per_cm), resolutionunit="CENTIMETER",
                subfiletype=int(level > 0), metadata=None, software=False,
            )  # fmt: skip
    partial.rename(path)


def rows_of_tiles(squares: list[list[Levels]], level: int) -> Iterator[bytes]:
    across = SQUARE_PX // TILE_PX >> level
    for row in squares:
        for line in range(across):
            for square in row:
                yield from square[level][line * across : (line + 1) * across]


def slides(folder: Path, *, most: int) -> Iterator[tuple[str, Path]]:
    """Name of each row of the table, and its slide."""
    full, empty = (compressed(square, folder / "s.tiff") for square in painted_square(folder))
    edges = [1 << step for step in range(most.bit_length())]
    rows = [("tissue", edge) for edge in edges] + [("glass", edge) for edge in edges[1:]]
    for kind, edge in rows:
        place = folder / f"{kind}-{edge}"
        place.mkdir(exist_ok=True)
        path = place / "slide.tiff"
        if not path.exists():
            squares = [[full if kind == "tissue" else empty] * edge for _ in range(edge)]
            squares[0] = [full, *squares[0][1:]]
            write_slide(path, squares)
        yield f"{kind}, {edge * edge} ×", path


def print_row(name: str, runs: list[dict[str, Any]]) -> None:
    row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    tissue = row["needed_px"] / 1e6
    print(
        f"{name:14}{row['tiles']:8.0f}{tissue:10.1f}{row['computed_px'] / row['needed_px']:10.2f}"
        f"{row['wall_s']:9.2f}{row['cpu_s']:9.2f}{row['cpu_s'] / tissue:9.3f}"
        f"{row['cpu_s'] / row['computed_px'] * 1e6:9.3f}{row['peak_mib']:8.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="skin-tumour-5")
    parser.add_argument("--most", type=int, default=16, help="squares along the largest slide")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(
        f"{'':14}{'tiles':>8}{'decided':>10}{'computed':>10}{'wall s':>9}{'cpu s':>9}"
        f"{'cpu s':>9}{'cpu s':>9}{'peak':>8}\n"
        f"{'':22}{'Mpx':>10}{'per px':>10}{'':18}{'/ Mpx':>9}{'/ comp.':>9}{'MiB':>8}"
    )
    for name, path in slides(options.folder, most=options.most):
        settings = {"segment": {"model": options.model, "device": "cpu"}}
        plan_slide(path.parent, path, settings)
        runs = [
            measure(path.parent, ("engine",), workers=options.workers)
            for _ in range(options.rounds)
        ]
        print_row(name, runs)
        (path.parent / "growth.json").write_text(json.dumps(runs), encoding="utf-8")
        print(f"{name}: {path.stat().st_size / 1e6:.0f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
