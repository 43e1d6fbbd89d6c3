"""How do probabilities become one label map?

1. A pixel takes the class of its largest probability; on a tie, the first of them.
2. Outside the tissue mask every pixel is background: pen on glass is no tumour.

Both are decided pixel by pixel from the stored (quantised) probabilities, so the label map
can be recomputed from the store and does not depend on how the plane was cut up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.geometry import Box, Grid


def quantise(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities in [0, 1] as ``round(255 · p)``; the error is at most 1/510."""
    rounded = np.empty(probabilities.shape, np.uint8)
    for plane, whole in zip(probabilities, rounded, strict=True):  # one at a time stays in cache
        scaled = np.clip(plane, np.float32(0.0), np.float32(1.0))
        scaled *= np.float32(255.0)
        scaled += np.float32(0.5)
        whole[...] = scaled  # cut off, which rounds what is not negative
    return rounded


def label_map(probabilities: NDArray[np.uint8], *, tissue: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Class of each pixel.

    Parameters
    ----------
    probabilities : (C, Y, X) uint8
        As stored: ``round(255 · p)``.
    tissue : (Y, X) bool
        Tissue mask on the same plane.

    Returns
    -------
    (Y, X) uint8
        Index of the class.
    """
    # A probability and, below it, how early its class comes are one number, so that the largest of
    # these tells the class: five to ten times as fast as `argmax` over the first axis.
    last = len(probabilities) - 1
    best = np.zeros(tissue.shape, np.uint16)
    for number, plane in enumerate(probabilities):
        np.maximum(best, plane * np.uint16(last + 1) + np.uint16(last - number), out=best)
    best %= np.uint16(last + 1)
    return np.where(tissue, (last - best).astype(np.uint8), np.uint8(BACKGROUND))


def widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask grown by one pixel in all eight directions."""
    grown: NDArray[np.bool_] = ndimage.binary_dilation(mask, np.ones((3, 3), bool))
    return grown


def tissue_within(
    box: Box, *, grid: Grid, sections: NDArray[np.uint8], sections_grid: Grid
) -> NDArray[np.bool_]:
    """Tissue mask of a box on a fine plane, from section ids on a coarse one.

    The coarse mask is widened by one of its pixels first, so that the staircase of its
    border never cuts tissue off.

    Parameters
    ----------
    box
        Box on ``grid``.
    grid
        Fine plane.
    sections : (Y, X) uint8
        Section ids, 0 on glass, on ``sections_grid``.
    sections_grid
        Coarse plane.

    Returns
    -------
    (Y, X) bool
        Mask of the box's shape.
    """
    coarse = sections_grid.covering(box, grid).expanded(2) & sections_grid.box
    mask = widened(sections[coarse.slices] > 0)
    rows = _coarse_index(np.arange(box.top, box.bottom), grid, sections_grid, axis=0)
    columns = _coarse_index(np.arange(box.left, box.right), grid, sections_grid, axis=1)
    inside: NDArray[np.bool_] = mask[np.ix_(rows - coarse.top, columns - coarse.left)]
    return inside


def _coarse_index(
    index: NDArray[np.int64], fine: Grid, coarse: Grid, *, axis: int
) -> NDArray[np.int64]:
    """Coarse pixel that holds the centre of each fine pixel along one axis."""
    offset_um = fine.origin_um[axis] - coarse.origin_um[axis]
    place = ((index + 0.5) * fine.mpp + offset_um) / coarse.mpp
    pixel: NDArray[np.int64] = np.floor(place).astype(np.int64)
    return pixel.clip(0, coarse.shape[axis] - 1)
