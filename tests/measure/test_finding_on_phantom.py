"""One lesion, seven slides: does the sentence say what each of them shows?

Labels and nuclei are those of the phantom's truth: what is tested is the way from measurements
to words, not a model.
"""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
from analytic_skin import measure
from true_values import paint_labels

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.config import GradeSettings
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure import (
    CaseSlide,
    SectionMeasurements,
    absent_nuclei,
    call_case,
    measure_nuclei,
)
from wsi_pipeline.measure.front import DOUBTFUL
from wsi_pipeline.measure.pooled_grade import pool_nuclei
from wsi_pipeline.phantom import PhantomSpec, counterfactuals, sample_spec
from wsi_pipeline.phantom.nuclei import place_nuclei
from wsi_pipeline.report import CaseReport, Finding, compose_finding
from wsi_pipeline.values import Measurement

MPP = 2.0
LESION = "of solid-cord structure and intermediate nuclear grade"
FIGURE = f"Full-thickness dermal infiltration by carcinoma {LESION}"


def spec_of(section: str) -> PhantomSpec:
    """Full-thickness lesion of grade 2 with solid and cord-like parts."""
    spec = sample_spec(
        1, section=section, architecture="solid-cord", grade=2, width_mm=3.0, height_mm=2.0
    )
    spec = replace(spec, mpp=MPP, lateral_span=0.8, tumour_density=0.5)
    if section == "vertical":
        return replace(spec, dermis_mm=0.9, depth_span=(0.03, 1.1))
    return spec


@functools.cache
def slide_of(section: str, factor: str, declared: str = "auto") -> CaseSlide:
    """True labels and true nuclei of one counterfactual, measured."""
    specs = counterfactuals(spec_of(section))
    layout, labels = paint_labels(specs.get(factor, specs["as it is"]))
    found = measure(labels, Grid(labels.shape, MPP), declared=declared)
    table = place_nuclei(layout)
    row, column = (
        np.clip((table[name] / MPP).astype(int), 0, limit - 1)
        for name, limit in zip(("down_um", "right_um"), labels.shape, strict=True)
    )
    table = table[labels[row, column] == TUMOUR]
    columns = {name: table[name] for name in ("area_um2", "minor_um", "down_um", "right_um")}
    columns |= {"solidity": np.ones(len(table)), "touches_edge": np.zeros(len(table), bool)}
    nuclei = (
        measure_nuclei(columns, settings=GradeSettings())
        if len(table)
        else absent_nuclei("not_defined", "no tumour was segmented")
    )
    return CaseSlide(section, found.sections, nuclei, GradeSettings())


def finding_of(*slides: CaseSlide, site: str = "breast") -> Finding:
    calls = {name: call.to_json() for name, call in call_case(slides).items()}
    found = compose_finding(CaseReport("case", site, (), (), {}, calls))
    assert found is not None
    return found


def pair(factor: str) -> Finding:
    """A vertical and a horizontal section of the case; each differs where it can."""
    return finding_of(slide_of("vertical", factor), slide_of("horizontal", factor))


BEGINS = "Infiltration (depth in the dermis not assessable, because"
SENTENCES = {
    "as it is": FIGURE,
    "half depth": f"Partial-thickness dermal infiltration by carcinoma {LESION}",
    "cords only": (
        "Full-thickness dermal infiltration by carcinoma of cord-trabecular structure and "
        "intermediate nuclear grade"
    ),
    "grade 3": (
        "Full-thickness dermal infiltration by carcinoma of solid-cord structure and high "
        "nuclear grade"
    ),
    "no fat": (
        f"{BEGINS} no subcutaneous fat is seen, so the deep border of the dermis is not on the "
        f"slide) by carcinoma {LESION}"
    ),
    "no epidermis": (
        f"{BEGINS} the labels do not tell whether the section is vertical or horizontal, and "
        f"neither was declared) by carcinoma {LESION}"
    ),
    "no tumour": (
        "No tumour was segmented, which does not exclude tumour; depth of infiltration, structure "
        "and nuclear grade are not defined"
    ),
}


