"""What a model gets wrong, and what that does to the numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from analytic_skin import Skin, Slab, codes, measure, measure_skin, paint, place_and_depth

from wsi_pipeline.classes import BACKGROUND, DERMIS, EPIDERMIS, SUBCUTIS, TUMOUR
from wsi_pipeline.geometry import Grid

NEST = Slab(-800, 800, 0.2, 0.8)
SKIN = Skin(width_um=3500, fat_um=500, angle_deg=8, slabs=(NEST,))
# What each value may move by under noise that leaves the anatomy alone.
TOLERANCES = {
    "depth_max_um": 15,
    "relative_depth_max": 0.01,
    "infiltration_fraction": 0.01,
    "dermal_thickness_median_um": 15,
    "assessable_length_mm": 0.06,
    "dermal_compartment_area_mm2": 0.1,
}
Places = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def clean() -> dict[str, float]:
    found = measure_skin(SKIN)
    return {name: found.values[name].value for name in TOLERANCES}


def painted(mpp: float = 4.0) -> tuple[np.ndarray, Grid, Places]:
    labels, grid = paint(SKIN, mpp)
    return labels, grid, place_and_depth(SKIN, grid, grid.extent_um[0] / 2)


def check(labels: np.ndarray, grid: Grid, clean: dict[str, float]) -> set[str]:
    """Compare with the clean map; give the flags."""
    found = measure(labels, grid)
    for name, tolerance in TOLERANCES.items():
        assert found.values[name].status == "measured", (name, found.values[name])
        assert found.values[name].value == pytest.approx(clean[name], abs=tolerance), name
    assert found.values["section_orientation"].value == "vertical"
    return codes(found)


@pytest.mark.parametrize("depth_um", [700, 1300])
@pytest.mark.parametrize("length_um", [160, 480])
def test_epidermis_on_a_cut_edge(clean, depth_um: float, length_um: float) -> None:
    labels, grid, (place, depth) = painted()
    island = (place > 1650) & (abs(depth - depth_um) < length_um / 2) & (labels != BACKGROUND)
    labels[island] = EPIDERMIS
    assert check(labels, grid, clean) == set()


@pytest.mark.parametrize("height_um", [16, 24, 32, 48])
@pytest.mark.parametrize("broken", [False, True])
def test_horn_called_dermis(clean, height_um: float, broken: bool) -> None:
    labels, grid, (place, depth) = painted()
    horn = (depth < 0) & (depth > -height_um) & (abs(place) < SKIN.width_um / 2)
    if broken:
        horn &= place // 200 % 2 == 0
    labels[horn] = DERMIS
    assert check(labels, grid, clean) == set()


def test_salt(clean) -> None:
    labels, grid, _ = painted(2.0)
    salt = np.random.default_rng(0).random(labels.shape) < 0.04
    labels[salt & (labels != BACKGROUND)] = TUMOUR
    found = measure(labels, grid)
    for name in ("depth_max_um", "relative_depth_max", "dermal_thickness_median_um"):
        assert found.values[name].status == "measured"
        assert found.values[name].value == pytest.approx(clean[name], abs=TOLERANCES[name]), name
    # Salt is tumour in the labels: amounts rise by what it adds, and by no more.
    share = clean["infiltration_fraction"]
    assert found.values["infiltration_fraction"].value == pytest.approx(
        share + 0.04 * (1 - share), abs=0.01
    )
    assert found.values["tumour_in_window_fraction"].value == pytest.approx(1.0, abs=0.01)


def test_salt_alone_is_no_tumour_to_measure() -> None:
    labels, grid, _ = painted(2.0)
    labels[labels == TUMOUR] = DERMIS
    labels[(np.random.default_rng(1).random(labels.shape) < 0.04) & (labels == DERMIS)] = TUMOUR
    assert measure(labels, grid).values["depth_max_um"].status == "not_assessable"
    # A horizontal section has no depth, whatever it holds.
    flat = measure(labels, grid, declared="horizontal").values
    assert flat["depth_max_um"].status == "not_defined"
    assert flat["front_roughness"].status == "not_assessable"


def test_fat_in_the_middle_of_the_dermis(clean) -> None:
    labels, grid, (place, depth) = painted()
    labels[(abs(place - 1300) < 140) & (abs(depth - 500) < 140)] = SUBCUTIS
    assert check(labels, grid, clean) <= {"dsj_interpolated"}


@pytest.mark.parametrize(
    ("lost", "flags"),
    [
        (lambda place: (place // 250) % 4 == 0, set()),
        (lambda place: abs(abs(place) - 700) < 300, {"epidermis_bridged"}),
    ],
)
def test_epidermis_dropped_in_patches(clean, lost: Callable, flags: set[str]) -> None:
    labels, grid, (place, _) = painted()
    labels[lost(place) & (abs(place) < 1500) & (labels == EPIDERMIS)] = DERMIS
    assert check(labels, grid, clean) == flags


def test_all_of_it_at_once(clean) -> None:
    labels, grid, (place, depth) = painted()
    tissue = labels != BACKGROUND
    labels[(place > 1650) & (abs(depth - 900) < 100) & tissue] = EPIDERMIS
    labels[(depth < 0) & (depth > -24) & (abs(place) < 1700) & (place // 150 % 2 == 0)] = DERMIS
    labels[(abs(place + 400) < 120) & (labels == EPIDERMIS)] = DERMIS
    speckle = np.random.default_rng(2).random(labels.shape)
    labels[tissue & (speckle < 0.01)] = TUMOUR
    labels[tissue & (speckle > 0.99)] = DERMIS
    labels[tissue & (abs(speckle - 0.5) < 0.005)] = BACKGROUND
    looser = {"infiltration_fraction": 0.02, "dermal_compartment_area_mm2": 0.15}
    found = measure(labels, grid)
    for name, tolerance in (TOLERANCES | looser).items():
        assert found.values[name].status == "measured"
        assert found.values[name].value == pytest.approx(clean[name], abs=tolerance), name
