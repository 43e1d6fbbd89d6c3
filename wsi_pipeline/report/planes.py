"""What can be asked of a place on a slide, and in which colours is it shown?

1. A `ValuePlane` is one number per pixel: a class, a probability, a depth or a grade.  Whole
   numbers with a step, so that the page holds exactly what is stored.
2. `encode_values` packs one for the page: differences from row to row, deflated.
3. `paint_still` draws it as a palette picture for print and for readers without scripts.
4. Colours are those of the classes, or run along viridis or cividis, both of which keep their
   order under colour blindness (doi:10.1371/journal.pone.0199239).
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_pipeline.classes import TISSUE_CLASSES
from wsi_pipeline.geometry import Grid

LONGEST_PX = 3072
"""Longer edge of a plane, px: twice a screen; a telephone can still hold it in memory."""
BUDGET = 500_000
"""Characters that one plane may take."""
_STILL_PX = 800

Colour = tuple[int, int, int]
Values = NDArray[np.uint8] | NDArray[np.uint16]

VIRIDIS: tuple[Colour, ...] = (
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
)
CIVIDIS: tuple[Colour, ...] = (
    (0, 34, 78),
    (18, 53, 112),
    (59, 73, 108),
    (87, 93, 109),
    (112, 113, 115),
    (138, 134, 120),
    (165, 157, 117),
    (197, 182, 104),
    (254, 232, 56),
)
GRADES: tuple[Colour, ...] = ((86, 180, 233), (240, 228, 66), (213, 94, 0))
"""Grades 1 to 3, after Okabe and Ito (https://jfly.uni-koeln.de/color/)."""


@dataclass(frozen=True, slots=True, eq=False)
class ValuePlane:
    """One number per pixel of a slide.

    Parameters
    ----------
    name
        ``classes``, ``probability``, ``depth``, ``relative`` or ``grade``.
    title
        What it shows, in words.
    values
        uint8 or uint16 (Y, X).
    grid
        Where its pixels lie.
    step, unit
        What one count means.
    none
        Count that stands for no value.
    colours
        One per count from 1 on (``is_named``), or stops from 0 to ``top``.
    top
        Count that has the last colour.
    bottom
        Least count that is coloured: below it, the slide would be covered with next to nothing.
    names
        Of the counts from 0 on; () where counts are a quantity.
    """

    name: str
    title: str
    values: Values
    grid: Grid
    step: float
    unit: str
    none: int
    colours: tuple[Colour, ...]
    top: int = 0
    bottom: int = 0
    names: tuple[str, ...] = ()

    @property
    def is_named(self) -> bool:
        """Whether counts stand for names."""
        return bool(self.names)


def plane_of_classes(labels: NDArray[np.uint8], grid: Grid) -> ValuePlane:
    """Tissue class of each pixel."""
    return ValuePlane(
        "classes",
        "tissue classes",
        labels,
        grid,
        step=1,
        unit="",
        none=0,
        colours=tuple(tissue.rgb for tissue in TISSUE_CLASSES[1:]),
        names=tuple(tissue.name for tissue in TISSUE_CLASSES),
    )


def plane_of_probability(stored: NDArray[np.uint8], grid: Grid) -> ValuePlane:
    """Probability of tumour, as stored: 255 times it; coloured from 5 % on."""
    return ValuePlane(
        "probability",
        "probability of tumour",
        stored,
        grid,
        step=1 / 255,
        unit="",
        none=0,
        colours=VIRIDIS,
        top=255,
        bottom=13,
    )


def planes_of_depth(
    depth_um: NDArray[np.float32], relative: NDArray[np.float32], grid: Grid
) -> tuple[ValuePlane, ...]:
    """Depth in µm, and as a share of the thickness in 250ths."""
    deep = np.where(np.isfinite(depth_um), np.clip(depth_um, 0, 65534), 65535).round()
    share = np.where(np.isfinite(relative), np.clip(relative, 0, 1) * 250, 255).round()
    top = int(deep[deep < 65535].max(initial=1))
    return (
        ValuePlane(
            "depth",
            "depth below the dermo-epidermal junction",
            deep.astype(np.uint16),
            grid,
            step=1,
            unit="µm",
            none=65535,
            colours=CIVIDIS,
            top=max(top, 1),
        ),
        ValuePlane(
            "relative",
            "relative depth",
            share.astype(np.uint8),
            grid,
            step=1 / 250,
            unit="",
            none=255,
            colours=CIVIDIS,
            top=250,
        ),
    )


def plane_of_grades(grade: NDArray[np.uint8], grid: Grid) -> ValuePlane:
    """Nuclear grade by squares."""
    return ValuePlane(
        "grade",
        "nuclear grade by squares",
        grade,
        grid,
        step=1,
        unit="",
        none=0,
        colours=GRADES,
        names=("too few nuclei", "grade 1", "grade 2", "grade 3"),
    )


def thinned(plane: ValuePlane, every: int) -> tuple[Values, Grid]:
    """Every n-th pixel, the middle one of each block of n by n."""
    shape = tuple(count // every for count in plane.values.shape)
    first = every // 2
    rows, columns = (np.arange(count) * every + first for count in shape)
    grid = Grid((shape[0], shape[1]), plane.grid.mpp * every, plane.grid.origin_um)
    return plane.values[np.ix_(rows, columns)], grid


def encode_values(plane: ValuePlane, *, budget: int = BUDGET) -> dict[str, Any]:
    """Pack a plane for the page, as finely as the budget allows.

    Returns
    -------
    dict
        Plain data; ``data`` is base64 of the deflated differences between rows, little-endian.
    """
    every = max(1, -(-max(plane.values.shape) // LONGEST_PX))
    values, grid = thinned(plane, every)
    data = _packed(values)
    while len(data) > budget and min(values.shape) > 1:
        every *= 2
        values, grid = thinned(plane, every)
        data = _packed(values)
    return {
        "name": plane.name,
        "title": plane.title,
        "shape": list(grid.shape),
        "mpp": grid.mpp,
        "origin_um": list(grid.origin_um),
        "bytes": values.dtype.itemsize,
        "step": plane.step,
        "unit": plane.unit,
        "none": plane.none,
        "top": plane.top,
        "bottom": plane.bottom,
        "names": list(plane.names),
        "colours": [list(colour) for colour in plane.colours],
        "data": data,
    }


def _packed(values: Values) -> str:
    """Differences between rows, wrapped around, deflated."""
    before = np.zeros_like(values)
    before[1:] = values[:-1]
    steps = (values - before).astype(values.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(steps.tobytes(), 6)).decode("ascii")


def palette_of(plane: ValuePlane) -> NDArray[np.uint8]:
    """Colour of each of 255 steps from the least to the greatest count, (255, 3) uint8."""
    if plane.is_named:
        colours = np.zeros((255, 3), np.uint8)
        colours[: len(plane.colours)] = plane.colours
        return colours
    stops = np.array(plane.colours, np.float64)
    at = np.linspace(0, len(stops) - 1, 255)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, k]) for k in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def paint_still(plane: ValuePlane) -> str:
    """Draw a plane as a PNG data URI: palette, transparent where there is no value."""
    every = max(1, -(-max(plane.values.shape) // _STILL_PX))
    values, _ = thinned(plane, every)
    place = values.astype(np.int64) - 1 if plane.is_named else values.astype(np.int64) * 254
    place = place if plane.is_named else place // max(plane.top, 1)
    is_bare = (values == plane.none) | (values < plane.bottom)
    index = np.where(is_bare, 0, 1 + np.clip(place, 0, 254)).astype(np.uint8)
    image = Image.fromarray(index)
    image.putpalette((255, 255, 255, *palette_of(plane).ravel().tolist()))
    file = io.BytesIO()
    image.save(file, format="PNG", transparency=0, optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def hex_of(colours: Sequence[Colour]) -> tuple[str, ...]:
    """Colours as a page writes them."""
    return tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in colours)
