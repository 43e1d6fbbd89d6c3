"""Where does each nucleus begin and end?

1. Haematoxylin, slightly blurred, is set against the levels around it (`levels`).
2. The dense pixels are read in several ways, at several levels and parted along their necks;
   of pieces that lie over each other those are kept that look most like nuclei (`readings`).
3. The outline of a nucleus lies where its density falls most steeply (`outline`).
4. What is not of the size, shape and contrast of a nucleus is dropped.

Every step looks no further than stated; together no further than `TILE_REACH_UM`.

References
----------
Distance transform and watershed for touching nuclei: Malpica et al. 1997,
doi:10.1002/(SICI)1097-0320(19970801)28:4<289::AID-CYTO3>3.0.CO;2-7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.config import NucleiSettings
from wsi_pipeline.nuclei.levels import contrast_map
from wsi_pipeline.nuclei.outline import (
    edge_levels,
    filled,
    largest_pieces,
    nuclear_levels,
    opened,
)
from wsi_pipeline.nuclei.readings import MAX_HOLE_UM2, find_basins
from wsi_pipeline.nuclei.shapes import measure_moments
from wsi_pipeline.nuclei.stain import Floats, Stain

Labels = NDArray[np.int32]

FINEST_MPP, COARSEST_MPP = 0.25, 0.75
"""Pixel widths between which nuclei are outlined, µm: finer pixels add nothing that light
microscopy resolves, coarser ones leave a lymphocyte seven pixels across and less."""
TILE_REACH_UM = 160.0
"""Context on each side with which a tile finds the nuclei of the whole plane, µm: 24 for the
levels, 12 of depth, 16 of climbing, 10 for filters, and 32 each for the nucleus, for a piece that
lies across it and for one across that.  A longer chain of pieces, each decided by the next, would
reach further."""

BLUR_UM = 0.4
"""Standard deviation of the blur against noise, µm: about that of the optics."""
SPUR_UM = 0.8
"""Radius of the disc that must fit everywhere in a nucleus, µm."""
_MIN_ELLIPTICITY = 0.85  # less is bent, ragged or several


def working_mpp(slide_mpp: float) -> float | None:
    """Pixel width at which nuclei are sought, µm; None where the slide is too coarse."""
    return max(slide_mpp, FINEST_MPP) if slide_mpp <= COARSEST_MPP else None


def segment_nuclei(
    density: Floats, *, mpp: float, stain: Stain, settings: NucleiSettings
) -> tuple[Labels, Floats]:
    """Outline the nuclei of a tile.

    Parameters
    ----------
    density : (Y, X) float32
        Haematoxylin density; its first row and column start a cell (`levels.cell_px`).
    mpp
        Width of a pixel, µm.
    stain
        Levels of the slide.
    settings
        What counts as a nucleus.

    Returns
    -------
    labels : (Y, X) int32
        1 … N from top to bottom, 0 elsewhere.  Within `TILE_REACH_UM` of the border outlines
        may differ from those of a larger tile.
    smooth : (Y, X) float32
        Density, blurred by `BLUR_UM`, on which outlines were drawn.
    """
    smooth = blurred(density, mpp=mpp)
    contrast = contrast_map(smooth, stain, mpp=mpp)
    basins = find_basins(contrast, mpp=mpp, settings=settings)
    labels = draw_outlines(basins, contrast, mpp=mpp, min_contrast=settings.min_contrast)
    return plausible(labels, mpp=mpp, settings=settings), smooth


def blurred(density: Floats, *, mpp: float) -> Floats:
    """Density without noise, on which that of a nucleus is measured."""
    return np.asarray(ndimage.gaussian_filter(density, BLUR_UM / mpp, truncate=3.0))


def draw_outlines(basins: Labels, contrast: Floats, *, mpp: float, min_contrast: float) -> Labels:
    """Cut each basin down to its nucleus; a basin without one is left out."""
    count = int(basins.max(initial=0))
    level = nuclear_levels(basins, contrast, count=count)
    edge = edge_levels(basins, contrast, level=level)
    inside = (contrast > edge[basins]) & (level > min_contrast)[basins]
    labels = np.where(inside, basins, 0).astype(np.int32)
    labels = filled(labels, most_px=MAX_HOLE_UM2 / mpp**2)
    return largest_pieces(opened(labels, SPUR_UM / mpp), count=count)


def plausible(labels: Labels, *, mpp: float, settings: NucleiSettings) -> Labels:
    """Keep what has the size and shape of a nucleus, numbered anew."""
    moments = measure_moments(labels, int(labels.max(initial=0)))
    area_um2, length_um = moments.area * mpp**2, moments.axes_px()[0] * mpp
    keep = (area_um2 >= settings.min_area_um2) & (area_um2 <= settings.max_area_um2)
    keep &= (length_um <= settings.max_length_um) & (moments.ellipticity() >= _MIN_ELLIPTICITY)
    keep[0] = False
    return np.asarray(np.cumsum(keep) * keep, np.int32)[labels]
