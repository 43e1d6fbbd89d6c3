"""How large is the dermis that the section shows?

Lengths along the junction, thickness across it and the area between the junctions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.columns import Paths
from wsi_pipeline.measure.dej import Surface
from wsi_pipeline.measure.depth import DepthMap
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.values import Measurement

COMPARTMENT_UNITS: dict[str, str] = {
    "epidermis_length_mm": "mm",
    "assessable_length_mm": "mm",
    "dermal_compartment_area_mm2": "mm²",
    "dermal_thickness_median_um": "µm",
    "dsj_interpolated_fraction": "1",
    "depth_estimator": "",
    "depth_estimators_apart": "1",
}

NO_FAT = "no subcutaneous fat is seen, so the deep border of the dermis is not on the slide"


def measure_compartment(
    plane: SectionPlane,
    surface: Surface,
    *,
    depth: DepthMap,
    paths: Paths,
    settings: MeasureSettings,
) -> dict[str, Measurement]:
    """Measure the extent of the dermal compartment of a vertical section."""
    mpp, junction = plane.grid.mpp, depth.junction
    values = {"epidermis_length_mm": Measurement(surface.covered_px * mpp / 1e3, "mm")}
    if depth.estimators_apart is None:
        visible = np.isfinite(depth.depth_um)
        return values | {
            "assessable_length_mm": Measurement(0.0, "mm"),
            "dermal_compartment_area_mm2": Measurement(
                _tissue_mm2(plane, visible), "mm²", "at_least", NO_FAT
            ),
            "dermal_thickness_median_um": _visible_thickness(depth.visible_um),
            "dsj_interpolated_fraction": Measurement.not_assessable("1", NO_FAT),
            "depth_estimator": Measurement("distance", ""),
            "depth_estimators_apart": Measurement.not_assessable("1", NO_FAT),
        }
    known = int(np.isfinite(junction.thickness_px).sum())
    fraction = junction.interpolated_fraction
    return values | {
        "assessable_length_mm": Measurement(known * mpp / 1e3, "mm"),
        "dermal_compartment_area_mm2": Measurement(_tissue_mm2(plane, depth.compartment), "mm²"),
        "dermal_thickness_median_um": _thickness(
            paths.thickness_um, fraction, allowed=settings.max_interpolated
        ),
        "dsj_interpolated_fraction": Measurement(fraction, "1"),
        "depth_estimator": Measurement("field lines", ""),
        "depth_estimators_apart": Measurement(depth.estimators_apart, "1"),
    }


def _tissue_mm2(plane: SectionPlane, where: NDArray[np.bool_]) -> float:
    """Tissue area within a mask, mm²."""
    return float(plane.tissue[where].sum(dtype=np.float64)) * plane.grid.pixel_area_um2 / 1e6


def _median_and_quartiles(
    values_um: NDArray[np.float64],
) -> tuple[float, tuple[float, float]]:
    """Median, and the first and third quartile."""
    low, middle, high = (float(value) for value in np.percentile(values_um, (25, 50, 75)))
    return middle, (low, high)


def _thickness(known_um: NDArray[np.float64], fraction: float, *, allowed: float) -> Measurement:
    """Thickness over the columns; a lower bound where most of the junction is interpolated."""
    if not known_um.size:
        return Measurement.not_assessable("µm", "no field line runs from junction to junction")
    median_um, quartiles_um = _median_and_quartiles(known_um)
    if fraction <= allowed:
        return Measurement(median_um, "µm", interval=quartiles_um)
    reason = f"{fraction:.0%} of the dermo-subcutaneous junction is interpolated"
    return Measurement(median_um, "µm", "at_least", reason, quartiles_um)


def _visible_thickness(visible_um: NDArray[np.float64]) -> Measurement:
    """Depth of the tissue on the slide: the dermis is at least that thick."""
    seen_um = visible_um[visible_um > 0]
    if not seen_um.size:
        return Measurement.not_assessable("µm", "no tissue lies below the epidermis")
    median_um, quartiles_um = _median_and_quartiles(seen_um)
    return Measurement(median_um, "µm", "at_least", NO_FAT, quartiles_um)
