"""What does each measurement mean, in one line?

1. `DEFINITIONS` lists the measurements in the order in which a reader wants them.
2. `definition_of` also answers for a name that is not in the list, so that a new
   measurement is shown before this page has learnt to explain it.
3. `FLAG_TEXTS` says what each quality flag means on any slide; the flag itself carries the
   sentence about its own slide.

The full definitions are in ``docs/measurements.md``, under the same names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from wsi_pipeline.classes import CLASS_NAMES

Form = Literal["quantity", "percent", "membership"]


class Definition(NamedTuple):
    """How one measurement is called, explained and printed.

    ``percent`` prints a number between 0 and 1 as %, ``membership`` with two decimals.
    """

    title: str
    text: str
    form: Form = "quantity"


DEFINITIONS: dict[str, Definition] = {
    "section_orientation": Definition(
        "Section orientation",
        "Whether the cut runs across the layers of the skin (vertical) or along them (horizontal).",
    ),
    "orientation_computed": Definition(
        "Orientation, as computed",
        "What the layers alone say, whatever was declared.",
    ),
    "orientation_confidence": Definition(
        "Confidence of the orientation",
        "How clearly the layers speak for the computed orientation, from 0 to 1, with 0.5 at a "
        "threshold; not a probability.",
        "membership",
    ),
    "tissue_area_mm2": Definition("Tissue area", "Area of all sections on the slide together."),
    "area_tumour_mm2": Definition("Tumour area", "Area that was segmented as tumour."),
    "tumour_tissue_fraction": Definition(
        "Tumour share of tissue", "Tumour area divided by tissue area.", "percent"
    ),
    "infiltration_fraction": Definition(
        "Infiltration fraction",
        "Tumour area in the dermal compartment divided by the area of that compartment.",
        "percent",
    ),
    "tumour_in_window_fraction": Definition(
        "Tumour in the window",
        "Share of the segmented tumour that lies inside the window where both junctions are known.",
        "percent",
    ),
    "relative_depth_max": Definition(
        "Deepest tumour, relative",
        "Place of the deepest tumour between the dermo-epidermal junction (0\u202f%) and the "
        "dermo-subcutaneous junction (100\u202f%, also for all that lies beyond it): the 99.5th "
        "percentile over tumour, without components < 500\u202fµm².",
        "percent",
    ),
    "depth_max_um": Definition(
        "Deepest tumour",
        "Depth of tumour below the dermo-epidermal junction: the 99.5th percentile over tumour, "
        "without components < 500\u202fµm².",
    ),
    "full_thickness_call": Definition(
        "Full thickness",
        "Whether tumour spans the dermis from near the top to near the bottom: over 500 µm and "
        "half of its own length (full-thickness), over 100 µm (focal), else partial or none; "
        "a rule of this software.",
    ),
    "full_thickness_fraction": Definition(
        "Full-thickness fraction",
        "Share of the assessable length over which tumour, with the 30 µm of stroma around it, "
        "spans the dermis.",
        "percent",
    ),
    "full_thickness_tumour_fraction": Definition(
        "Full-thickness fraction of the lesion",
        "The same as a share of the length that holds any tumour.",
        "percent",
    ),
    "full_thickness_run_um": Definition(
        "Longest full-thickness run",
        "Longest unbroken stretch of full thickness, gaps up to 100 µm bridged.",
    ),
    "full_thickness_strict_fraction": Definition(
        "Full-thickness fraction, tumour alone",
        "The full-thickness fraction without the stroma around tumour.",
        "percent",
    ),
    "full_thickness_cover15_fraction": Definition(
        "Full-thickness fraction, lenient",
        "The full-thickness fraction if half the usual cover of a column (15 %) is enough.",
        "percent",
    ),
    "full_thickness_cover50_fraction": Definition(
        "Full-thickness fraction, severe",
        "The full-thickness fraction if a column must be covered by 50 % instead of 30 %.",
        "percent",
    ),
    "invasion_level": Definition(
        "Invasion level", "Deepest level that holds at least 0.5 % of the tumour."
    ),
    "subcutis_extension_um": Definition(
        "Extension into the subcutis",
        "Distance of the deepest tumour (99.5th percentile) below the dermo-subcutaneous "
        "junction; 0 above it.",
    ),
    "dsj_breach_fraction": Definition(
        "Breached lower junction",
        "Share of the dermo-subcutaneous junction with tumour on both sides within 50 µm.",
        "percent",
    ),
    "lateral_extent_mm": Definition(
        "Lateral extent", "Length of the dermo-epidermal junction above dermis that holds tumour."
    ),
    "grenz_median_um": Definition(
        "Grenz zone, median",
        "Width of the tumour-free strip between epidermis and tumour, along the junction above "
        "tumour.",
    ),
    "grenz_p05_um": Definition("Grenz zone, narrowest", "Its 5th percentile."),
    "grenz_present_fraction": Definition(
        "Grenz zone present", "Share of that length with a strip of 20 µm or more.", "percent"
    ),
    "dej_contact_fraction": Definition(
        "Tumour touching the epidermis", "Share of that length with less than 5 µm.", "percent"
    ),
    "grenz_length_mm": Definition(
        "Length of the Grenz zone", "Length of epidermis above tumour that the four refer to."
    ),
    "epidermotropism_fraction": Definition(
        "Epidermotropism", "Share of the epidermis above tumour that is tumour.", "percent"
    ),
    "ulceration_um": Definition(
        "Ulceration", "Length of the junction above tumour without epithelium."
    ),
    "front_roughness": Definition(
        "Front roughness",
        "Outline of the tumour and the 30 µm around it, over that of its convex hull: 1 is a "
        "smooth nodule.",
    ),
    "tumour_solidity": Definition(
        "Solidity", "Area of the same over that of its convex hull.", "percent"
    ),
    "tumour_stroma_ratio": Definition(
        "Tumour–stroma ratio",
        "Tumour over tumour and stroma together within the convex hull of each cluster of nests.",
        "percent",
    ),
    "occupancy_profile": Definition(
        "Depth profile",
        "Share of each band of relative depth that is tumour, from the dermo-epidermal to the "
        "dermo-subcutaneous junction.",
        "percent",
    ),
    "top_bottom_log2": Definition(
        "Top–bottom balance",
        "log₂ of tumour area in the upper over the lower half of the dermis: 0 balanced, "
        "1 twice as much above, −1 twice as much below.",
    ),
    "dermal_compartment_area_mm2": Definition(
        "Dermal compartment",
        "Area between the two junctions, tumour and adnexa included; not the area of the class "
        "dermis.",
    ),
    "dermal_thickness_median_um": Definition(
        "Dermal thickness, median",
        "Length of the field lines between the two junctions, with its quartiles as the interval; "
        "not corrected for shrinkage or an oblique cut.",
    ),
    "assessable_length_mm": Definition(
        "Assessable length",
        "Length of the dermo-epidermal junction along which both borders of the dermis are known.",
    ),
    "epidermis_length_mm": Definition(
        "Epidermis length", "Length of the dermo-epidermal junction, smoothed over rete ridges."
    ),
    "dsj_interpolated_fraction": Definition(
        "Interpolated lower junction",
        "Share of the dermo-subcutaneous junction that was bridged where no fat was seen.",
        "percent",
    ),
    "depth_estimator": Definition(
        "Depth measured along",
        "Field lines between both junctions, or the shortest distance where the lower is not seen.",
    ),
    "depth_estimators_apart": Definition(
        "Disagreement of depths",
        "Median difference between the relative depth along field lines and the ratio of "
        "distances.",
    ),
    "architecture": Definition(
        "Growth pattern",
        "Named from the shares of the tumour by width, and of tubules, by the first rule that "
        "applies; an operational definition of this software.",
    ),
    "architecture_next": Definition(
        "Growth pattern, nearest other", "The pattern that the least change would turn it into."
    ),
    "architecture_margin": Definition(
        "Growth pattern, margin",
        "That change over the limit it would pass: 0 at a limit, 1 where no other is near.",
        "membership",
    ),
    "single_file_fraction": Definition(
        "Single cells and files",
        "Share of the tumour that is at most 18\u202fµm wide, or in pieces < 500\u202fµm².",
        "percent",
    ),
    "cord_fraction": Definition(
        "Cords", "Share of the tumour that is 18 to 60\u202fµm wide.", "percent"
    ),
    "trabecula_fraction": Definition(
        "Trabeculae", "Share of the tumour that is 60 to 150\u202fµm wide.", "percent"
    ),
    "solid_fraction": Definition(
        "Solid growth", "Share of the tumour that is 150\u202fµm wide or wider.", "percent"
    ),
    "lumen_fraction": Definition(
        "Lumina", "Share of the tumour, lumina included, that is lumen.", "percent"
    ),
    "tubule_fraction": Definition(
        "Tubules",
        "Share of the tumour, lumina included, that is lumen or within 36\u202fµm of one.",
        "percent",
    ),
    "tumour_width_median_um": Definition(
        "Tumour width, median",
        "Local thickness: the largest disc within the tumour that holds a place, with quartiles "
        "over its area.",
    ),
    "tumour_width_profile": Definition(
        "Tumour width, distribution",
        "Share of the tumour's area in steps of 6\u202fµm of width; the last holds all from "
        "240\u202fµm.",
        "percent",
    ),
    "nest_total_area_mm2": Definition("Nest area", "Area of the tumour, lumina filled."),
    "nest_count": Definition(
        "Nests on the section",
        "Connected pieces of 500\u202fµm² and more; cuts through a network, not its parts.",
    ),
    "nests_per_mm2": Definition("Nests per area", "Nests over tissue area."),
    "nest_area_median_um2": Definition("Nest area, median", "Over nests, with quartiles."),
    "nest_diameter_median_um": Definition(
        "Nest diameter, median", "Diameter of a disc of the nest's area, with quartiles."
    ),
    "nest_cut_fraction": Definition(
        "Nests cut off", "Share of nests that border on glass at the section's edge.", "percent"
    ),
    "radial_profile": Definition(
        "Radial profile",
        "Share of tumour in ten rings of a horizontal section, from its edge inwards.",
        "percent",
    ),
    "follicle_count": Definition(
        "Follicles",
        "Places in the adnexa of a horizontal section where a disc of 100\u202fµm fits; interval: "
        "Poisson, 95\u202f%.",
    ),
    "follicular_unit_count": Definition(
        "Follicular units", "Groups of follicles within 150\u202fµm of each other."
    ),
    "follicles_per_mm2": Definition("Follicles per area", "Follicles over tissue area."),
    "follicular_units_per_mm2": Definition(
        "Follicular units per area", "Follicular units over tissue area."
    ),
    "follicles_per_punch": Definition(
        "Follicles per 4\u202fmm punch", "Density of follicles times 12.57\u202fmm²."
    ),
    "follicular_units_per_punch": Definition(
        "Follicular units per 4\u202fmm punch",
        "Density of follicular units times 12.57\u202fmm².",
    ),
    "nuclear_grade": Definition(
        "Nuclear grade, descriptive",
        "1 small, 2 intermediate, 3 large or varied nuclei in tumour, by fixed limits of their "
        "mean area; not a histological grade.",
    ),
    "nuclei_measured": Definition(
        "Nuclei measured",
        "Nuclear profiles in tumour that the grade rests on; small, cut and ragged ones left out.",
    ),
    "nuclear_area_mean_um2": Definition(
        "Nuclear area, mean",
        "Mean area of nuclear profiles in tumour, with the 90\u202f% interval over squares of the "
        "section.",
    ),
    "nuclear_area_sd_um2": Definition(
        "Nuclear area, spread", "Standard deviation of those areas, with its 90\u202f% interval."
    ),
    "nuclear_area_cv": Definition(
        "Nuclear area, variation",
        "Coefficient of variation of those areas, with its 90\u202f% interval.",
    ),
}

FLAG_TEXTS: dict[str, str] = {
    "adnexa_not_segmented": "the model never calls adnexa, so their area is not known",
    "architecture_borderline": "the growth pattern is close to another one",
    "blur_fraction": "part of the tissue is out of focus",
    "depth_estimator_disagreement": "the two ways to measure relative depth disagree",
    "dsj_interpolated": "part of the dermo-subcutaneous junction was bridged",
    "epidermis_absent": "no surface epidermis is seen, so no depth can be measured",
    "epidermis_bridged": "the dermo-epidermal junction was bridged where epidermis is missing",
    "epidermis_fragmented": "the surface epidermis lies in several pieces",
    "fat_absent": "no subcutaneous fat is seen, so the lower border of the dermis is not known",
    "ink_margin": "a margin of the specimen is inked",
    "multi_section_slide": "the slide holds several sections, each measured on its own",
    "orientation_conflict": "the layers look otherwise than the declared orientation",
    "pen_on_glass": "there are pen marks beside the tissue",
    "pen_on_tissue": "pen marks cover tissue",
    "sections_dropped": "further pieces of tissue were left out",
    "stain_out_of_gamut": "the stain is unlike that of the slides the rules were made for",
    "tissue_small": "there is little tissue",
    "touches_edge": "tissue reaches the edge of what was scanned",
    "tumour_tiny": "very little tumour was segmented",
    "unlike_training": "much of the tissue is unlike what the model learnt from",
    "window_partial": "part of the tumour lies outside the window where both junctions are known",
}
"""Meaning of each quality flag, as a clause."""

PROFILE = "occupancy_profile"
LISTS = (PROFILE, "radial_profile", "tumour_width_profile")
"""Measurements of several numbers each."""

HEADLINES: tuple[str, ...] = tuple(name for name in DEFINITIONS if name not in LISTS)
"""Measurements of one number or word each: the fixed columns of the cohort's table."""

