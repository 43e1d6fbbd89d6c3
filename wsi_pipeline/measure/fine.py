"""What does a tissue look like at the width of a cell?

1. Cut the label pixels around one class out of its section.
2. Gather finer label pixels into pixels of up to 2 µm, each of its commonest class.
3. A rim of whatever lies around goes with them; beyond the label plane that is glass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure.plane import SectionPlane, block_counts

# A file of single cells is 12 µm wide: six pixels.
FINE_MPP = 2.0
# Slides up to a fifth coarser than a model are segmented at their own pixel width.
COARSEST_MPP = 2.5
_RIM_PX = 2


@dataclass(frozen=True, slots=True, eq=False)
class FineLabels:
    """Labels around one class.

    Parameters
    ----------
    classes
        uint8 (Y, X): class of every pixel, with a rim of 2 px around the wanted one.
    grid
        Their place on the glass.
    """

    classes: NDArray[np.uint8]
    grid: Grid

    @property
    def mpp(self) -> float:
        """Width of a pixel, µm."""
        return self.grid.mpp


def fine_labels(plane: SectionPlane, wanted: int) -> FineLabels:
    """Labels of a section around the pixels of one class, at up to 2 µm per pixel.

    Returns
    -------
    FineLabels
        Without any pixel of the class, a rim alone.
    """
    block_px = max(1, int(FINE_MPP / plane.labels_grid.mpp + 1e-6))
    rows, columns = _around(plane.labels == wanted, block_px=block_px)
    own = plane.labels[rows, columns]
    lacking = [(0, -count % block_px) for count in own.shape]
    own = np.pad(own, lacking, constant_values=BACKGROUND)
    if block_px > 1:
        own = block_counts(own, block_px).argmax(axis=0).astype(np.uint8)
    padded = np.pad(own, _RIM_PX, constant_values=BACKGROUND)
    mpp = plane.labels_grid.mpp * block_px
    down_um, right_um = plane.labels_grid.to_um(rows.start, columns.start)
    origin_um = down_um - _RIM_PX * mpp, right_um - _RIM_PX * mpp
    return FineLabels(padded, Grid(padded.shape, mpp, origin_um))


def _around(mask: NDArray[np.bool_], *, block_px: int) -> tuple[slice, slice]:
    """Rows and columns of whole blocks that hold a mask and its rim."""
    rim_px = _RIM_PX * block_px
    found = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    if not len(found[0]):
        return slice(0, 0), slice(0, 0)
    rows, columns = (
        slice(max(0, int(at[0]) - rim_px) // block_px * block_px, int(at[-1]) + 1 + rim_px)
        for at in found
    )
    return rows, columns
