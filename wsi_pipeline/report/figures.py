"""Which distributions stand behind the numbers of a slide, and how are they drawn?

1. A `Chart` is bars, rules and bands in the units of the drawing, with ticks, a sentence that
   says what it shows, and the numbers as a table.
2. `draw_lateral`: from where to where tumour goes through the dermis, along the junction.
3. `draw_widths`: how wide the tumour is; `draw_nuclei`: how large its nuclei are, with the limits
   of the grade and the interval of the mean; `draw_rings`: where it lies on a horizontal section.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from wsi_pipeline.report.contents import NuclearAreas
from wsi_pipeline.report.wording import format_interval, format_number, format_percent, format_value

WIDTH, HEIGHT = 400.0, 200.0
"""Size of the drawing area, in the units of the drawing."""
WIDTH_STEP_UM = 6.0
WIDTH_LIMITS_UM = (18.0, 60.0, 150.0)
"""Steps of `tumour_width_profile`, and the limits of files, cords and trabeculae."""
_STRETCHES = 200
_TICKS = 5

Values = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``kind`` names its colour: ``strong``, ``weak`` or ``body``."""

    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Rule:
    """An upright line with a word on top; ``row`` keeps neighbouring words apart."""

    x: float
    text: str
    row: int
    kind: str = "limit"


@dataclass(frozen=True, slots=True)
class Axis:
    """Name of an axis and its ticks: place and text."""

    label: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing."""

    title: str
    words: str
    across: Axis
    down: Axis
    bars: tuple[Bar, ...]
    rules: tuple[Rule, ...]
    band: tuple[float, float] | None
    key: tuple[tuple[str, str], ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Neighbouring columns, drawn as one."""

    start_um: float
    end_um: float
    first: float
    last: float
    is_full: bool
    is_known: bool


def draw_lateral(raw: Mapping[str, Any] | None, *, title: str) -> Chart | None:
    """Draw the extent of the infiltration envelope along the junction.

    Parameters
    ----------
    raw
        ``lateral`` of a section in ``measurements.json``; None where there is none.
    """
    if not raw or not raw["width_um"]:
        return None
    stretches = tuple(_stretches(raw))
    length_um = stretches[-1].end_um
    full_um = sum(
        width for width, full in zip(raw["width_um"], raw["is_full"], strict=True) if full
    )
    bars = tuple(_lateral_bars(stretches, length_um))
    words = (
        f"Along {format_number(length_um / 1000)}\u202fmm of the dermo-epidermal junction, tumour "
        f"goes through the whole dermis on {format_number(full_um / 1000)}\u202fmm. Each bar "
        "reaches from the first to the last tumour, the stroma just beside it included; grey: not "
        "judged. Neighbouring stretches of skin follow each other without a gap."
    )
    return Chart(
        title,
        words,
        across=Axis("along the junction, mm", round_ticks(length_um / 1000)),
        down=Axis("relative depth, %", share_ticks(downwards=True)),
        bars=bars,
        rules=(),
        band=None,
        key=(("strong", "full-thickness"), ("weak", "not full-thickness")),
        heads=("Along the junction", "Tumour from", "to", "Full-thickness"),
        rows=tuple(_lateral_rows(raw)),
    )


