"""What are the main findings of a slide, in sentences?

1. One sentence each on orientation, tumour, infiltration and depth.
2. "At least" and "not assessable, because …" are carried over; nothing is rounded to a
   verdict, and no absence of tumour is claimed beyond what was segmented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsi_pipeline.report.wording import Reading, read_entry

Values = Mapping[str, Mapping[str, Any]]

_WHOLE_WINDOW = 0.95  # share of the tumour above which the window need not be mentioned


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
    """How the section was cut: as declared, as computed, or both."""
    found = read_entry(values, "section_orientation")
    looks = read_entry(values, "orientation_computed")
    sure = read_entry(values, "orientation_confidence")
    confidence = f" (confidence {sure.text})" if sure.is_present else ""
    if not found.is_present or not looks.is_present:
        return f"The section orientation is {found.sentence}{confidence}."
    if found.text == looks.text:
        return f"The section orientation, computed from the layers, is {found.text}{confidence}."
    return (
        f"The section orientation is {found.sentence}; computed from the layers it is "
        f"{looks.text}{confidence}."
    )


def _about_tumour(values: Values) -> str:
    """Whether and over what area tumour was segmented."""
    area = read_entry(values, "area_tumour_mm2")
    if not area.is_present:
        return f"The tumour area is {area.sentence}."
    if area.number == 0:
        return "No tumour was segmented, which does not exclude tumour."
    return f"Tumour was segmented over {area.text}{_why(area)}."


def _about_infiltration(values: Values) -> str:
    """How much of the dermis is tumour, and how much of the tumour that is about."""
    fraction = read_entry(values, "infiltration_fraction")
    if not fraction.is_present:
        return f"Infiltration of the dermis is {fraction.sentence}."
    held = read_entry(values, "tumour_in_window_fraction")
    window = ""
    if held.number is not None and held.number < _WHOLE_WINDOW:
        window = f" of the window that could be measured, which holds {held.text} of the tumour"
    return f"Tumour takes up {fraction.text} of the dermal compartment{window}{_why(fraction)}."


def _about_depth(values: Values) -> str:
    """How far down tumour reaches."""
    relative = read_entry(values, "relative_depth_max")
    depth = read_entry(values, "depth_max_um")
    if relative.is_present:
        return _about_relative_depth(relative, depth)
    if depth.is_present:
        return (
            f"Tumour reaches {depth.text} below the dermo-epidermal junction{_why(depth)}; its "
            f"relative depth is {relative.sentence}."
        )
    return f"The depth of tumour is {relative.sentence}."


def _about_relative_depth(relative: Reading, depth: Reading) -> str:
    """Place of the deepest tumour between the junctions, and its depth in µm."""
    if relative.number is not None and relative.number >= 1:
        # No relative depth is greater: a lower bound of 1 is the value itself.
        length = f" ({depth.text} deep{_why(depth)})" if depth.is_present else ""
        return f"Tumour reaches the dermo-subcutaneous junction or lies beyond it{length}."
    own = "" if depth.because == relative.because else _why(depth)
    length = f" ({depth.text} deep{own})" if depth.is_present else ""
    return (
        f"At its deepest, tumour lies {relative.text} of the way from the dermo-epidermal to "
        f"the dermo-subcutaneous junction{length}{_why(relative)}."
    )


def _why(reading: Reading) -> str:
    """The reason as a subordinate clause."""
    return f", {reading.because}" if reading.because else ""
