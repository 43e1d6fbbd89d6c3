"""What is the finding of a case, in one sentence, and what stands behind each of its phrases?

1. The calls of a case (depth, tumour, growth pattern, nuclear grade) become four phrases, each in
   plain words: a lower bound is "at least", an uncertain call "borderline", and what cannot be
   said is "not assessable (because …)".
2. Behind each phrase stand its values with unit, interval, status and slide, its rule with the
   thresholds, and the sections or slides that say otherwise.
3. What limits all of it (a baseline, slides that failed, quality flags) is said with it.

Nothing is measured here, and nothing is added: "carcinoma" stands only where the case table
declares where the tumour comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsi_pipeline.report.contents import CaseReport, SlideReport
from wsi_pipeline.report.definitions import Form
from wsi_pipeline.report.wording import Reading, format_value, read_value

Raw = Mapping[str, Any]
Calls = Mapping[str, Raw]

USE = "Computed estimate – for research use only; not a diagnosis."
BASELINE = (
    "{count} of {total} measured slides went through a baseline without learnt weights: this "
    "sentence shows that the pipeline runs; it is not a finding."
)
_DEPTHS = {
    "none": "no",
    "partial": "partial-thickness",
    "focal full-thickness": "focal full-thickness",
    "full-thickness": "full-thickness",
}
_DEEPEST = "full-thickness"
_BESIDE = 3  # values beside each phrase; all of them are in the table below
_GRADES = {"1": "low", "2": "intermediate", "3": "high"}
# Kinds of tumour for which "carcinoma" would be the wrong word, as they may be declared.
_OTHER_KINDS = ("melanom", "sarcom", "lymphom", "leuk", "blastom", "gliom", "mesotheliom", "germ")

_DEPTH_RULE = (
    "The most infiltrative of the vertical sections that can be assessed decides; horizontal "
    "sections have no say. Borderline, where the call is another one at an end of the intervals of "
    "run and fraction."
)
_TUMOUR_RULE = (
    "Tumour is what was segmented as tumour; traces, where no slide has more of it than its model "
    "finds in held-out phantom tissue that has none; doubtful, where it lies in specks, or in "
    "pieces whose mean probability is too low. Its kind and origin are not computed: "
    "“carcinoma” is written where the case table declares a primary site that names no other kind "
    "of tumour."
)
_PATTERN_RULE = (
    "Shares of the tumour by its width, pooled over all sections by area of tumour; the first "
    "pattern whose limits are all met, else mixed. Borderline, where the name is another one at an "
    "end of the interval of a share, or the margin is below 0.2."
)
_GRADE_RULE = (
    "Mean area of the nuclear profiles in tumour and its coefficient of variation, pooled over "
    "all slides so that each nucleus counts once; 2 between the limits. Borderline, where the "
    "interval takes in two grades. Descriptive; not a histological grade."
)


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceLine:
    """One value behind a phrase: as plain data, in words, and where it comes from."""

    raw: Raw
    reading: Reading
    sources: str


@dataclass(frozen=True, slots=True, eq=False)
class Phrase:
    """Some words of the sentence and what stands behind them.

    Parameters
    ----------
    text
        The words.
    status
        Status of the call, in the words of docs/measurements.md; ``declared`` where a word was
        declared and not measured.
    is_borderline
        Whether another word lies within the uncertainty.
    evidence
        Values.
    rule, limits
        How they make the word, and its thresholds.
    conflicts
        Sections or slides that say otherwise by themselves.
    raw_limits, raw_conflicts
        The same two as plain data.
    """

    text: str
    status: str
    is_borderline: bool
    evidence: tuple[EvidenceLine, ...]
    rule: str
    limits: tuple[str, ...]
    conflicts: tuple[str, ...]
    raw_limits: tuple[Raw, ...]
    raw_conflicts: tuple[Raw, ...]

    @property
    def shown(self) -> tuple[EvidenceLine, ...]:
        """What the page prints: absent values only where a slide or section says why."""
        return tuple(line for line in self.evidence if line.reading.is_present or line.sources)

    @property
    def key_lines(self) -> tuple[EvidenceLine, ...]:
        """The first values behind the words, each measurement once: what stands beside them."""
        held = {
            line.reading.name: line for line in reversed(self.evidence) if line.reading.is_present
        }
        order = dict.fromkeys(line.reading.name for line in self.evidence)
        return tuple(held[name] for name in order if name in held)[:_BESIDE]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return {
            "phrase": self.text,
            "status": self.status,
            "borderline": self.is_borderline,
            "evidence": [dict(line.raw) for line in self.evidence],
            "rule": self.rule,
            "limits": [dict(limit) for limit in self.raw_limits],
            "conflicts": [dict(conflict) for conflict in self.raw_conflicts],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """The sentence of a case.

    Parameters
    ----------
    phrases
        Its parts, in order.
    is_finding
        Whether there is a measured slide, and a learnt model segmented all of them.
    baseline_notice
        That a baseline made it and it is no finding; "" where a learnt model did.
    caveats
        What else limits all of it.
    """

    phrases: tuple[Phrase, ...]
    is_finding: bool
    baseline_notice: str
    caveats: tuple[str, ...]

    @property
    def use(self) -> str:
        """What it is for."""
        return USE

    @property
    def text(self) -> str:
        """The whole sentence, without its full stop."""
        return " ".join(phrase.text for phrase in self.phrases)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return {
            "text": self.text,
            "use": USE,
            "is_finding": self.is_finding,
            "baseline_notice": self.baseline_notice,
            "caveats": list(self.caveats),
            "parts": [phrase.to_json() for phrase in self.phrases],
        }


def compose_finding(case: CaseReport) -> Finding | None:
    """Say the finding of a case in one sentence.

    Returns
    -------
    Finding or None
        "Full-thickness dermal infiltration by carcinoma of solid-cord structure and intermediate
        nuclear grade", or what else the calls amount to; None where there are no calls.
    """
    if not case.calls:
        return None
    is_present = case.calls["tumour"]["value"] == "present"
    phrases = _of_tumour(case.calls, case.primary_site) if is_present else _of_none(case.calls)
    notice = _baseline_notice(case.slides)
    return Finding(phrases, bool(case.slides) and not notice, notice, _caveats(case))


def _of_tumour(calls: Calls, primary_site: str) -> tuple[Phrase, ...]:
    """Four phrases on a tumour."""
    depth, pattern, grade = (calls[name] for name in ("depth", "pattern", "grade"))
    return (
        _phrase(_depth_words(depth), depth, rule=_DEPTH_RULE),
        _tumour_phrase(calls["tumour"], primary_site),
        _phrase(_pattern_words(pattern), pattern, rule=_PATTERN_RULE),
        _phrase(_grade_words(grade), grade, rule=_GRADE_RULE),
    )


def _of_none(calls: Calls) -> tuple[Phrase, ...]:
    """What remains to be said without tumour, or where it cannot be told from other tissue."""
    tumour = calls["tumour"]
    if tumour["value"] is None:
        words = f"Whether there is tumour is {_null(tumour)};"
    elif tumour["value"] == "traces":
        words = (
            "Tumour was segmented in traces, no more than the model finds where there is none, "
            "which neither shows nor excludes tumour;"
        )
    elif tumour["value"] == "doubtful":
        words = (
            "Tumour was segmented only in specks or doubtful throughout, which neither shows nor "
            "excludes tumour;"
        )
    else:
        words = "No tumour was segmented, which does not exclude tumour;"
    rest = {**tumour, "evidence": [e for n in calls if n != "tumour" for e in calls[n]["evidence"]]}
    status = "not defined" if tumour["value"] == "none" else "not assessable"
    missing = f"depth of infiltration, structure and nuclear grade are {status}"
    rest |= {"value": None, "status": status.replace(" ", "_"), "conflicts": [], "limits": []}
    return (
        _phrase(words, tumour, rule=_TUMOUR_RULE),
        _phrase(
            missing,
            rest,
            rule="What is not there, or may not be, has neither depth nor structure nor grade.",
        ),
    )


def _depth_words(call: Raw) -> str:
    """How far through the dermis; never what was not seen."""
    if call["value"] is None:
        reading = read_value("", call)
        return f"Infiltration (depth in the dermis {reading.sentence})"
    words = call["open_words"]
    if len(words) > 1:
        named = f"borderline {_DEPTHS[words[0]]} to {_DEPTHS[words[-1]]}"
    elif call["value"] == "none":
        return "Infiltration (none in the dermis of the vertical sections)"
    else:
        named = _DEPTHS[call["value"]]
    if call["status"] == "at_least" and call["value"] != _DEEPEST:
        named = f"at least {named}"
    return f"{named[0].upper()}{named[1:]} dermal infiltration"


def _tumour_phrase(call: Raw, primary_site: str) -> Phrase:
    """What infiltrates, with the origin as it was declared."""
    is_carcinoma = bool(primary_site.strip()) and not any(
        kind in primary_site.lower() for kind in _OTHER_KINDS
    )
    origin = {
        "name": "primary_site",
        "value": primary_site or None,
        "unit": "",
        "status": "measured" if primary_site else "not_assessable",
        "reason": "as declared" if primary_site else "the case table declares none",
        "interval": None,
        "sources": ["case table"],
    }
    call = {**call, "evidence": [*call["evidence"], origin]}
    if not is_carcinoma:
        return _phrase("by tumour", call, rule=_TUMOUR_RULE)
    return _phrase("by carcinoma", {**call, "status": "declared"}, rule=_TUMOUR_RULE)


def _pattern_words(call: Raw) -> str:
    """Growth pattern."""
    if call["value"] is None:
        return f"of a structure that is {_null(call)}"
    others = [word for word in call["open_words"] if word != call["value"]]
    close = f" (borderline to {' or '.join(others)})" if others else ""
    return f"of {call['value']} structure{close}"


def _grade_words(call: Raw) -> str:
    """Nuclear grade."""
    if call["value"] is None:
        return f"and a nuclear grade that is {_null(call)}"
    words = [_GRADES[word] for word in call["open_words"]]
    if len(words) > 1:
        return f"and borderline {words[0]} to {words[-1]} nuclear grade"
    return f"and {words[0]} nuclear grade"


def _null(call: Raw) -> str:
    """Status and reason of what there is no word for."""
    reading = read_value("", call)
    return f"{reading.text} ({reading.because})"


def _phrase(text: str, call: Raw, *, rule: str) -> Phrase:
    """Some words of the sentence with all that the call brings."""
    return Phrase(
        text=text,
        status=str(call["status"]).replace("_", " "),
        is_borderline=len(call["open_words"]) > 1,
        evidence=tuple(_line(raw) for raw in call["evidence"]),
        rule=rule,
        limits=tuple(_limit_words(raw) for raw in call["limits"]),
        conflicts=tuple(f"{raw['source']}: {raw['word']}" for raw in call["conflicts"]),
        raw_limits=tuple(call["limits"]),
        raw_conflicts=tuple(call["conflicts"]),
    )


def _line(raw: Raw) -> EvidenceLine:
    """One value in words."""
    return EvidenceLine(raw, read_value(raw["name"], raw), "; ".join(raw["sources"]))


def _limit_words(raw: Raw) -> str:
    """One threshold in words."""
    form: Form = "percent" if raw["unit"] == "1" else "quantity"
    value = format_value(raw["value"], raw["unit"], form=form)
    return f"{raw['word']}: {raw['quantity']} {raw['bound']} {value}"


def _baseline_notice(slides: Sequence[SlideReport]) -> str:
    """That a baseline made it; "" where none did."""
    count = sum(bool(slide.model.get("is_baseline")) for slide in slides)
    return BASELINE.format(count=count, total=len(slides)) if count else ""


def _caveats(case: CaseReport) -> tuple[str, ...]:
    """Slides without a say, and what was flagged on the others."""
    failed = [
        f"Slide {failure.slide_id} could not be measured and has no say."
        for failure in case.failures
    ]
    flagged = [
        f"Slide {slide.slide_id}: {flag.get('message') or flag.get('code')}"
        for slide in case.slides
        for flag in slide.flags
        if flag.get("severity") != "info"
    ]
    return (*failed, *dict.fromkeys(flagged))