def _stretches(raw: Mapping[str, Any]) -> Iterator[_Stretch]:
    """Bring the columns of a long section to as many as can be seen."""
    columns = list(
        zip(
            raw["width_um"],
            raw["first"],
            raw["last"],
            raw["is_full"],
            raw["thickness_um"],
            strict=True,
        )
    )
    every = math.ceil(len(columns) / _STRETCHES)
    start_um = 0.0
    for at in range(0, len(columns), every):
        part = columns[at : at + every]
        end_um = start_um + sum(column[0] for column in part)
        full = sum(column[3] for column in part) * 2 >= len(part)
        held = [column for column in part if column[4] is not None]
        own = [column for column in held if column[2] > column[1]]
        middle = sorted(own, key=lambda column: column[2] - column[1])[len(own) // 2 :][:1]
        first, last = (middle[0][1], middle[0][2]) if len(own) * 2 >= len(part) else (1.0, 0.0)
        yield _Stretch(start_um, end_um, first, last, full, len(held) * 2 >= len(part))
        start_um = end_um


def _lateral_bars(stretches: Sequence[_Stretch], length_um: float) -> Iterator[Bar]:
    for one in stretches:
        x, width = scaled(one.start_um, length_um), scaled(one.end_um - one.start_um, length_um)
        if not one.is_known:
            yield Bar(x, 0.0, width, HEIGHT, "unknown")
        elif one.last > one.first:
            y, height = one.first * HEIGHT, (one.last - one.first) * HEIGHT
            kind = "strong" if one.is_full else "weak"
            yield Bar(x, round(y, 2), width, round(height, 2), kind)


def _lateral_rows(raw: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Runs of columns that are full-thickness, or are not."""
    start_um = 0.0
    columns = zip(raw["is_full"], raw["width_um"], raw["first"], raw["last"], strict=True)
    for is_full, group in groupby(columns, key=lambda column: column[0]):
        part = list(group)
        end_um = start_um + sum(column[1] for column in part)
        held = [column for column in part if column[3] > column[2]]
        reach = (
            (format_percent(min(c[2] for c in held)), format_percent(max(c[3] for c in held)))
            if held
            else ("no tumour", "–")
        )
        where = f"{start_um / 1000:.2f}–{end_um / 1000:.2f}\u202fmm"
        yield (where, *reach, "yes" if is_full else "no")
        start_um = end_um


def draw_widths(values: Values) -> Chart | None:
    """Draw how the area of the tumour is spread over its width."""
    shares = values.get("tumour_width_profile", {}).get("value")
    if not shares:
        return None
    top = _round_up(max(shares))
    most_um = WIDTH_STEP_UM * (len(shares) - 1)
    median = values.get("tumour_width_median_um", {})
    limits = ("files", "cords", "trabeculae")
    edges = [0.0, *WIDTH_LIMITS_UM, math.inf]
    spans = [f"{low:g}–{high:g}\u202fµm" for low, high in pairwise(edges[:-1])]
    sums = [
        sum(share for place, share in enumerate(shares) if low <= place * WIDTH_STEP_UM < high)
        for low, high in pairwise(edges)
    ]
    return Chart(
        "Width of the tumour",
        f"Share of the tumour's area by its local width; the median is "
        f"{format_value(median.get('value') or 0.0, 'µm', form='quantity')}. The last bar holds "
        f"all that is {most_um:.0f}\u202fµm wide or more.",
        across=Axis(
            "local width, µm",
            tuple((scaled(um, most_um + WIDTH_STEP_UM), f"{um:g}") for um in range(0, 241, 40)),
        ),
        down=Axis("share of the tumour, %", share_ticks(top=top)),
        bars=_upright(shares, top),
        rules=tuple(
            Rule(scaled(um, most_um + WIDTH_STEP_UM), f"{word} <\u202f{um:g}", row)
            for row, (word, um) in enumerate(zip(limits, WIDTH_LIMITS_UM, strict=True))
        ),
        band=None,
        key=(),
        heads=("Local width", "Share of the tumour"),
        rows=tuple(
            (span, format_percent(share))
            for span, share in zip([*spans, "150\u202fµm and more"], sums, strict=True)
        ),
    )


def draw_nuclei(areas: NuclearAreas | None, values: Values) -> Chart | None:
    """Draw the areas of the nuclei with the limits of the grade and the interval of the mean."""
    if areas is None or not sum(areas.counts):
        return None
    counts = _without_tail(areas.counts)
    is_cut = len(counts) == len(areas.counts)
    top = max(counts) * 1.05
    most_um2 = areas.step_um2 * len(counts)
    mean = values.get("nuclear_area_mean_um2", {})
    interval = mean.get("interval")
    told = format_interval(interval, "µm²", form="quantity")
    rules = [
        Rule(scaled(limit, most_um2), f"{word} {limit:g}", row)
        for row, (word, limit) in enumerate(areas.limits)
        if limit < most_um2
    ]
    if mean.get("value"):
        rules.append(Rule(scaled(mean["value"], most_um2), "mean", len(areas.limits), "mean"))
    return Chart(
        "Areas of the nuclei in tumour",
        f"{sum(areas.counts):,} nuclei".replace(",", "\u202f")
        + (
            f"; their mean area is {format_value(mean['value'], 'µm²', form='quantity')}"
            if mean.get("value")
            else ""
        )
        + (f" ({told}, shaded)" if told else "")
        + ". The limits are those of the mean area, not of single nuclei."
        + (" The last bar holds all that are larger." if is_cut else ""),
        across=Axis("area of a profile, µm²", round_ticks(most_um2)),
        down=Axis("nuclei", count_ticks(top)),
        bars=_upright(counts, top),
        rules=tuple(rules),
        band=(scaled(interval[0], most_um2), scaled(interval[1], most_um2)) if interval else None,
        key=(),
        heads=("Area", "Nuclei"),
        rows=tuple(
            (f"{areas.step_um2 * k:g}–{areas.step_um2 * (k + 1):g}\u202fµm²", f"{count}")
            for k, count in enumerate(counts)
        ),
    )


def draw_rings(values: Values, *, title: str) -> Chart | None:
    """Draw the share of tumour in the rings of a horizontal section."""
    shares = values.get("radial_profile", {}).get("value")
    if not shares:
        return None
    top = _round_up(max(shares))
    rows = tuple(
        (
            f"{100 * place / len(shares):.0f}–{100 * (place + 1) / len(shares):.0f}\u202f%",
            format_percent(share),
        )
        for place, share in enumerate(shares)
    )
    peak = max(range(len(shares)), key=lambda place: shares[place])
    return Chart(
        title,
        f"Share of tumour in {len(shares)} rings from the edge of the section (0\u202f%) to its "
        f"innermost place (100\u202f%); the highest is {rows[peak][1]} at {rows[peak][0]}.",
        across=Axis(
            "way from the edge inwards, %",
            tuple((scaled(percent, 100), f"{percent}") for percent in range(0, 101, 20)),
        ),
        down=Axis("tumour share of the ring, %", share_ticks(top=top)),
        bars=_upright(shares, top),
        rules=(),
        band=None,
        key=(),
        heads=("Way from the edge", "Tumour share"),
        rows=rows,
    )


def _upright(values: Sequence[float], top: float) -> tuple[Bar, ...]:
    """Bars side by side, a unit of the drawing apart."""
    step = WIDTH / len(values)
    return tuple(
        Bar(
            round(place * step + 0.5, 2),
            round(HEIGHT * (1 - value / top), 2),
            round(step - 1, 2),
            round(HEIGHT * value / top, 2),
            "body",
        )
        for place, value in enumerate(values)
    )


def scaled(value: float, most: float) -> float:
    """Place of a value on an axis from 0 to ``most``, in units of the drawing."""
    return round(WIDTH * value / most, 2)


def _round_up(share: float) -> float:
    """Least of 1, 2 or 5 times a power of ten that holds a share; never nothing."""
    if share <= 0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(share))
    return float(min(next(k * decade for k in (1, 2, 5, 10) if k * decade >= share), 1.0))


def share_ticks(*, top: float = 1.0, downwards: bool = False) -> tuple[tuple[float, str], ...]:
    """Quarters of a share, from the bottom up or from the top down."""
    places = [k / 4 for k in range(5)]
    return tuple(
        (HEIGHT * (place if downwards else 1 - place), f"{100 * top * place:g}") for place in places
    )


def count_ticks(top: float) -> tuple[tuple[float, str], ...]:
    """Round numbers from the bottom up to ``top``."""
    step = round_step(top)
    return tuple(
        (round(HEIGHT * (1 - k * step / top), 2), f"{k * step:g}")
        for k in range(math.floor(top / step) + 1)
    )


def round_ticks(most: float) -> tuple[tuple[float, str], ...]:
    """Round numbers from 0 on."""
    step = round_step(most)
    return tuple(
        (scaled(k * step, most), f"{k * step:g}") for k in range(math.floor(most / step + 1e-9) + 1)
    )


def round_step(most: float) -> float:
    """Round distance of about five ticks."""
    decade = 10.0 ** math.floor(math.log10(most / _TICKS))
    return next(k * decade for k in (1, 2, 5, 10) if k * decade >= most / _TICKS)


def _without_tail(counts: Sequence[int]) -> Sequence[int]:
    """Counts up to the last that is not 0."""
    last = max(place for place, count in enumerate(counts) if count)
    return counts[: max(last + 1, 10)]
