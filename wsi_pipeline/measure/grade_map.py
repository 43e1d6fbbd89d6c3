"""Where in the tumour are nuclei large, and how are their areas distributed?

1. The nuclei are those that the grade of the slide rests on, see `nuclear_grade`.
2. Squares of the glass, as wide as those of the grade's interval, are graded by their own mean
   area and spread.  A square of few nuclei has no grade.
3. A histogram of all areas, in fixed steps.

A grade of a square is descriptive and far less certain than that of the tumour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.config import GradeSettings
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure.nuclear_grade import grade_of, is_measurable

MIN_SQUARE_NUCLEI = 20
"""Fewer nuclei do not grade a square: their mean area is known to a tenth at best."""
AREA_STEP_UM2, AREA_STEPS = 5.0, 40
"""Steps of the histogram; the last one holds all that is larger."""


@dataclass(frozen=True, slots=True, eq=False)
class GradeMap:
    """Nuclear grade by squares of the glass.

    Parameters
    ----------
    grid
        One pixel is one square.
    grade
        uint8 (Y, X): 1-3, or 0 where there are too few nuclei.
    mean_area_um2
        float64 (Y, X), NaN there.
    histogram
        int64 (N,), nuclei by area in steps of `AREA_STEP_UM2`.
    """

    grid: Grid
    grade: NDArray[np.uint8]
    mean_area_um2: NDArray[np.float64]
    histogram: NDArray[np.int64]


def map_grades(
    nuclei: Mapping[str, NDArray[Any]], *, plane: Grid, settings: GradeSettings
) -> GradeMap:
    """Grade the squares of a plane by the nuclei in them.

    Parameters
    ----------
    nuclei
        Columns of the nuclei in tumour, see `wsi_pipeline.measure.measure_nuclei`.
    plane
        What the squares cover.
    settings
        Limits, and the width of a square.
    """
    height_um, width_um = plane.extent_um
    step_um = settings.block_um
    shape = (max(1, math.ceil(height_um / step_um)), max(1, math.ceil(width_um / step_um)))
    grid = Grid(shape, step_um, plane.origin_um)
    keep = is_measurable(nuclei, settings=settings)
    area = np.asarray(nuclei["area_um2"], np.float64)[keep]
    square = _square_of(nuclei, keep, grid=grid)
    count, total, squares = (
        np.bincount(square, weights, grid.box.area_px) for weights in (None, area, area * area)
    )
    enough = count >= MIN_SQUARE_NUCLEI
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=enough)
    spread = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean * mean, 0)) / mean
    grade = np.array(
        [
            grade_of(one, other, settings=settings) if known else 0
            for one, other, known in zip(mean, spread, enough, strict=True)
        ],
        np.uint8,
    )
    steps = np.minimum((area / AREA_STEP_UM2).astype(np.intp), AREA_STEPS - 1)
    histogram = np.bincount(steps, minlength=AREA_STEPS)
    return GradeMap(grid, grade.reshape(shape), mean.reshape(shape), histogram)


def _square_of(
    nuclei: Mapping[str, NDArray[Any]], keep: NDArray[np.bool_], *, grid: Grid
) -> NDArray[np.intp]:
    """Running number of the square in which each nucleus lies."""
    row, column = (
        np.clip((nuclei[name][keep] - origin_um) // grid.mpp, 0, count - 1).astype(np.intp)
        for name, origin_um, count in zip(
            ("down_um", "right_um"), grid.origin_um, grid.shape, strict=True
        )
    )
    return np.asarray(row * grid.shape[1] + column)
