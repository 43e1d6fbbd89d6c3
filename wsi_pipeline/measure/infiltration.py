"""How much of the dermis is tumour, and how deep does it reach?

1. Depths are taken over tumour components of more than a few cells that are probable as a whole,
   weighted by the tumour's share of each pixel; amounts over all tumour.
2. Whatever needs the deep border (relative depth, shares of the compartment) is null where
   no fat is seen; the depth in µm is then a lower bound.
3. All of it refers to the lateral window.  Tumour outside it makes depths lower bounds,
   and its share is told with every amount.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.compartment import NO_FAT
from wsi_pipeline.measure.depth import DepthMap
from wsi_pipeline.measure.plane import SectionPlane, probable_sums
from wsi_pipeline.values import Measurement

INFILTRATION_UNITS: dict[str, str] = {
    "infiltration_fraction": "1",
    "occupancy_profile": "1",
    "relative_depth_max": "1",
    "depth_max_um": "µm",
    "top_bottom_log2": "1",
    "tumour_in_window_fraction": "1",
}
PROFILE_BINS = 20
# The deepest 0.5 % of the tumour may be stray pixels.
DEPTH_PERCENTILE = 99.5
# log2 of superficial over deep area is unbounded when one half is empty; 2^10 is "all".
BALANCE_LIMIT = 10.0

# Deep tumour this close to glass has been cut through.
_CUT_EDGE_UM = 50.0
# A tumour that goes from side to side has its deepest pixels along a whole row.
_MAX_CUT = 0.25
# More tumour than this outside the window may be the deepest part.
MAX_ASIDE = 0.05


def measure_infiltration(
    plane: SectionPlane, depth: DepthMap, *, tumour: NDArray[np.float32]
) -> dict[str, Measurement]:
    """Measure the tumour of a vertical section against its dermal compartment.

    Parameters
    ----------
    tumour
        float32 (Y, X), tumour share of each pixel, without specks.
    """
    if not depth.junction.is_seen:
        found = {
            name: Measurement.not_assessable(unit, NO_FAT)
            for name, unit in INFILTRATION_UNITS.items()
        }
    else:
        inside = _share(tumour, depth.window)
        found = {
            **_shares(plane, depth),
            "relative_depth_max": _relative_depth_max(depth, tumour, aside=1 - inside),
            "top_bottom_log2": _balance(plane, depth),
        }
        found = {name: of_window(value, inside) for name, value in found.items()}
        found["tumour_in_window_fraction"] = Measurement(inside, "1")
    found["depth_max_um"] = _depth_max(plane, depth, tumour=tumour)
    return found


def weighted_percentile(
    values: NDArray[np.float32], weights: NDArray[np.float32], *, percent: float
) -> float:
    """Smallest value below which lies ``percent`` of the weight; needs some weight."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order], dtype=np.float64)
    at = np.searchsorted(reached, percent / 100 * reached[-1])
    return float(values[order][min(int(at), len(values) - 1)])


def without_specks(plane: SectionPlane, settings: MeasureSettings) -> NDArray[np.float32]:
    """Tumour shares of components that are more than a speck and more than a doubt.

    Parameters
    ----------
    settings
        ``min_tumour_um2``, ``min_tumour_probability``.

    Notes
    -----
    Components are those of pixels that are mostly tumour; a smaller share counts only
    beside one of them.  Were any share enough, thinly scattered mistakes would hang together.
    What a model takes for tumour by mistake is small and improbable from end to end, whereas
    tumour is improbable at its rim alone: so a component counts by its mean probability.
    """
    around = np.ones((3, 3))
    parts, count = ndimage.label(plane.tumour >= 0.5, around)
    areas_px = np.bincount(parts.ravel(), plane.tumour.ravel(), count + 1)
    counts = areas_px * plane.grid.pixel_area_um2 >= settings.min_tumour_um2
    if plane.tumour_probability is not None:
        probable_px, sums = (
            np.bincount(parts.ravel(), values.ravel(), count + 1)
            for values in probable_sums(plane, plane.tumour_probability)
        )
        counts &= sums >= settings.min_tumour_probability * np.maximum(probable_px, 1)
    counts[0] = False
    near = ndimage.binary_dilation(counts[parts], around)
    return np.where(near & (counts[parts] | (parts == 0)), plane.tumour, np.float32(0))


