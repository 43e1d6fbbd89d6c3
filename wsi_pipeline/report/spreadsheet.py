"""How does a spreadsheet read the cohort?

1. One line per slide: who, status, where and why it failed, its log and page.
2. What its numbers are worth: the model and whether it is a baseline, quality flags, version
   of this software, pixel width.
3. For each measurement of a slide three columns: the plain number or word (its unit is in
   the name of the column; fractions run from 0 to 1), ``…_status`` and ``…_reason``.
   No value is an empty cell next to a status that says so.
4. These columns are always there, in this order; measurements that are not known here
   follow them.
5. A text that a spreadsheet would run as a formula is led by an apostrophe.

Left out, since they do not fit one cell or one line: intervals, the depth profile and the
values of each section.  They are in the ``report.json`` of the case.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.report.contents import CohortRow
from wsi_pipeline.report.definitions import HEADLINES, LISTS

IDENTITY: tuple[str, ...] = (
    "case_id",
    "slide_id",
    "status",
    "stage",
    "reason",
    "log",
    "report",
    "primary_site",
)
"""Columns of who and what happened: texts, named as in `CohortRow`."""

WORTH: tuple[str, ...] = (
    "model_id",
    "model_version",
    "is_baseline",
    "flags",
    "pipeline_version",
    "mpp",
)
"""Columns of what the numbers are worth: ``is_baseline`` true or false, flags joined by ";"."""

NUMBERS: tuple[str, ...] = (
    *HEADLINES,
    *(name for name in map("area_{}_mm2".format, CLASS_NAMES[1:]) if name not in HEADLINES),
)
"""Measurements that always have their columns: the headlines and the area of every class."""


def cohort_csv(rows: Sequence[CohortRow]) -> str:
    """Write the cohort as comma-separated values (RFC 4180, with a header).

    Intervals, profiles and the values of single sections are left out; they are in the
    ``report.json`` of each case.

    Parameters
    ----------
    rows
        One per slide; their order is kept.

    Notes
    -----
    A text beginning with ``=``, ``+``, ``-`` or ``@``, also after white space, is led by an
    apostrophe, which spreadsheets take as "this is text".  Numbers are written as they are.
    """
    names = [*NUMBERS, *further_names(rows)]
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([*IDENTITY, *WORTH, *(column for name in names for column in _columns(name))])
    for row in rows:
        identity = (disarm(getattr(row, column)) for column in IDENTITY)
        numbers = (cell for name in names for cell in _cells(row, name))
        writer.writerow([*identity, *_worth(row), *numbers])
    return file.getvalue()


def disarm(text: str) -> str:
    """Keep a text from being run as a formula.

    Examples
    --------
    >>> disarm("=1+1"), disarm("B12-3")
    ("'=1+1", 'B12-3')
    """
    written = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    starts_formula = written.lstrip()[:1] in tuple("=+-@＝＋－＠") or written[:1] in tuple("\t\r\n")
    return f"'{written}" if written and starts_formula else written


def _worth(row: CohortRow) -> tuple[str | float, ...]:
    """Cells under `WORTH`; empty where it is not known."""
    is_known = row.is_baseline or row.model_id
    return (
        disarm(row.model_id),
        disarm(row.model_version),
        str(row.is_baseline).lower() if is_known else "",
        disarm(";".join(row.flag_codes)),
        disarm(row.pipeline_version),
        "" if row.mpp is None else row.mpp,
    )


def further_names(rows: Iterable[CohortRow]) -> list[str]:
    """Measurements of some row that have no column of their own yet."""
    named = {name for row in rows for name in row.values}
    return sorted(named - {*NUMBERS, *LISTS})


def _columns(name: str) -> tuple[str, str, str]:
    """Headings of one measurement."""
    written = disarm(name)
    return written, f"{written}_status", f"{written}_reason"


def _cells(row: CohortRow, name: str) -> tuple[Any, str, str]:
    """Value, status and reason of one measurement of one slide."""
    entry = row.values.get(name)
    if entry is None:
        return "", "", ""
    return _plain(entry), disarm(str(entry.get("status", ""))), disarm(str(entry.get("reason", "")))


def _plain(entry: Mapping[str, Any]) -> Any:
    """A number as it is, a list joined, anything else as disarmed text."""
    value = entry.get("value")
    if value is None or isinstance(value, int | float):
        return "" if value is None else value
    if isinstance(value, list | tuple):
        return disarm("; ".join(str(item) for item in value))
    return disarm(str(value))
