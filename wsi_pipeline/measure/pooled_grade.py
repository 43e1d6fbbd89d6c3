"""Which nuclear grade have the nuclei of all slides of a case?

1. Every nucleus counts once: the means are weighted by the number of nuclei, the spread is that
   of all of them.  Sections of any orientation count.
2. Slides are independent samples of the tumour: the parts that their intervals have in the
   pooled mean add up as squares.
3. The grade is made again at both ends of the intervals; if it changes there, it is borderline.
4. A slide whose own grade is clearly another one is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from wsi_pipeline.config import GradeSettings
from wsi_pipeline.measure.calls import Call, CaseSlide, Evidence, Limit
from wsi_pipeline.measure.nuclear_grade import NUCLEAR_UNITS, grade_of
from wsi_pipeline.values import Measurement

NOT_LOOKED_FOR = "nuclei were not looked for"
TWO_LIMITS = (
    "its slides were graded by different limits; measure all of them with one configuration"
)
_POOLED = ("nuclei_measured", "nuclear_area_mean_um2", "nuclear_area_sd_um2", "nuclear_area_cv")
_MEAN, _CV = "nuclear_area_mean_um2", "nuclear_area_cv"

Values = Mapping[str, Measurement]


def call_grade(slides: Sequence[CaseSlide]) -> Call:
    """Grade the nuclei of a case.

    Returns
    -------
    Call
        ``1``, ``2`` or ``3``; descriptive, no histological grade.
    """
    own = [_named(slide, slide.nuclei.get("nuclear_grade", _absent())) for slide in slides]
    graded = [slide for slide in slides if _has_grade(slide)]
    if not graded:
        return Call(_why_none(own), (), tuple(own))
    if len({slide.grading for slide in graded}) > 1:
        return Call(Measurement.not_assessable("", TWO_LIMITS), (), tuple(own))
    grading = graded[0].grading
    pooled = pool_nuclei([slide.nuclei for slide in graded])
    words = _open_grades(graded, pooled)
    word = _grade_at(pooled, None, grading=grading)
    sources = tuple(f"slide {slide.slide_id}" for slide in graded)
    evidence = [Evidence(name, pooled[name], sources) for name in _POOLED]
    if len(slides) > 1:
        evidence += own
        evidence += [_named(slide, slide.nuclei[_MEAN], name=_MEAN) for slide in graded]
    return Call(
        Measurement(word, ""),
        words,
        tuple(evidence),
        conflicts=tuple(
            (f"slide {slide.slide_id}", own_word)
            for slide in graded
            if word not in (own_word := str(slide.nuclei["nuclear_grade"].value))
        ),
        limits=_limits(grading),
    )


def pool_nuclei(slides: Sequence[Values]) -> dict[str, Measurement]:
    """Count, mean, spread and variation of the nuclei of several slides together.

    Parameters
    ----------
    slides
        Values by name of slides whose nuclei were measured.

    Returns
    -------
    dict
        Mean, standard deviation and coefficient of variation as if the nuclei had been measured
        on one slide; the intervals are combined from those of the slides.
    """
    if len(slides) == 1:
        return {name: slides[0][name] for name in _POOLED}
    counts = [_number(slide["nuclei_measured"]) for slide in slides]
    means = [_number(slide[_MEAN]) for slide in slides]
    spreads = [_number(slide["nuclear_area_sd_um2"]) for slide in slides]
    total = sum(counts)
    weights = [count / total for count in counts]
    mean = math.fsum(w * m for w, m in zip(weights, means, strict=True))
    square = math.fsum(
        w * (sd * sd + (m - mean) ** 2) for w, m, sd in zip(weights, means, spreads, strict=True)
    )
    values = (total, mean, math.sqrt(square), math.sqrt(square) / mean)
    return {
        name: Measurement(
            value,
            NUCLEAR_UNITS[name],
            interval=pooled_interval(value, [slide[name] for slide in slides], weights=weights),
        )
        for name, value in zip(_POOLED, values, strict=True)
    }


def pooled_interval(
    value: float, parts: Sequence[Measurement], *, weights: Sequence[float]
) -> tuple[float, float] | None:
    """Interval of a weighted mean of independent values; None if one of them has none."""
    down = up = 0.0
    for part, weight in zip(parts, weights, strict=True):
        if part.interval is None:
            return None
        own = _number(part)
        down += (weight * (own - part.interval[0])) ** 2
        up += (weight * (part.interval[1] - own)) ** 2
    return value - math.sqrt(down), value + math.sqrt(up)


def _open_grades(graded: Sequence[CaseSlide], pooled: Values) -> tuple[str, ...]:
    """Grades that the intervals take in; of one slide those that it states itself."""
    if len(graded) == 1:
        own = str(graded[0].nuclei["nuclear_grade"].value).removeprefix("borderline ")
        low, high = own[0], own[-1]
    else:
        low, high = (_grade_at(pooled, end, grading=graded[0].grading) for end in (0, 1))
    return tuple(str(grade) for grade in range(int(low), int(high) + 1))


def _grade_at(pooled: Values, end: int | None, *, grading: GradeSettings) -> str:
    """Grade at the values, or at one end of their intervals."""
    mean, cv = (
        _number(value) if end is None or value.interval is None else value.interval[end]
        for value in (pooled[_MEAN], pooled[_CV])
    )
    return str(grade_of(mean, cv, settings=grading))


def _limits(grading: GradeSettings) -> tuple[Limit, ...]:
    """Thresholds of the grades."""
    mean, cv = "mean area of nuclear profiles", "coefficient of variation of these areas"
    also = f"3, if the {cv} is at least {grading.varied_cv:g}"
    return (
        Limit("1", mean, "at most", grading.small_um2, "µm²"),
        Limit("3", mean, "at least", grading.large_um2, "µm²"),
        Limit(also, mean, "at least", grading.varied_um2, "µm²"),
    )


def _has_grade(slide: CaseSlide) -> bool:
    """Whether the nuclei of a slide were measured and graded."""
    grade = slide.nuclei.get("nuclear_grade")
    return grade is not None and grade.value is not None


def _named(slide: CaseSlide, value: Measurement, *, name: str = "nuclear_grade") -> Evidence:
    """Value of one slide."""
    return Evidence(name, value, (f"slide {slide.slide_id}",))


def _absent() -> Measurement:
    """The grade of a slide whose nuclei were not looked for."""
    return Measurement.not_assessable("", NOT_LOOKED_FOR)


def _why_none(own: Sequence[Evidence]) -> Measurement:
    """No grade, for the reasons of those slides that might have had one."""
    lost = [item.value for item in own if item.value.status == "not_assessable"]
    reasons = "; ".join(dict.fromkeys(value.reason for value in lost or [e.value for e in own]))
    absent = Measurement.not_assessable if lost else Measurement.not_defined
    return absent("", reasons)


def _number(value: Measurement) -> float:
    """Value of a measurement that is known to be a number."""
    if not isinstance(value.value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value.value)
