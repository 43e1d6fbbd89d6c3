"""What does a section parallel to the surface show?

It shows one level of the skin: no depth, but how the tumour lies in the piece, and how many
follicles stand in it.

1. The distance to the edge of the section, over the greatest such distance, parts it into
   ten rings; the profile is the share of tumour in each.
2. A *follicle* is a place in the adnexa into which a disc of 100 µm fits; where it narrows
   below that, two are parted.  Tubules of sweat glands are 40 to 80 µm wide and do not count.
   Labels do not tell a follicle from the gland that opens into it.
3. Follicles whose outlines come within 150 µm of each other are one *follicular unit*.
4. Counts come with the interval of a Poisson count, and per area.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from wsi_pipeline.classes import ADNEXA, KERATIN
from wsi_pipeline.measure.fine import COARSEST_MPP, fine_labels
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.measure.width import squared_distances
from wsi_pipeline.values import Measurement

FOLLICLE_UNITS: dict[str, str] = {
    "follicle_count": "1",
    "follicular_unit_count": "1",
    "follicles_per_mm2": "1/mm²",
    "follicular_units_per_mm2": "1/mm²",
    "follicles_per_punch": "1",
    "follicular_units_per_punch": "1",
}
HORIZONTAL_UNITS: dict[str, str] = {"radial_profile": "1", **FOLLICLE_UNITS}

RINGS = 10
# A punch of 4 mm, to which published counts refer.
PUNCH_MM2 = math.pi * 2.0**2
# Terminal follicles are 150 to 300 µm wide, tubules of sweat glands up to 80 µm.
_MIN_FOLLICLE_UM = 100.0
# Units are follicles within 0.3 mm from centre to centre; each is about 0.15 mm wide.
_UNIT_GAP_UM = 150.0
_LINK_MPP = 8.0
_CONFIDENCE = 0.95
_AROUND = np.ones((3, 3))


def measure_horizontal(plane: SectionPlane) -> dict[str, Measurement]:
    """Measure a horizontal section."""
    return {"radial_profile": _radial_profile(plane), **_measure_follicles(plane)}


def count_follicles(follicles: float, units: float, *, tissue_mm2: float) -> dict[str, Measurement]:
    """Counts of follicles and follicular units, and their densities, with Poisson intervals.

    Parameters
    ----------
    follicles, units
        Counts.
    tissue_mm2
        Area of the tissue on which they were counted, mm².
    """
    values = {}
    for name, count in (("follicle", follicles), ("follicular_unit", units)):
        interval = poisson_interval(count)
        for field, unit, factor in (
            (f"{name}_count", "1", 1.0),
            (f"{name}s_per_mm2", "1/mm²", 1 / tissue_mm2),
            (f"{name}s_per_punch", "1", PUNCH_MM2 / tissue_mm2),
        ):
            low, high = (factor * end for end in interval)
            values[field] = Measurement(factor * count, unit, interval=(low, high))
    return values


def poisson_interval(count: float) -> tuple[float, float]:
    """Exact 95 % interval of the mean of a Poisson count.

    References
    ----------
    Garwood 1936, doi:10.1093/biomet/28.3-4.437

    Examples
    --------
    >>> [round(end, 2) for end in poisson_interval(10)]
    [4.8, 18.39]
    """
    tail = (1 - _CONFIDENCE) / 2
    low = float(special.gammaincinv(count, tail)) if count else 0.0
    return low, float(special.gammainccinv(count + 1, tail))


def _radial_profile(plane: SectionPlane) -> Measurement:
    """Share of tumour in rings of equal width from the edge to the innermost place."""
    body = ndimage.binary_fill_holes(plane.tissue >= 0.5)
    if plane.is_cut:
        reason = "the section reaches the edge of the plane, so its own edge is not seen"
        return Measurement.not_assessable("1", reason)
    distance_px = ndimage.distance_transform_edt(body)
    inward = distance_px[body] / max(float(distance_px.max()), 1.0)
    rings = np.minimum((inward * RINGS).astype(np.intp), RINGS - 1)
    tissue = np.bincount(rings, plane.tissue[body], RINGS)
    tumour = np.bincount(rings, plane.tumour[body], RINGS)
    if not tissue.all():
        reason = f"the section is too small for {RINGS} rings"
        return Measurement.not_assessable("1", reason)
    return Measurement(tuple(float(share) for share in tumour / tissue), "1")


def _measure_follicles(plane: SectionPlane) -> dict[str, Measurement]:
    """Follicles and follicular units of one section."""
    tissue_mm2 = plane.tissue_um2 / 1e6
    if plane.labels_grid.mpp > COARSEST_MPP:
        reason = f"labels of {plane.labels_grid.mpp:.3g} µm per pixel merge neighbouring follicles"
    elif not tissue_mm2:
        reason = "the section holds no tissue"
    else:
        return count_follicles(*_count(plane), tissue_mm2=tissue_mm2)
    return {name: Measurement.not_assessable(u, reason) for name, u in FOLLICLE_UNITS.items()}


def _count(plane: SectionPlane) -> tuple[int, int]:
    """Number of follicles and of follicular units."""
    fine = fine_labels(plane, ADNEXA)
    # The canal of a follicle may be labelled keratin.
    pieces, count = ndimage.label(np.isin(fine.classes, (ADNEXA, KERATIN)), _AROUND)
    adnexal_px = np.bincount(pieces[fine.classes == ADNEXA], minlength=count + 1)
    is_adnexal = 2 * adnexal_px > np.bincount(pieces.ravel(), minlength=count + 1)
    is_adnexal[0] = False
    radius_px = _MIN_FOLLICLE_UM / 2 / fine.mpp
    cores = (squared_distances(pieces > 0) >= radius_px**2) & is_adnexal[pieces]
    _, follicles = ndimage.label(cores, _AROUND)
    return follicles, _count_units(cores, fine.mpp) if follicles else 0


def _count_units(cores: NDArray[np.bool_], mpp: float) -> int:
    """Groups of cores whose follicles come close to each other, to the width of a coarse pixel."""
    step = max(1, round(_LINK_MPP / mpp))
    reach_px = math.ceil((_MIN_FOLLICLE_UM + _UNIT_GAP_UM) / (step * mpp))
    coarse = np.zeros([count // step + 2 * reach_px + 1 for count in cores.shape], np.bool_)
    rows, columns = np.nonzero(cores)
    coarse[rows // step + reach_px, columns // step + reach_px] = True
    beyond_um = ndimage.distance_transform_edt(~coarse) * step * mpp
    _, units = ndimage.label(beyond_um <= (_MIN_FOLLICLE_UM + _UNIT_GAP_UM) / 2, _AROUND)
    return int(units)