@pytest.mark.parametrize(("factor", "text"), SENTENCES.items())
def test_the_sentence_says_what_is_different(factor: str, text: str) -> None:
    assert pair(factor).text == text


def test_no_more_tumour_than_the_model_mistakes_is_a_trace() -> None:
    slide = slide_of("vertical", "as it is")
    (section,) = slide.sections
    share = float(section.values["tumour_tissue_fraction"].value)
    clear = finding_of(replace(slide, false_tumour=share * 0.99))
    assert clear.text == finding_of(slide).text
    assert f"{share * 0.99:.2g}"[:4] in " ".join(clear.phrases[1].limits)
    traces = finding_of(replace(slide, false_tumour=share))
    assert traces.text == (
        "Tumour was segmented in traces, no more than the model finds where there is none, which "
        "neither shows nor excludes tumour; depth of infiltration, structure and nuclear grade "
        "are not assessable"
    )
    # One slide with more is enough, and its model's limit is the one that counts for it.
    both = finding_of(replace(slide, false_tumour=share), slide_of("horizontal", "as it is"))
    assert "by carcinoma" in both.text


def doubtful(slide: CaseSlide) -> CaseSlide:
    """The slide, had its model been unsure of all the tumour."""
    fronts = {"front_roughness", "tumour_solidity", "tumour_stroma_ratio"}
    sections = tuple(
        replace(
            section,
            values={
                name: Measurement.not_assessable(value.unit, DOUBTFUL) if name in fronts else value
                for name, value in section.values.items()
            },
        )
        for section in slide.sections
    )
    return replace(slide, sections=sections)


def test_tumour_that_is_doubtful_throughout_is_no_carcinoma() -> None:
    slide = slide_of("vertical", "as it is")
    (section,) = slide.sections
    assert finding_of(doubtful(slide)).text == (
        "Tumour was segmented only in specks or doubtful throughout, which neither shows nor "
        "excludes tumour; depth of infiltration, structure and nuclear grade are not assessable"
    )
    assert call_case([doubtful(slide)])["tumour"].value.value == "doubtful"
    # Less than the model mistakes is less still; one slide with a lesion is enough.
    share = float(section.values["tumour_tissue_fraction"].value)
    assert "in traces" in finding_of(replace(doubtful(slide), false_tumour=share)).text
    both = finding_of(doubtful(slide), slide_of("horizontal", "as it is"))
    assert "by carcinoma" in both.text


def test_a_declared_section_without_epidermis_says_what_is_missing() -> None:
    found = finding_of(slide_of("vertical", "no epidermis", "vertical"))
    reason = "no surface epidermis is seen, so there is nothing to measure depth from"
    assert found.text.startswith(f"{BEGINS} {reason}) by carcinoma of solid-cord structure")


def test_a_horizontal_section_never_speaks_on_depth() -> None:
    alone = finding_of(slide_of("horizontal", "as it is"))
    reason = "a horizontal section shows one level of the skin only"
    assert alone.text.startswith(f"Infiltration (depth in the dermis not defined, because {reason}")
    vertical = slide_of("vertical", "as it is")
    both = finding_of(vertical, slide_of("horizontal", "as it is"))
    assert both.phrases[0].text == finding_of(vertical).phrases[0].text
    for line in both.phrases[0].evidence:
        if line.raw["value"] is not None:
            assert line.raw["sources"] == ["slide vertical"]


def test_every_phrase_stands_on_a_number_with_its_interval() -> None:
    for phrase, name, unit in zip(
        pair("as it is").phrases,
        ("full_thickness_run_um", "area_tumour_mm2", "solid_fraction", "nuclear_area_mean_um2"),
        ("µm", "mm²", "1", "µm²"),
        strict=True,
    ):
        raw = next(line.raw for line in phrase.evidence if line.raw["name"] == name)
        assert (raw["status"], raw["unit"]) == ("measured", unit)
        assert raw["sources"]
        if name != "area_tumour_mm2":
            low, high = raw["interval"]
            assert low <= raw["value"] <= high


def test_carcinoma_is_only_said_where_an_origin_is_declared() -> None:
    slide = slide_of("vertical", "as it is")
    for site, word in (("breast", "carcinoma"), ("", "tumour"), ("skin (melanoma)", "tumour")):
        assert finding_of(slide, site=site).phrases[1].text == f"by {word}"


