"""One lesion, seven slides: does the sentence say what each of them shows?

Labels and nuclei are those of the phantom's truth: what is tested is the way from measurements
to words, not a model.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from analytic_skin import measure
from true_values import paint_labels

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.config import GradeSettings
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure import CaseSlide, absent_nuclei, call_case, measure_nuclei
from wsi_pipeline.phantom import PhantomSpec, counterfactuals, sample_spec
from wsi_pipeline.phantom.nuclei import place_nuclei
from wsi_pipeline.report import CaseReport, Finding, compose_finding

MPP = 2.0
LESION = "of solid-cord structure and intermediate nuclear grade"
FIGURE = f"Full-thickness dermal infiltration by carcinoma {LESION}"


def spec_of(section: str) -> PhantomSpec:
    """Full-thickness lesion of grade 2 with solid and cord-like parts."""
    spec = sample_spec(
        1, section=section, architecture="solid-cord", grade=2, width_mm=3.0, height_mm=2.0
    )
    if section == "vertical":
        return replace(spec, mpp=MPP, dermis_mm=0.9, depth_span=(0.03, 1.1), lateral_span=0.8)
    return replace(spec, mpp=MPP, lateral_span=0.8)


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
    """One vertical and one horizontal section of the case; both differ where both can."""
    return finding_of(slide_of("vertical", factor), slide_of("horizontal", factor))


def test_the_sentence_of_the_figure() -> None:
    assert pair("as it is").text == FIGURE
