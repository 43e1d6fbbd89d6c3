"""One factor changes what it reaches, and not one pixel besides."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, stats

from wsi_pipeline.classes import ADNEXA, BACKGROUND, EPIDERMIS, KERATIN, TUMOUR
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.phantom import Anatomy, Cell, Phantom, PhantomSpec, counterfactuals, paint_phantom
from wsi_pipeline.phantom.counterfactual import REACH_UM
from wsi_pipeline.phantom.dice import Dice
from wsi_pipeline.phantom.spec import NUCLEAR_AREA_UM2

SPEC = PhantomSpec(
    seed=6,
    width_mm=2.2,
    height_mm=1.3,
    mpp=1.0,
    margin_mm=0.05,
    rotation_deg=3.0,
    architecture="solid-cord",
    depth_span=(0.05, 1.1),
    lateral_span=0.4,
    cuffs=0.5,
    inflammation=0.4,
    anatomy=Anatomy(profiles=0.6, glands=0.3, papillae=True, muscles=0.6, nerves=0.8, arteries=0.5),
)
FACTORS = ("no tumour", "half depth", "cords only", "grade 3", "no fat", "no epidermis")


@pytest.fixture(scope="module")
def painted() -> dict[str, Phantom]:
    return {name: paint_phantom(spec) for name, spec in counterfactuals(SPEC).items()}


def _away_um(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(ndimage.distance_transform_edt(~mask) * SPEC.mpp)


def _differs(one: Phantom, other: Phantom) -> NDArray[np.bool_]:
    return np.asarray((one.image != other.image).any(axis=2) | (one.labels != other.labels))


def test_each_factor_is_there_and_as_it_is_is_the_slide(painted: dict[str, Phantom]) -> None:
    assert set(painted) == {"as it is", *FACTORS}
    assert painted["as it is"].image.tobytes() == paint_phantom(SPEC).image.tobytes()
    for name in FACTORS:
        assert _differs(painted["as it is"], painted[name]).any()


@pytest.mark.parametrize(
    ("name", "reach_um"),
    [("no tumour", REACH_UM), ("half depth", REACH_UM), ("cords only", REACH_UM), ("grade 3", 20)],
)
def test_the_tumour_changes_nothing_beyond_its_reach(
    painted: dict[str, Phantom], name: str, reach_um: float
) -> None:
    before, after = painted["as it is"], painted[name]
    tumour = (before.labels == TUMOUR) | (after.labels == TUMOUR)
    beyond = _away_um(tumour) > reach_um
    assert (beyond & (before.labels != BACKGROUND)).sum() > 1e5
    assert not (_differs(before, after) & beyond).any()


def test_without_tumour_there_is_none_in_picture_and_truth(painted: dict[str, Phantom]) -> None:
    bare = painted["no tumour"]
    assert not (bare.labels == TUMOUR).any()
    assert not (bare.nuclei["kind"] == Cell.TUMOUR).any()
    assert (bare.truth["architecture"], bare.truth["grade"]) == ("none", None)
    assert bare.truth["depth_max_um"] is None
    assert bare.truth["follicles"] == painted["as it is"].truth["follicles"]


def test_half_depth_keeps_the_upper_half(painted: dict[str, Phantom]) -> None:
    before, after = painted["as it is"], painted["half depth"]
    assert after.truth["relative_depth_max"] < 0.53 < before.truth["relative_depth_max"]
    profile = after.truth["occupancy_profile"][:8], before.truth["occupancy_profile"][:8]
    assert profile[0] == pytest.approx(profile[1], abs=0.02)


def test_grade_three_changes_nuclei_but_no_label(painted: dict[str, Phantom]) -> None:
    before, after = painted["as it is"], painted["grade 3"]
    assert np.array_equal(before.labels, after.labels)
    assert after.truth["nuclear_area_mean_um2"] == pytest.approx(NUCLEAR_AREA_UM2[3][0], rel=0.15)
    assert after.truth["nuclear_area_mean_um2"] > before.truth["nuclear_area_mean_um2"] + 10


def test_a_superficial_section_is_the_upper_part_of_the_whole(painted: dict[str, Phantom]) -> None:
    before, after = painted["as it is"], painted["no fat"]
    assert after.truth["dsj_in_section"] is False
    shown = ndimage.binary_erosion(after.labels != BACKGROUND, iterations=12)
    assert shown.sum() > 1e5
    assert not (_differs(before, after) & shown).any()


def test_erosion_leaves_what_lies_below(painted: dict[str, Phantom]) -> None:
    before, after = painted["as it is"], painted["no epidermis"]
    assert not (after.labels == EPIDERMIS).any()
    epithelium = np.isin(before.labels, [EPIDERMIS, ADNEXA, KERATIN])
    below = (_away_um(epithelium) > 60) & (before.labels != BACKGROUND)
    assert below.sum() > 1e5
    assert not (_differs(before, after) & below).any()
    assert np.array_equal(before.dsj_um, after.dsj_um)


def test_a_drawn_dermis_is_stated_to_the_last_digit() -> None:
    for seed in range(5):
        spec = dataclasses.replace(SPEC, seed=seed, height_mm=1.8)
        from_prior, stated = (
            counterfactuals(each)["as it is"] for each in (spec, counterfactuals(spec)["as it is"])
        )
        assert from_prior == stated
        assert stated.dermis_mm is not None


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"architecture": "none"}, {"no tumour", "half depth", "cords only", "grade 3"}),
        ({"architecture": "cord", "grade": 3}, {"cords only", "grade 3"}),
        ({"section": "horizontal"}, {"half depth", "no fat", "no epidermis"}),
        ({"with_subcutis": False, "with_epidermis": False}, {"no fat", "no epidermis"}),
    ],
)
def test_what_a_slide_shows_already_is_left_out(
    change: dict[str, object], missing: set[str]
) -> None:
    spec = dataclasses.replace(SPEC, anatomy=Anatomy(), **change)
    assert set(FACTORS) - set(counterfactuals(spec)) == missing


def test_a_depth_to_show_is_checked() -> None:
    with pytest.raises(ConfigError, match="shown_to"):
        dataclasses.replace(SPEC, shown_to=2.0)


def test_dice_depend_on_place_stream_and_channel_alone() -> None:
    places = np.random.default_rng(0).uniform(0, 4000, (4000, 2))
    dice = Dice.of(3, 9)
    whole, part = dice.uniform(places, channel=0), dice.uniform(places[1000:1010], channel=0)
    assert np.array_equal(whole[1000:1010], part)
    for other in (
        dice.uniform(places, channel=1),
        dice.stream(1).uniform(places, channel=0),
        Dice.of(4, 9).uniform(places, channel=0),
        dice.uniform(places[:, ::-1], channel=0),
    ):
        assert abs(np.corrcoef(whole, other)[0, 1]) < 0.06
    assert stats.kstest(whole, "uniform").pvalue > 0.001
    assert stats.kstest(dice.normal(places, channel=2), "norm").pvalue > 0.001
