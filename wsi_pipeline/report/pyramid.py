"""How fine a picture of a slide fits into its page?

1. Levels are written from the coarsest on, cut into tiles, as JPEG.
2. The first that would pass the budget is left out, and with it all finer ones: what is
   shown is a whole level.
3. What was not computed is pure white in the store; it is painted in the colour of the glass, and
   a tile that holds nothing else is not written at all.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_pipeline.geometry import Box, Grid

TILE_PX = 512
BUDGET = 7_000_000
"""Characters that all tiles of a slide may take: of the 15 MB of a page, what the still pictures,
the planes and the tables leave, with room to spare."""
_QUALITY = 82
_WHITE = 255

Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ImageLevel:
    """One width of the picture: where its pixels lie, and how a box (Y, X, 3) of them is read."""

    grid: Grid
    read: Callable[[Box], Rgb]


@dataclass(frozen=True, slots=True)
class Pyramid:
    """A picture in tiles.

    Parameters
    ----------
    grid
        Finest level.
    shapes
        ``(rows, columns)`` of the levels, from the coarsest to the finest.
    tiles
        ``level/row/column`` to JPEG in base64; what is missing shows nothing but glass.
    glass
        Colour behind it.
    is_whole
        Whether the finest level that was offered fitted.
    """

    grid: Grid
    shapes: tuple[tuple[int, int], ...]
    tiles: Mapping[str, str]
    glass: tuple[int, int, int]
    is_whole: bool


def encode_pyramid(
    levels: Sequence[ImageLevel], *, glass: tuple[int, int, int], budget: int = BUDGET
) -> Pyramid:
    """Write the levels that fit.

    Parameters
    ----------
    levels
        From the coarsest to the finest; the first is written whatever it takes.
    glass
        Colour of the glass beside the tissue.
    budget
        Characters that all tiles may take.
    """
    tiles: dict[str, str] = {}
    left = budget
    fitted = 0
    for number, level in enumerate(levels):
        found = _encode_level(level, number, glass=glass, budget=left if number else None)
        if found is None:
            break
        tiles |= found
        left -= sum(map(len, found.values()))
        fitted += 1
    shapes = tuple(level.grid.shape for level in levels[:fitted])
    return Pyramid(levels[fitted - 1].grid, shapes, tiles, glass, fitted == len(levels))


def paint_glass(rgb: Rgb, glass: tuple[int, int, int]) -> tuple[Rgb, bool]:
    """Put the colour of the glass for what was not computed; tell whether that is all."""
    missing = (rgb == _WHITE).all(axis=-1)
    return np.where(missing[..., None], np.array(glass, np.uint8), rgb), bool(missing.all())


def _encode_level(
    level: ImageLevel, number: int, *, glass: tuple[int, int, int], budget: int | None
) -> dict[str, str] | None:
    """All tiles of a level, or None as soon as they pass the budget."""
    tiles: dict[str, str] = {}
    size = 0
    for row, column, box in _tile_boxes(level.grid.shape):
        rgb, is_bare = paint_glass(level.read(box), glass)
        if is_bare:
            continue
        tile = _encode_jpeg(rgb)
        size += len(tile)
        if budget is not None and size > budget:
            return None
        tiles[f"{number}/{row}/{column}"] = tile
    return tiles


def _tile_boxes(shape: tuple[int, int]) -> Iterator[tuple[int, int, Box]]:
    """Row, column and box of each tile of a level."""
    for row, top in enumerate(range(0, shape[0], TILE_PX)):
        for column, left in enumerate(range(0, shape[1], TILE_PX)):
            box = Box(top, left, top + TILE_PX, left + TILE_PX) & Box.of_shape(shape)
            yield row, column, box


def _encode_jpeg(rgb: Rgb) -> str:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="JPEG", quality=_QUALITY, optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
