"""How do patches of pixels grow, join and fill?

Distances are octagonal, within 4 % of round, so that a plane and its turned or mirrored
copy give the same answer and the cost does not grow with the distance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

Mask = NDArray[np.bool_]

_EIGHT = np.ones((3, 3), dtype=bool)


def grown(mask: Mask, reach_px: int) -> Mask:
    """Add every pixel within ``reach_px`` of the mask (octagonal distance)."""
    square_px = round(reach_px * (np.sqrt(2) - 1))
    diamond_px = reach_px - square_px
    wide: Mask = mask.copy()
    if square_px:
        window_px = 2 * square_px + 1
        wide = ndi.maximum_filter(wide.view(np.uint8), window_px, mode="constant").view(bool)
    if diamond_px:
        wide = ndi.binary_dilation(wide, iterations=diamond_px)
    return wide


def shrunk(mask: Mask, reach_px: int) -> Mask:
    """Take away every pixel within ``reach_px`` of the outside; the image edge is no outside."""
    return np.logical_not(grown(~mask, reach_px))


def opened(mask: Mask, reach_px: int) -> Mask:
    """Keep only what is at least ``2 * reach_px`` wide everywhere."""
    return grown(shrunk(mask, reach_px), reach_px) & mask


def closed(mask: Mask, reach_px: int) -> Mask:
    """Fill clefts and gaps narrower than ``2 * reach_px``."""
    return shrunk(grown(mask, reach_px), reach_px) | mask


def touching(candidates: Mask, seeds: Mask) -> Mask:
    """Connected patches of ``candidates`` (8 neighbours) that hold at least one seed."""
    patches, count = ndi.label(candidates, structure=_EIGHT)
    keep = np.zeros(count + 1, dtype=bool)
    keep[patches[seeds & candidates]] = True
    keep[0] = False
    return np.asarray(keep[patches])


def patch_share(patches: NDArray[np.int32], mask: Mask) -> NDArray[np.float64]:
    """Share of each labelled patch that lies in ``mask``; entry 0 is the background."""
    area_px = np.bincount(patches.ravel())
    inside_px = np.bincount(patches[mask], minlength=area_px.size)
    return np.asarray(inside_px / np.maximum(area_px, 1), dtype=np.float64)


def holes_filled(mask: Mask, *, max_hole_px: float, mirror_px: int) -> Mask:
    """Fill holes smaller than ``max_hole_px``.

    The plane is continued by its mirror image over ``mirror_px``, so that a vacuole cut by
    the image edge is a hole too, while glass that reaches further is not.
    """
    margin_px = min(mirror_px, *(length - 1 for length in mask.shape))
    outside, _ = ndi.label(~np.pad(mask, margin_px, mode="reflect"))
    area_px = np.bincount(outside.ravel())
    is_hole = area_px <= max_hole_px
    is_hole[0] = False
    rim = (outside[0], outside[-1], outside[:, 0], outside[:, -1])
    is_hole[np.unique(np.concatenate(rim))] = False
    rows, columns = mask.shape
    inner = outside[margin_px : margin_px + rows, margin_px : margin_px + columns]
    return np.asarray(mask | is_hole[inner])
