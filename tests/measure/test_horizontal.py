"""Rings and follicles of a section parallel to the surface."""

from __future__ import annotations

import math

import numpy as np
import pytest
from analytic_skin import Skin, codes, measure, measure_skin
from scipy import stats

from wsi_pipeline.classes import ADNEXA, BACKGROUND, DERMIS, KERATIN, TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure import SlideMeasurements, measure_slide
from wsi_pipeline.measure.horizontal import HORIZONTAL_UNITS, poisson_interval
from wsi_pipeline.measure.section import DEPTH_UNITS

MPP = 2.0
RADIUS_UM = 1500.0


def punch(tumour_um: float = 0.0) -> np.ndarray:
    """A disc of dermis, with a disc of tumour in its middle."""
    side = math.ceil((2 * RADIUS_UM + 200) / MPP)
    y, x = np.mgrid[:side, :side] * MPP + MPP / 2 - side * MPP / 2
    reach = np.hypot(y, x)
    labels = np.where(reach < RADIUS_UM, DERMIS, BACKGROUND).astype(np.uint8)
    labels[reach < tumour_um] = TUMOUR
    return labels


def follicle(
    labels: np.ndarray, down_um: float, right_um: float, *, width_um: float = 160, tissue=ADNEXA
) -> None:
    """A disc at a place counted from the middle."""
    half_um = len(labels) * MPP / 2
    y, x = np.mgrid[: len(labels), : len(labels)] * MPP + MPP / 2 - half_um
    labels[np.hypot(y - down_um, x - right_um) < width_um / 2] = tissue


def horizontal(labels: np.ndarray, mpp: float = MPP, **given) -> SlideMeasurements:
    return measure(labels, Grid(labels.shape, mpp), declared="horizontal", **given)


def test_rings_run_from_the_edge_inwards() -> None:
    found = horizontal(punch(0.6 * RADIUS_UM)[::2, ::2], 2 * MPP).values["radial_profile"]
    assert found.unit == "1"
    assert found.value[:4] == pytest.approx([0] * 4, abs=0.04)
    assert found.value[4:] == pytest.approx([1] * 6, abs=0.04)


def test_the_profile_adds_up_to_the_share_of_tumour() -> None:
    labels = punch()
    labels[:, : len(labels) // 2][labels[:, : len(labels) // 2] == DERMIS] = TUMOUR
    found = horizontal(labels[::2, ::2], 2 * MPP).values
    assert found["radial_profile"].value == pytest.approx([0.5] * 10, abs=0.02)
    assert found["tumour_tissue_fraction"].value == pytest.approx(0.5, abs=0.01)


def test_follicles_and_units() -> None:
    labels = punch()
    for right_um in (-900, -680, 0, 700):  # the first two are one unit
        follicle(labels, 0, right_um)
    follicle(labels, 500, 0)
    follicle(labels, 500, 150)  # they touch: a waist of 55 µm parts them
    follicle(labels, -700, 0, width_um=90)  # a tubule
    follicle(labels, 0, 700, width_um=60, tissue=KERATIN)
    found = horizontal(labels).values
    assert (found["follicle_count"].value, found["follicular_unit_count"].value) == (6, 4)
    tissue_mm2 = found["tissue_area_mm2"].value
    assert found["follicles_per_mm2"].value == pytest.approx(6 / tissue_mm2)
    assert found["follicular_units_per_punch"].value == pytest.approx(4 * 12.566 / tissue_mm2, 1e-4)
    assert found["follicle_count"].interval == pytest.approx((2.20, 13.06), abs=0.01)
    low, high = found["follicles_per_punch"].interval
    assert (low, high) == pytest.approx(
        (2.202 * 12.566 / tissue_mm2, 13.059 * 12.566 / tissue_mm2), 1e-3
    )


def test_no_follicle_is_a_count_with_an_upper_bound() -> None:
    found = horizontal(punch()).values
    assert found["follicle_count"].value == 0
    assert found["follicle_count"].interval == pytest.approx((0, 3.689), abs=1e-3)


@pytest.mark.parametrize("count", [1, 4, 17, 120])
def test_poisson_interval_holds_both_tails(count: int) -> None:
    low, high = poisson_interval(count)
    assert stats.poisson.sf(count - 1, low) == pytest.approx(0.025)
    assert stats.poisson.cdf(count, high) == pytest.approx(0.025)


def test_a_vertical_section_has_neither_rings_nor_follicles() -> None:
    found = measure_skin(Skin(width_um=3000, dermis_um=900, fat_um=400))
    for name in HORIZONTAL_UNITS:
        assert found.values[name].status == "not_defined"
        assert found.values[name].value is None


def test_a_horizontal_section_has_no_depth_and_never_a_zero() -> None:
    found = horizontal(punch(500))
    for name in DEPTH_UNITS:
        assert (found.values[name].value, found.values[name].status) == (None, "not_defined")


def test_where_adnexa_are_never_called_no_follicles_are_counted() -> None:
    found = horizontal(punch(500), never_called=("adnexa",)).values
    for name in HORIZONTAL_UNITS.keys() - {"radial_profile"}:
        assert found[name].status == "not_assessable"
    assert found["radial_profile"].status == "measured"


def test_a_cut_section_has_no_rings_and_bounds_its_count() -> None:
    labels = punch()
    follicle(labels, 0, -300)
    half = np.ascontiguousarray(labels[:, : len(labels) // 2])
    found = measure(half, Grid(half.shape, MPP), declared="horizontal")
    assert found.values["radial_profile"].status == "not_assessable"
    assert found.values["follicle_count"].status == "at_least"
    assert "touches_edge" in codes(found)


def test_coarse_labels_do_not_tell_follicles() -> None:
    found = horizontal(punch()[::2, ::2], 2 * MPP)
    assert found.values["follicle_count"].status == "not_assessable"


def test_a_slide_pools_counts_before_the_interval() -> None:
    first, second = punch(), punch()
    for place in (-600, 0, 600):
        follicle(first, place, 0)
    follicle(second, 0, 0)
    labels = np.hstack([first, second])
    ids = np.repeat(np.uint8([1, 2]), labels.shape[1] // 8)
    ids = np.tile(ids, (labels.shape[0] // 4, 1))
    found = measure_slide(
        labels,
        grid=Grid(labels.shape, MPP),
        sections=ids,
        sections_grid=Grid(ids.shape, 4 * MPP),
        declared_section="horizontal",
        settings=MeasureSettings(),
    ).values
    assert found["follicle_count"].value == 4
    assert found["follicle_count"].interval == pytest.approx(poisson_interval(4))
    tissue_mm2 = found["tissue_area_mm2"].value
    density = found["follicles_per_mm2"]
    assert density.value == pytest.approx(4 / tissue_mm2)
    assert density.interval == pytest.approx(tuple(e / tissue_mm2 for e in poisson_interval(4)))
