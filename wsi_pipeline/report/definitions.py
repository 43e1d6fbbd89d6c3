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
        "Distance between the two junctions, with its quartiles as the interval; not corrected for "
        "shrinkage or an oblique cut.",
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
    "nuclear_grade": Definition(
        "Nuclear grade, descriptive",
        "1 small, 2 intermediate, 3 large or varied nuclei in tumour, by fixed limits of their "
        "mean area; not a histological grade.",
    ),
    "nuclear_area_mean_um2": Definition(
        "Nuclear area, mean",
        "Mean area of nuclear profiles in tumour, with the 90\u202f% interval over squares of the "
        "section.",
    ),
    "nuclear_area_cv": Definition(
        "Nuclear area, variation",
        "Coefficient of variation of those areas, with its 90\u202f% interval.",
    ),
}

FLAG_TEXTS: dict[str, str] = {
    "adnexa_not_segmented": "the model never calls adnexa, so their area is not known",
    "blur_fraction": "part of the tissue is out of focus",
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
    "window_partial": "part of the tumour lies outside the window where both junctions are known",
}
"""Meaning of each quality flag, as a clause."""

PROFILE = "occupancy_profile"

HEADLINES: tuple[str, ...] = tuple(name for name in DEFINITIONS if name != PROFILE)
"""Measurements of one number or word each: the fixed columns of the cohort's table."""

GLANCE: tuple[str, ...] = (
    "section_orientation",
    "area_tumour_mm2",
    "infiltration_fraction",
    "relative_depth_max",
    "depth_max_um",
)
"""The few that stand above everything else."""


def definition_of(name: str) -> Definition:
    """Explain a measurement, if need be by its name alone.

    Examples
    --------
    >>> definition_of("nest_count").title
    'Nest count'
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
