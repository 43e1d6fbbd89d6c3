"""What are the main findings of a slide, in sentences?

1. One sentence each on orientation, tumour, infiltration and depth.
2. "At least" and "not assessable, because …" are carried over; nothing is rounded to a
   verdict, and no absence of tumour is claimed beyond what was segmented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsi_pipeline.report.wording import Reading, read_value

Values = Mapping[str, Mapping[str, Any]]


def summarise_slide(values: Values) -> tuple[str, ...]:
    """Say what was found on a slide.

    Parameters
    ----------
    values
        The ``values`` of its ``measurements.json``.

    Returns
    -------
    tuple of str
        Four sentences, in a fixed order.
    """
    return (
        _about_orientation(values),
        _about_tumour(values),
        _about_infiltration(values),
        _about_depth(values),
    )


def _about_orientation(values: Values) -> str:
    """How the section was cut."""
    found = read_value("section_orientation", values.get("section_orientation"))
    sure = read_value("orientation_confidence", values.get("orientation_confidence"))
    if not found.is_present:
        return f"The section orientation is {found.text}{_why(found)}."
    looks = read_value("orientation_computed", values.get("orientation_computed"))
    # The confidence is that of what was computed, which a declaration may overrule.
    differs = looks.is_present and looks.text != found.text
    doubt = f", though its layers look {looks.text}" if differs else ""
    confidence = f" (confidence {sure.text})" if sure.is_present else ""
    return f"The section is taken as {found.text}{doubt}{confidence}{_why(found)}."


def _about_tumour(values: Values) -> str:
    """Whether and over what area tumour was segmented."""
    area = read_value("area_tumour_mm2", values.get("area_tumour_mm2"))
    if not area.is_present:
        return f"The tumour area is {area.text}{_why(area)}."
    if area.number == 0:
        return "No tumour was segmented, which does not exclude tumour."
    return f"Tumour was segmented over {area.text}{_why(area)}."


def _about_infiltration(values: Values) -> str:
    """How much of the dermis is tumour."""
    fraction = read_value("infiltration_fraction", values.get("infiltration_fraction"))
    if not fraction.is_present:
        return f"Infiltration of the dermis is {fraction.text}{_why(fraction)}."
    return f"Tumour takes up {fraction.text} of the dermal compartment{_why(fraction)}."


def _about_depth(values: Values) -> str:
    """How far down tumour reaches."""
    relative = read_value("relative_depth_max", values.get("relative_depth_max"))
    depth = read_value("depth_max_um", values.get("depth_max_um"))
    if relative.is_present:
        length = f" ({depth.text} deep)" if depth.is_present else ""
        return (
            f"At its deepest, tumour lies {relative.text} of the way from the dermo-epidermal to "
            f"the dermo-subcutaneous junction{length}{_why(relative)}."
        )
    if depth.is_present:
        return (
            f"Tumour reaches {depth.text} below the dermo-epidermal junction{_why(depth)}; its "
            f"relative depth is {relative.text}{_why(relative)}."
        )
    return f"The depth of tumour is {relative.text}{_why(relative)}."


def _why(reading: Reading) -> str:
    """The reason as a subordinate clause."""
    return f", {reading.because}" if reading.because else ""
