"""How are the slides of a cohort spread over its main measurements?

1. `draw_spreads` draws one histogram per measurement that any slide has a value of; lower bounds
   are set apart from values, since the true value of such a slide lies further right.
2. Slides without a value are counted in words, by what they are without it: they are in no bar.
3. `count_calls` counts the words of one measurement, absent ones by their status.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import quantiles

from wsi_pipeline.report.contents import CohortRow
from wsi_pipeline.report.definitions import Form, definition_of
from wsi_pipeline.report.figures import (
    HEIGHT,
    WIDTH,
    Axis,
    Bar,
    Chart,
    count_ticks,
    round_step,
    round_ticks,
    scaled,
)
from wsi_pipeline.report.wording import Reading, format_value, read_entry

SPREADS: tuple[tuple[str, str], ...] = (
    ("depth_max_um", "µm"),
    ("full_thickness_fraction", "1"),
    ("infiltration_fraction", "1"),
    ("nuclear_grade", "1"),
)
"""Measurements that are drawn, with their units."""

_GRADES = 3
_SHARE_BINS = 20
_STEPS_PER_TICK = 5


def draw_spreads(rows: Sequence[CohortRow]) -> tuple[Chart, ...]:
    """Draw the histograms of a cohort.

    Parameters
    ----------
    rows
        One per slide; failed ones are in no histogram.
    """
    done = [row for row in rows if row.has_numbers]
    drawn = (_draw(name, done, unit=unit) for name, unit in SPREADS)
    return tuple(chart for chart in drawn if chart is not None)


def count_calls(rows: Sequence[CohortRow], name: str) -> tuple[tuple[str, int], ...]:
    """Count measured slides by the word that a measurement says; the most frequent first."""
    counted = Counter(word_of(read_entry(row.values, name)) for row in rows if row.has_numbers)
    return tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def word_of(reading: Reading) -> str:
    """The value in words; without one, what stands in its place ("not assessable")."""
    return reading.text if reading.is_present else reading.status


def _draw(name: str, rows: Sequence[CohortRow], *, unit: str) -> Chart | None:
    """One histogram; None where no slide has a number."""
    readings = [read_entry(row.values, name) for row in rows]
    numbers = _numbers(readings)
    if not numbers:
        return None
    title, _, form = definition_of(name)
    edges = _edges(name, max(numbers), form=form)
    counts = _counted(numbers, edges)
    bounds = _counted(_numbers(r for r in readings if r.status == "at least"), edges)
    top = max(counts) * 1.05
    has_bounds = any(bounds)
    return Chart(
        title=title,
        words=" ".join(_words(name, readings, numbers=numbers, unit=unit)),
        across=_across(name, title, edges=edges, form=form),
        down=Axis("slides", count_ticks(top) if top >= _STEPS_PER_TICK else _few_ticks(top)),
        bars=tuple(_stacked(counts, bounds, top=top)),
        rules=(),
        band=None,
        key=(("body", "value"), ("weak", "at least that value")) if has_bounds else (),
        heads=(title, "Slides", *(("of them lower bounds",) if has_bounds else ())),
        rows=tuple(
            (_span(name, edges, place, unit=unit), f"{count}", *([f"{bound}"] * has_bounds))
            for place, (count, bound) in enumerate(zip(counts, bounds, strict=True))
        ),
    )


def _numbers(readings: Iterable[Reading]) -> list[float]:
    """The numbers among them."""
    return [number for number in map(_plain_number, readings) if number is not None]


def _plain_number(reading: Reading) -> float | None:
    """The number; a grade is a number also where it is written as a word."""
    if reading.number is None and reading.is_present and reading.text in ("1", "2", "3"):
        return float(reading.text)
    number = reading.number
    return number if number is not None and math.isfinite(number) and number >= 0 else None


def _edges(name: str, most: float, *, form: Form) -> list[float]:
    """Borders of the bins, from 0 or, for a grade, from one half."""
    if name == "nuclear_grade":
        return [place + 0.5 for place in range(_GRADES + 1)]
    if form == "percent":
        return [place / _SHARE_BINS for place in range(_SHARE_BINS + 1)]
    step = round_step(most or 1.0) / _STEPS_PER_TICK
    return [place * step for place in range(math.floor(most / step) + 2)]


def _counted(numbers: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Numbers per bin; a bin takes in its lower border, the last one both."""
    step, last = edges[1] - edges[0], len(edges) - 2
    counts = [0] * (last + 1)
    for number in numbers:
        place = math.floor((number - edges[0]) / step + 1e-9)
        counts[min(max(place, 0), last)] += 1
    return counts


def _stacked(counts: Sequence[int], bounds: Sequence[int], *, top: float) -> Iterator[Bar]:
    """Bars with lower bounds on top of values."""
    step = WIDTH / len(counts)
    for place, (count, bound) in enumerate(zip(counts, bounds, strict=True)):
        base = HEIGHT
        for number, kind in ((count - bound, "body"), (bound, "weak")):
            height = HEIGHT * number / top
            base -= height
            if number:
                at = round(place * step + 0.5, 2)
                yield Bar(at, round(base, 2), round(step - 1, 2), round(height, 2), kind)


def _across(name: str, title: str, *, edges: Sequence[float], form: Form) -> Axis:
    """The axis of values."""
    if name == "nuclear_grade":
        places = tuple((WIDTH * (k + 0.5) / _GRADES, f"{k + 1}") for k in range(_GRADES))
        return Axis("grade", places)
    if form == "percent":
        return Axis(
            f"{title.lower()}, %", tuple((scaled(k, 100), f"{k}") for k in range(0, 101, 20))
        )
    return Axis(f"{title.lower()}, mm", round_ticks(edges[-1] / 1000))


def _few_ticks(top: float) -> tuple[tuple[float, str], ...]:
    """Whole numbers where there are few slides."""
    return tuple((round(HEIGHT * (1 - k / top), 2), f"{k}") for k in range(math.floor(top) + 1))


def _span(name: str, edges: Sequence[float], place: int, *, unit: str) -> str:
    """One bin in words."""
    if name == "nuclear_grade":
        return f"grade {place + 1}"
    if unit == "1":
        return f"{100 * edges[place]:g}–{100 * edges[place + 1]:g}\u202f%"
    return f"{edges[place]:g}–{edges[place + 1]:g}\u202f{unit}"


def _words(
    name: str, readings: Sequence[Reading], *, numbers: Sequence[float], unit: str
) -> Iterator[str]:
    """How many slides it is of, what is in the middle, and how many are without and why."""
    yield f"{_told(len(numbers))} of {_told(len(readings))} measured slides."
    form = definition_of(name).form
    if name != "nuclear_grade" and len(numbers) > 1:
        low, middle, high = (
            format_value(number, unit, form=form)
            for number in quantiles(numbers, n=4, method="inclusive")
        )
        yield f"Median {middle}, middle half {low} to {high}."
    bounds = sum(reading.status == "at least" for reading in readings)
    if bounds:
        verb = "is a lower bound" if bounds == 1 else "are lower bounds"
        yield f"{_told(bounds)} of them {verb}, drawn in the other colour and counted as it stands."
    lost = Counter(reading.status for reading in readings if _plain_number(reading) is None)
    if lost:
        told = ", ".join(f"{_told(count)} {word}" for word, count in sorted(lost.items()))
        yield f"In no bar: {told}."


def _told(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")
