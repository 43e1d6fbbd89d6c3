"""What do the labels of a vertical section say about its dermis?

1. Follow columns from junction to junction; measure the compartment.
2. Measure the tumour in it: amounts and depths, full thickness, Grenz zone, invasion.
3. Do so again for a larger and a smaller tumour mask where probabilities are known, and give
   the headline values their intervals.
4. What has no meaning without tumour, or cannot be had without fat, is null with the reason.
"""

from __future__ import annotations

from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.columns import Columns, Paths, read_columns, trace_paths
from wsi_pipeline.measure.compartment import COMPARTMENT_UNITS, NO_FAT, measure_compartment
from wsi_pipeline.measure.dej import Surface
from wsi_pipeline.measure.depth import DepthMap
from wsi_pipeline.measure.front import DOUBTFUL, lacks_tumour
from wsi_pipeline.measure.grenz import GRENZ_UNITS, measure_grenz
from wsi_pipeline.measure.infiltration import (
    INFILTRATION_UNITS,
    measure_infiltration,
    of_window,
    sure_fraction,
    without_specks,
)
from wsi_pipeline.measure.invasion import INVASION_UNITS, measure_invasion
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.measure.results import LateralProfile
from wsi_pipeline.measure.thickness import (
    CALLS,
    THICKNESS_UNITS,
    lateral_profile,
    measure_thickness,
)
from wsi_pipeline.measure.uncertainty import (
    THRESHOLDS,
    sampling_spread,
    with_intervals,
    with_tumour_above,
)
from wsi_pipeline.values import Measurement

TUMOUR_UNITS: dict[str, str] = {
    **INFILTRATION_UNITS,
    **THICKNESS_UNITS,
    **GRENZ_UNITS,
    **INVASION_UNITS,
}
DEPTH_UNITS: dict[str, str] = {**COMPARTMENT_UNITS, **TUMOUR_UNITS}
OF_TUMOUR = (
    "relative_depth_max",
    "depth_max_um",
    "top_bottom_log2",
    "tumour_in_window_fraction",
    "full_thickness_tumour_fraction",
    "grenz_median_um",
    "grenz_p05_um",
    "grenz_present_fraction",
    "dej_contact_fraction",
    "grenz_length_mm",
    "epidermotropism_fraction",
    "invasion_level",
    "subcutis_extension_um",
)
"""What a section without tumour has none of."""


def without_tumour(plane: SectionPlane) -> dict[str, Measurement]:
    """Values that have no meaning on a section without tumour that counts."""
    return {name: lacks_tumour(plane, TUMOUR_UNITS[name]) for name in OF_TUMOUR}


def measure_vertical(
    plane: SectionPlane, surface: Surface, *, depth: DepthMap, settings: MeasureSettings
) -> tuple[dict[str, Measurement], LateralProfile | None]:
    """Measure everything that needs a depth; also tell the tumour's extent along the junction."""
    paths = trace_paths(plane, surface, depth=depth, settings=settings)
    compartment = measure_compartment(plane, surface, depth=depth, paths=paths, settings=settings)
    values, columns = _measure_tumour(plane, surface, depth=depth, paths=paths, settings=settings)
    tumour = without_specks(plane, settings)
    others = [
        _measure_tumour(other, surface, depth=depth, paths=paths, settings=settings)[0]
        for other in (with_tumour_above(plane, threshold) for threshold in THRESHOLDS)
        if other is not None
    ]
    if isinstance(values["infiltration_fraction"].value, float):
        others.append(values | {"infiltration_fraction": sure_fraction(plane, depth, tumour)})
    spread = sampling_spread(plane, depth, columns=columns, tumour=tumour)
    values = with_intervals(
        values,
        others=others,
        spread=spread,
        columns=columns,
        plane=plane,
        mpp_tolerance=settings.mpp_tolerance,
    )
    return compartment | values, lateral_profile(columns)


def _measure_tumour(
    plane: SectionPlane,
    surface: Surface,
    *,
    depth: DepthMap,
    paths: Paths,
    settings: MeasureSettings,
) -> tuple[dict[str, Measurement], Columns]:
    """Values of the tumour, and what was read to get them."""
    tumour = without_specks(plane, settings)
    columns = read_columns(plane, surface, paths=paths, tumour=tumour, settings=settings)
    found = {
        **measure_infiltration(plane, depth, tumour=tumour),
        **measure_thickness(columns),
        **measure_grenz(columns, settings=settings),
        **measure_invasion(plane, depth, columns=columns, tumour=tumour),
    }
    if depth.field is None:
        found |= {n: Measurement.not_assessable(u, NO_FAT) for n, u in THICKNESS_UNITS.items()}
    inside = found["tumour_in_window_fraction"].value
    if isinstance(inside, float):
        found |= {n: of_window(found[n], inside) for n in (*THICKNESS_UNITS, *INVASION_UNITS)}
    if not tumour.any():
        reason = DOUBTFUL if plane.tumour.any() else ""
        none = Measurement(CALLS[0], "", reason=reason)
        found |= without_tumour(plane) | {"full_thickness_call": none}
    return found, columns
