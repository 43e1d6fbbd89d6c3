"""What do several sections say together?

1. A section on which a value is *not defined* (a horizontal one, for depths; one without
   tumour, for its depth; a crumb of fat, for the dermis) has no say in it.  Where no
   section has, it is not defined.
2. Areas and lengths add up; the greatest depth wins; shares, profiles and thicknesses are
   means weighted by what they are shares of; of words with a rank the highest wins.  An
   interval is that of one section.
3. A section on which a value exists but cannot be assessed turns a sum or a greatest depth
   into a lower bound, and is named in the reason.  If no section could be
   assessed, neither can the slide.
4. One lower bound makes the slide's value a lower bound.
5. The orientation is the word that all sections which have one share, else ``mixed``; its
   confidence the least.
6. The growth pattern is that of the pooled shares; follicles have the interval of their sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from wsi_pipeline.measure.architecture import PATTERN_UNITS, SHARE_UNITS, name_pattern
from wsi_pipeline.measure.horizontal import count_follicles
from wsi_pipeline.measure.infiltration import BALANCE_LIMIT, balance_of
from wsi_pipeline.measure.invasion import LEVELS
from wsi_pipeline.measure.results import SectionMeasurements
from wsi_pipeline.measure.section import ORIENTATION_UNITS, VALUE_UNITS
from wsi_pipeline.measure.thickness import CALLS
from wsi_pipeline.values import Measurement

Sections = Sequence[SectionMeasurements]
Weights = tuple[float, ...]

# Mean of these, weighted by the product of those.
_WEIGHTS: dict[str, tuple[str, ...]] = {
    "tumour_tissue_fraction": ("tissue_area_mm2",),
    "tumour_in_window_fraction": ("area_tumour_mm2",),
    "dermal_thickness_median_um": ("dermal_compartment_area_mm2",),
    "dsj_interpolated_fraction": ("assessable_length_mm",),
    "infiltration_fraction": ("dermal_compartment_area_mm2",),
    "occupancy_profile": ("dermal_compartment_area_mm2",),
    "top_bottom_log2": ("dermal_compartment_area_mm2", "infiltration_fraction"),
    "depth_estimators_apart": ("dermal_compartment_area_mm2",),
    "full_thickness_fraction": ("assessable_length_mm",),
    "full_thickness_cover15_fraction": ("assessable_length_mm",),
    "full_thickness_cover50_fraction": ("assessable_length_mm",),
    "full_thickness_strict_fraction": ("assessable_length_mm",),
    "full_thickness_tumour_fraction": ("lateral_extent_mm",),
    "dsj_breach_fraction": ("assessable_length_mm",),
    "grenz_median_um": ("grenz_length_mm",),
    "grenz_p05_um": ("grenz_length_mm",),
    "grenz_present_fraction": ("grenz_length_mm",),
    "dej_contact_fraction": ("grenz_length_mm",),
    "epidermotropism_fraction": ("grenz_length_mm",),
    "front_roughness": ("area_tumour_mm2",),
    "tumour_solidity": ("area_tumour_mm2",),
    "tumour_stroma_ratio": ("area_tumour_mm2",),
    **dict.fromkeys(
        (*SHARE_UNITS, "tumour_width_median_um", "tumour_width_profile"), ("nest_total_area_mm2",)
    ),
    **dict.fromkeys(
        ("nest_area_median_um2", "nest_diameter_median_um", "nest_cut_fraction"), ("nest_count",)
    ),
    **dict.fromkeys(
        (
            "nests_per_mm2",
            "radial_profile",
            "follicles_per_mm2",
            "follicular_units_per_mm2",
            "follicles_per_punch",
            "follicular_units_per_punch",
        ),
        ("tissue_area_mm2",),
    ),
}
_GREATEST = (
    "depth_max_um",
    "relative_depth_max",
    "full_thickness_run_um",
    "subcutis_extension_um",
    "lateral_extent_mm",
)
# Words in the order of their rank: the last that any section has is the slide's.
_RANKS: dict[str, tuple[str, ...]] = {"full_thickness_call": CALLS, "invasion_level": LEVELS}
_SHARED = ("depth_estimator",)


def roll_up(sections: Sections) -> dict[str, Measurement]:
    """Values of a slide from those of its sections; at least one section is needed."""
    values = {
        name: _rolled(name, unit, sections=sections)
        for name, unit in VALUE_UNITS.items()
        if name not in ORIENTATION_UNITS and name not in PATTERN_UNITS
    }
    return values | _orientation(sections) | _pattern(values) | _follicles(values, sections)


def _orientation(sections: Sections) -> dict[str, Measurement]:
    """Shared word or ``mixed``, and the least confidence."""
    return {
        name: _shared([section.values[name] for section in sections]) for name in ORIENTATION_UNITS
    }


def _pattern(values: Mapping[str, Measurement]) -> dict[str, Measurement]:
    """Growth pattern of the pooled shares."""
    first = values["solid_fraction"]
    if first.value is None:
        return {name: dataclasses.replace(first, unit=unit) for name, unit in PATTERN_UNITS.items()}
    found = name_pattern({name: _number(values[name]) for name in SHARE_UNITS})
    return {name: dataclasses.replace(value, reason=first.reason) for name, value in found.items()}


def _follicles(values: Mapping[str, Measurement], sections: Sections) -> dict[str, Measurement]:
    """Counts and densities of follicles with the interval of the pooled count."""
    having = [s.values for s in sections if s.values["follicle_count"].value is not None]
    follicles, units, tissue_mm2 = (
        sum(_number(section[name]) for section in having)
        for name in ("follicle_count", "follicular_unit_count", "tissue_area_mm2")
    )
    if not tissue_mm2:
        return {}
    pooled = count_follicles(follicles, units, tissue_mm2=tissue_mm2)
    return {
        name: dataclasses.replace(values[name], interval=value.interval)
        for name, value in pooled.items()
    }


def _shared(found: Sequence[Measurement]) -> Measurement:
    """One word or ``mixed``; the least number; neither where no section has any."""
    having = [value for value in found if value.value is not None]
    if not having:
        return found[0]
    if not isinstance(having[0].value, str):
        return min(having, key=_number)
    words = {value.value for value in having}
    return having[0] if len(words) == 1 else Measurement("mixed", having[0].unit)


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
    is_bound = bool(bounds) or (bool(lost) and name not in (*_WEIGHTS, *_SHARED))
    reason = _reasons(bounds or [section.values[name] for section in having])
    if lost:
        why = f" ({_reasons(lost)})" if is_bound else ""
        count = f"{len(lost)} of {len(defined)} sections could not be assessed{why}"
        reason = f"{reason}; {count}" if reason else count
    value, interval = _combined(name, having)
    return Measurement(value, unit, "at_least" if is_bound else "measured", reason, interval)


def _reasons(values: Sequence[Measurement]) -> str:
    """Give the different reasons in the order in which they occur."""
    return "; ".join(dict.fromkeys(value.reason for value in values if value.reason))


def _combined(
    name: str, sections: Sections
) -> tuple[float | str | tuple[float, ...], tuple[float, float] | None]:
    """Combine the values of sections that have one."""
    values = [section.values[name] for section in sections]
    if len(values) == 1 and values[0].value is not None:
        return values[0].value, values[0].interval
    if name in _RANKS or name in _SHARED:
        return _word(name, {str(value.value) for value in values}), None
    if name in _GREATEST:
        return max(_number(value) for value in values), None
    if name not in _WEIGHTS:
        return sum(_number(value) for value in values), None
    return _mean(name, values, weights=weights_of(name, sections)), None  # quartiles do not average


def _word(name: str, words: set[str]) -> str:
    """Word of the highest rank; of words without rank the one that all share, else ``mixed``."""
    if name in _RANKS:
        return max(words, key=_RANKS[name].index)
    return words.pop() if len(words) == 1 else "mixed"


def weights_of(name: str, sections: Sections) -> Weights:
    """Weight of each section in a mean, adding up to one; equal where all would be nothing."""
    raw = []
    for section in sections:
        weight = 1.0
        for factor in _WEIGHTS[name]:
            value = section.values[factor]
            weight *= _number(value) if value.value is not None else 0.0
        raw.append(weight)
    total = sum(raw)
    return tuple(weight / total if total else 1 / len(raw) for weight in raw)


def _mean(
    name: str, values: Sequence[Measurement], *, weights: Weights
) -> float | tuple[float, ...]:
    """Average the values of this name in the way that suits it."""
    if isinstance(values[0].value, tuple):
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