GLANCE: tuple[str, ...] = (
    "section_orientation",
    "area_tumour_mm2",
    "infiltration_fraction",
    "relative_depth_max",
    "depth_max_um",
)
"""The few that stand above everything else."""

COHORT: tuple[str, ...] = (
    "section_orientation",
    "full_thickness_call",
    "full_thickness_fraction",
    "infiltration_fraction",
    "relative_depth_max",
    "depth_max_um",
    "area_tumour_mm2",
    "architecture",
    "nuclear_grade",
)
"""Columns of the table on the cohort's page."""


def definition_of(name: str) -> Definition:
    """Explain a measurement, if need be by its name alone.

    Examples
    --------
    >>> definition_of("vessel_count").title
    'Vessel count'
    """
    known = DEFINITIONS.get(name)
    if known is not None:
        return known
    stem = name.removeprefix("area_").removesuffix("_mm2")
    if name == f"area_{stem}_mm2" and stem in CLASS_NAMES:
        return Definition(f"{stem.capitalize()} area", f"Area that was segmented as {stem}.")
    title = name.replace("_", " ")
    form: Form = "percent" if name.endswith("_fraction") else "quantity"
    return Definition(title[:1].upper() + title[1:], "", form)


def reading_order(names: Iterable[str]) -> list[str]:
    """Sort names as a reader wants them: the defined ones first, others by alphabet."""
    rank = {name: place for place, name in enumerate(DEFINITIONS)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))
