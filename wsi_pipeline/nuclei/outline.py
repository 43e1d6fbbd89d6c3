"""Where does the density of a nucleus fall off, and what is its outline?

1. `nuclear_levels` and `edge_levels`: how dense a nucleus is, and at which density its outline
   is steepest.  A nucleus is judged by its own density: pale ones beside dark ones keep theirs.
2. `filled`, `opened`, `largest_pieces` tidy a label map, label by label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

# Outlines are sought between these shares of a nucleus's own level, in steps.
_LOWEST, _STEP, _STEPS = 0.30, 0.05, 11
# Nor below this contrast, whatever the nucleus: that is cytoplasm.
_FLOOR = 0.35
# Steps with few pixels are noise: this many pixels of no slope are added to each.
_PRIOR_PX = 4.0
# Steps count with this power of their slope: the steepest, but to a fraction of a step.  A low
# power takes the middle between the edge of the nucleus and that of its dark cytoplasm.
_POWER = 12


def nuclear_levels(basins: Labels, contrast: Floats, *, count: int) -> Floats:
    """Contrast inside the nucleus of each basin, (count + 1,): its mean weighted with itself.

    Pixels of the rim, pale from blur, have little weight.
    """
    inside = np.flatnonzero(basins)
    number, value = basins.ravel()[inside], np.maximum(contrast.ravel()[inside], 0)
    once = np.bincount(number, weights=value, minlength=count + 1)
    twice = np.bincount(number, weights=value * value, minlength=count + 1)
    return np.asarray(twice / np.maximum(once, 1e-9), np.float32)


def edge_levels(basins: Labels, contrast: Floats, *, level: Floats) -> Floats:
    """Contrast at which the outline of each nucleus is steepest on average, (count + 1,).

    Notes
    -----
    The blurred edge between two even areas is steepest half-way between them, whatever
    lies outside: glass, cytoplasm or collagen.  A fixed share of the nucleus's own level would
    draw outlines too wide where the surroundings are stained.
    """
    down, right = np.gradient(contrast)
    inside = np.flatnonzero(basins)
    number = basins.ravel()[inside].astype(np.int64)
    share = contrast.ravel()[inside] / np.maximum(level[number], np.float32(1e-6))
    step = np.floor((share - _LOWEST) / _STEP).astype(np.int64)
    near = (step >= 0) & (step < _STEPS)
    inside, key = inside[near], number[near] * _STEPS + step[near]
    slope = np.hypot(down.ravel()[inside], right.ravel()[inside])
    shape = (len(level), _STEPS)
    total = np.bincount(key, slope, len(level) * _STEPS).reshape(shape)
    pixels = np.bincount(key, minlength=len(level) * _STEPS).reshape(shape).astype(np.float64)
    total, pixels = (
        ndimage.convolve1d(values, (1.0, 2.0, 1.0), axis=1, mode="nearest")
        for values in (total, pixels)
    )
    weight = (total / (pixels + _PRIOR_PX)) ** _POWER + 1e-60
    middle = _LOWEST + (np.arange(_STEPS) + 0.5) * _STEP
    edge = level * (weight @ middle / weight.sum(axis=1))
    return np.asarray(np.maximum(edge, _FLOOR), np.float32)


def filled(labels: Labels, *, most_px: float) -> Labels:
    """Give holes of at most ``most_px`` to the label around them.

    What touches the rim of the map is no hole: its size is not known.
    """
    holes = _pieces((labels == 0).astype(np.int32))
    small = np.bincount(holes.ravel()) <= most_px
    small[0] = False
    for rim in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        small[rim] = False
    row, column = np.nonzero(small[holes])
    owner = np.zeros(len(small), np.int32)
    for down, right in ((-1, 0), (0, -1), (0, 1), (1, 0)):
        np.maximum.at(owner, holes[row, column], labels[row + down, column + right])
    whole = labels.copy()
    whole[row, column] = owner[holes[row, column]]
    return whole


def opened(labels: Labels, radius_px: float) -> Labels:
    """Keep the pixels of each label that a disc lying within the label covers."""
    reach = int(radius_px)
    span = range(-reach, reach + 1)
    disc = [(r, c) for r in span for c in span if r * r + c * c <= radius_px * radius_px]
    padded = np.pad(labels, reach)
    flat, width = padded.ravel(), padded.shape[1]
    inside = np.flatnonzero(flat)
    own = flat[inside]
    shifts = [row * width + column for row, column in disc]
    fits = np.logical_and.reduce([flat[inside + shift] == own for shift in shifts])
    centres, result = np.zeros((2, flat.size), np.int32)
    centres[inside[fits]] = own[fits]
    covered = np.logical_or.reduce([centres[inside + shift] == own for shift in shifts])
    result[inside[covered]] = own[covered]
    rows, columns = labels.shape
    return result.reshape(padded.shape)[reach : reach + rows, reach : reach + columns]


def largest_pieces(labels: Labels, *, count: int) -> Labels:
    """Keep the largest connected piece of each label; of equal ones the first."""
    pieces = _pieces(labels)
    area = np.bincount(pieces.ravel())
    owner = np.zeros(len(area), np.int32)
    owner[pieces.ravel()] = labels.ravel()
    order = np.lexsort((-np.arange(len(area)), area))
    best = np.zeros(count + 1, np.int64)
    best[owner[order]] = order
    keep = best[owner] == np.arange(len(area))
    keep[0] = False
    return np.where(keep[pieces], labels, 0).astype(np.int32)


def _pieces(labels: Labels) -> Labels:
    """Number the 4-connected pieces of equal labels, row by row."""
    pieces = label(labels, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    return np.asarray(pieces, np.int32)
