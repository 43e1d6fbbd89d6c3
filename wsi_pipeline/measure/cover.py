"""What covers the dermis?

1. Glass and loose keratin that reach the rim of the plane lie outside.  Horn is thin, and
   labels often call it something else: a strip too narrow for a dermis, between the outside
   and epidermis, is outside too.
2. The surface epidermis is what touches the outside and is more than a speck: islands in
   the depth are follicles, cysts or mistakes.
3. Both together are the *cover*.  Opening it with a disc removes what dips into the dermis
   and is narrower than a follicular ostium; what lies within a rete ridge of the rest stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import EPIDERMIS
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.plane import SectionPlane

# Rete ridges reach up to 70 µm below the opened cover; deeper downgrowths are follicles.
_RETE_UM = 100.0
# A cell layer or a retraction cleft may part the epidermis from the glass.
_TOUCH_UM = 24.0
# Horn of the scalp is well below twice this thick; dermis below the epidermis is not.
_HORN_RADIUS_UM = 50.0

_AROUND = np.ones((3, 3))

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """What lies above the junction, bool (Y, X) each.

    Parameters
    ----------
    outside
        Glass and keratin that reach the rim of the plane, and horn called something else.
    epidermis
        Surface epidermis.
    smooth
        Both, without downgrowths.
    """

    outside: Mask
    epidermis: Mask
    smooth: Mask


def find_cover(plane: SectionPlane, settings: MeasureSettings) -> Cover:
    """Find what covers the dermis of one section.

    Parameters
    ----------
    settings
        ``ostium_um``, ``min_epidermis_mm2``.
    """
    mpp, glass, epidermis = plane.grid.mpp, plane.outside, plane.classes == EPIDERMIS
    outside = glass | _horn(glass, epidermis, mpp=mpp)
    surface = _surface_epidermis(epidermis, outside, mpp=mpp, min_mm2=settings.min_epidermis_mm2)
    smooth = _without_downgrowths(outside | surface, settings.ostium_um / 2, mpp=mpp)
    return Cover(outside, surface, smooth)


def _horn(outside: Mask, epidermis: Mask, *, mpp: float) -> Mask:
    """Strips of other tissue that touch both and that a disc of 50 µm radius does not fit."""
    body = ~(outside | epidermis)
    core = ndimage.distance_transform_edt(body) * mpp > _HORN_RADIUS_UM
    if core.any():
        body &= ndimage.distance_transform_edt(~core) * mpp > _HORN_RADIUS_UM
    strips, count = ndimage.label(body, _AROUND)
    # A disc misses 0.21 r² in a right-angled corner, which is no strip.
    keep = np.bincount(strips.ravel(), minlength=count + 1) * mpp**2 > _HORN_RADIUS_UM**2 / 2
    for side in (outside, epidermis):
        keep &= np.isin(np.arange(count + 1), strips[ndimage.binary_dilation(side, _AROUND)])
    keep[0] = False
    return np.asarray(keep[strips])


def _surface_epidermis(epidermis: Mask, outside: Mask, *, mpp: float, min_mm2: float) -> Mask:
    """Keep the components that touch the outside and are more than specks."""
    parts, count = ndimage.label(epidermis, _AROUND)
    steps = max(1, round(_TOUCH_UM / mpp))
    near = ndimage.binary_dilation(outside, _AROUND, iterations=steps)
    keep = np.bincount(parts.ravel(), minlength=count + 1) * mpp**2 / 1e6 >= min_mm2
    keep &= np.isin(np.arange(count + 1), parts[near])
    keep[0] = False
    return np.asarray(keep[parts])


def _without_downgrowths(cover: Mask, half_width_um: float, *, mpp: float) -> Mask:
    """Open the cover by a disc, but leave it the rete ridges.

    A downgrowth that outreaches a rete ridge goes with its root: what of it lies within
    reach of the opened cover would otherwise stand as a stub.
    """
    core = ndimage.distance_transform_edt(cover) * mpp > half_width_um
    beyond_um = ndimage.distance_transform_edt(~core) * mpp - half_width_um
    deep = cover & (beyond_um > _RETE_UM)
    if not deep.any():
        return cover
    root = ndimage.distance_transform_edt(~deep) * mpp <= _RETE_UM + mpp
    return np.asarray(cover & ~((beyond_um > 0) & (deep | root)))
