"""What can be said of one section?

1. Areas, on any section.
2. The orientation: what was declared wins, what the labels say is always computed.
3. Depths, on a vertical section that bears epidermis; elsewhere they are null, with the
   reason.  Null is not zero.
4. The growth pattern of the tumour, on any section; rings and follicles on a horizontal one.
5. Flags for whatever limits these numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from wsi_pipeline.classes import ADNEXA, CLASS_NAMES, DERMIS, EPIDERMIS, INFLAMMATION, TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.amounts import AMOUNT_UNITS, measure_amounts
from wsi_pipeline.measure.architecture import (
    ARCHITECTURE_UNITS,
    BORDERLINE,
    measure_architecture,
)
from wsi_pipeline.measure.dej import Surface, find_surface
from wsi_pipeline.measure.depth import DepthMap, map_depth
from wsi_pipeline.measure.front import FRONT_UNITS, measure_front
from wsi_pipeline.measure.horizontal import (
    FOLLICLE_UNITS,
    HORIZONTAL_UNITS,
    measure_horizontal,
)
from wsi_pipeline.measure.infiltration import MAX_ASIDE, without_specks
from wsi_pipeline.measure.line import to_slide_um
from wsi_pipeline.measure.orientation import Orientation, judge_orientation
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.measure.results import Curves, DepthPlane, SectionMeasurements
from wsi_pipeline.measure.vertical import (
    DEPTH_UNITS,
    OF_TUMOUR,
    TUMOUR_UNITS,
    measure_vertical,
    without_tumour,
)
from wsi_pipeline.values import Measurement, QualityFlag

ORIENTATION_UNITS: dict[str, str] = {
    "section_orientation": "",
    "orientation_computed": "",
    "orientation_confidence": "1",
}
VALUE_UNITS: dict[str, str] = {
    **AMOUNT_UNITS,
    **ORIENTATION_UNITS,
    **FRONT_UNITS,
    **DEPTH_UNITS,
    **ARCHITECTURE_UNITS,
    **HORIZONTAL_UNITS,
}
# What labels that cannot hold a class do not tell, besides its area.
_NEEDS = {
    CLASS_NAMES[TUMOUR]: {
        "tumour_tissue_fraction",
        *FRONT_UNITS,
        *TUMOUR_UNITS,
        *ARCHITECTURE_UNITS,
        "radial_profile",
    },
    CLASS_NAMES[ADNEXA]: {*FOLLICLE_UNITS},
}

HORIZONTAL = "a horizontal section shows one level of the skin only"
VERTICAL = "rings and follicles are those of a horizontal section"
INDETERMINATE = (
    "the labels do not tell whether the section is vertical or horizontal, and neither was declared"
)
NO_EPIDERMIS = "no surface epidermis is seen, so there is nothing to measure depth from"
NO_SKIN = "the section holds neither epidermis nor dermis"
CUT = "the section reaches the edge of the plane"
DECLARED = "as declared"

# Less of a piece of fat than this is septa and vessels, not dermis.
_MIN_SKIN_SHARE = 0.1
# More of the junction than this across gaps is guessed rather than seen.
_MAX_BRIDGED = 0.2
# Relative depths by field lines and by distances that differ by more than this are unsure.
_MAX_APART = 0.05
# More pieces than this are tangential cuts or mistakes rather than ulcers.
_MAX_RIBBONS = 3


def measure_section(
    plane: SectionPlane, declared: str, *, settings: MeasureSettings, never_called: tuple[str, ...]
) -> tuple[SectionMeasurements, tuple[QualityFlag, ...]]:
    """Measure one section.

    Parameters
    ----------
    declared
        ``vertical``, ``horizontal``, or ``auto`` to believe the labels.
    never_called
        Names of the classes that the labels cannot hold.
    """
    surface = find_surface(plane, settings)
    computed = judge_orientation(
        plane,
        surface,
        min_fat_mm2=settings.min_fat_mm2,
        sees_adnexa=CLASS_NAMES[ADNEXA] not in never_called,
    )
    word = computed.word if declared == "auto" else declared
    skin = _is_skin(plane, surface)
    depth = lateral = None
    if word == "vertical" and surface.line.spans:
        depth = map_depth(plane, surface, settings=settings)
    tumour = without_specks(plane, settings)
    values = measure_amounts(plane) | _orientation_values(declared, computed, is_skin=skin)
    values |= measure_front(plane, tumour, settings=settings)
    if depth is None:
        lacking = {} if tumour.any() else without_tumour(plane)
        values |= _absent_depths(word, is_skin=skin, lacking=lacking)
    else:
        deep, lateral = measure_vertical(plane, surface, depth=depth, settings=settings)
        values |= deep
    values |= measure_architecture(plane) | _horizontal_values(plane, word)
    values = {name: _qualified(name, values[name], plane, never_called) for name in VALUE_UNITS}
    section = SectionMeasurements(
        plane.section_id,
        plane.box_um,
        values,
        curves=_curves(plane, surface, depth=depth),
        lateral=lateral,
        depth=_depth_plane(plane, depth),
    )
    flags = [*_orientation_flags(plane, declared, computed=computed)]
    flags += _architecture_flags(plane, values)
    if word == "vertical" and skin:
        flags += _depth_flags(plane, surface, depth=depth)
        flags += _window_flags(plane, values["tumour_in_window_fraction"])
    return section, tuple(flags)


def _is_skin(plane: SectionPlane, surface: Surface) -> bool:
    """Whether the section is more than a crumb of fat or horn; unlabelled tissue may be."""
    skin = (EPIDERMIS, DERMIS, ADNEXA, TUMOUR, INFLAMMATION)
    skin_um2 = sum(plane.areas_um2[value] for value in skin)
    return bool(surface.line.spans) or skin_um2 >= _MIN_SKIN_SHARE * plane.tissue_um2


def _orientation_values(
    declared: str, computed: Orientation, *, is_skin: bool
) -> dict[str, Measurement]:
    """Orientation used, orientation computed, and how clear the latter was."""
    if is_skin:
        found = {
            "section_orientation": Measurement(computed.word, ""),
            "orientation_computed": Measurement(computed.word, ""),
            "orientation_confidence": Measurement(computed.confidence, "1"),
        }
    else:
        found = {n: Measurement.not_defined(u, NO_SKIN) for n, u in ORIENTATION_UNITS.items()}
    if declared != "auto":
        found["section_orientation"] = Measurement(declared, "", reason=DECLARED)
    return found


def _horizontal_values(plane: SectionPlane, word: str) -> dict[str, Measurement]:
    """What a horizontal section shows, or why this one does not."""
    if word == "horizontal":
        return measure_horizontal(plane)
    if word == "vertical":
        return {n: Measurement.not_defined(u, VERTICAL) for n, u in HORIZONTAL_UNITS.items()}
    return {n: Measurement.not_assessable(u, INDETERMINATE) for n, u in HORIZONTAL_UNITS.items()}


def _absent_depths(
    word: str, *, is_skin: bool, lacking: dict[str, Measurement]
) -> dict[str, Measurement]:
    """Give all depths as null, for the reason that applies."""
    if word == "horizontal":
        return {n: Measurement.not_defined(unit, HORIZONTAL) for n, unit in DEPTH_UNITS.items()}
    reason = NO_EPIDERMIS if word == "vertical" else INDETERMINATE
    absent = {n: Measurement.not_assessable(unit, reason) for n, unit in DEPTH_UNITS.items()}
    if not is_skin:
        absent |= {
            name: Measurement.not_defined(unit, NO_SKIN)
            for name, unit in DEPTH_UNITS.items()
            if name not in OF_TUMOUR
        }
    return absent | lacking


def _qualified(
    name: str, value: Measurement, plane: SectionPlane, never_called: tuple[str, ...]
) -> Measurement:
    """Value, less what the labels cannot know, and bounded where the section is cut off."""
    for unknown in never_called:
        if name in _NEEDS.get(unknown, ()) or name == f"area_{unknown}_mm2":
            return Measurement.not_assessable(value.unit, f"the model never calls {unknown}")
    grows = value.unit in ("mm", "mm²") or name.endswith("_count")
    if plane.is_cut and grows and value.value is not None:
        reason = f"{value.reason}; {CUT}" if value.reason else CUT
        return dataclasses.replace(value, status="at_least", reason=reason)
    return value


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


def _architecture_flags(
    plane: SectionPlane, values: Mapping[str, Measurement]
) -> Iterator[QualityFlag]:
    """Flag a growth pattern that a small change would turn into another one."""
    margin = values["architecture_margin"].value
    if isinstance(margin, float) and margin < BORDERLINE:
        message = (
            f"The growth pattern of section {plane.section_id} is "
            f"{values['architecture'].value}, close to {values['architecture_next'].value}."
        )
        yield QualityFlag("architecture_borderline", "info", message, margin, "1")


def _depth_plane(plane: SectionPlane, depth: DepthMap | None) -> DepthPlane | None:
    """Depths with the place where they lie."""
    return depth if depth is None else DepthPlane(plane.grid, depth.depth_um, depth.relative)


def _depth_flags(
    plane: SectionPlane, surface: Surface, *, depth: DepthMap | None
) -> Iterator[QualityFlag]:
    """Flag what is missing for depths on a vertical section."""
    where = f"Section {plane.section_id}"
    if depth is None:
        message = f"{where} shows no surface epidermis; no depth can be measured."
        yield QualityFlag("epidermis_absent", "warn", message)
        return
    if surface.ribbons > _MAX_RIBBONS:
        message = f"The epidermis of section {plane.section_id} lies in {surface.ribbons} pieces."
        yield QualityFlag("epidermis_fragmented", "warn", message, float(surface.ribbons), "")
    if surface.bridged_fraction > _MAX_BRIDGED:
        share = surface.bridged_fraction
        message = f"{where}: {share:.0%} of the dermo-epidermal junction crosses lost epidermis."
        yield QualityFlag("epidermis_bridged", "warn", message, share, "1")
    if not depth.junction.is_seen:
        message = f"{where} shows no subcutaneous fat; depths are lower bounds."
        yield QualityFlag("fat_absent", "warn", message)
    elif depth.junction.interpolated_fraction > 0:
        fraction = depth.junction.interpolated_fraction
        message = f"{where}: {fraction:.0%} of the dermo-subcutaneous junction is interpolated."
        yield QualityFlag("dsj_interpolated", "warn", message, fraction, "1")
    apart = depth.estimators_apart
    if apart is not None and apart > _MAX_APART:
        message = (
            f"{where}: relative depths by field lines and by distances differ by {apart:.2f}; "
            "the junctions are far from parallel."
        )
        yield QualityFlag("depth_estimator_disagreement", "warn", message, apart, "1")


def _window_flags(plane: SectionPlane, inside: Measurement) -> Iterator[QualityFlag]:
    """Flag tumour that the window between both junctions leaves out."""
    if isinstance(inside.value, float) and 1 - inside.value > MAX_ASIDE:
        message = (
            f"Only {inside.value:.0%} of the tumour of section {plane.section_id} lies in the "
            "analysed window, where both junctions are seen; shares and relative depths are its."
        )
        yield QualityFlag("window_partial", "warn", message, inside.value, "1")
