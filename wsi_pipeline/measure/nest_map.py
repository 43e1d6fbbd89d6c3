"""Where does each nest lie?

1. Section by section, nests are found as for the measurements: the same pieces, the same areas.
2. Pieces too small to be a nest (single cells and files) are left out, as they are of
   ``nest_count``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure.architecture import MIN_NEST_UM2
from wsi_pipeline.measure.dej import margin_um
from wsi_pipeline.measure.fine import COARSEST_MPP, fine_labels
from wsi_pipeline.measure.nests import find_nests
from wsi_pipeline.measure.plane import section_planes


@dataclass(frozen=True, slots=True, eq=False)
class NestMap:
    """Nests of one section.

    Parameters
    ----------
    section_id
        Section.
    grid
        Place of the map.
    ids
        int32 (Y, X): nest of each pixel from 1, lumina included; 0 elsewhere.
    areas_um2, lumen_um2
        float64 (N,): area of each nest, and of the lumina in it.
    is_cut
        bool (N,): whether the nest borders on glass.
    """

    section_id: int
    grid: Grid
    ids: NDArray[np.int32]
    areas_um2: NDArray[np.float64]
    lumen_um2: NDArray[np.float64]
    is_cut: NDArray[np.bool_]


def map_nests(
    labels: NDArray[np.uint8],
    *,
    grid: Grid,
    sections: NDArray[np.uint8],
    sections_grid: Grid,
    settings: MeasureSettings,
) -> Iterator[NestMap]:
    """Find the nests of each section.

    Parameters
    ----------
    labels
        uint8 (Y, X) on ``grid``.
    sections
        uint8 (Y, X) on ``sections_grid``: 0 glass, n the n-th piece of tissue.
    settings
        How the slide is measured.

    Yields
    ------
    NestMap
        Of each section with tumour; nothing where the labels are too coarse for single cells.
    """
    if grid.mpp > COARSEST_MPP:
        return
    for plane in section_planes(
        labels,
        grid=grid,
        sections=sections,
        sections_grid=sections_grid,
        mpp=settings.mpp,
        margin_um=margin_um(settings),
    ):
        if not (plane.labels == TUMOUR).any():
            continue
        fine = fine_labels(plane, TUMOUR)
        nests = find_nests(fine)
        keep = nests.areas_um2 >= MIN_NEST_UM2
        number = np.concatenate([[0], np.cumsum(keep) * keep]).astype(np.int32)
        lumen_px = np.bincount(nests.ids[nests.lumen], minlength=len(keep) + 1)[1:]
        yield NestMap(
            plane.section_id,
            fine.grid,
            number[nests.ids],
            nests.areas_um2[keep],
            lumen_px[keep].astype(np.float64) * fine.grid.pixel_area_um2,
            nests.is_cut[keep],
        )
