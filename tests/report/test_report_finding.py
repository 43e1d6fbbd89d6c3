"""The sentence of a case says no more, and no less, than its calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from wsi_pipeline.report import CaseReport, Finding, SlideFailure, compose_finding, render_case
from wsi_pipeline.values import Measurement

Make = Callable[..., Any]

FULL = "Full-thickness dermal infiltration"
SOLID_CORD = "of solid-cord structure"
TWO = "and intermediate nuclear grade"
NO_FAT = Measurement.not_assessable("", "no fat is seen")
FLAT = Measurement.not_defined("", "the section is horizontal")


def call_of(value: str | Measurement, *open_words: str, **changes: Any) -> dict[str, Any]:
    """A call as plain data."""
    own = value if isinstance(value, Measurement) else Measurement(value, "")
    sure = () if own.value is None else (str(own.value),)
    plain = {"evidence": [], "conflicts": [], "limits": []}
    return {**own.to_json(), "open_words": list(open_words or sure), **plain, **changes}


def calls_of(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Calls of the lesion of the figure, some of them replaced."""
    return {
        "tumour": call_of("present"),
        "depth": call_of("full-thickness"),
        "pattern": call_of("solid-cord"),
        "grade": call_of("2"),
        **changes,
    }


def finding_of(calls: dict[str, Any], *, site: str = "breast", **changes: Any) -> Finding:
    content = {"slides": (), "failures": (), "provenance": {}, **changes}
    found = compose_finding(CaseReport("C1", site, calls=calls, **content))
    assert found is not None
    return found


def test_the_sentence_of_the_figure() -> None:
    assert finding_of(calls_of()).text == (
        "Full-thickness dermal infiltration by carcinoma of solid-cord structure and intermediate "
        "nuclear grade"
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (call_of("full-thickness"), FULL),
        (call_of("focal full-thickness"), "Focal full-thickness dermal infiltration"),
        (call_of("partial"), "Partial-thickness dermal infiltration"),
        (call_of("none"), "Infiltration (none in the dermis of the vertical sections)"),
        (
            call_of("full-thickness", "focal full-thickness", "full-thickness"),
            "Borderline focal full-thickness to full-thickness dermal infiltration",
        ),
        (
            call_of(Measurement("partial", "", "at_least", "one section has no fat")),
            "At least partial-thickness dermal infiltration",
        ),
        (
            call_of(Measurement("full-thickness", "", "at_least", "one section has no fat")),
            FULL,  # there is nothing beyond
        ),
        (
            call_of(NO_FAT),
            "Infiltration (depth in the dermis not assessable, because no fat is seen)",
        ),
        (
            call_of(FLAT),
            "Infiltration (depth in the dermis not defined, because the section is horizontal)",
        ),
    ],
)
def test_words_of_depth(call: dict[str, Any], words: str) -> None:
    found = finding_of(calls_of(depth=call))
    assert found.text == f"{words} by carcinoma {SOLID_CORD} {TWO}"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        *(
            (call_of(word), f"of {word} structure")
            for word in ("glandular", "single-file", "solid-cord", "solid", "cord-trabecular")
        ),
        (call_of("mixed"), "of mixed structure"),
        (call_of("solid", "solid", "solid-cord"), "of solid structure (borderline to solid-cord)"),
        (
            call_of("mixed", "mixed", "solid", "single-file"),
            "of mixed structure (borderline to solid or single-file)",
        ),
        (
            call_of(Measurement.not_assessable("", "the labels are too coarse")),
            "of a structure that is not assessable (because the labels are too coarse)",
        ),
    ],
)
def test_words_of_structure(call: dict[str, Any], words: str) -> None:
    assert finding_of(calls_of(pattern=call)).text == f"{FULL} by carcinoma {words} {TWO}"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (call_of("1"), "low nuclear grade"),
        (call_of("2"), "intermediate nuclear grade"),
        (call_of("3"), "high nuclear grade"),
        (call_of("1", "1", "2"), "borderline low to intermediate nuclear grade"),
        (call_of("2", "1", "2", "3"), "borderline low to high nuclear grade"),
        (
            call_of(Measurement.not_assessable("", "only 40 nuclei can be measured")),
            "a nuclear grade that is not assessable (because only 40 nuclei can be measured)",
        ),
    ],
)
def test_words_of_grade(call: dict[str, Any], words: str) -> None:
    assert finding_of(calls_of(grade=call)).text == f"{FULL} by carcinoma {SOLID_CORD} and {words}"


@pytest.mark.parametrize(
    ("site", "word", "status"),
    [
        ("breast", "carcinoma", "declared"),
        ("", "tumour", "measured"),
        (" ", "tumour", "measured"),
        ("uveal Melanoma", "tumour", "measured"),
        ("lung", "carcinoma", "declared"),
    ],
)
def test_the_kind_of_tumour_is_declared_or_not_said(site: str, word: str, status: str) -> None:
    phrase = finding_of(calls_of(), site=site).phrases[1]
    assert (phrase.text, phrase.status) == (f"by {word}", status)
    assert phrase.evidence[-1].raw["name"] == "primary_site"


