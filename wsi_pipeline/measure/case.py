"""What do all sections of a case say together?

1. Amounts of tumour add up over all sections.  Where no slide has more than its model finds in
   tissue that has none, there are *traces*; where all that is called tumour lies in specks or is
   doubtful throughout, tumour is *doubtful*.  Neither says that there is tumour, nor what kind.
2. *Depth* is called from vertical sections alone, and the most infiltrative one decides.  A
   horizontal section shows one level of the skin: on it the call is not defined, and it has no
   say.  A section that could not be assessed leaves the word open above.
3. The *growth pattern* is named from the shares of the tumour's width, pooled over sections of any
   orientation by the area of their tumour; the *nuclear grade* from all nuclei (`pooled_grade`).
4. A call whose word would change within the interval of its evidence, or with a small change of
   it, says which other words are open; sections that say otherwise are named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from wsi_pipeline.measure import thickness
from wsi_pipeline.measure.architecture import (
    BORDERLINE,
    PATTERN_LIMITS,
    SHARE_UNITS,
    name_pattern,
)
from wsi_pipeline.measure.calls import Call, CaseSlide, Evidence, Limit
from wsi_pipeline.measure.front import DOUBTFUL
from wsi_pipeline.measure.pooled_grade import call_grade, pooled_interval
from wsi_pipeline.measure.results import SectionMeasurements
from wsi_pipeline.measure.rollup import roll_up, weights_of
from wsi_pipeline.measure.section import VALUE_UNITS
from wsi_pipeline.measure.thickness import CALLS
from wsi_pipeline.values import Measurement

NO_SLIDE = "no slide of the case was measured"
NOT_COMPUTED = "this run did not compute it"

_DEPTH, _PATTERN, _AREA = "full_thickness_call", "architecture", "area_tumour_mm2"
_SHARE, _FRONT = "tumour_tissue_fraction", "front_roughness"
_DEPTH_VALUES = (
    "full_thickness_fraction",
    "full_thickness_tumour_fraction",
    "full_thickness_run_um",
    "full_thickness_cover15_fraction",
    "full_thickness_cover50_fraction",
    "relative_depth_max",
    "depth_max_um",
    "invasion_level",
    "dermal_thickness_median_um",
)
_GREATEST = ("relative_depth_max", "depth_max_um", "full_thickness_run_um")
# Means over sections; sections are independent samples of the tumour.
_MEANS = ("full_thickness_fraction", "full_thickness_tumour_fraction", *SHARE_UNITS)
_PATTERN_VALUES = (*SHARE_UNITS, "architecture_margin", "architecture_next", "nest_total_area_mm2")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """Sections of a case, their names, and the value of each name over all of them."""

    sections: tuple[SectionMeasurements, ...]
    sources: tuple[str, ...]
    values: dict[str, Measurement]


def call_case(slides: Sequence[CaseSlide]) -> dict[str, Call]:
    """Conclude what the slides of a case say together.

    Parameters
    ----------
    slides
        Every slide of the case that was measured.

    Returns
    -------
    dict
        ``tumour`` (``present``, ``doubtful``, ``traces`` or ``none``), ``depth``
        (`thickness.CALLS`), ``pattern`` (a growth pattern) and ``grade`` (``1`` to ``3``).
        Operational definitions of this software for research use; no diagnosis.
    """
    if not any(slide.sections for slide in slides):
        lost = Call(Measurement.not_assessable("", NO_SLIDE), (), ())
        return dict.fromkeys(("tumour", "depth", "pattern", "grade"), lost)
    case = _gather(slides)
    return {
        "tumour": _call_tumour(case, slides),
        "depth": _call_depth(case),
        "pattern": _call_pattern(case),
        "grade": call_grade(slides),
    }


def _gather(slides: Sequence[CaseSlide]) -> _Case:
    """All sections of the case side by side, as if they lay on one slide."""
    found = [(slide.source_of(section), section) for slide in slides for section in slide.sections]
    sections = tuple(_with_every_name(section) for _, section in found)
    return _Case(sections, tuple(source for source, _ in found), roll_up(sections))


def _with_every_name(section: SectionMeasurements) -> SectionMeasurements:
    """A section of an earlier version may lack values that came later."""
    absent = {
        name: Measurement.not_assessable(unit, NOT_COMPUTED)
        for name, unit in VALUE_UNITS.items()
        if name not in section.values
    }
    return dataclasses.replace(section, values=absent | dict(section.values))


def _call_tumour(case: _Case, slides: Sequence[CaseSlide]) -> Call:
    """Whether there is tumour anywhere, and more than the model's mistakes would make."""
    area = case.values[_AREA]
    evidence = (
        *_pooled(case, (_AREA, _SHARE)),
        *_single(case, _AREA),
    )
    if area.value is None:
        return Call(dataclasses.replace(area, unit=""), (), evidence)
    if not area.value:
        return Call(Measurement("none", ""), ("none",), evidence)
    exceeding = [slide for slide in slides if _exceeds_mistakes(slide)]
    word = "present" if any(map(_has_lesion, exceeding)) else "doubtful" if exceeding else "traces"
    limits = [_mistakes_limit(slide) for slide in slides if slide.false_tumour]
    return Call(Measurement(word, ""), (word,), evidence, limits=tuple(dict.fromkeys(limits)))


