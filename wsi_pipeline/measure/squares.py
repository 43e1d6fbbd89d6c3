"""How far may a share of an area be off, had another part of the same tumour been cut?

1. The section is parted into squares of 250 µm: what lies side by side is not independent.
2. As many squares as there are, are drawn with replacement, again and again; the interval is the
   5th to 95th percentile of the share over the draws.

It knows of sampling alone: not of the segmentation, nor of the choice of the section.

References
----------
Künsch 1989, doi:10.1214/aos/1176347265 (block bootstrap).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_BLOCK_UM = 250.0
_DRAWS = 1000
_PERCENT = (5.0, 95.0)
_SEED = 2
# Fewer squares say nothing about how the squares of a tumour differ.
_MIN_BLOCKS = 3

Mask = NDArray[np.bool_]
Blocks = NDArray[np.intp]


def place_blocks(where: Mask, mpp: float) -> Blocks:
    """Number of the square in which each pixel of a mask lies, in the order of the mask.

    Returns
    -------
    intp (N,)
        From 0; only squares that hold some of the mask are counted.
    """
    rows, columns = np.nonzero(where)
    across = int(where.shape[1] * mpp / _BLOCK_UM) + 1
    keys = (rows * mpp / _BLOCK_UM).astype(np.intp) * across
    keys += (columns * mpp / _BLOCK_UM).astype(np.intp)
    # Squares are few and their keys small: counting is a hundred times faster than sorting.
    used = np.bincount(keys) > 0
    return (np.cumsum(used) - 1)[keys]


def draw_shares(parts: Mapping[str, Mask], blocks: Blocks) -> dict[str, tuple[float, float]]:
    """Interval of the share of each part.

    Parameters
    ----------
    parts
        bool (N,) each: pixels that belong to the part.
    blocks
        intp (N,): square of each pixel.

    Returns
    -------
    dict
        Lower and upper bound by name, holding the share itself; empty for fewer than three squares.
    """
    whole = np.bincount(blocks)
    if len(whole) < _MIN_BLOCKS:
        return {}
    chance = np.full(len(whole), 1 / len(whole))
    draws = np.random.default_rng(_SEED).multinomial(len(whole), chance, size=_DRAWS)
    drawn = draws @ whole
    found = {}
    for name, part in parts.items():
        inside = np.bincount(blocks[part], minlength=len(whole))
        low, high = np.percentile(draws @ inside / drawn, _PERCENT)
        own = float(part.mean())
        found[name] = (min(own, float(low)), max(own, float(high)))
    return found
