"""Growth patterns, what may be added to a lesion, and what resembles one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import (
    ADNEXA,
    BACKGROUND,
    EPIDERMIS,
    INFLAMMATION,
    KERATIN,
    SUBCUTIS,
    TUMOUR,
)
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom import PhantomSpec, paint_phantom, sample_spec, truth_to_json, vary_lesion
from wsi_pipeline.phantom.frame import refine
from wsi_pipeline.phantom.nuclei import NUCLEUS_DTYPE, Cell, place_nuclei
from wsi_pipeline.phantom.spec import TUMOUR_SPACING_UM
from wsi_pipeline.phantom.tissue import Layout, lay_out
from wsi_pipeline.phantom.truth import DEPTH_NAMES, junction_um, measure_truth

Labels = NDArray[np.uint8]
LabelPlane = Callable[[Layout], NDArray[np.uint8]]
LocalThickness = Callable[..., NDArray[np.float64]]
Label = Callable[[PhantomSpec], tuple[Labels, dict[str, Any]]]
NEW = ("trabecular", "single-file", "glandular")
SMALL = PhantomSpec(
    seed=11,
    width_mm=0.8,
    height_mm=0.8,
    mpp=1.0,
    margin_mm=0.05,
    dermis_mm=0.28,
    rotation_deg=5.0,
    lateral_span=0.9,
    inflammation=0.5,
)
FLAT = PhantomSpec(
    seed=5,
    section="horizontal",
    width_mm=1.6,
    height_mm=1.6,
    mpp=2.0,
    margin_mm=0.05,
    lateral_span=1.0,
    inflammation=0.0,
    tumour_density=0.4,
)
DEEP = PhantomSpec(
    seed=7,
    width_mm=1.8,
    height_mm=1.8,
    mpp=2.0,
    margin_mm=0.05,
    dermis_mm=1.2,
    lateral_span=0.95,
    follicles_per_mm=0.0,
    tumour_density=0.35,
)


@pytest.mark.parametrize("architecture", NEW)
def test_new_patterns_are_deterministic_and_counted_from_their_labels(architecture: str) -> None:
    spec = dataclasses.replace(SMALL, architecture=architecture, emboli=1, cuffs=0.5, mpp=2.0)
    first, again = paint_phantom(spec), paint_phantom(spec)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.labels.tobytes() == again.labels.tobytes()
    assert first.nuclei.tobytes() == again.nuclei.tobytes()
    assert first.truth["tumour_mm2"] == pytest.approx((first.labels == TUMOUR).sum() * 4e-6)
    assert first.truth["tumour_mm2"] > 0
    plain = truth_to_json(first.truth)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


@pytest.fixture(scope="module")
def label(label_plane: LabelPlane) -> Callable[[PhantomSpec], tuple[Labels, dict[str, Any]]]:
    """Labels and truth of a spec, without the picture."""

    def look(spec: PhantomSpec) -> tuple[Labels, dict[str, Any]]:
        layout = lay_out(spec)
        labels = label_plane(layout)
        return labels, measure_truth(layout, labels, nuclei=np.zeros(0, NUCLEUS_DTYPE))

    return look


@pytest.mark.parametrize(
    ("architecture", "step_um", "low_um", "high_um"),
    [
        ("single-file", 1.0, 6.0, 16.0),
        ("trabecular", 2.0, 55.0, 155.0),
        ("glandular", 2.0, 40.0, 500.0),
    ],
)
@pytest.mark.parametrize("seed", [5, 6])
def test_each_pattern_has_its_widths(
    architecture: str,
    step_um: float,
    low_um: float,
    high_um: float,
    seed: int,
    local_thickness_um: LocalThickness,
) -> None:
    density = 0.15 if architecture == "single-file" else 0.4
    spec = dataclasses.replace(
        FLAT, architecture=architecture, mpp=step_um, tumour_density=density, seed=seed
    )
    layout = lay_out(spec)
    plane = refine(layout.nodes, layout.tumour_um, box=Box.of_shape(layout.nodes.frame.shape))
    width = local_thickness_um(plane > 0, step_um=step_um)
    assert len(width) > 1000
    assert ((width >= low_um) & (width <= high_um)).mean() > 0.9


@pytest.mark.parametrize("architecture", NEW)
def test_density_follows_the_wish(architecture: str) -> None:
    shares = [
        (lay_out(
            dataclasses.replace(FLAT, architecture=architecture, tumour_density=wish)
        ).tumour_um > 0).mean()
        for wish in (0.1, 0.2, 0.4)
    ]  # fmt: skip
    assert shares == sorted(shares)
    assert shares[2] > 1.5 * shares[0]


@pytest.mark.parametrize("wish", [0.15, 0.27, 0.4])
def test_lumina_take_the_share_asked_for_and_are_enclosed(wish: float, label: Label) -> None:
    spec = dataclasses.replace(FLAT, architecture="glandular", lumen_share=wish)
    labels, truth = label(spec)
    pieces, count = ndimage.label(labels == BACKGROUND)
    holes = np.bincount(pieces.ravel())[1:]
    holes = holes[np.arange(1, count + 1) != pieces[0, 0]]
    tumour = (labels == TUMOUR).sum()
    recount = holes.sum() / (holes.sum() + tumour)
    assert truth["lumen_fraction"] == pytest.approx(recount, abs=0.01)
    assert recount == pytest.approx(wish, abs=0.05)
    assert truth["lumen_mm2"] == pytest.approx(holes.sum() * 4e-6, rel=0.03)


def test_nuclei_of_glands_stand_in_a_row_around_the_lumen() -> None:
    layout = lay_out(dataclasses.replace(FLAT, architecture="glandular"))
    nuclei = place_nuclei(layout)
    tumour = nuclei[nuclei["kind"] == Cell.TUMOUR]
    places = np.stack([tumour["down_um"], tumour["right_um"]], axis=-1)
    away = -layout.nodes.read(layout.lesion.lumen_um, places)
    assert ((away > 7) & (away < 13)).mean() > 0.5
    assert (away > 5).mean() > 0.99


def test_single_files_run_along_the_collagen_one_nucleus_per_cell() -> None:
    spec = dataclasses.replace(FLAT, architecture="single-file", tumour_density=0.15)
    layout = lay_out(spec)
    cells = layout.lesion.cells
    slopes = np.gradient(layout.flow_down_um)
    down, right = (layout.nodes.read(slope, cells[:, :2]) for slope in slopes)
    across = (down * np.cos(cells[:, 2]) + right * np.sin(cells[:, 2])) / np.hypot(down, right)
    assert np.median(np.abs(across)) < 0.1
    nuclei = place_nuclei(layout)
    assert (nuclei["kind"] == Cell.TUMOUR).sum() == pytest.approx(len(cells), rel=0.1)
    row, column = np.rint(cells[:, :2] / layout.nodes.step_um).astype(int).T
    assert (layout.tumour_um[row, column] > 0).mean() > 0.9
    area_um2 = (layout.tumour_um > 0).sum() * layout.nodes.step_um**2 / len(cells)
    assert area_um2 == pytest.approx(TUMOUR_SPACING_UM[2] ** 2, rel=0.35)


@pytest.mark.parametrize("architecture", ["solid-cord", *NEW])
def test_the_depth_bias_shows_in_the_occupancy_profile(architecture: str, label: Label) -> None:
    spec = dataclasses.replace(DEEP, architecture=architecture)
    centroids = []
    for bias in (-0.8, 0.8):
        _, truth = label(dataclasses.replace(spec, depth_bias=bias))
        profile = np.array(truth["occupancy_profile"])
        centroids.append((profile * (np.arange(20) + 0.5) / 20).sum() / profile.sum())
    assert centroids[0] < 0.47
    assert centroids[1] > 0.53


def test_necrosis_is_pink_tumour_without_living_nuclei() -> None:
    spec = dataclasses.replace(
        FLAT, architecture="solid", tumour_density=0.6, mpp=1.0, width_mm=1.1, height_mm=1.1
    )
    alive, dead = (paint_phantom(dataclasses.replace(spec, necrosis=n)) for n in (0.0, 0.8))
    assert np.array_equal(alive.labels, dead.labels)
    assert alive.truth["necrosis_fraction"] == 0
    assert dead.truth["necrosis_fraction"] > 0.15
    layout = lay_out(dead.spec)
    box = Box.of_shape(dead.labels.shape)
    centre = refine(layout.nodes, layout.lesion.necrosis_um, box=box) > 8
    centre &= dead.labels == TUMOUR
    blueness = [
        (p.image[centre][:, 2].astype(float) - p.image[centre][:, 0]).mean() for p in (alive, dead)
    ]
    assert blueness[1] < blueness[0] - 30
    living = dead.nuclei[dead.nuclei["kind"] == Cell.TUMOUR]
    at = np.stack([living["down_um"], living["right_um"]], axis=-1).astype(int)
    assert not centre[at[:, 0], at[:, 1]].any()
    assert (dead.nuclei["kind"] == Cell.DEBRIS).sum() > 50


def test_retraction_whitens_the_stroma_around_nests_only() -> None:
    spec = dataclasses.replace(FLAT, architecture="solid")
    tight, loose = (paint_phantom(dataclasses.replace(spec, retraction=r)) for r in (0.0, 1.0))
    assert np.array_equal(tight.labels, loose.labels)
    tumour = tight.labels == TUMOUR
    away_um = ndimage.distance_transform_edt(~tumour) * spec.mpp
    near, far = (away_um > 3) & (away_um < 6), away_um > 30
    white = [(p.image[near].min(axis=1) > 200).mean() for p in (tight, loose)]
    assert white[1] > white[0] + 0.3
    assert np.abs(tight.image[far].mean() - loose.image[far].mean()) < 1


def test_emboli_are_tumour_in_clear_vessels() -> None:
    spec = dataclasses.replace(FLAT, architecture="cord", lateral_span=0.4, emboli=3)
    phantom, layout = paint_phantom(spec), lay_out(spec)
    assert phantom.truth["emboli"] == ndimage.label(layout.lesion.space_um > 0)[1] == 3
    space = refine(layout.nodes, layout.lesion.space_um, box=Box.of_shape(phantom.labels.shape))
    plug = (phantom.labels == TUMOUR) & (space > 0)
    assert ndimage.label(plug)[1] == 3
    assert phantom.truth["embolus_mm2"] == pytest.approx(plug.sum() * 4e-6, rel=0.05)
    rim = (space > 4) & ~ndimage.binary_dilation(plug, iterations=2)
    assert (phantom.image[rim].min(axis=1) > 200).mean() > 0.9
    assert ((space > 0) & (phantom.labels != TUMOUR)).sum() > plug.sum() * 0.3


def test_an_ulcer_takes_epidermis_and_junction_away() -> None:
    spec = dataclasses.replace(DEEP, architecture="solid", depth_span=(0.03, 1.0))
    whole, open_ = (paint_phantom(dataclasses.replace(spec, ulceration=u)) for u in (False, True))
    assert whole.truth["ulceration_um"] == 0
    steps = np.linalg.norm(np.diff(open_.dej_um, axis=0), axis=1)
    gap = steps[steps > 20]
    assert len(gap) == 1
    assert open_.truth["ulceration_um"] == pytest.approx(gap[0], rel=0.15)
    assert (open_.labels == EPIDERMIS).sum() < 0.9 * (whole.labels == EPIDERMIS).sum()
    # What lies deeper than the base of the ulcer does not change.
    assert np.array_equal(whole.labels[300:], open_.labels[300:])
    assert whole.truth["dermis_um"] == pytest.approx(open_.truth["dermis_um"])


def test_lymphocytes_gather_in_cuffs_and_follicles(label: Label) -> None:
    spec = dataclasses.replace(FLAT, architecture="none")
    shares = {}
    for name, change in {
        "bare": {}, "cuffs": {"cuffs": 1.0}, "follicles": {"lymphoid_follicles": 2}
    }.items():  # fmt: skip
        shares[name] = label(dataclasses.replace(spec, **change))[0] == INFLAMMATION
    area = {name: share.sum() for name, share in shares.items()}
    assert area["bare"] == 0
    assert area["cuffs"] > 1000
    pieces, count = ndimage.label(shares["follicles"])
    assert count == 2
    for piece in ndimage.find_objects(pieces):
        tall, wide = (edge.stop - edge.start for edge in piece)
        assert tall / wide == pytest.approx(1, abs=0.25)
        assert 150 < tall * spec.mpp < 420
    layout = lay_out(dataclasses.replace(spec, lymphoid_follicles=2))
    nuclei = place_nuclei(layout)
    places = np.stack([nuclei["down_um"], nuclei["right_um"]], axis=-1)
    central = layout.nodes.read(layout.germinal_um, places) > 3
    mantle = (layout.nodes.read(layout.inflamed_um, places) > 3) & ~central
    assert nuclei["area_um2"][central].mean() > 1.4 * nuclei["area_um2"][mantle].mean()
    assert not (nuclei["kind"] == Cell.TUMOUR).any()


@pytest.mark.parametrize("architecture", ["solid-cord", *NEW])
def test_plain_stroma_is_not_skin(architecture: str, label: Label) -> None:
    spec = dataclasses.replace(FLAT, section="stroma", architecture=architecture)
    labels, truth = label(spec)
    assert not np.isin(labels, [EPIDERMIS, ADNEXA, KERATIN]).any()
    tissue = (labels != BACKGROUND).sum()
    assert 0.06 < (labels == SUBCUTIS).sum() / tissue < 0.5
    assert (labels == TUMOUR).any()
    assert not junction_um(lay_out(spec), "dej").size
    assert all(truth[name] is None for name in DEPTH_NAMES)
    assert truth["ulceration_um"] is None


def test_plain_stroma_may_be_without_fat(label: Label) -> None:
    spec = dataclasses.replace(FLAT, section="stroma", with_subcutis=False)
    assert not (label(spec)[0] == SUBCUTIS).any()


@given(
    seed=st.integers(0, 2**32),
    section=st.sampled_from(["vertical", "horizontal", "stroma"]),
    architecture=st.sampled_from(["none", "solid-cord", *NEW]),
)
@settings(max_examples=60, deadline=None)
def test_varying_a_drawn_spec_is_valid_and_keeps_the_rest(
    seed: int, section: str, architecture: str
) -> None:
    spec = sample_spec(seed, section=section, architecture=architecture)
    varied = vary_lesion(spec)
    assert varied == vary_lesion(spec)
    assert (varied.architecture, varied.section) == (architecture, section)
    assert varied.haematoxylin == spec.haematoxylin
    assert 0.15 <= varied.lumen_share <= 0.4


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"depth_bias": 1.5}, "depth_bias"),
        ({"depth_bias": 0.5, "section": "horizontal"}, "depth_bias"),
        ({"ulceration": True, "section": "stroma"}, "vertical"),
        ({"ulceration": True, "architecture": "none"}, "ulceration"),
        ({"ulceration": True, "with_epidermis": False}, "ulceration"),
        ({"lumen_share": 0.6}, "lumen_share"),
        ({"necrosis": 1.2}, "necrosis"),
        ({"emboli": -1}, "emboli"),
        ({"emboli": 1, "architecture": "none"}, "emboli"),
    ],
)
def test_a_lesion_names_its_fault(change: dict[str, object], word: str) -> None:
    spec = dataclasses.replace(SMALL, architecture="solid")
    with pytest.raises(ConfigError, match=word):
        dataclasses.replace(spec, **change)