def _exceeds_mistakes(slide: CaseSlide) -> bool:
    """Whether a slide has more tumour than its model calls so where there is none."""
    share = _number(roll_up(slide.sections)[_SHARE]) if slide.sections else None
    return share is not None and share > slide.false_tumour


def _has_lesion(slide: CaseSlide) -> bool:
    """Whether some of its tumour is a piece of its own and not doubtful from end to end.

    The front is measured on such tumour alone, however the section lies.
    """
    return any(
        _FRONT not in section.values or section.values[_FRONT].reason != DOUBTFUL
        for section in slide.sections
        if _number(section.values[_AREA])
    )


def _mistakes_limit(slide: CaseSlide) -> Limit:
    quantity = "share of the tissue of a slide that is called tumour"
    return Limit("present", quantity, "above", slide.false_tumour, "1")


def _call_depth(case: _Case) -> Call:
    """How far through the dermis tumour goes, from vertical sections."""
    value = case.values[_DEPTH]
    evidence = (*_pooled(case, _DEPTH_VALUES), *_single(case, _DEPTH))
    limits = _depth_limits()
    if value.value == CALLS[0] and value.status == "at_least" and case.values[_AREA].value:
        # "At least none" is no knowledge.
        value = Measurement.not_assessable("", value.reason)
    if value.value is None:
        return Call(value, (), evidence, limits=limits)
    ranges = [_open_ranks(section) for section in case.sections if _has(section, _DEPTH)]
    low, high = (max(ends) for ends in zip(*ranges, strict=True))
    return Call(value, CALLS[low : high + 1], evidence, _others(case, _DEPTH), limits)


def _open_ranks(section: SectionMeasurements) -> tuple[int, int]:
    """Least and greatest rank of a section's call at the ends of its intervals."""
    values = section.values
    own = CALLS.index(str(values[_DEPTH].value))
    run, share = (
        values[name] for name in ("full_thickness_run_um", "full_thickness_tumour_fraction")
    )
    if own == 0 or run.interval is None or share.interval is None:
        return own, own
    ranks = [
        CALLS.index(thickness.call_of(run_um, part, has_tumour=True))
        for run_um, part in zip(run.interval, share.interval, strict=True)
    ]
    return min(own, *ranks), max(own, *ranks)


def _call_pattern(case: _Case) -> Call:
    """Growth pattern of all tumour."""
    value = case.values[_PATTERN]
    evidence = (*_pooled(case, _PATTERN_VALUES), *_single(case, _PATTERN))
    if value.value is None:
        return Call(value, (), evidence, limits=_pattern_limits())
    words = _open_patterns({item.name: item.value for item in evidence})
    return Call(value, words, evidence, _others(case, _PATTERN), _pattern_limits())