def _share(tumour: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Share of the tumour that lies there; all of it where there is none."""
    total = float(tumour.sum(dtype=np.float64))
    return float(tumour[where].sum(dtype=np.float64)) / total if total else 1.0


def of_window(value: Measurement, inside: float) -> Measurement:
    """Say of a value that it leaves out a notable part of the tumour."""
    if value.value is None or value.reason or 1 - inside <= MAX_ASIDE:
        return value
    reason = f"only {inside:.0%} of the tumour lies in the analysed window, to which this refers"
    return dataclasses.replace(value, reason=reason)


def _depth_max(plane: SectionPlane, depth: DepthMap, *, tumour: NDArray[np.float32]) -> Measurement:
    """99.5th percentile of the depth over the tumour, with what makes it a lower bound."""
    where = np.isfinite(depth.depth_um) & (tumour > 0)
    if not where.any():
        return Measurement.not_assessable("µm", "no tumour lies below the epidermis that is left")
    value_um = weighted_percentile(depth.depth_um[where], tumour[where], percent=DEPTH_PERCENTILE)
    aside = 1 - _share(tumour, depth.beneath)
    if not depth.junction.is_seen:
        reason = NO_FAT
    # Depths are known to a pixel: of a flat floor, not only the lucky ones are the deepest.
    elif _reaches_glass(plane, where & (depth.depth_um >= value_um - plane.grid.mpp)):
        reason = "the deepest tumour lies at a cut edge"
    elif aside > MAX_ASIDE:
        reason = f"{aside:.0%} of the tumour lies beside the epidermis that is left"
    else:
        return Measurement(value_um, "µm")
    return Measurement(value_um, "µm", "at_least", reason)


def _reaches_glass(plane: SectionPlane, deepest: NDArray[np.bool_]) -> bool:
    """Whether much of the deepest tumour borders on the outside."""
    steps = max(1, round(_CUT_EDGE_UM / plane.grid.mpp))
    near = ndimage.binary_dilation(plane.outside, np.ones((3, 3)), iterations=steps)
    return float(near[deepest].mean()) > _MAX_CUT


def _shares(plane: SectionPlane, depth: DepthMap) -> dict[str, Measurement]:
    """Tumour share of the compartment: in all, and in each slice of relative depth."""
    inside = depth.compartment
    bins = np.minimum((depth.relative[inside] * PROFILE_BINS).astype(np.intp), PROFILE_BINS - 1)
    tissue = np.bincount(bins, plane.tissue[inside], PROFILE_BINS)
    tumour = np.bincount(bins, plane.tumour[inside], PROFILE_BINS)
    if not tissue.all():
        reason = f"the dermal compartment is too thin for {PROFILE_BINS} slices"
        profile = Measurement.not_assessable("1", reason)
    else:
        profile = Measurement(tuple(float(share) for share in tumour / tissue), "1")
    if not tissue.any():
        return {
            "infiltration_fraction": Measurement.not_assessable("1", "no dermis is seen"),
            "occupancy_profile": profile,
        }
    fraction = float(tumour.sum() / tissue.sum())
    return {"infiltration_fraction": Measurement(fraction, "1"), "occupancy_profile": profile}


def sure_fraction(plane: SectionPlane, depth: DepthMap, tumour: NDArray[np.float32]) -> Measurement:
    """Tumour share of the compartment with ``tumour``, without specks and doubts, alone."""
    inside = depth.compartment
    return Measurement(float(tumour[inside].sum() / plane.tissue[inside].sum()), "1")


def _relative_depth_max(
    depth: DepthMap, tumour: NDArray[np.float32], *, aside: float
) -> Measurement:
    """99.5th percentile of the relative depth over the tumour of the window."""
    where = np.isfinite(depth.relative) & (tumour > 0)
    if not where.any():
        reason = "no tumour lies where both junctions are seen"
        return Measurement.not_assessable("1", reason)
    value = weighted_percentile(depth.relative[where], tumour[where], percent=DEPTH_PERCENTILE)
    if aside <= MAX_ASIDE or value >= 1:  # nothing lies deeper than 1
        return Measurement(value, "1")
    reason = f"{aside:.0%} of the tumour lies outside the analysed window"
    return Measurement(value, "1", "at_least", reason)


def _balance(plane: SectionPlane, depth: DepthMap) -> Measurement:
    """log2 of tumour area in the upper over that in the lower half of the compartment."""
    inside = depth.compartment & (plane.tumour > 0)
    upper = float(plane.tumour[inside & (depth.relative < 0.5)].sum(dtype=np.float64))
    lower = float(plane.tumour[inside & (depth.relative >= 0.5)].sum(dtype=np.float64))
    if upper + lower == 0:
        return Measurement.not_defined("1", "the dermal compartment holds no tumour")
    return Measurement(balance_of(upper, lower), "1")


def balance_of(upper: float, lower: float) -> float:
    """log2(upper / lower), held within ±`BALANCE_LIMIT`."""
    if min(upper, lower) <= 0:
        return BALANCE_LIMIT if upper > 0 else -BALANCE_LIMIT
    return max(-BALANCE_LIMIT, min(BALANCE_LIMIT, math.log2(upper / lower)))
