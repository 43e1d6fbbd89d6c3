"""In what form does a case state what was concluded, and from what?

1. A `CaseSlide` is what one measured slide brings to its case.
2. An `Evidence` is one value with the slides or sections it comes from; a `Limit` one
   threshold of a rule.
3. A `Call` is a word together with both, with the words its uncertainty leaves open, and with
   those who say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wsi_pipeline.config import GradeSettings
from wsi_pipeline.measure.results import SectionMeasurements
from wsi_pipeline.values import Measurement


@dataclass(frozen=True, slots=True, eq=False)
class CaseSlide:
    """What one slide brings to its case.

    Parameters
    ----------
    slide_id
        Its name.
    sections
        What was measured on each of its sections.
    nuclei
        Values of the slide's nuclei by name; empty where none were looked for.
    grading
        Limits by which they were graded.
    false_tumour
        Share of tissue without tumour that the model which segmented it calls tumour; 0 where
        that is not known.
    """

    slide_id: str
    sections: tuple[SectionMeasurements, ...]
    nuclei: Mapping[str, Measurement]
    grading: GradeSettings
    false_tumour: float = 0.0

    def source_of(self, section: SectionMeasurements) -> str:
        """Name of a section; the slide's own where it has no other."""
        own = f"slide {self.slide_id}"
        return own if len(self.sections) == 1 else f"{own}, section {section.section_id}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One value that a call rests on.

    Parameters
    ----------
    name
        Name of the measurement, see docs/measurements.md.
    value
        Value, unit, status, reason and interval.
    sources
        Slides or sections that have a say in it.
    """

    name: str
    value: Measurement
    sources: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return {"name": self.name, **self.value.to_json(), "sources": list(self.sources)}


@dataclass(frozen=True, slots=True)
class Limit:
    """One threshold: the word applies where the quantity is that large, or that small.

    Parameters
    ----------
    word
        Word that it decides on.
    quantity
        What is compared, in words.
    bound
        On which side of the value the word lies; the value itself is within "at least" and
        "at most".
    value, unit
        The threshold.
    """

    word: str
    quantity: str
    bound: Literal["at least", "at most", "above", "below"]
    value: float
    unit: str

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return {
            "word": self.word,
            "quantity": self.quantity,
            "bound": self.bound,
            "value": self.value,
            "unit": self.unit,
        }


@dataclass(frozen=True, slots=True)
class Call:
    """One word about a case.

    Parameters
    ----------
    value
        The word, or why there is none.
    open_words
        Words among which the uncertainty of the evidence leaves the choice, the call's own
        among them: one where it is clear, none where there is no word.
    evidence
        Values that the call rests on.
    conflicts
        Sections or slides that say otherwise by themselves: source and word.
    limits
        Thresholds of the rule.
    """

    value: Measurement
    open_words: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    conflicts: tuple[tuple[str, str], ...] = ()
    limits: tuple[Limit, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return {
            **self.value.to_json(),
            "open_words": list(self.open_words),
            "evidence": [item.to_json() for item in self.evidence],
            "conflicts": [{"source": who, "word": word} for who, word in self.conflicts],
            "limits": [limit.to_json() for limit in self.limits],
        }
