"""Which pixels belong to the same blob?

`climb` lets every pixel walk to the steepest neighbour; all that arrive at the same place are a
basin.  Steps are counted and bounded: where a pixel ends depends on no more than `REACH_UM` around
it, so a tile with that much context finds the basins of the whole plane.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

REACH_UM = 16.0
"""Longest walk, µm: a nucleus is at most about 30 µm long."""
_NEIGHBOURS = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column)


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
