"""Where is tissue, and is it fit to measure?

1. `glass`: how dense is the empty glass, here and, by continuation, under the tissue?
2. `ink`: which pixels have the colour of a stain, which that of ink or of dirt?
3. `mask`: which pixels are tissue, and which pieces do they form?
4. `quality`: is there something about them that the reader must know?

Everything is judged at ``settings.mpp`` (8 µm per pixel), whatever the detail of the plane,
and every threshold is a length in µm or an optical density over the glass nearby.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.config import TissueSettings
from wsi_pipeline.errors import TissueError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.tissue import quality
from wsi_pipeline.tissue.glass import (
    block_mean,
    glass_background,
    glass_seeds,
    is_padding,
    optical_density,
    stretched,
)
from wsi_pipeline.tissue.mask import Found, numbered_sections, outlined
from wsi_pipeline.tissue.quality import measure_blur
from wsi_pipeline.values import QualityFlag

__all__ = ["Tissue", "find_tissue", "measure_blur"]


@dataclass(frozen=True, slots=True)
class Tissue:
    """Where tissue is on a slide.

    Parameters
    ----------
    sections
        (Y, X) uint8: 0 glass, 1 the largest section, and so on.
    grid
        Where that plane lies on the glass.
    flags
        What the reader must know about the slide.
    section_areas_mm2
        Area of sections 1, 2, …, mm², lumina and fat included.
    """

    sections: NDArray[np.uint8]
    grid: Grid
    flags: tuple[QualityFlag, ...]
    section_areas_mm2: tuple[float, ...]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(Y, X) bool, True on tissue."""
        return np.asarray(self.sections > 0)


def find_tissue(rgb: NDArray[np.uint8], *, grid: Grid, settings: TissueSettings) -> Tissue:
    """Find the sections on a slide and what may be wrong with them.

    Tissue is what is denser than the glass around it; it includes the white of fat cells,
    lumina and clefts narrower than ``join_um``.  Pen on the glass, dust, bubbles and the
    edges of coverslips are not tissue; ink on the tissue is.

    Parameters
    ----------
    rgb
        (Y, X, 3) uint8, the whole slide or a field of it, near ``settings.mpp`` or finer.
    grid
        Of that plane.
    settings
        Lengths in µm and optical densities.

    Returns
    -------
    Tissue
        On the same grid.

    Raises
    ------
    TissueError
        If there is no tissue at all.

    Notes
    -----
    Even (structureless) stained material paler than ``glass_range_od``, such as a lake of
    pale mucin open to the glass, cannot be told from tinted glass and is left out.  Magenta
    pen has the hue of eosin and is taken for tissue; translucent blue pen over tissue mixes to
    the hue of haematoxylin and is not flagged.  What is finer than ``settings.mpp`` is
    averaged first, so on a field the outline is as coarse as on a slide.  JPEG of low quality
    *at* 8 µm per pixel takes the colour out of pale fat; a plane averaged from a finer level
    of the slide keeps it.
    """
    _check_shape(rgb, grid)
    block_px = max(1, round(settings.mpp / grid.mpp))
    mpp = grid.mpp * block_px
    planes = _coarser(np.ascontiguousarray(np.moveaxis(rgb, -1, 0)), block_px)
    excess, glass = _over_glass(planes, mpp=mpp, settings=settings)
    found = outlined(excess, glass, mpp=mpp, settings=settings)
    sections, dropped = numbered_sections(found.tissue, mpp=mpp, settings=settings)
    if not sections.any():
        raise TissueError(_nothing_found(grid, settings))
    flags = _flags_of_colour(excess, found, sections > 0, mpp=mpp)
    sections = stretched(sections, block_px, shape=grid.shape)
    areas_px = np.bincount(sections.ravel())[1:]
    areas_mm2 = tuple(float(area) for area in areas_px * grid.pixel_area_um2 / 1e6)
    flags += quality.flag_sections(len(areas_mm2), dropped)
    flags += quality.flag_edge(sections, mpp=grid.mpp)
    flags += quality.flag_size(sum(areas_mm2))
    flags += quality.flag_blur(measure_blur(rgb, mask=sections > 0, grid=grid), mpp=grid.mpp)
    return Tissue(sections, grid, tuple(flags), areas_mm2)


def _coarser(planes: NDArray[np.uint8], block_px: int) -> NDArray[np.uint8]:
    """Average blocks of pixels; light adds up, so intensities are averaged, not densities."""
    if block_px == 1:
        return planes
    return np.rint(block_mean(planes.astype(np.float32), block_px)).astype(np.uint8)


def _over_glass(
    planes: NDArray[np.uint8], *, mpp: float, settings: TissueSettings
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Optical density (3, Y, X) over the local glass, 0 where never scanned, and certain glass."""
    od = optical_density(planes)
    padding = is_padding(planes)
    glass = glass_seeds(od, padding, mpp=mpp, settings=settings)
    od -= glass_background(od, glass, mpp=mpp)
    od *= ~padding
    return od, glass


def _flags_of_colour(
    excess: NDArray[np.float32], found: Found, tissue: NDArray[np.bool_], *, mpp: float
) -> list[QualityFlag]:
    """Flags that depend on colour: ink and stains."""
    pen = found.pen_on_tissue | found.pen_on_glass
    return [
        *quality.flag_pen(found.pen_on_tissue, found.pen_on_glass, tissue, mpp=mpp),
        *quality.flag_margin_ink(excess, found.inked & ~pen, tissue, mpp=mpp),
        *quality.flag_stains(*quality.measure_stains(excess, found.stained & tissue)),
    ]


def _check_shape(rgb: NDArray[np.uint8], grid: Grid) -> None:
    """Raise where the plane is not what the grid says."""
    if rgb.dtype != np.uint8 or rgb.shape != (*grid.shape, 3):
        raise ValueError(
            f"the plane must be uint8 of shape {(*grid.shape, 3)} as its grid says, "
            f"not {rgb.dtype} of shape {rgb.shape}"
        )


def _nothing_found(grid: Grid, settings: TissueSettings) -> str:
    """Message of the error for empty glass."""
    height_um, width_um = grid.extent_um
    return (
        f"no tissue on a plane of {height_um / 1000:.3g} × {width_um / 1000:.3g} mm: no piece of "
        f"{settings.min_section_mm2:g} mm² or more is denser than the glass by "
        f"{settings.sure_od:g} in the colour of a stain; check that this is the right slide, "
        "and for very pale tissue lower tissue.sure_od or tissue.min_section_mm2"
    )
