"""How dense is the haematoxylin outside and inside nuclei around here?

The plane is cut into cells of `CELL_UM`.  A pixel counts as nuclear above the middle of the
slide's two levels; within `WINDOW_UM` the mean of either kind is taken, drawn towards that of
the slide where there is little of it.  All sums are of whole numbers, so they do not depend on
where a tile begins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.nuclei.stain import Floats, Stain

CELL_UM = 4.0
"""Width of a cell, µm: half a nucleus."""
WINDOW_UM = 16.0
"""Reach of the window to each side, µm: a nucleus and its neighbours."""
_PRIOR_UM2 = 100.0
# Whole numbers for one unit of density: finer than the noise of any camera.
_STEPS = 4096.0


def cell_px(mpp: float) -> int:
    """Pixels along a cell; tiles must start on multiples of it."""
    return max(1, round(CELL_UM / mpp))


def reach_px(mpp: float) -> int:
    """Distance, px, beyond which nothing has a say in the levels."""
    return (_window_cells(mpp) + 2) * cell_px(mpp)


def contrast_map(density: Floats, stain: Stain, *, mpp: float) -> Floats:
    """Haematoxylin between the levels around it: 0 as outside nuclei, 1 as inside.

    Parameters
    ----------
    density : (Y, X) float32
        Haematoxylin density of a tile that starts on a whole cell.
    stain
        Levels of the slide.
    mpp
        Width of a pixel, µm.
    """
    edge = cell_px(mpp)
    middle = 0.5 * (stain.background_od + stain.nuclear_od)
    steps = np.rint(density * _STEPS).astype(np.int32)
    nuclear = density > middle
    count = _cell_sums(nuclear.astype(np.int32), edge)
    size = _cell_sums(np.ones(density.shape, np.int32), edge)
    total, inside = _cell_sums(steps, edge), _cell_sums(steps * nuclear, edge)
    window = _window_cells(mpp)
    count, size, total, inside = (_window(sums, window) for sums in (count, size, total, inside))
    prior = _PRIOR_UM2 / (mpp * mpp)
    high = (inside / _STEPS + prior * stain.nuclear_od) / (count + prior)
    low = ((total - inside) / _STEPS + prior * stain.background_od) / (size - count + prior)
    low_px, gain_px = (
        _interpolated(values.astype(np.float32), density.shape, edge)
        for values in (low, 1.0 / (high - low))
    )
    return (density - low_px) * gain_px


def _window_cells(mpp: float) -> int:
    return max(1, round(WINDOW_UM / (cell_px(mpp) * mpp)))


def _cell_sums(values: NDArray[np.int32], edge: int) -> NDArray[np.int64]:
    """Sum over each cell; cells at the far edges may be cut."""
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], edge), axis=0, dtype=np.int64)
    return np.add.reduceat(rows, np.arange(0, values.shape[1], edge), axis=1, dtype=np.int64)


def _window(cells: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Sum over all cells up to ``reach`` away along either axis."""
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (reach + 1, reach)
        sums = np.cumsum(np.pad(cells, padding), axis=axis)
        width = 2 * reach + 1
        cells = np.take(sums, np.arange(width, sums.shape[axis]), axis=axis) - np.take(
            sums, np.arange(sums.shape[axis] - width), axis=axis
        )
    return cells


def _interpolated(cells: Floats, shape: tuple[int, int], edge: int) -> Floats:
    """Values at pixels, linear between the centres of cells."""
    for axis, length in enumerate(shape):
        place = (np.arange(length) + 0.5) / edge - 0.5
        first = np.floor(place).astype(np.intp)
        share = (place - first).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        last = cells.shape[axis] - 1
        below = np.take(cells, first.clip(0, last), axis=axis)
        above = np.take(cells, (first + 1).clip(0, last), axis=axis)
        cells = below + (above - below) * share
    return cells
