"""Picture, labels and truth of a phantom belong together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi_pipeline.classes import (
    ADNEXA,
    BACKGROUND,
    CLASS_NAMES,
    DERMIS,
    EPIDERMIS,
    INFLAMMATION,
    KERATIN,
    SUBCUTIS,
    TUMOUR,
)
from wsi_pipeline.phantom import (
    Phantom,
    PhantomSpec,
    coarsen_labels,
    paint_phantom,
    truth_to_json,
)
from wsi_pipeline.phantom.tissue import lay_out
from wsi_pipeline.phantom.truth import junction_um

LocalThickness = Callable[..., NDArray[np.float64]]
SMALL = PhantomSpec(
    seed=1,
    width_mm=0.8,
    height_mm=0.8,
    mpp=1.0,
    margin_mm=0.05,
    dermis_mm=0.35,
    architecture="cord",
)


def test_equal_specs_paint_equal_bytes_and_another_seed_does_not() -> None:
    first, again = paint_phantom(SMALL), paint_phantom(SMALL)
    other = paint_phantom(dataclasses.replace(SMALL, seed=2))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.labels.tobytes() == again.labels.tobytes()
    assert first.nuclei.tobytes() == again.nuclei.tobytes()
    assert first.truth == again.truth
    assert first.image.tobytes() != other.image.tobytes()
    assert first.labels.tobytes() != other.labels.tobytes()


def test_specs_that_differ_in_the_lesion_share_the_skin(
    vertical: Phantom, base: PhantomSpec
) -> None:
    bare = lay_out(dataclasses.replace(base, architecture="none"))
    assert np.array_equal(junction_um(bare, "dsj"), vertical.dsj_um)


def test_planes_have_the_size_and_classes_they_say(vertical: Phantom, horizontal: Phantom) -> None:
    for phantom in (vertical, horizontal):
        edge_px = round(1500 / phantom.spec.mpp)
        assert phantom.image.shape == (edge_px, edge_px, 3)
        assert phantom.labels.shape == (edge_px, edge_px)
        assert phantom.image.dtype == phantom.labels.dtype == np.uint8
        assert phantom.labels.max() < len(CLASS_NAMES)
    assert {EPIDERMIS, DERMIS, SUBCUTIS, TUMOUR, KERATIN} <= set(np.unique(vertical.labels))


def test_the_margin_is_bare_glass(vertical: Phantom, horizontal: Phantom) -> None:
    for phantom in (vertical, horizontal):
        edge = np.ones(phantom.labels.shape, bool)
        edge[40:-40, 40:-40] = False
        assert (phantom.labels[edge] == BACKGROUND).all()
        off = phantom.image[edge].astype(int) - phantom.spec.glass_rgb
        assert np.abs(off.mean(axis=0)).max() < 1
        assert off.std() == pytest.approx(255 * phantom.spec.noise, rel=0.15)


def test_tissue_is_darker_than_glass_and_nuclei_are_bluer_than_collagen(vertical: Phantom) -> None:
    red, blue = vertical.image[..., 0].astype(float), vertical.image[..., 2].astype(float)
    dermis, tumour = vertical.labels == DERMIS, vertical.labels == TUMOUR
    assert red[tumour].mean() < red[dermis].mean() < vertical.spec.glass_rgb[0]
    assert (blue - red)[tumour].mean() > (blue - red)[dermis].mean()


def _label_at(phantom: Phantom, places_um: NDArray[np.float64]) -> NDArray[np.uint8]:
    index = np.floor(places_um / phantom.spec.mpp).astype(int)
    return phantom.labels[index[:, 0], index[:, 1]]


def _downwards(phantom: Phantom, distance_um: float) -> NDArray[np.float64]:
    turn = np.deg2rad(phantom.spec.rotation_deg)
    return distance_um * np.array([np.cos(turn), -np.sin(turn)])


def test_the_junctions_lie_on_the_label_boundary(vertical: Phantom) -> None:
    for curve, above, below in (
        (vertical.dej_um, {EPIDERMIS}, {DERMIS, INFLAMMATION, TUMOUR, BACKGROUND}),
        (vertical.dsj_um, {DERMIS, INFLAMMATION, TUMOUR, BACKGROUND}, {SUBCUTIS, BACKGROUND}),
    ):
        over = _label_at(vertical, curve - _downwards(vertical, 2.0))
        under = _label_at(vertical, curve + _downwards(vertical, 2.0))
        skin = ~np.isin(over, [ADNEXA, KERATIN]) & ~np.isin(under, [ADNEXA, KERATIN])
        assert skin.mean() > 0.5
        assert np.isin(over[skin], list(above)).mean() > 0.99
        assert np.isin(under[skin], list(below)).mean() > 0.99


def test_infiltration_agrees_with_a_recount_between_the_curves(
    vertical: Phantom, base: PhantomSpec
) -> None:
    phantom = paint_phantom(dataclasses.replace(base, rotation_deg=0.0, mpp=1.0))
    rows, columns = np.indices(phantom.labels.shape)
    down, right = rows + 0.5, columns + 0.5
    bounds = [
        np.interp(right[0], curve[:, 1], curve[:, 0]) for curve in (phantom.dej_um, phantom.dsj_um)
    ]
    between = (down > bounds[0]) & (down <= bounds[1]) & (phantom.labels != BACKGROUND)
    tumour = between & (phantom.labels == TUMOUR)
    truth = phantom.truth
    assert truth["infiltration_fraction"] == pytest.approx(tumour.sum() / between.sum(), abs=0.003)
    assert truth["dermal_compartment_mm2"] == pytest.approx(between.sum() * 1e-6, rel=0.01)
    assert truth["tumour_mm2"] == pytest.approx((phantom.labels == TUMOUR).sum() * 1e-6)
    deepest = (down - bounds[0])[tumour].max()
    # Straight down is never shorter than the nearest way, and hardly longer on flat skin.
    assert truth["depth_max_um"] <= deepest + 1
    assert truth["depth_max_um"] == pytest.approx(deepest, rel=0.1)
    assert sum(truth["area_mm2"].values()) == pytest.approx(1.5 * 1.5)
    assert phantom.truth["dermis_um"] == pytest.approx(800, rel=0.08)
    assert vertical.truth["dermis_um"] == pytest.approx(phantom.truth["dermis_um"], rel=0.05)


def test_the_lesion_keeps_to_its_depth_span(vertical: Phantom) -> None:
    low, high = vertical.spec.depth_span
    assert low - 0.03 <= vertical.truth["relative_depth_min"] < low + 0.2
    assert high - 0.2 < vertical.truth["relative_depth_max"] <= high + 0.03
    profile = vertical.truth["occupancy_profile"]
    assert len(profile) == 20
    assert profile[0] < 0.05
    assert max(profile) > 0.2


def test_a_horizontal_section_has_no_depth(horizontal: Phantom) -> None:
    truth = horizontal.truth
    assert not horizontal.dej_um.size
    assert not horizontal.dsj_um.size
    assert truth["depth_max_um"] is truth["occupancy_profile"] is None
    assert not np.isin(horizontal.labels, [EPIDERMIS, SUBCUTIS]).any()
    assert 0 < truth["infiltration_fraction"] < 1
    assert truth["infiltration_fraction"] == pytest.approx(
        truth["tumour_mm2"] / truth["tissue_mm2"], rel=0.02
    )


def test_a_superficial_section_without_tumour(superficial: Phantom) -> None:
    assert not (superficial.labels == SUBCUTIS).any()
    assert not (superficial.labels == TUMOUR).any()
    assert not superficial.dsj_um.size
    assert superficial.truth["dsj_in_section"] is False
    assert superficial.truth["depth_max_um"] is None
    assert superficial.truth["infiltration_fraction"] == 0
    assert superficial.truth["tumour_nuclei"] == 0
    # The deepest twentieth of the dermis was not cut: unknown, not zero.
    assert superficial.truth["occupancy_profile"][-1] is None


def test_an_eroded_surface_has_no_epidermis() -> None:
    phantom = paint_phantom(dataclasses.replace(SMALL, with_epidermis=False))
    assert not (phantom.labels == EPIDERMIS).any()
    assert not phantom.dej_um.size
    assert phantom.dsj_um.size


def test_truth_goes_through_json(vertical: Phantom, horizontal: Phantom) -> None:
    for phantom in (vertical, horizontal):
        plain = truth_to_json(phantom.truth)
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_coarser_labels_keep_area_shares(vertical: Phantom) -> None:
    coarse = coarsen_labels(vertical.labels, 8)
    assert coarse.shape == (375, 375)
    for code in (BACKGROUND, EPIDERMIS, DERMIS, TUMOUR):
        fine_share = (vertical.labels == code).mean()
        assert (coarse == code).mean() == pytest.approx(fine_share, abs=0.005)


@pytest.mark.parametrize(
    ("architecture", "low_um", "high_um"), [("cord", 10.0, 75.0), ("solid", 120.0, 850.0)]
)
def test_each_architecture_has_its_widths(
    base: PhantomSpec,
    architecture: str,
    low_um: float,
    high_um: float,
    local_thickness_um: LocalThickness,
) -> None:
    spec = dataclasses.replace(
        base, section="horizontal", architecture=architecture, mpp=2.0, lateral_span=1.0
    )
    width = local_thickness_um(lay_out(spec).tumour_um > 0, step_um=4.0)
    assert ((width >= low_um) & (width <= high_um)).mean() > 0.9


def test_solid_cord_holds_both_growth_patterns(
    base: PhantomSpec, local_thickness_um: LocalThickness
) -> None:
    spec = dataclasses.replace(
        base, seed=3, section="horizontal", mpp=2.0, width_mm=3.0, height_mm=3.0
    )
    width = local_thickness_um(lay_out(spec).tumour_um > 0, step_um=4.0)
    assert (width >= 130).mean() > 0.25
    assert (width < 130).mean() > 0.25


@pytest.mark.parametrize("architecture", ["solid", "cord", "solid-cord"])
def test_density_follows_the_wish(base: PhantomSpec, architecture: str) -> None:
    wide = dataclasses.replace(
        base, architecture=architecture, width_mm=3.0, height_mm=2.0, mpp=2.0
    )
    shares = [
        (lay_out(dataclasses.replace(wide, tumour_density=wish)).tumour_um > 0).mean()
        for wish in (0.15, 0.3, 0.6)
    ]
    assert shares == sorted(shares)
    assert shares[2] > 1.5 * shares[0]
