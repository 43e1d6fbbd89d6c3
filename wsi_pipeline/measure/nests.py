"""Which pieces of tumour hang together, and what do they enclose?

1. A *lumen* is glass-clear space that tumour surrounds.  A retraction cleft borders on
   stroma too and is none, nor is what the edge of the section cuts open.
2. Lumina, and holes smaller than a cell, are filled: a gland is as wide as its outline.
3. A *nest* is a connected piece of that, of five cells or more.  Pieces on the section are
   cuts through a network in the tissue: they are no count of its parts.
4. A nest that borders on glass is cut off: it is larger than what is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import BACKGROUND, TUMOUR
from wsi_pipeline.measure.fine import FineLabels

Mask = NDArray[np.bool_]
Ids = NDArray[np.int32]

# The smallest space that is more than a vacuole: 8 µm across.
_MIN_LUMEN_UM2 = 50.0
# A smaller hole holds no more than one cell of 16 µm: a lymphocyte, or a mistake.
_MAX_HOLE_UM2 = 200.0
# Share of a lumen's outline that must be tumour.
_MIN_ENCLOSED = 0.9
_AROUND = np.ones((3, 3))


@dataclass(frozen=True, slots=True, eq=False)
class Nests:
    """Tumour of one section as pieces.

    Parameters
    ----------
    mpp
        Width of a pixel, µm.
    filled
        bool (Y, X): tumour with its lumina and holes smaller than a cell.
    lumen
        bool (Y, X): lumina.
    ids
        int32 (Y, X): pieces of ``filled``, 8-connected, from 1.
    areas_um2
        float64 (N,): area of each piece, lumina included.
    is_cut
        bool (N,): whether the piece borders on glass that is no lumen.
    """

    mpp: float
    filled: Mask
    lumen: Mask
    ids: Ids
    areas_um2: NDArray[np.float64]
    is_cut: Mask


def find_nests(fine: FineLabels) -> Nests:
    """Find the pieces of tumour and their lumina."""
    classes, pixel_um2 = fine.classes, fine.mpp**2
    lumen, glass = _spaces(classes, pixel_um2)
    filled = (classes == TUMOUR) | lumen
    filled |= _small_holes(filled, _MAX_HOLE_UM2 / pixel_um2)
    ids, count = ndimage.label(filled, _AROUND)
    sizes = np.bincount(ids.ravel(), minlength=count + 1)[1:]
    cut = _borders(ids, count, on=glass)[1:] > 0
    areas_um2 = sizes.astype(np.float64) * pixel_um2
    return Nests(fine.mpp, filled, lumen, ids, areas_um2, cut)


def _spaces(classes: NDArray[np.uint8], pixel_um2: float) -> tuple[Mask, Mask]:
    """Lumina of the tumour, and the glass that reaches the rim of the plane."""
    spaces, count = ndimage.label(classes == BACKGROUND)
    open_ids = _on_rim(spaces)
    outline = _borders(spaces, count, on=classes != BACKGROUND)
    enclosed = _borders(spaces, count, on=classes == TUMOUR) >= _MIN_ENCLOSED * outline
    areas_um2 = np.bincount(spaces.ravel(), minlength=count + 1) * pixel_um2
    is_lumen = enclosed & (areas_um2 >= _MIN_LUMEN_UM2)
    is_lumen[open_ids] = False
    is_glass = np.zeros(count + 1, np.bool_)
    is_glass[open_ids] = True
    is_lumen[0] = is_glass[0] = False
    return is_lumen[spaces], is_glass[spaces]


def _small_holes(filled: Mask, max_px: float) -> Mask:
    """Holes of fewer pixels than that, whatever is in them."""
    holes, count = ndimage.label(~filled)
    is_small = np.bincount(holes.ravel(), minlength=count + 1) < max_px
    is_small[_on_rim(holes)] = False
    is_small[0] = False
    return np.asarray(is_small[holes])


def _on_rim(ids: Ids) -> NDArray[np.intp]:
    """Ids on the outermost rows and columns, 0 included."""
    return np.unique(np.concatenate([[0], ids[0], ids[-1], ids[:, 0], ids[:, -1]]))


def _borders(ids: Ids, count: int, *, on: Mask) -> NDArray[np.intp]:
    """Pixel edges that each piece shares with a mask; index 0 belongs to no piece."""
    edges = np.zeros(count + 1, np.intp)
    for first, second in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        for own, other in ((first, second), (second, first)):
            shared = (ids[own] > 0) & on[other]
            edges += np.bincount(ids[own][shared], minlength=count + 1)
    return edges
