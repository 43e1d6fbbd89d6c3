"""What stands in the table over all slides, and by what can it be narrowed down?

1. `view_cohort` brings every row into words: link, model, flags, one reading per column.
2. A `Facet` is a list of words to choose from; every line knows its word of each facet by
   number, so that a hostile word stands in the page but once.
3. What a slide is without says why; of a failed slide the reason stands in place of numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from wsi_pipeline.report.contents import CohortRow
from wsi_pipeline.report.definitions import COHORT, FLAG_TEXTS
from wsi_pipeline.report.distributions import count_calls, word_of
from wsi_pipeline.report.wording import Reading, read_entry, stage_in_words

_LONGEST_WORD = 60  # characters: a choice has to fit a phone
_NOT_DECLARED = "not declared"
_NO_NUMBER = "failed, no number"


@dataclass(frozen=True, slots=True, order=True)
class FlagMark:
    """A quality flag in the cohort's table: its code, that in words, and what it means."""

    code: str
    word: str
    text: str


@dataclass(frozen=True, slots=True)
class Facet:
    """Words by which the table can be narrowed down, each with its number of slides."""

    title: str
    options: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CohortLine:
    """One slide of the cohort's table.

    Parameters
    ----------
    row
        The slide.
    address
        Link to the page of its case; "" where there is none.
    model
        What segmented it.
    flags
        Its quality flags.
    readings
        One per column of `wsi_pipeline.report.definitions.COHORT`.
    stage
        Where it stopped, in words.
    facets
        Number of its word in each facet.
    """

    row: CohortRow
    address: str
    model: str
    flags: tuple[FlagMark, ...]
    readings: tuple[Reading, ...]
    stage: str
    facets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CohortText:
    """The table in words, and what it can be narrowed down by."""

    lines: tuple[CohortLine, ...]
    facets: tuple[Facet, ...]
    calls: tuple[tuple[str, int], ...]


def view_cohort(rows: Sequence[CohortRow]) -> CohortText:
    """Turn the slides of all cases into words.

    Parameters
    ----------
    rows
        One per slide; their order is kept.
    """
    readings = [tuple(read_entry(row.values, name) for name in COHORT) for row in rows]
    words = [_words(row, held) for row, held in zip(rows, readings, strict=True)]
    facets = tuple(
        _facet(title, [own[place] for own in words]) for place, title in enumerate(_FACETS)
    )
    numbers = [{word: k for k, (word, _) in enumerate(facet.options)} for facet in facets]
    lines = (
        CohortLine(
            row=row,
            address=relative_address(row.report),
            model=f"{row.model_id} {row.model_version}".strip() or "not recorded",
            flags=tuple(_flag_mark(code) for code in row.flag_codes),
            readings=held,
            stage=stage_in_words(row.stage),
            facets=tuple(known[word] for known, word in zip(numbers, own, strict=True)),
        )
        for row, held, own in zip(rows, readings, words, strict=True)
    )
    return CohortText(tuple(lines), facets, count_calls(rows, "full_thickness_call"))


def relative_address(path: str) -> str:
    """Link to a file beside the page; never to another place or a script.

    Examples
    --------
    >>> relative_address("cases/A 1.html"), relative_address("javascript:alert(1)")
    ('cases/A%201.html', 'javascript%3Aalert%281%29')
    """
    written = path.encode("utf-8", "replace").decode("utf-8")
    return "/".join(quote(part, safe="") for part in written.split("/") if part)


_FACETS = ("Status", "Primary site", "Section", "Full thickness", "Growth pattern", "Nuclear grade")
_FACET_COLUMNS = tuple(
    COHORT.index(name)
    for name in ("section_orientation", "full_thickness_call", "architecture", "nuclear_grade")
)


def _words(row: CohortRow, readings: Sequence[Reading]) -> tuple[str, ...]:
    """Word of a slide in each facet."""
    own = (
        word_of(readings[place]).removeprefix("declared ") if row.has_numbers else _NO_NUMBER
        for place in _FACET_COLUMNS
    )
    return tuple(_shortened(word) for word in (row.status, row.primary_site or _NOT_DECLARED, *own))


def _shortened(word: str) -> str:
    """A word that fits a list of choices."""
    return word if len(word) <= _LONGEST_WORD else f"{word[:_LONGEST_WORD]}…"


def _facet(title: str, words: Sequence[str]) -> Facet:
    return Facet(title, tuple(sorted(Counter(words).items())))


def _flag_mark(code: str) -> FlagMark:
    """A flag that is not explained here is shown by its code."""
    return FlagMark(code, code.replace("_", " "), FLAG_TEXTS.get(code, "not explained here"))
