"""Which pixels are tissue, and which pieces do they form?

1. Tissue is what is denser than the glass by more than the glass varies, and is connected
   to something surely stained (hysteresis).
2. Pen strokes and thin grey lines (coverslip, bubbles, scratches) are taken out.
3. Gaps narrower than a tear are closed and small holes filled, so that the white inside
   of fat cells and lumina is tissue.
4. Ink comes back where closed tissue surrounds it: there it lies *on* the tissue.
5. Pieces nearer than ``join_um`` are one section; debris is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from wsi_pipeline.config import TissueSettings
from wsi_pipeline.tissue.ink import Colours, pen_strokes, sorted_colours
from wsi_pipeline.tissue.shape import (
    Mask,
    closed,
    grown,
    holes_filled,
    opened,
    patch_share,
    shrunk,
    touching,
)

_NOISE_SPREADS = 2.0
"""Density of tissue over the median of the glass, in distances from there to its 95th percentile:
3.3 standard deviations of plain noise, twice the depth of a printed pattern."""
_GLASS_RIM_UM = 20.0
"""Rim of the glass where its noise is not measured: something faint begins there."""
_OPEN_GLASS_MM2 = 0.25
"""Glass in smaller patches is the inside of fat cells, whose faint walls are no noise."""
_NOISE_SAMPLE = 100_000
"""Pixels of glass that fix its noise to a fraction of a per cent."""
_LINE_UM = 80.0
"""Grey structures narrower than this are edges of coverslips and bubbles or scratches."""
_PEN_RIM_UM = 40.0
"""Width of the fading rim of a pen stroke, whose hue is lost in the glass."""
_PEN_ON_TISSUE_UM = 1000.0
"""Widest stroke that may lie across tissue: the tip of a broad marker."""
_VACUOLE_UM = 100.0
"""Fat cell, the widest gap at the image edge that is completed by its mirror image."""
_STAINED_SHARE = 0.25
"""A piece with less of its coloured area in the colour of a stain is dirt, a bubble or a line;
strong JPEG compression leaves pale fat about 0.4."""
_MIN_SHARE_OF_IMAGE = 0.05
"""On a field smaller than a millimetre a piece this large counts whatever ``min_section_mm2``."""
MAX_SECTIONS = 255
"""Sections are numbered in uint8; 0 is glass."""


@dataclass(frozen=True, slots=True)
class Found:
    """Masks (Y, X) of what was found besides the tissue itself.

    Parameters
    ----------
    tissue
        Tissue, before debris is dropped.
    pen_on_tissue, pen_on_glass
        The two parts of the pen strokes.
    inked
        Everything coloured like ink, pen included.
    stained
        Pixels whose colour a stain can have.
    """

    tissue: Mask
    pen_on_tissue: Mask
    pen_on_glass: Mask
    inked: Mask
    stained: Mask


def outlined(
    excess: NDArray[np.float32],
    seeds: Mask,
    *,
    mpp: float,
    settings: TissueSettings,
) -> Found:
    """Tell tissue from glass, pen and lines.

    Parameters
    ----------
    excess
        (3, Y, X) float32, optical density over the local glass; 0 where never scanned.
    seeds
        (Y, X) bool, certain glass, on which the noise is measured.
    mpp
        Pixel width, µm.
    settings
        Densities and lengths.

    Returns
    -------
    Found
    """
    colours = sorted_colours(excess)
    pen = pen_strokes(colours.inked, mpp=mpp, settings=settings)
    pen_zone = pen | (grown(pen, _px(_PEN_RIM_UM, mpp)) & ~colours.stained)
    density = np.where(pen_zone, np.float32(0), excess.max(axis=0))
    open_glass = _large_patches(shrunk(seeds, _px(_GLASS_RIM_UM, mpp)), mpp=mpp)
    dense = dense_pixels(density, colours.stained, glass=open_glass, settings=settings)
    dense = without_lines(dense, colours, mpp=mpp)
    clean = completed(dense, mpp=mpp, settings=settings)
    tissue = stained_pieces(clean, colours)
    if pen.any():
        around = closed(tissue, _px(_PEN_ON_TISSUE_UM / 2, mpp))
        tissue = completed(tissue | (pen_zone & around), mpp=mpp, settings=settings)
    covered = pen_zone & tissue
    return Found(
        tissue=tissue,
        pen_on_tissue=pen & covered,
        pen_on_glass=pen & ~covered,
        inked=colours.inked,
        stained=colours.stained,
    )


def dense_pixels(
    density: NDArray[np.float32], stained: Mask, *, glass: Mask, settings: TissueSettings
) -> Mask:
    """Pixels denser than glass that belong to something surely stained.

    Parameters
    ----------
    density
        (Y, X) float32, excess optical density in the darkest channel.
    stained
        (Y, X) bool, pixels whose colour a stain can have.
    glass
        (Y, X) bool, certain glass: dots, dust and noise on it raise the threshold.
    settings
        ``min_od`` and ``sure_od`` are used.

    Returns
    -------
    (Y, X) bool.
    """
    faint = settings.min_od
    if glass.any():
        sample = density[glass][:: max(1, int(glass.sum()) // _NOISE_SAMPLE)]
        median, high = np.percentile(sample, (50, 95))
        faint = max(faint, float(median + _NOISE_SPREADS * (high - median)))
    return touching(density > faint, stained & (density > max(settings.sure_od, 2 * faint)))


def without_lines(dense: Mask, colours: Colours, *, mpp: float) -> Mask:
    """Take out thin grey structures: edges of coverslips and bubbles, scratches, threads.

    Parameters
    ----------
    dense
        (Y, X) bool, denser than glass.
    colours
        What the colour of every pixel says.
    mpp
        Pixel width, µm.

    Returns
    -------
    (Y, X) bool; thin structures in the colour of a stain, such as fat septa, stay.
    """
    thin = dense & ~opened(dense, _px(_LINE_UM / 2, mpp))
    patches, _ = ndi.label(thin, structure=np.ones((3, 3)))
    is_line = patch_share(patches, colours.grey) > patch_share(patches, colours.stained)
    is_line[0] = False
    return np.asarray(dense & ~is_line[patches])


def completed(dense: Mask, *, mpp: float, settings: TissueSettings) -> Mask:
    """Close clefts narrower than ``join_um`` and fill holes smaller than ``max_hole_mm2``."""
    return holes_filled(
        closed(dense, _px(settings.join_um / 2, mpp)),
        max_hole_px=settings.max_hole_mm2 * 1e6 / mpp**2,
        mirror_px=_px(_VACUOLE_UM, mpp),
    )


def stained_pieces(mask: Mask, colours: Colours) -> Mask:
    """Keep the pieces of which a fair share of what has a colour has that of a stain."""
    patches, _ = ndi.label(mask, structure=np.ones((3, 3)))
    stained = patch_share(patches, colours.stained)
    other = patch_share(patches, colours.inked | colours.grey)
    keep = stained > _STAINED_SHARE * (stained + other)
    keep[0] = False
    return np.asarray(keep[patches])


def numbered_sections(
    mask: Mask, *, mpp: float, settings: TissueSettings
) -> tuple[NDArray[np.uint8], int]:
    """Number the sections by falling area.

    Parameters
    ----------
    mask
        (Y, X) bool, tissue.
    mpp
        Pixel width, µm.
    settings
        ``join_um`` and ``min_section_mm2`` are used.

    Returns
    -------
    sections
        (Y, X) uint8: 0 glass and debris, 1 the largest section, and so on.
    dropped
        Number of sections beyond the 255th, which are left out.
    """
    joined, _ = ndi.label(grown(mask, _px(settings.join_um / 2, mpp)), structure=np.ones((3, 3)))
    area_px = np.bincount(joined[mask], minlength=int(joined.max()) + 1)
    smallest_px = min(settings.min_section_mm2 * 1e6 / mpp**2, _MIN_SHARE_OF_IMAGE * mask.size)
    order = np.argsort(-area_px, kind="stable")
    order = order[area_px[order] >= max(1.0, smallest_px)]
    number = np.zeros(area_px.size, dtype=np.uint8)
    number[order[:MAX_SECTIONS]] = np.arange(1, min(order.size, MAX_SECTIONS) + 1)
    return number[joined] * mask, max(0, order.size - MAX_SECTIONS)


def _large_patches(mask: Mask, *, mpp: float) -> Mask:
    """Patches of open glass."""
    patches, _ = ndi.label(mask)
    large = np.bincount(patches.ravel()) * mpp**2 >= _OPEN_GLASS_MM2 * 1e6
    large[0] = False
    return np.asarray(large[patches])


def _px(length_um: float, mpp: float) -> int:
    """Whole pixels nearest to a length; at least one."""
    return max(1, round(length_um / mpp))
