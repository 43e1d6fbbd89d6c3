"""What can be said of one section?

1. Areas, on any section.
2. The orientation: what was declared wins, what the labels say is always computed.
3. Depths, on a vertical section that bears epidermis; elsewhere they are null, with the
   reason.  Null is not zero.
4. Flags for whatever limits these numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.amounts import AMOUNT_UNITS, measure_amounts
from wsi_pipeline.measure.compartment import COMPARTMENT_UNITS, measure_compartment
from wsi_pipeline.measure.dej import Surface, find_surface
from wsi_pipeline.measure.depth import DepthMap, map_depth
from wsi_pipeline.measure.infiltration import INFILTRATION_UNITS, measure_infiltration
from wsi_pipeline.measure.line import to_slide_um
from wsi_pipeline.measure.orientation import Orientation, judge_orientation
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.measure.results import Curves, SectionMeasurements
from wsi_pipeline.values import Measurement, QualityFlag

DEPTH_UNITS: dict[str, str] = {**COMPARTMENT_UNITS, **INFILTRATION_UNITS}
ORIENTATION_UNITS: dict[str, str] = {
    "section_orientation": "",
    "orientation_computed": "",
    "orientation_confidence": "1",
}
VALUE_UNITS: dict[str, str] = {**AMOUNT_UNITS, **ORIENTATION_UNITS, **DEPTH_UNITS}

HORIZONTAL = "not defined on a horizontal section"
INDETERMINATE = (
    "the labels do not tell whether the section is vertical or horizontal, and neither was declared"
)
NO_EPIDERMIS = "no surface epidermis is seen, so there is nothing to measure depth from"

# More pieces than this are tangential cuts or mistakes rather than ulcers.
_MAX_RIBBONS = 3


def measure_section(
    plane: SectionPlane, declared: str, *, settings: MeasureSettings
) -> tuple[SectionMeasurements, tuple[QualityFlag, ...]]:
    """Measure one section.

    Parameters
    ----------
    declared
        ``vertical``, ``horizontal``, or ``auto`` to believe the labels.
    """
    surface = find_surface(plane, settings)
    computed = judge_orientation(plane, surface, min_fat_mm2=settings.min_fat_mm2)
    word = computed.word if declared == "auto" else declared
    depth = None
    if word == "vertical" and surface.line.spans:
        depth = map_depth(plane, surface, settings=settings)
    values = measure_amounts(plane) | _orientation_values(word, computed)
    if depth is None:
        values |= _absent_depths(word)
    else:
        values |= measure_compartment(plane, surface, depth=depth, settings=settings)
        values |= measure_infiltration(plane, depth, settings=settings)
    section = SectionMeasurements(
        plane.section_id, plane.box_um, values, _curves(plane, surface, depth=depth)
    )
    flags = [*_orientation_flags(plane, declared, computed=computed)]
    if word == "vertical":
        flags += _depth_flags(plane, surface, depth=depth)
    return section, tuple(flags)


def _orientation_values(word: str, computed: Orientation) -> dict[str, Measurement]:
    """Orientation used, orientation computed, and how clear the latter was."""
    return {
        "section_orientation": Measurement(word, ""),
        "orientation_computed": Measurement(computed.word, ""),
        "orientation_confidence": Measurement(computed.confidence, "1"),
    }


def _absent_depths(word: str) -> dict[str, Measurement]:
    """Give all depths as null, for the reason that applies."""
    if word == "horizontal":
        return {n: Measurement.not_defined(unit, HORIZONTAL) for n, unit in DEPTH_UNITS.items()}
    reason = NO_EPIDERMIS if word == "vertical" else INDETERMINATE
    return {n: Measurement.not_assessable(unit, reason) for n, unit in DEPTH_UNITS.items()}


def _curves(plane: SectionPlane, surface: Surface, *, depth: DepthMap | None) -> Curves | None:
    """Both junctions in the slide frame."""
    if depth is None:
        return None
    return Curves(
        to_slide_um(surface.line, plane.grid),
        to_slide_um(depth.junction.line, plane.grid),
        depth.junction.interpolated_fraction,
    )


def _orientation_flags(
    plane: SectionPlane, declared: str, *, computed: Orientation
) -> Iterator[QualityFlag]:
    """Flag a declaration that the labels clearly contradict."""
    if declared != "auto" and computed.word not in (declared, "indeterminate"):
        message = (
            f"Section {plane.section_id} was declared {declared} but its labels look "
            f"{computed.word}; the declaration was followed."
        )
        yield QualityFlag("orientation_conflict", "warn", message, computed.confidence, "1")


def _depth_flags(
    plane: SectionPlane, surface: Surface, *, depth: DepthMap | None
) -> Iterator[QualityFlag]:
    """Flag what is missing for depths on a vertical section."""
    where = f"Section {plane.section_id}"
    if depth is None:
        message = f"{where} shows no surface epidermis; no depth can be measured."
        yield QualityFlag("epidermis_absent", "warn", message)
        return
    ribbons = len(surface.line.spans)
    if ribbons > _MAX_RIBBONS:
        message = f"The epidermis of section {plane.section_id} lies in {ribbons} pieces."
        yield QualityFlag("epidermis_fragmented", "warn", message, float(ribbons), "")
    if not depth.junction.is_seen:
        message = f"{where} shows no subcutaneous fat; depths are lower bounds."
        yield QualityFlag("fat_absent", "warn", message)
    elif depth.junction.interpolated_fraction > 0:
        fraction = depth.junction.interpolated_fraction
        message = f"{where}: {fraction:.0%} of the dermo-subcutaneous junction is interpolated."
        yield QualityFlag("dsj_interpolated", "warn", message, fraction, "1")
