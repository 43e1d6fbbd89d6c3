"""Measured = the formula the skin was painted from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from analytic_skin import Skin, Slab, codes, map_of, measure, measure_skin, paint
from hypothesis import given, settings
from hypothesis import strategies as st

NEST = Slab(-800, 800, 0.2, 0.8)
FULL = Slab(-700, 700, 0.0, 1.0)
SKINS = {
    "straight": Skin(slabs=(NEST,)),
    "tilted": Skin(slabs=(NEST,), angle_deg=33),
    "bent": Skin(slabs=(NEST,), radius_um=6000, angle_deg=-50),
    "rete": Skin(slabs=(NEST,), rete_um=40, angle_deg=12),
    "follicles": Skin(slabs=(NEST,), follicles_um=(-1900, -1300, 1300, 1900), angle_deg=61),
}


def number(found, name: str) -> float:
    measured = found.values[name]
    assert measured.status == "measured", measured
    return measured.value


def arc_share(skin: Skin, top: float, bottom: float, left: float, right: float) -> float:
    """Share of the dermis within a slab: by length when straight, by annulus when bent."""
    length = (right - left) / skin.width_um
    if skin.radius_um is None:
        return length * (bottom - top)
    dej = skin.radius_um - skin.epidermis_um
    radii = [dej - d * skin.dermis_um for d in (0.0, top, bottom, 1.0)]
    return length * (radii[1] ** 2 - radii[2] ** 2) / (radii[0] ** 2 - radii[3] ** 2)


@pytest.mark.parametrize("name", SKINS)
def test_depths_and_shares(name: str) -> None:
    skin = SKINS[name]
    found = measure_skin(skin)
    # The bent arc's lateral coordinate is measured at the surface, its junction lies below.
    assert number(found, "depth_max_um") == pytest.approx(0.797 * skin.dermis_um, abs=15)
    assert number(found, "relative_depth_max") == pytest.approx(0.797, abs=0.01)
    assert number(found, "dermal_thickness_median_um") == pytest.approx(skin.dermis_um, abs=10)
    share = arc_share(skin, 0.2, 0.8, NEST.left_um, NEST.right_um)
    assert number(found, "infiltration_fraction") == pytest.approx(share, abs=0.01)
    assert number(found, "dsj_interpolated_fraction") == 0.0
    assert found.values["section_orientation"].value == "vertical"


@pytest.mark.parametrize("name", SKINS)
def test_relative_depth_of_every_pixel(name: str) -> None:
    _, depth, truth = map_of(SKINS[name])
    inside = depth.compartment
    error = np.abs(depth.relative[inside] - truth[inside])
    assert error.mean() <= 0.02
    assert np.percentile(error, 99) <= 0.05
    # The compartment is the dermis and nothing else.
    assert truth[inside].min() > -0.05
    assert np.percentile(truth[inside], 99.9) < 1.01
    assert truth[inside].max() < 1.05


def test_profile_of_a_straight_slab() -> None:
    profile = np.array(number(measure_skin(SKINS["straight"]), "occupancy_profile"))
    inside = slice(5, 15)
    assert profile[inside] == pytest.approx(1600 / 5000, abs=0.018)
    assert profile[:3] == pytest.approx(0.0, abs=0.005)
    assert profile[17:] == pytest.approx(0.0, abs=0.005)


@pytest.mark.parametrize(
    ("top", "bottom", "log2"), [(0.1, 0.9, 0.0), (0.2, 0.6, np.log2(3)), (0.3, 0.9, -1.0)]
)
def test_balance(top: float, bottom: float, log2: float) -> None:
    found = measure_skin(Skin(slabs=(Slab(-900, 900, top, bottom),), angle_deg=20))
    assert number(found, "top_bottom_log2") == pytest.approx(log2, abs=0.06)


@pytest.mark.parametrize("slab", [Slab(-600, 600, 0.1, 0.4), Slab(-600, 600, 0.6, 0.9)])
def test_a_tumour_in_one_half_only_is_at_the_limit(slab: Slab) -> None:
    balance = number(measure_skin(Skin(slabs=(slab,))), "top_bottom_log2")
    assert balance == (10.0 if slab.top < 0.5 else -10.0)


@given(angle=st.floats(0, 90))
@settings(max_examples=4, deadline=None)
def test_turning_the_glass_changes_nothing(angle: float) -> None:
    skin = Skin(width_um=3500, fat_um=500, slabs=(NEST,))
    straight = measure_skin(skin)
    turned = measure_skin(dataclasses.replace(skin, angle_deg=angle))
    for name, tolerance in {
        "depth_max_um": 15,
        "relative_depth_max": 0.01,
        "infiltration_fraction": 0.004,
        "dermal_thickness_median_um": 8,
        "epidermis_length_mm": 0.06,
        "dermal_compartment_area_mm2": 0.1,
    }.items():
        assert number(turned, name) == pytest.approx(number(straight, name), abs=tolerance), name


@pytest.mark.parametrize("mirror", [np.fliplr, np.flipud, np.transpose])
def test_mirrored_glass_gives_the_same(mirror) -> None:
    skin = Skin(slabs=(Slab(-1500, 100, 0.1, 0.6),), angle_deg=25, rete_um=30)
    labels, grid = paint(skin, 4.0)
    plain, mirrored = measure_skin(skin), measure(np.ascontiguousarray(mirror(labels)), grid)
    for name in ("depth_max_um", "infiltration_fraction", "dermal_thickness_median_um"):
        assert number(mirrored, name) == pytest.approx(number(plain, name), rel=0.01), name
    for name in ("tissue_area_mm2", "area_tumour_mm2"):
        assert number(mirrored, name) == number(plain, name)


@pytest.mark.parametrize("mpp", [1.7, 2.0, 3.0, 4.0])
def test_the_label_pixel_does_not_matter(mpp: float) -> None:
    skin = Skin(width_um=3000, fat_um=500, slabs=(Slab(-500, 500, 0.1, 0.7),), angle_deg=17)
    found = measure_skin(skin, mpp=mpp)
    assert number(found, "depth_max_um") == pytest.approx(0.697 * 1500, abs=15)
    assert number(found, "relative_depth_max") == pytest.approx(0.697, abs=0.01)
    assert number(found, "infiltration_fraction") == pytest.approx(0.2, abs=0.01)
    assert number(found, "area_tumour_mm2") == pytest.approx(0.9, rel=0.005)


def test_the_compartment_is_anatomical() -> None:
    # Tumour, follicles and inflammation replace "dermis" pixels but stay in the denominator.
    bare = number(measure_skin(Skin()), "dermal_compartment_area_mm2")
    filled = Skin(slabs=(FULL, Slab(900, 1500, 0.2, 0.9, tissue=6)), follicles_um=(-1500,))
    assert number(measure_skin(filled), "dermal_compartment_area_mm2") == pytest.approx(
        bare, rel=0.01
    )


@pytest.mark.parametrize("radius_um", [None, 5000.0])
def test_fat_destroyed_by_tumour_is_bridged(radius_um: float | None) -> None:
    skin = Skin(slabs=(Slab(-800, 800, 0.0, 1.4),), radius_um=radius_um, angle_deg=70)
    found = measure_skin(skin)
    assert number(found, "dsj_interpolated_fraction") == pytest.approx(0.32, abs=0.04)
    assert number(found, "dermal_thickness_median_um") == pytest.approx(1500, abs=12)
    assert number(found, "infiltration_fraction") == pytest.approx(0.32, abs=0.01)
    assert number(found, "relative_depth_max") == 1.0
    assert number(found, "depth_max_um") == pytest.approx(1.398 * 1500, abs=15)
    assert "dsj_interpolated" in codes(found)


def test_septa_and_follicles_are_closed_not_interpolated() -> None:
    septum = Slab(-1000, -850, 1.0, 1.6, tissue=2)
    found = measure_skin(Skin(slabs=(NEST, septum), follicles_um=(1300,), angle_deg=5))
    assert number(found, "dsj_interpolated_fraction") == 0.0
    assert found.values["dermal_thickness_median_um"].interval == pytest.approx(
        (1500, 1500), abs=12
    )


def test_under_an_ulcer_the_exposed_surface_is_the_datum() -> None:
    found = measure_skin(Skin(slabs=(FULL,), ulcer_um=(-400, 400), angle_deg=10))
    assert number(found, "depth_max_um") == pytest.approx(0.995 * 1500, abs=15)
    assert number(found, "infiltration_fraction") == pytest.approx(0.28, abs=0.01)
    assert number(found, "epidermis_length_mm") == pytest.approx(4.2, abs=0.1)


def test_cut_edges_are_not_junctions() -> None:
    # A tumour along the cut edge lies as deep as its epidermis says, not 0 µm from the glass.
    found = measure_skin(Skin(slabs=(Slab(1900, 2500, 0.3, 0.6),), angle_deg=40))
    assert number(found, "depth_max_um") == pytest.approx(0.597 * 1500, abs=15)
    assert number(found, "relative_depth_max") == pytest.approx(0.597, abs=0.01)
    profile = np.array(number(found, "occupancy_profile"))
    assert profile[:5] == pytest.approx(0.0, abs=0.003)


def test_stray_tumour_pixels_leave_depths_alone() -> None:
    labels, grid = paint(SKINS["straight"], 4.0)
    clean = measure_skin(SKINS["straight"])
    deep = np.argwhere(labels == 4)[::5000]
    labels[tuple(deep.T)] = 5
    assert number(measure(labels, grid), "depth_max_um") == number(clean, "depth_max_um")


def test_length_of_a_long_strip() -> None:
    skin = Skin(width_um=9000, dermis_um=900, fat_um=500, radius_um=20000)
    # On the arc the junction is shorter than the surface by its depth over the radius.
    found = measure_skin(dataclasses.replace(skin, angle_deg=15))
    length_mm = 9.0 * (1 - 80 / 20000)
    assert number(found, "epidermis_length_mm") == pytest.approx(length_mm, abs=0.1)
    assert number(found, "assessable_length_mm") == pytest.approx(length_mm, abs=0.1)