def test_no_tumour_is_no_finding_of_health() -> None:
    none = dict.fromkeys(("pattern", "grade"), call_of(Measurement.not_defined("", "no tumour")))
    text = finding_of(calls_of(tumour=call_of("none"), depth=call_of("none"), **none)).text
    assert text.startswith("No tumour was segmented, which does not exclude tumour;")
    assert "carcinoma" not in text


def test_a_model_that_never_calls_tumour_says_nothing_about_it() -> None:
    lost = call_of(Measurement.not_assessable("", "the model never calls tumour"))
    text = finding_of(dict.fromkeys(("tumour", "depth", "pattern", "grade"), lost)).text
    assert text == (
        "Whether there is tumour is not assessable (because the model never calls tumour); depth "
        "of infiltration, structure and nuclear grade are not assessable"
    )


def test_a_case_without_calls_has_no_sentence(make_case: Make, read_page: Make) -> None:
    assert compose_finding(make_case()) is None
    assert "Finding of this case" not in read_page(render_case(make_case())).text


def with_evidence(text: str = "slide S1") -> dict[str, Any]:
    run = Measurement(720.0, "µm", interval=(711.0, 729.0)).to_json()
    limit = {"word": "full-thickness", "quantity": "run", "bound": "at least", "value": 500.0}
    return calls_of(
        depth=call_of(
            "full-thickness",
            evidence=[{"name": "full_thickness_run_um", **run, "sources": [text]}],
            conflicts=[{"source": text, "word": "partial"}],
            limits=[{**limit, "unit": "µm"}],
        )
    )


def test_the_data_hold_every_phrase_and_its_evidence() -> None:
    raw = json.loads(json.dumps(finding_of(with_evidence()).to_json(), allow_nan=False))
    assert raw["text"] == " ".join(part["phrase"] for part in raw["parts"])
    depth = raw["parts"][0]
    assert depth["evidence"][0] == {
        "name": "full_thickness_run_um",
        "value": 720.0,
        "unit": "µm",
        "status": "measured",
        "reason": "",
        "interval": [711.0, 729.0],
        "sources": ["slide S1"],
    }
    assert depth["limits"][0]["value"] == 500.0
    assert depth["conflicts"] == [{"source": "slide S1", "word": "partial"}]
    assert "research use only" in raw["use"]


def test_only_a_learnt_model_on_a_measured_slide_makes_a_finding(
    make_case: Make, make_slide: Make
) -> None:
    learnt = make_slide(model={"id": "unet", "is_baseline": False})
    for slides, is_finding in (((learnt,), True), ((learnt, make_slide()), False), ((), False)):
        found = compose_finding(make_case(calls=calls_of(), slides=slides))
        assert found is not None
        assert found.is_finding is is_finding


def test_the_page_begins_with_the_sentence_and_its_evidence(
    make_case: Make, make_slide: Make, read_page: Make
) -> None:
    learnt = make_slide(model={"id": "unet", "is_baseline": False})
    page = read_page(render_case(make_case(calls=with_evidence(), slides=(learnt,))))
    text = page.text.replace("\u202f", " ")
    sentence = f"{FULL} by carcinoma {SOLID_CORD} {TWO}."
    assert text.index(sentence) < text.index("The slide")
    assert (
        "Longest full-thickness run full_thickness_run_um 720 µm 711 µm to 729 µm slide S1"
    ) in text
    assert "full-thickness: run at least 500 µm" in text
    assert "Otherwise by themselves: slide S1: partial" in text
    assert "full-thickness run 720 µm (711 µm to 729 µm)" in text
    assert "for research use only; not a diagnosis." in text
    assert "baseline" not in text
    linked = {a["href"] for a in page.attributes("a")}
    assert {f"#{row['id']}" for row in page.attributes("tbody") if "id" in row} <= linked
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption")
    assert page.open_tags == []


def test_a_baseline_says_that_its_sentence_is_no_finding(make_case: Make, read_page: Make) -> None:
    case = make_case(calls=calls_of())
    found = compose_finding(case)
    assert found is not None
    assert not found.to_json()["is_finding"]
    assert "it is not a finding" in found.to_json()["baseline_notice"]
    text = read_page(render_case(case)).text
    assert text.index("Not a finding.") < text.index(FULL)


def test_what_limits_the_sentence_stands_with_it(make_case: Make) -> None:
    failure = SlideFailure("S2", "inspect", "no mpp", "")
    found = compose_finding(make_case(calls=calls_of(), failures=(failure,)))
    assert found is not None
    assert found.caveats == (
        "Slide S2 could not be measured and has no say.",
        "Slide S1: No fat is seen.",
    )


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "nul\0 and \udc80", "x" * 9000])
def test_hostile_names_change_no_element(make_case: Make, read_page: Make, text: str) -> None:
    page, meek = (
        read_page(render_case(make_case(calls=with_evidence(word)))) for word in (text, "meek")
    )
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in meek.elements]
    assert not re.search(r"[\0\ud800-\udfff]", page.source)
