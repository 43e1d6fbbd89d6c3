"""What is a number worth?

Rooms hand on what they found as two plain frozen values:

1. a `Measurement` is a value with its unit, its status and, where there is one, its
   interval.  Null is not zero: a value that could not be taken says why;
2. a `QualityFlag` is something about the slide that the reader must know.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["measured", "at_least", "not_assessable", "not_defined"]
Severity = Literal["info", "warn", "block"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value about the tissue, as a report prints it.

    Parameters
    ----------
    value
        Number, word or list of numbers; None exactly where the status says there is none.
    unit
        Unit symbol ("µm", "mm²", "1" for a fraction, "" for a word).
    status
        ``measured``; ``at_least`` (a lower bound); ``not_assessable`` (it exists, but this
        slide does not show it); ``not_defined`` (it has no meaning here).
    reason
        Why the value is a lower bound or absent, as the end of a sentence.
    interval
        Lower and upper bound in the same unit, where one was computed.
    """

    value: float | str | tuple[float, ...] | None
    unit: str
    status: Status = "measured"
    reason: str = ""
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if (self.value is None) != (self.status in ("not_assessable", "not_defined")):
            raise ValueError(f"a value of {self.value!r} cannot have the status {self.status!r}")
        if self.status != "measured" and not self.reason:
            raise ValueError(f"the status {self.status!r} needs a reason")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise ValueError("a value that is not finite must be given as not assessable")

    @classmethod
    def not_assessable(cls, unit: str, reason: str) -> Measurement:
        """Exist, but not to be had from this slide."""
        return cls(None, unit, "not_assessable", reason)

    @classmethod
    def not_defined(cls, unit: str, reason: str) -> Measurement:
        """Have no meaning here."""
        return cls(None, unit, "not_defined", reason)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class QualityFlag:
    """Something about a slide that limits what its numbers mean.

    Parameters
    ----------
    code
        Short stable name, e.g. ``fat_absent``.
    severity
        ``info``, ``warn`` (numbers with a caveat) or ``block`` (no numbers).
    message
        One sentence in plain words.
    value, unit
        The number behind the flag, where there is one.
    """

    code: str
    severity: Severity
    message: str
    value: float | None = None
    unit: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return dataclasses.asdict(self)
