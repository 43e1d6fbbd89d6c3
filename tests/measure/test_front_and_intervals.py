"""Shape of the tumour, and how far values may be off."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from analytic_skin import Skin, Slab, measure, measure_skin, one_section, paint

from wsi_pipeline.classes import DERMIS, TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.errors import MeasurementError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure import measure_slide
from wsi_pipeline.measure.front import DOUBTFUL
from wsi_pipeline.measure.uncertainty import HEADLINES

RIM_UM = 30.0
"""Stroma beside tumour that counts as infiltrated, µm."""
SKIN = Skin(width_um=2800, dermis_um=1000, fat_um=500, slabs=(Slab(-600, 600, 0.1, 0.7),))


def blots(*discs: tuple[float, float, float]) -> dict[str, float]:
    """Values of discs of tumour (down, right, radius in µm) in a square of dermis."""
    mpp, side = 4.0, 600
    labels = np.zeros((side, side), np.uint8)
    labels[20:-20, 20:-20] = DERMIS
    y, x = (np.mgrid[:side, :side] + 0.5) * mpp - 1200
    for down, right, radius in discs:
        labels[np.hypot(y - down, x - right) < radius] = TUMOUR
    found = measure(labels, Grid(labels.shape, mpp)).values
    names = ("front_roughness", "tumour_solidity", "tumour_stroma_ratio")
    return {name: found[name].value for name in names}


def test_a_disc_is_smooth_and_solid() -> None:
    disc = blots((0, 0, 300))
    assert disc["front_roughness"] == pytest.approx(1.0, abs=0.02)
    assert disc["tumour_solidity"] == pytest.approx(1.0, abs=0.02)
    assert disc["tumour_stroma_ratio"] == pytest.approx((300 / 330) ** 2, abs=0.02)
    apart = blots((-500, -500, 200), (500, 500, 200))  # two clusters, each with its own field
    assert apart["front_roughness"] == pytest.approx(1.0, abs=0.02)


def test_two_discs_that_belong_together_are_rough() -> None:
    pair = blots((0, -190, 150), (0, 190, 150))  # 20 µm between their envelopes
    outline = 2 * 2 * np.pi * 180
    hull = 2 * np.pi * 180 + 2 * 380
    assert pair["front_roughness"] == pytest.approx(outline / hull, abs=0.05)
    assert pair["tumour_solidity"] == pytest.approx(
        2 * np.pi * 180**2 / (np.pi * 180**2 + 380 * 360), abs=0.03
    )


def test_no_tumour_has_no_shape() -> None:
    found = measure_skin(dataclasses.replace(SKIN, slabs=())).values
    assert found["front_roughness"].status == "not_defined"


def measured_with(probability: np.ndarray | None):
    labels, grid = paint(SKIN, 4.0)
    sections, sections_grid = one_section(labels, grid)
    return measure_slide(
        labels,
        grid=grid,
        sections=sections,
        sections_grid=sections_grid,
        declared_section="vertical",
        settings=MeasureSettings(),
        tumour_probability=probability,
    ).values


def test_headlines_carry_an_interval_that_holds_them() -> None:
    found = measured_with(None)
    for name in HEADLINES:
        low, high = found[name].interval
        assert low <= found[name].value <= high, name
    assert found["full_thickness_fraction"].interval == (0.0, 0.0)
    depth = found["depth_max_um"]
    assert depth.interval[1] - depth.value >= 0.01 * depth.value


def test_what_the_segmentation_leaves_open_widens_the_interval() -> None:
    labels, _ = paint(SKIN, 4.0)
    sure = np.where(labels == TUMOUR, 255, 0).astype(np.uint8)
    # A layer of 100 µm below the tumour is tumour at 40 %.
    deeper, _ = paint(dataclasses.replace(SKIN, slabs=(Slab(-600, 600, 0.1, 0.8),)), 4.0)
    unsure = np.where((deeper == TUMOUR) & (labels != TUMOUR), 102, sure).astype(np.uint8)
    narrow, wide = measured_with(sure), measured_with(unsure)
    for name in HEADLINES:
        assert narrow[name].value == wide[name].value
    assert narrow["depth_max_um"].interval == measured_with(None)["depth_max_um"].interval
    assert wide["depth_max_um"].interval[1] >= wide["depth_max_um"].value + 95
    assert wide["depth_max_um"].interval[0] == pytest.approx(narrow["depth_max_um"].interval[0])
    assert wide["relative_depth_max"].interval[1] == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(("sure", "probability"), [(True, 0.85), (False, 0.6)])
def test_what_is_doubtful_as_a_whole_is_no_depth(sure: bool, probability: float) -> None:
    labels, grid = paint(SKIN, 4.0)
    clean = measured_with(np.where(labels == TUMOUR, 242, 0).astype(np.uint8))
    # A nest of 100 µm deep in the dermis, far below the slab; only its middle is fairly sure.
    rows, columns = np.nonzero(labels == TUMOUR)
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]]
    away_um = np.hypot(y - rows.max() - 40, x - columns.mean()) * grid.mpp
    labels[away_um < 50] = TUMOUR
    map_of = np.where(labels == TUMOUR, 242, 0)
    map_of[away_um < 50] = round(255 * probability)
    map_of[away_um < 10] = 242
    sections, sections_grid = one_section(labels, grid)
    found = measure_slide(
        labels,
        grid=grid,
        sections=sections,
        sections_grid=sections_grid,
        declared_section="vertical",
        settings=MeasureSettings(),
        tumour_probability=map_of.astype(np.uint8),
    ).values
    deeper_um = found["depth_max_um"].value - clean["depth_max_um"].value
    assert deeper_um > 100 if sure else abs(deeper_um) < 5
    # Amounts are over all that was called tumour.
    assert found["infiltration_fraction"].value > clean["infiltration_fraction"].value


def test_a_section_of_doubts_alone_has_no_depth() -> None:
    labels, _ = paint(SKIN, 4.0)
    doubtful = measured_with(np.where(labels == TUMOUR, 170, 0).astype(np.uint8))
    assert doubtful["full_thickness_call"].value == "none"
    assert doubtful["depth_max_um"].reason == DOUBTFUL
    assert doubtful["depth_max_um"].status == "not_assessable"
    assert doubtful["full_thickness_call"].reason == DOUBTFUL
    low, high = doubtful["infiltration_fraction"].interval
    assert low == 0 < doubtful["infiltration_fraction"].value <= high
    probable = measured_with(np.where(labels == TUMOUR, 200, 0).astype(np.uint8))
    assert probable["full_thickness_call"].value == "partial"


def test_a_lower_bound_has_no_interval() -> None:
    found = measure_skin(dataclasses.replace(SKIN, fat_um=0)).values
    assert found["depth_max_um"].status == "at_least"
    assert found["depth_max_um"].interval is None


def test_probabilities_must_fit_the_labels() -> None:
    with pytest.raises(MeasurementError, match="tumour probabilities of shape"):
        measured_with(np.zeros((3, 3), np.uint8))


def test_a_run_that_hangs_on_one_gap_says_so() -> None:
    # Two stretches of 500 µm, 150 µm of dermis between what surrounds them: one run or two.
    half_um = 75 + RIM_UM
    slabs = (Slab(-500 - half_um, -half_um, 0, 1), Slab(half_um, 500 + half_um, 0, 1))
    run = measure_skin(dataclasses.replace(SKIN, slabs=slabs)).values["full_thickness_run_um"]
    assert run.value == pytest.approx(500 + 2 * RIM_UM, abs=30)
    assert run.interval[0] > 0.95 * run.value
    assert run.interval[1] == pytest.approx(1150 + 4 * RIM_UM, abs=40)
