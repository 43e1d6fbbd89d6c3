"""Numbers and statuses become words without losing what they mean."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.report.definitions import DEFINITIONS, HEADLINES, definition_of, reading_order
from wsi_pipeline.report.profile import draw_profile
from wsi_pipeline.report.summary import summarise_slide
from wsi_pipeline.report.wording import (
    format_duration,
    format_number,
    format_percent,
    format_value,
    read_entry,
    read_value,
    stage_in_words,
)
from wsi_pipeline.values import Measurement

NARROW = "\u202f"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1, "1"),
        (12.345, "12.3"),
        (999.6, "1 000"),
        (2534.1, "2 530"),
        (1234567.0, "1 230 000"),
        (0.04567, "0.0457"),
        (0.0001, "0.000100"),
        (0.00002, "< 0.0001"),
        (-0.00002, "> −0.0001"),
        (10.02, "10.0"),
        (41, "41"),
        (-2.5, "−2.50"),
        (float("nan"), "not a number"),
    ],
)
def test_a_number_has_three_significant_digits(value: float, text: str) -> None:
    assert format_number(value).replace(NARROW, " ") == text


@given(st.floats(min_value=1e-4, max_value=1e9))
def test_a_written_number_is_within_half_a_unit_of_its_third_digit(value: float) -> None:
    written = float(format_number(value).replace(NARROW, ""))
    assert abs(written - value) <= 0.5 * 10.0 ** (math.floor(math.log10(value)) - 2) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0 %"),
        (1e-9, "< 0.1 %"),
        (0.0004999, "< 0.1 %"),
        (0.0005, "0.1 %"),
        (0.3817, "38.2 %"),
        (0.99999, "> 99.9 %"),
        (1.0, "100 %"),
        (1.234, "123.4 %"),
    ],
)
def test_a_fraction_is_a_percentage_and_a_trace_is_not_nothing(fraction: float, text: str) -> None:
    assert format_percent(fraction).replace(NARROW, " ") == text


@given(st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True))
def test_only_none_reads_0_and_only_all_reads_100(fraction: float) -> None:
    assert format_percent(fraction) not in (format_percent(0.0), format_percent(1.0))


def test_other_values_are_written_too() -> None:
    assert format_value(True, "", form="quantity") == "yes"
    assert format_value("top_heavy", "", form="quantity") == "top heavy"
    assert format_value([1.0, None], "mm", form="quantity") == f"1{NARROW}mm, –"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (Measurement(0.38, "1"), "38.0 %"),
        (
            Measurement(0.38, "1", "at_least", "fat is missing"),
            "at least 38.0 %, because fat is missing",
        ),
        (
            Measurement.not_assessable("1", "no epidermis is seen"),
            "not assessable, because no epidermis is seen",
        ),
        (
            Measurement.not_defined("1", "not defined on a horizontal section"),
            "not defined, on a horizontal section",
        ),
        (
            Measurement(0.38, "1", reason="1 of 2 sections not assessable"),
            "38.0 %, 1 of 2 sections not assessable",
        ),
        (
            Measurement.not_defined("1", "the section is horizontal"),
            "not defined, because the section is horizontal",
        ),
    ],
)
def test_status_and_reason_are_said(entry: Measurement, sentence: str) -> None:
    reading = read_value("infiltration_fraction", entry.to_json())
    assert reading.sentence.replace(NARROW, " ") == sentence
    assert reading.is_present == (entry.value is not None)


@pytest.mark.parametrize("raw", [None, {"value": None}, {"value": None, "status": "measured"}, {}])
def test_null_is_never_a_zero_or_a_blank(raw: dict[str, object] | None) -> None:
    reading = read_value("depth_max_um", raw)
    assert reading.sentence.startswith("not assessable, because ")
    assert len(reading.because) > len("because ")
    assert reading.number is None


def test_an_interval_carries_its_unit() -> None:
    raw = Measurement(5.0, "mm", interval=(4.0, 6.5)).to_json()
    assert read_value("epidermis_length_mm", raw).interval.replace(NARROW, " ") == "4 mm to 6.50 mm"


def test_an_unknown_measurement_goes_by_its_name() -> None:
    assert definition_of("vessel_count").title == "Vessel count"
    assert definition_of("vessel_fraction").form == "percent"
    assert definition_of("area_keratin_mm2").title == "Keratin area"
    assert reading_order(["zebra", "apple", "depth_max_um"]) == ["depth_max_um", "apple", "zebra"]
    assert set(HEADLINES) < set(DEFINITIONS)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "not recorded"), (1.5, "1.50 s"), (75, "1 min"), (7260, "2 h 1 min")],
)
def test_a_run_time_is_said(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_summary_keeps_lower_bounds_and_reasons() -> None:
    reason = "no fat is seen"
    values = {
        "section_orientation": Measurement("vertical", "").to_json(),
        "area_tumour_mm2": Measurement(2.0, "mm²", "at_least", "it touches the edge").to_json(),
        "infiltration_fraction": Measurement(0.5, "1", "at_least", reason).to_json(),
        "relative_depth_max": Measurement.not_assessable("1", reason).to_json(),
        "depth_max_um": Measurement(800.0, "µm", "at_least", reason).to_json(),
    }
    text = " ".join(summarise_slide(values)).replace(NARROW, " ")
    assert "over at least 2 mm², because it touches the edge." in text
    assert "takes up at least 50.0 % of the dermal compartment, because no fat is seen." in text
    assert "reaches at least 800 µm below" in text
    assert "relative depth is not assessable, because no fat is seen." in text


def test_a_summary_without_any_value_says_so_four_times() -> None:
    sentences = summarise_slide({})
    assert [sentence.count("not assessable, because") for sentence in sentences] == [1] * 4


DECLARED = " is declared vertical; computed from the layers it is"
COMPUTED = ", computed from the layers, is"


def orientation(word: str, reason: str, computed: str) -> dict[str, Any]:
    return {
        "section_orientation": Measurement(word, "", reason=reason).to_json(),
        "orientation_computed": Measurement(computed, "").to_json(),
        "orientation_confidence": Measurement(0.8789, "1").to_json(),
    }


@pytest.mark.parametrize(
    ("word", "reason", "computed", "words"),
    [
        ("vertical", "as declared", "vertical", f"{DECLARED} vertical (confidence 0.88)"),
        ("vertical", "as declared", "horizontal", f"{DECLARED} horizontal (confidence 0.88)"),
        ("vertical", "as declared", "indeterminate", f"{DECLARED} indeterminate"),
        ("horizontal", "", "horizontal", f"{COMPUTED} horizontal (confidence 0.88)"),
        ("indeterminate", "", "indeterminate", f"{COMPUTED} indeterminate"),
        ("mixed", "", "mixed", f"{COMPUTED} mixed"),
    ],
)
def test_a_declared_orientation_is_told_from_a_computed_one(
    word: str, reason: str, computed: str, words: str
) -> None:
    sentence = summarise_slide(orientation(word, reason, computed))[0]
    assert sentence == f"The section orientation{words}."


def test_a_declared_value_is_led_by_that_word_and_needs_no_reason() -> None:
    values = orientation("vertical", "as declared", "vertical")
    assert read_entry(values, "section_orientation").sentence == "declared vertical"
    assert read_entry(values, "section_orientation").status == "declared"
    assert read_entry(values, "orientation_computed").sentence == "vertical"


@pytest.mark.parametrize("computed", ["indeterminate", "mixed"])
def test_confidence_belongs_to_one_computed_word(computed: str) -> None:
    sure = read_entry(orientation("vertical", "", "vertical"), "orientation_confidence")
    assert sure.sentence == "0.88"
    unsure = read_entry(orientation("vertical", "", computed), "orientation_confidence")
    assert unsure.sentence == f"not defined, because the computed orientation is {computed}"
    assert unsure.number is None


def depths(relative: Measurement, depth: Measurement) -> str:
    values = {"relative_depth_max": relative.to_json(), "depth_max_um": depth.to_json()}
    return summarise_slide(values)[3].replace(NARROW, " ")


def test_a_depth_keeps_its_own_reason_beside_the_relative_one() -> None:
    cut = Measurement(2000.0, "µm", "at_least", "it lies at a cut edge")
    way = "of the way from the dermo-epidermal to the dermo-subcutaneous junction"
    assert depths(Measurement(0.5, "1"), cut) == (
        f"At its deepest, tumour lies 50.0 % {way} "
        "(at least 2 000 µm deep, because it lies at a cut edge)."
    )
    bound = Measurement(0.5, "1", "at_least", "it lies at a cut edge")
    assert depths(bound, cut) == (
        f"At its deepest, tumour lies at least 50.0 % {way} "
        "(at least 2 000 µm deep), because it lies at a cut edge."
    )


def test_the_lower_junction_is_reached_not_measured_beyond() -> None:
    sentence = "Tumour reaches the dermo-subcutaneous junction or lies beyond it"
    whole, lost = Measurement(1.0, "1"), Measurement.not_assessable("µm", "x")
    assert depths(whole, Measurement(2003.2, "µm")) == f"{sentence} (2 000 µm deep)."
    assert depths(whole, lost) == f"{sentence}."
    cut = Measurement(2003.2, "µm", "at_least", "it lies at a cut edge")
    assert depths(whole, cut) == (
        f"{sentence} (at least 2 000 µm deep, because it lies at a cut edge)."
    )
    assert "of the way" in depths(Measurement(0.9999, "1"), cut)


@pytest.mark.parametrize(
    ("held", "window"),
    [
        (0.6, " of the window that could be measured, which holds 60.0 % of the tumour"),
        (0.9489, " of the window that could be measured, which holds 94.9 % of the tumour"),
        (0.95, ""),
        (1.0, ""),
    ],
)
def test_infiltration_of_a_part_says_of_how_much(held: float, window: str) -> None:
    values = {
        "infiltration_fraction": Measurement(0.25, "1").to_json(),
        "tumour_in_window_fraction": Measurement(held, "1").to_json(),
    }
    assert summarise_slide(values)[2].replace(NARROW, " ") == (
        f"Tumour takes up 25.0 % of the dermal compartment{window}."
    )


@pytest.mark.parametrize(
    ("reason", "clause"),
    [
        (
            "a horizontal section shows one level of the skin only",
            "because a horizontal section shows one level of the skin only",
        ),
        ("not defined on a horizontal section", "on a horizontal section"),
    ],
)
def test_no_sentence_says_its_status_twice(reason: str, clause: str) -> None:
    lost = Measurement.not_defined("1", reason).to_json()
    names = ("infiltration_fraction", "relative_depth_max", "depth_max_um")
    assert summarise_slide(dict.fromkeys(names, lost))[2:] == (
        f"Infiltration of the dermis is not defined, {clause}.",
        f"The depth of tumour is not defined, {clause}.",
    )


def test_definitions_say_what_is_left_out() -> None:
    for name in ("depth_max_um", "relative_depth_max"):
        assert "99.5th percentile" in definition_of(name).text
        assert f"< 500{NARROW}µm²" in definition_of(name).text
    assert definition_of("tumour_in_window_fraction").form == "percent"


def test_a_stage_is_said_in_words() -> None:
    assert stage_in_words("inspect") == "reading the slide file"
    assert stage_in_words("count_nuclei") == "count nuclei"


def test_a_summary_does_not_exclude_tumour() -> None:
    sentences = summarise_slide({"area_tumour_mm2": Measurement(0.0, "mm²").to_json()})
    assert sentences[1] == "No tumour was segmented, which does not exclude tumour."


def test_a_profile_is_drawn_to_scale_and_tells_none_from_nothing() -> None:
    profile = draw_profile([0.0, 0.5, None, 1.0])
    assert profile is not None
    assert [band.width for band in profile.bands] == [0.0, 120.0, 0.0, 240.0]
    assert [band.share.replace(NARROW, " ") for band in profile.bands] == [
        "0 %",
        "50.0 %",
        "no value",
        "100 %",
    ]
    assert [band.y for band in profile.bands] == [0.0, 70.0, 140.0, 210.0]
    assert "100" in profile.words
    assert "75–100" in profile.words
    assert draw_profile([None, float("nan")]) is None
    assert draw_profile([]) is None
