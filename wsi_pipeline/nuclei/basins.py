"""Which pixels belong to the same blob?

1. `climb` lets every pixel walk to the steepest neighbour; all that arrive at the same place
   are a basin.
2. `join` unites neighbouring basins between which there is hardly a valley.

Steps are counted and bounded: where a pixel ends depends on no more than `REACH_UM` around
it, so a tile with that much context finds the basins of the whole plane.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

REACH_UM = 16.0
"""Longest walk, µm: a nucleus is at most about 30 µm long."""
_NEIGHBOURS = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column)


class Borders(NamedTuple):
    """Pairs of neighbouring basins.

    ``one`` and ``two`` (K,) are basins, ``saddle`` (K,) the height of the pass between them.
    """

    one: NDArray[np.int64]
    two: NDArray[np.int64]
    saddle: Floats


def climb(height: Floats, mask: NDArray[np.bool_], *, mpp: float) -> Labels:
    """Number the basins of attraction of the maxima of ``height`` within a mask.

    Parameters
    ----------
    height : (Y, X) float32
        Surface to climb.
    mask : (Y, X) bool
        Where; no step leaves it.
    mpp
        Width of a pixel, µm.

    Returns
    -------
    (Y, X) int32
        1, 2, … in the order of the summits, row by row; 0 outside the mask.
    """
    padded = np.pad(np.where(mask, height, -np.inf).astype(np.float32), 1, constant_values=-np.inf)
    width = padded.shape[1]
    flat = padded.ravel()
    inside = np.flatnonzero(flat > -np.inf)
    target, best = inside.copy(), flat[inside]
    for row, column in _NEIGHBOURS:
        other = inside + row * width + column
        value = flat[other]
        higher = value > best
        target[higher], best[higher] = other[higher], value[higher]
    step = np.arange(flat.size, dtype=np.int64)
    step[inside] = target
    # Doubling the stride each time: after n rounds a pixel has gone at most 2^n steps.
    for _ in range(max(1, math.floor(math.log2(REACH_UM / mpp)))):
        step[inside] = step[step[inside]]
    number = np.zeros(flat.size, np.int32)
    number[step[inside]] = 1
    summits = np.flatnonzero(number)
    number[summits] = np.arange(1, len(summits) + 1)
    basins = np.zeros(flat.size, np.int32)
    basins[inside] = number[step[inside]]
    return basins.reshape(padded.shape)[1:-1, 1:-1]


def find_borders(basins: Labels, height: Floats) -> Borders:
    """Neighbouring basins and the passes between them."""
    ones, twos, passes = [], [], []
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):
        one, two = basins[here], basins[there]
        meet = np.nonzero((one != two) & (one > 0) & (two > 0))
        ones.append(one[meet])
        twos.append(two[meet])
        passes.append(np.minimum(height[here][meet], height[there][meet]))
    low = np.minimum(np.concatenate(ones), np.concatenate(twos)).astype(np.int64)
    high = np.maximum(np.concatenate(ones), np.concatenate(twos)).astype(np.int64)
    saddle = np.concatenate(passes)
    order = np.lexsort((saddle, high, low))
    low, high, saddle = low[order], high[order], saddle[order]
    last = np.append((low[1:] != low[:-1]) | (high[1:] != high[:-1]), True)[: len(low)]
    return Borders(low[last], high[last], saddle[last])


def join(peak: Floats, borders: Borders, *, is_one: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Unite basins.

    Parameters
    ----------
    peak : (N + 1,) float32
        Height of each basin's summit; entry 0 is not used.
    borders
        Pairs of neighbours.
    is_one : (K,) bool
        Which pairs show the same blob.

    Returns
    -------
    (N + 1,) int32
        For each basin the one it belongs to.

    Notes
    -----
    Each basin joins the higher neighbour across its highest pass, and with it whatever that
    one joins.
    """
    one, two = borders.one[is_one], borders.two[is_one]
    # Of two equal summits the first counts as the higher.
    swap = (peak[one] > peak[two]) | ((peak[one] == peak[two]) & (one < two))
    lower, upper = np.where(swap, two, one), np.where(swap, one, two)
    parent = np.arange(len(peak), dtype=np.int32)
    order = np.lexsort((-upper, borders.saddle[is_one]))
    parent[lower[order]] = upper[order]
    while True:
        further = parent[parent]
        if np.array_equal(further, parent):
            return parent
        parent = further
