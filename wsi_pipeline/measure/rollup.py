"""What do several sections say together?

1. A section on which a value is *not defined* (a horizontal one, for depths; one without
   tumour, for its depth) has no say in it.  Where no section has, it is not defined.
2. Areas and lengths add up; the greatest depth wins; shares, profiles and thicknesses are
   means weighted by what they are shares of.
3. A section on which a value exists but cannot be assessed turns a sum or a greatest depth
   into a lower bound, and is named in the reason of a mean.  If no section could be
   assessed, neither can the slide.
4. One lower bound makes the slide's value a lower bound.
5. The orientation is the word all sections share, else ``mixed``; its confidence the least.
"""

from __future__ import annotations

from collections.abc import Sequence

from wsi_pipeline.measure.infiltration import BALANCE_LIMIT, balance_of
from wsi_pipeline.measure.results import SectionMeasurements
from wsi_pipeline.measure.section import ORIENTATION_UNITS, VALUE_UNITS
from wsi_pipeline.values import Measurement

Sections = Sequence[SectionMeasurements]
Weights = tuple[float, ...]

# Mean of these, weighted by the product of those.
_WEIGHTS: dict[str, tuple[str, ...]] = {
    "tumour_tissue_fraction": ("tissue_area_mm2",),
    "dermal_thickness_median_um": ("dermal_compartment_area_mm2",),
    "dsj_interpolated_fraction": ("assessable_length_mm",),
    "infiltration_fraction": ("dermal_compartment_area_mm2",),
    "occupancy_profile": ("dermal_compartment_area_mm2",),
    "top_bottom_log2": ("dermal_compartment_area_mm2", "infiltration_fraction"),
}
_GREATEST = ("depth_max_um", "relative_depth_max")


def roll_up(sections: Sections) -> dict[str, Measurement]:
    """Values of a slide from those of its sections; at least one section is needed."""
    values = {
        name: _rolled(name, unit, sections=sections)
        for name, unit in VALUE_UNITS.items()
        if name not in ORIENTATION_UNITS
    }
    return values | _orientation(sections)


def _orientation(sections: Sections) -> dict[str, Measurement]:
    """Shared word or ``mixed``, and the least confidence."""
    rolled = {}
    for name in ("section_orientation", "orientation_computed"):
        words = {str(section.values[name].value) for section in sections}
        rolled[name] = Measurement(words.pop() if len(words) == 1 else "mixed", "")
    least = min(_number(section.values["orientation_confidence"]) for section in sections)
    return rolled | {"orientation_confidence": Measurement(least, "1")}


def _rolled(name: str, unit: str, *, sections: Sections) -> Measurement:
    """One value of the slide."""
    found = [section.values[name] for section in sections]
    defined = [value for value in found if value.status != "not_defined"]
    if not defined:
        return Measurement.not_defined(unit, _reasons(found))
    having = [section for section in sections if section.values[name].value is not None]
    lost = [value for value in defined if value.status == "not_assessable"]
    if not having:
        return Measurement.not_assessable(unit, _reasons(lost))
    bounds = [value for value in defined if value.status == "at_least"]
    if lost and name not in _WEIGHTS:
        bounds += lost
    value, interval = _combined(name, having)
    if bounds:
        return Measurement(value, unit, "at_least", _reasons(bounds), interval)
    reason = f"{len(lost)} of {len(defined)} sections not assessable" if lost else ""
    return Measurement(value, unit, "measured", reason, interval)


def _reasons(values: Sequence[Measurement]) -> str:
    """Give the different reasons in the order in which they occur."""
    return "; ".join(dict.fromkeys(value.reason for value in values))


def _combined(
    name: str, sections: Sections
) -> tuple[float | tuple[float, ...], tuple[float, float] | None]:
    """Combine the values of sections that have one, and their intervals."""
    values = [section.values[name] for section in sections]
    if name in _GREATEST:
        return max(_number(value) for value in values), None
    if name not in _WEIGHTS:
        return sum(_number(value) for value in values), None
    weights = _weights(name, sections)
    intervals = [value.interval for value in values if value.interval is not None]
    if len(intervals) < len(values):
        return _mean(name, values, weights=weights), None
    low, high = (_average([bound[end] for bound in intervals], weights) for end in (0, 1))
    return _mean(name, values, weights=weights), (low, high)


def _weights(name: str, sections: Sections) -> Weights:
    """Weight of each section, adding up to one; equal where all would be nothing."""
    raw = []
    for section in sections:
        weight = 1.0
        for factor in _WEIGHTS[name]:
            weight *= _number(section.values[factor])
        raw.append(weight)
    total = sum(raw)
    return tuple(weight / total if total else 1 / len(raw) for weight in raw)


def _mean(
    name: str, values: Sequence[Measurement], *, weights: Weights
) -> float | tuple[float, ...]:
    """Average the values of this name in the way that suits it."""
    if name == "occupancy_profile":
        return _mean_profile(values, weights)
    if name == "top_bottom_log2":
        return _mean_balance(values, weights)
    return _average([_number(value) for value in values], weights)


def _mean_profile(values: Sequence[Measurement], weights: Weights) -> tuple[float, ...]:
    """Weighted mean, bin by bin."""
    profiles = [value.value for value in values if isinstance(value.value, tuple)]
    return tuple(_average(shares, weights) for shares in zip(*profiles, strict=True))


def _mean_balance(values: Sequence[Measurement], weights: Weights) -> float:
    """log2 ratio of the pooled areas: each ratio is turned back into the share above."""
    ratios = [2.0 ** _number(value) for value in values]
    limit = 2.0**BALANCE_LIMIT
    shares = [
        1.0 if ratio >= limit else 0.0 if ratio <= 1 / limit else ratio / (1 + ratio)
        for ratio in ratios
    ]
    upper = _average(shares, weights)
    return balance_of(upper, 1.0 - upper)


def _average(numbers: Sequence[float], weights: Weights) -> float:
    """Sum of products."""
    return sum(number * weight for number, weight in zip(numbers, weights, strict=True))


def _number(value: Measurement) -> float:
    """Value of a measurement that is known to be a number."""
    if not isinstance(value.value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value.value)
