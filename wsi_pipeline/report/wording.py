"""How is a measurement said in words?

1. `format_number`: three significant digits, in full.
2. `format_value`: a number with its unit; a fraction as %, and never a trace as 0 %.
3. `read_value`: value, status, reason and interval as a `Reading`.  Null is said as
   "not assessable, because …": neither 0 nor a blank.
4. `read_entry`: the same in view of the other measurements, where they decide what it means.
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
_LEADING = ("at least", "declared")  # statuses without which the value would mislead
_DECLARED = "as declared"  # reason of a value that was declared, not measured
_STAGE_WORDS = {
    "inspect": "reading the slide file",
    "tile": "finding the tissue",
    "segment": "segmenting the tissue",
    "nuclei": "finding the nuclei",
    "measure": "measuring",
    "report": "reporting",
    "unknown": "an unknown step",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement, ready to print.

    Parameters
    ----------
    name, title, definition
        What it is.
    text
        The value with its unit, led by "at least" for a lower bound and by "declared" where
        it was; else the status.
    because
        "because …", the remark on a measured value, or "" where nothing needs a reason.
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
        """The value and its reason."""
        return f"{self.text}, {self.because}" if self.because else self.text


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
    if form == "membership" and math.isfinite(value):
        return f"{value:.2f}"
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
    status = _status(entry)
    words = _status_words(entry, status)
    written = words if value is None else format_value(value, unit, form=form)
    return Reading(
        name=name,
        title=title,
        definition=definition,
        text=f"{words} {written}" if words in _LEADING else written,
        because=_because(entry, status),
        status=words,
        interval=format_interval(entry.get("interval"), unit, form=form),
        number=float(value) if isinstance(value, int | float) else None,
        is_present=value is not None,
    )


def read_entry(values: Mapping[str, Mapping[str, Any]], name: str) -> Reading:
    """Turn one of a slide's or section's measurements into words, knowing the others.

    Notes
    -----
    The confidence of the orientation is that of the computed word; where the layers do not
    settle on one, its number would be read as the confidence of something else.
    """
    if name == "orientation_confidence":
        word = values.get("orientation_computed", {}).get("value")
        if word in ("indeterminate", "mixed"):
            reason = f"the computed orientation is {word}"
            return read_value(name, {"unit": "1", "status": "not_defined", "reason": reason})
    return read_value(name, values.get(name))


def stage_in_words(stage: str) -> str:
    """Say what a slide was at when it failed.

    Examples
    --------
    >>> stage_in_words("inspect"), stage_in_words("count_nuclei")
    ('reading the slide file', 'count nuclei')
    """
    return _STAGE_WORDS.get(stage, stage.replace("_", " "))


def _status(entry: Mapping[str, Any]) -> str:
    """The status; an entry without a value cannot be a measured one."""
    status = str(entry.get("status", "measured"))
    has_value = entry.get("value") is not None
    return status if has_value or status == "not_defined" else "not_assessable"


def _status_words(entry: Mapping[str, Any], status: str) -> str:
    """The status in words; what was declared was not measured."""
    if status == "measured" and entry.get("reason") == _DECLARED:
        return "declared"
    return _STATUS_WORDS.get(status, status.replace("_", " "))


def _because(entry: Mapping[str, Any], status: str) -> str:
    """The reason as a subordinate clause; the status is not said a second time."""
    reason = str(entry.get("reason") or "")
    if status == "measured":
        return "" if reason == _DECLARED else reason
    again = f"{_STATUS_WORDS.get(status, status)} "
    if reason.startswith(again):
        return reason.removeprefix(again)
    return f"because {reason or _NO_REASON}"


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