def _open_patterns(values: Mapping[str, Measurement]) -> tuple[str, ...]:
    """The pattern, those at either end of the interval of one share, and one that is near."""
    shares = {name: _number(values[name]) or 0.0 for name in SHARE_UNITS}
    changed = [{**shares, name: end} for name in SHARE_UNITS for end in values[name].interval or ()]
    words = [str(name_pattern(each)[_PATTERN].value) for each in (shares, *changed)]
    margin = _number(values["architecture_margin"])
    if margin is not None and margin < BORDERLINE:
        words.append(str(values["architecture_next"].value))
    return tuple(dict.fromkeys(words))


def _pooled(case: _Case, names: Sequence[str]) -> list[Evidence]:
    """Values over all sections that have a say in them."""
    found = []
    for name in names:
        having = [at for at, section in enumerate(case.sections) if _has(section, name)]
        sections = [case.sections[at] for at in having]
        value = _with_interval(name, case.values[name], sections=sections)
        if name in _GREATEST and sections:
            having = [max(having, key=lambda at: _number(case.sections[at].values[name]) or 0.0)]
        found.append(Evidence(name, value, tuple(case.sources[at] for at in having)))
    return found


def _with_interval(
    name: str, value: Measurement, *, sections: Sequence[SectionMeasurements]
) -> Measurement:
    """Value over several sections with the interval that those of the sections amount to."""
    if len(sections) < 2 or not isinstance(value.value, (int, float)):
        return value
    parts = [section.values[name] for section in sections]
    if name in _GREATEST:
        interval = max(parts, key=lambda part: _number(part) or 0.0).interval
    elif name in _MEANS:
        interval = pooled_interval(value.value, parts, weights=weights_of(name, sections))
    else:
        interval = None
    return dataclasses.replace(value, interval=interval)


def _single(case: _Case, name: str) -> list[Evidence]:
    """Value of each section, if there are several."""
    if len(case.sections) == 1:
        return []
    return [
        Evidence(name, section.values[name], (source,))
        for section, source in zip(case.sections, case.sources, strict=True)
    ]


def _others(case: _Case, name: str) -> tuple[tuple[str, str], ...]:
    """Sections whose own word is another one."""
    return tuple(
        (source, str(section.values[name].value))
        for section, source in zip(case.sections, case.sources, strict=True)
        if _has(section, name) and section.values[name].value != case.values[name].value
    )


def _depth_limits() -> tuple[Limit, ...]:
    """Thresholds of the depth call, and of the columns it rests on."""
    run, full, focal = "longest full-thickness run", CALLS[3], CALLS[2]
    column = "full-thickness column"
    span = f"{thickness.MAX_TOP:.0%} to {thickness.MOST_TOP:.0%} of the dermis"
    top = f"depth of its first tumour, limited to {span},"
    return (
        Limit(full, run, "at least", thickness.RUN_UM, "µm"),
        Limit(
            full,
            "full-thickness fraction of the lesion",
            "at least",
            thickness.MIN_TUMOUR_FRACTION,
            "1",
        ),
        Limit(focal, run, "at least", thickness.FOCAL_RUN_UM, "µm"),
        Limit(column, "cover", "at least", thickness.MIN_COVER, "1"),
        Limit(
            column, "relative depth of its last tumour", "at least", 1 - thickness.MAX_BOTTOM, "1"
        ),
        Limit(column, "widest gap", "at most", thickness.MAX_GAP, "1"),
        Limit(column, top, "at most", thickness.MAX_TOP_UM, "µm"),
    )


def _pattern_limits() -> tuple[Limit, ...]:
    """Thresholds of the growth patterns, in the order in which they are tried."""
    return tuple(
        Limit(word, quantity, "at least", value, "1")
        for word, limits in PATTERN_LIMITS.items()
        for quantity, value in limits.items()
    )


def _has(section: SectionMeasurements, name: str) -> bool:
    """Whether a section has a value of that name."""
    return section.values[name].value is not None


def _number(value: Measurement) -> float | None:
    """The value, if it is a number."""
    return float(value.value) if isinstance(value.value, (int, float)) else None
