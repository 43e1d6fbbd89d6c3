"""How is a measurement said in words?

1. `format_number`: three significant digits, in full.
2. `format_value`: a number with its unit; a fraction as %, and never a trace as 0 %.
3. `read_value`: value, status, reason and interval as a `Reading`.  Null is said as
   "not assessable, because …": neither 0 nor a blank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsi_pipeline.report.definitions import Form, definition_of

_SPACE = "\u202f"  # narrow and unbreakable: between thousands, and before a unit
_NO_REASON = "no reason was recorded"
_STATUS_WORDS = {
    "measured": "measured",
    "at_least": "at least",
    "not_assessable": "not assessable",
    "not_defined": "not defined",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement, ready to print.

    Parameters
    ----------
    name, title, definition
        What it is.
    text
        The value with its unit, led by "at least" for a lower bound; else the status.
    because
        "because …", or "" where nothing needs a reason.
    status
        Status in words.
    interval
        "3 to 5 mm", or "".
    number
        The plain number for sorting; None where there is none.
    is_present
        Whether there is a value at all.
    """

    name: str
    title: str
    definition: str
    text: str
    because: str
    status: str
    interval: str
    number: float | None
    is_present: bool

    @property
    def sentence(self) -> str:
        """The value and, after a dash, its reason."""
        return f"{self.text} – {self.because}" if self.because else self.text


def format_number(value: float) -> str:
    """Write a number with three significant digits; a whole number without decimals.

    Examples
    --------
    >>> format_number(0.04567), format_number(-2.5), format_number(0.0)
    ('0.0457', '−2.50', '0')
    """
    if not math.isfinite(value):
        return "not a number"
    if 0 < abs(value) < 1e-4:  # a trace: not nothing, but not worth its digits
        return f"<{_SPACE}0.0001" if value > 0 else f">{_SPACE}−0.0001"
    rounded = float(f"{value:.3g}")
    whole = rounded == 0 or float(value).is_integer()
    places = 0 if whole else max(0, 2 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:,.{places}f}"
    return text.replace(",", _SPACE).replace("-", "−")


def format_percent(fraction: float) -> str:
    r"""Write a fraction as %, to one decimal; what is not quite none or all says so.

    Examples
    --------
    >>> [format_percent(x).replace("\u202f", " ") for x in (0.3, 0.00001, 1.0)]
    ['30.0 %', '< 0.1 %', '100 %']
    """
    if not math.isfinite(fraction):
        return "not a number"
    if fraction in (0.0, 1.0):
        number = f"{fraction:.0%}"[:-1]
    elif 0 < fraction < 0.0005:
        number = f"<{_SPACE}0.1"
    elif 0.9995 <= fraction < 1:
        number = f">{_SPACE}99.9"
    else:
        number = f"{fraction * 100:.1f}".replace("-", "−")
    return f"{number}{_SPACE}%"


def format_value(value: Any, unit: str, *, form: Form) -> str:
    """Write a number, word, truth value or list together with its unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join("–" if v is None else format_value(v, unit, form=form) for v in value)
    if not isinstance(value, int | float):
        return str(value).replace("_", " ")
    if form == "percent":
        return format_percent(value)
    return (
        f"{format_number(value)}{_SPACE}{unit}" if unit not in ("", "1") else format_number(value)
    )


def format_interval(interval: Any, unit: str, *, form: Form) -> str:
    """Write "low to high" with the unit once; "" where there is no interval."""
    if not interval:
        return ""
    low, high = (format_value(end, unit, form=form) for end in interval)
    return f"{low} to {high}"


def read_value(name: str, raw: Mapping[str, Any] | None) -> Reading:
    """Turn one entry of ``measurements.json`` into words.

    Parameters
    ----------
    name
        Name of the measurement; one that is not defined here is shown by its name.
    raw
        The entry as plain data (`wsi_pipeline.values.Measurement`); None where this run
        has none of that name.

    Returns
    -------
    Reading
        An entry without a value reads "not assessable" whatever its status says.
    """
    title, definition, form = definition_of(name)
    entry = {"reason": "this run did not compute it"} if raw is None else raw
    value, unit = entry.get("value"), str(entry.get("unit") or "")
    status = str(entry.get("status", "measured"))
    if value is None and status != "not_defined":
        status = "not_assessable"
    words = _STATUS_WORDS.get(status, status.replace("_", " "))
    text = words if value is None else format_value(value, unit, form=form)
    reason = str(entry.get("reason") or ("" if status == "measured" else _NO_REASON))
    return Reading(
        name=name,
        title=title,
        definition=definition,
        text=f"at least {text}" if status == "at_least" else text,
        because=f"because {reason}" if reason else "",
        status=words,
        interval=format_interval(entry.get("interval"), unit, form=form),
        number=float(value) if isinstance(value, int | float) else None,
        is_present=value is not None,
    )


def format_duration(seconds: float | None) -> str:
    """Write a run time in words.

    Examples
    --------
    >>> format_duration(3725.0)
    '1 h 2 min'
    """
    if seconds is None:
        return "not recorded"
    if seconds < 60:
        return f"{format_number(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
