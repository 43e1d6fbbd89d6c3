"""How does a program read the cohort?

1. The same columns as in the spreadsheet, in the same order, each with a type: text, number or
   truth value, and None where there is nothing.  Texts stand as they are: a program runs no
   formula.
2. A measurement also has ``…_low`` and ``…_high``, its interval, where it is a number.
3. Each column says its unit and its meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wsi_pipeline.report.contents import CohortRow
from wsi_pipeline.report.definitions import definition_of
from wsi_pipeline.report.spreadsheet import IDENTITY, NUMBERS, further_names

Kind = Literal["text", "number", "truth"]

WORDS = frozenset(
    {
        "section_orientation",
        "orientation_computed",
        "full_thickness_call",
        "invasion_level",
        "depth_estimator",
        "architecture",
        "architecture_next",
        "nuclear_grade",
    }
)
"""Measurements that are words: text, whatever this cohort holds of them."""

_UNITS = {"_um2": "µm²", "_mm2": "mm²", "_um": "µm", "_mm": "mm", "_fraction": "1"}
_ABOUT = {
    "case_id": "name of the case",
    "slide_id": "name of the slide",
    "status": "done or failed",
    "stage": "step at which the slide failed",
    "reason": "why it failed",
    "log": "path of the log, relative to this table",
    "report": "path of the page of the case, relative to this table",
    "primary_site": "origin of the tumour as declared",
    "model_id": "what segmented the slide",
    "model_version": "its version",
    "flags": "codes of quality flags, joined by ;",
    "pipeline_version": "version of the software that measured the slide",
}


@dataclass(frozen=True, slots=True)
class CohortColumn:
    """One column: name, kind, unit ("" for texts), meaning, and a value or None per slide."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    values: tuple[str | float | bool | None, ...]


def cohort_columns(rows: Sequence[CohortRow]) -> tuple[CohortColumn, ...]:
    """Turn the cohort into typed columns.

    Parameters
    ----------
    rows
        One per slide; their order is kept.

    Returns
    -------
    tuple of CohortColumn
        A value that is absent is None beside a status and a reason; it is never 0.
    """
    named = [name for name in [*NUMBERS, *further_names(rows)] if name]
    return (
        *(_own_text(rows, name) for name in IDENTITY),
        *_worth(rows),
        *(column for name in named for column in _measured(rows, name)),
    )


def _own_text(rows: Sequence[CohortRow], name: str) -> CohortColumn:
    """A text of the row itself; none is None."""
    values = tuple(_text(getattr(row, name)) for row in rows)
    return CohortColumn(name, "text", "", _ABOUT[name], values)


def _worth(rows: Sequence[CohortRow]) -> Iterator[CohortColumn]:
    """What the numbers are worth."""
    baseline = tuple(row.is_baseline if row.is_baseline or row.model_id else None for row in rows)
    flags = tuple(_text(";".join(row.flag_codes)) for row in rows)
    yield _own_text(rows, "model_id")
    yield _own_text(rows, "model_version")
    yield CohortColumn("is_baseline", "truth", "", "whether that has no learnt weights", baseline)
    yield CohortColumn("flags", "text", "", _ABOUT["flags"], flags)
    yield _own_text(rows, "pipeline_version")
    yield CohortColumn("mpp", "number", "µm", "width of a pixel", tuple(row.mpp for row in rows))


def _measured(rows: Sequence[CohortRow], name: str) -> Iterator[CohortColumn]:
    """Value, interval, status and reason of one measurement."""
    entries = [row.values.get(name, {}) for row in rows]
    held = [entry.get("value") for entry in entries]
    kind = "text" if name in WORDS or any(_is_word(value) for value in held) else "number"
    unit = "" if kind == "text" else _unit(name, entries)
    _, meaning, _ = definition_of(name)
    values = tuple(_text(value) if kind == "text" else _number(value) for value in held)
    title = _text(name) or ""
    yield CohortColumn(title, "text" if kind == "text" else "number", unit, meaning, values)
    if kind == "number":
        for place, end in enumerate(("low", "high")):
            limits = tuple(
                _number(entry["interval"][place]) if entry.get("interval") else None
                for entry in entries
            )
            about = f"{('lower', 'upper')[place]} end of the interval of {title}"
            yield CohortColumn(f"{title}_{end}", "number", unit, about, limits)
    for part in ("status", "reason"):
        texts = tuple(_text(entry.get(part)) for entry in entries)
        yield CohortColumn(f"{title}_{part}", "text", "", f"{part} of {title}", texts)


def _is_word(value: Any) -> bool:
    return value is not None and (isinstance(value, bool) or not isinstance(value, int | float))


def _unit(name: str, entries: Sequence[Any]) -> str:
    """The unit that slides state; in a cohort without any, that of the name."""
    stated = next((str(entry["unit"]) for entry in entries if entry.get("unit")), "")
    named = next((unit for end, unit in _UNITS.items() if name.endswith(end)), "1")
    return _text(stated) or named


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _text(value: Any) -> str | None:
    """A text that can be stored; none at all is None, lists are joined."""
    if value is None or value == "":
        return None
    if isinstance(value, list | tuple):
        value = "; ".join(str(item) for item in value)
    return str(value).encode("utf-8", "replace").decode("utf-8")