def test_pooled_nuclei_are_those_of_one_table() -> None:
    """Mean and spread over two slides equal those of all their nuclei measured at once."""
    rng = np.random.default_rng(3)
    tables = [nuclei_table(rng, mean, count) for mean, count in ((58.0, 900), (64.0, 300))]
    settings = GradeSettings()
    together = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    whole = measure_nuclei(together, settings=settings)
    pooled = pool_nuclei([measure_nuclei(table, settings=settings) for table in tables])
    for name, value in pooled.items():
        assert value.value == pytest.approx(whole[name].value), name
    low, high = pooled["nuclear_area_mean_um2"].interval
    assert low < pooled["nuclear_area_mean_um2"].value < high


def nuclei_table(rng: np.random.Generator, mean_um2: float, count: int) -> dict[str, np.ndarray]:
    return {
        "area_um2": rng.normal(mean_um2, 12.0, count).clip(25),
        "minor_um": np.full(count, 7.0),
        "solidity": np.ones(count),
        "down_um": rng.uniform(0, 2000, count),
        "right_um": rng.uniform(0, 2000, count),
        "touches_edge": np.zeros(count, bool),
    }


def with_nuclei(slide: CaseSlide, mean_um2: float, **changes: object) -> CaseSlide:
    table = nuclei_table(np.random.default_rng(4), mean_um2, 900)
    grading = GradeSettings(**changes)
    return replace(slide, nuclei=measure_nuclei(table, settings=grading), grading=grading)


def test_a_slide_of_another_grade_is_named() -> None:
    slide = slide_of("horizontal", "as it is")
    one, other = (replace(slide, slide_id=name) for name in "ab")
    grade = call_case([with_nuclei(one, 60.0), with_nuclei(other, 82.0)])["grade"]
    assert grade.value.value == "2"
    assert grade.conflicts == (("slide b", "3"),)


def test_a_grade_between_two_is_borderline() -> None:
    slide = with_nuclei(slide_of("horizontal", "as it is"), 50.0)
    assert finding_of(slide).phrases[3].text == "and borderline low to intermediate nuclear grade"
    two = [replace(slide, slide_id=name) for name in "ab"]
    assert finding_of(*two).phrases[3].text == "and borderline low to intermediate nuclear grade"


def test_grades_by_different_limits_are_not_pooled() -> None:
    slide = slide_of("horizontal", "as it is")
    grade = call_case([with_nuclei(slide, 60.0), with_nuclei(slide, 60.0, large_um2=80.0)])["grade"]
    assert grade.value.status == "not_assessable"
    assert "different limits" in grade.value.reason


def test_the_most_infiltrative_section_decides_and_the_other_is_named() -> None:
    deep, half = (
        replace(slide_of("vertical", factor), slide_id=factor)
        for factor in ("as it is", "half depth")
    )
    depth = call_case([half, deep])["depth"]
    assert depth.value.value == "full-thickness"
    assert depth.conflicts == (("slide half depth", "partial"),)
    fraction = next(item for item in depth.evidence if item.name == "full_thickness_fraction")
    low, high = fraction.value.interval
    assert low < fraction.value.value < high


def test_a_section_without_fat_leaves_depth_open_above() -> None:
    half, open_ = (slide_of("vertical", factor) for factor in ("half depth", "no fat"))
    found = finding_of(half, replace(open_, slide_id="open"))
    assert found.phrases[0].text == "At least partial-thickness dermal infiltration"


def test_a_case_of_failed_slides_says_so() -> None:
    found = finding_of()
    assert found.text.startswith(
        "Whether there is tumour is not assessable (because no slide of the case was measured);"
    )


def test_sections_read_from_a_file_give_the_same_call() -> None:
    slide = slide_of("vertical", "as it is")
    raw = json.loads(json.dumps([section.to_json() for section in slide.sections]))
    again = replace(slide, sections=tuple(SectionMeasurements.from_json(one) for one in raw))
    assert finding_of(again).to_json() == finding_of(slide).to_json()
