"""Each structure is what it says, where it may be, and changes nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import ADNEXA, DERMIS, KERATIN
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.phantom import Anatomy, Cell, PhantomSpec, paint_phantom, sample_anatomy
from wsi_pipeline.phantom.adnexa import Kind
from wsi_pipeline.phantom.census import list_follicles
from wsi_pipeline.phantom.nuclei import place_nuclei
from wsi_pipeline.phantom.tissue import Layout, lay_out

LabelPlane = Callable[[Layout], NDArray[np.uint8]]
PLAIN = PhantomSpec(
    seed=4,
    width_mm=2.2,
    height_mm=1.7,
    mpp=2.0,
    margin_mm=0.05,
    dermis_mm=0.95,
    inflammation=0.0,
    follicles_per_mm=0.0,
)
RICH = Anatomy(
    profiles=1.5,
    glands=0.8,
    telogen=0.5,
    papillae=True,
    muscles=1.0,
    nerves=3.0,
    arteries=2.5,
    elastosis=0.7,
)


def _with(spec: PhantomSpec = PLAIN, **anatomy: float) -> PhantomSpec:
    return dataclasses.replace(spec, anatomy=Anatomy(**anatomy))


def _follicles(layout: Layout) -> np.ndarray:
    shown = np.minimum(layout.outline_um, layout.below_surface_um)
    return list_follicles(layout.groups, layout.nodes, shown_um=shown)


def test_nothing_is_added_unless_asked_for() -> None:
    layout = lay_out(dataclasses.replace(PLAIN, follicles_per_mm=2.0))
    assert not layout.bundles.kind.any()
    assert set(np.unique(layout.adnexa.kind)) <= {
        Kind.NONE, Kind.FOLLICLE, Kind.SEBACEOUS, Kind.ECCRINE,
    }  # fmt: skip
    assert not _follicles(layout)["phase"].any()


def test_profiles_are_follicles_away_from_the_surface(label_plane: LabelPlane) -> None:
    bare, rich = lay_out(PLAIN), lay_out(_with(profiles=2.0))
    before, after = label_plane(bare), label_plane(rich)
    changed = before != after
    assert changed.any()
    assert np.isin(after[changed], [ADNEXA, KERATIN]).all()
    table = _follicles(rich)
    assert len(table) >= 2
    kinds = rich.adnexa.kind[np.rint(table["down_um"] / 4).astype(int),
                             np.rint(table["right_um"] / 4).astype(int)]  # fmt: skip
    assert np.isin(kinds, [Kind.FOLLICLE, Kind.BULB]).all()
    _, count = ndimage.label(np.isin(after, [ADNEXA, KERATIN]) & changed)
    assert count == pytest.approx(len(table), abs=2)


def test_gland_groups_are_several_separate_round_lobules() -> None:
    layout = lay_out(_with(glands=1.0))
    lobules = [
        patch for group in layout.groups for patch in group if patch.kind == Kind.SEBACEOUS
    ]  # fmt: skip
    assert len(lobules) >= 4
    area = np.array([(patch.inside_um > 0).sum() * 16.0 for patch in lobules])
    diameter = 2 * np.sqrt(area / np.pi)
    assert np.median(diameter) == pytest.approx(240, abs=90)
    assert diameter.max() < 420
    # Stroma parts them: what is painted has about as many pieces as there are lobules.
    _, count = ndimage.label((layout.adnexa.kind == Kind.SEBACEOUS) & (layout.adnexa.inside_um > 0))
    assert count >= 0.6 * len(lobules)


def test_a_resting_follicle_is_short_and_told() -> None:
    spec = dataclasses.replace(PLAIN, follicles_per_mm=2.0)
    growing, resting = lay_out(_with(spec, telogen=0.0)), lay_out(_with(spec, telogen=1.0))
    assert not _follicles(growing)["phase"].any()
    assert _follicles(resting)["phase"].all()
    deepest = [
        layout.below_dej_um[(layout.adnexa.kind == Kind.FOLLICLE) & (layout.adnexa.inside_um > 0)]
        for layout in (growing, resting)
    ]
    assert deepest[1].max() < 0.7 * deepest[0].max()


def test_bulbs_hold_a_papilla() -> None:
    spec = dataclasses.replace(PLAIN, follicles_per_mm=2.0, anatomy=Anatomy(papillae=True))
    layout = lay_out(spec)
    bulb = (layout.adnexa.kind == Kind.BULB) & (layout.adnexa.inside_um > 0)
    papilla = bulb & (layout.adnexa.core_um > 0)
    assert 0.04 < papilla.sum() / bulb.sum() < 0.35
    nuclei = place_nuclei(layout)
    places = np.stack([nuclei["down_um"], nuclei["right_um"]], axis=-1)
    row, column = np.rint(places / layout.nodes.step_um).astype(int).T
    inside = papilla[row, column]
    assert (nuclei["kind"][inside] == Cell.FIBROBLAST).mean() > 0.8


@pytest.mark.parametrize(
    ("wish", "kinds", "cell"),
    [
        ({"nerves": 4.0}, {Kind.NERVE}, Cell.NERVE),
        ({"arteries": 4.0}, {Kind.ARTERY, Kind.VEIN}, Cell.MYOCYTE),
        ({"muscles": 1.0}, {Kind.MUSCLE}, Cell.MYOCYTE),
    ],
)
def test_bundles_are_stroma_with_nuclei_of_their_own(
    wish: dict[str, float], kinds: set[Kind], cell: Cell, label_plane: LabelPlane
) -> None:
    layout = lay_out(_with(**wish))
    shown = layout.bundles.inside_um > 0
    assert set(np.unique(layout.bundles.kind[shown])) == kinds
    assert np.array_equal(label_plane(layout), label_plane(lay_out(PLAIN)))
    assert (layout.below_dej_um[shown] > 0).all() or (layout.below_dej_um[shown] > 0).mean() > 0.95
    nuclei = place_nuclei(layout)
    own = nuclei[nuclei["kind"] == cell]
    assert len(own) > 10
    row, column = (np.rint(own[key] / layout.nodes.step_um).astype(int) for key in
                   ("down_um", "right_um"))  # fmt: skip
    assert (layout.bundles.inside_um[row, column] > -3).all()


def test_nuclei_lie_along_the_fibres_of_a_muscle() -> None:
    layout = lay_out(_with(muscles=1.0))
    nuclei = place_nuclei(layout)
    own = nuclei[nuclei["kind"] == Cell.MYOCYTE]
    slopes = np.gradient(layout.bundles.axis_um)
    row, column = (np.rint(own[key] / layout.nodes.step_um).astype(int) for key in
                   ("down_um", "right_um"))  # fmt: skip
    down, right = (slope[row, column] for slope in slopes)
    across = down * np.cos(own["angle_rad"]) + right * np.sin(own["angle_rad"])
    assert np.median(np.abs(across / np.hypot(down, right))) < 0.15


def test_a_muscle_reaches_from_its_follicle_towards_the_epidermis() -> None:
    spec = dataclasses.replace(
        PLAIN, follicles_per_mm=2.5, seed=6, width_mm=2.6, height_mm=2.4, dermis_mm=1.3
    )
    layout = lay_out(_with(spec, muscles=1.0))
    muscle = (layout.bundles.kind == Kind.MUSCLE) & (layout.bundles.inside_um > 0)
    assert muscle.any()
    depth = layout.below_dej_um[muscle]
    assert depth.min() < 300
    assert depth.max() > 350
    assert not (muscle & (layout.adnexa.inside_um > 0)).sum() > 0.1 * muscle.sum()


@pytest.mark.parametrize("architecture", ["solid-cord", "single-file", "glandular"])
def test_tumour_grows_around_what_it_spares(architecture: str) -> None:
    spec = dataclasses.replace(PLAIN, architecture=architecture, anatomy=RICH, lateral_span=0.9)
    layout = lay_out(spec)
    assert (layout.tumour_um > 0).any()
    assert not ((layout.tumour_um > 0) & (layout.bundles.inside_um > 0)).any()
    assert not ((layout.inflamed_um > 0) & (layout.bundles.inside_um > 0)).any()
    lost = len(lay_out(dataclasses.replace(spec, architecture="none")).groups)
    assert len(layout.groups) < lost


def test_elastosis_greys_the_upper_dermis_only() -> None:
    small = dataclasses.replace(PLAIN, width_mm=1.0, height_mm=1.5, dermis_mm=0.9)
    young, old = (paint_phantom(_with(small, elastosis=e)) for e in (0.0, 1.0))
    assert np.array_equal(young.labels, old.labels)
    differs = (young.image != old.image).any(axis=2)
    assert differs.any()
    grown = ndimage.binary_dilation(young.labels == DERMIS, iterations=2)
    assert grown[differs].all()
    layout = lay_out(small)
    rows, columns = np.nonzero(young.labels == DERMIS)
    places = np.stack([rows + 0.5, columns + 0.5], axis=-1) * 2.0
    depth = layout.nodes.read(layout.below_dej_um, places)
    bluer = [
        p.image[rows, columns, 2].astype(float) - p.image[rows, columns, 0] for p in (young, old)
    ]
    band, deep = (depth > 120) & (depth < 250), depth > 560
    assert bluer[1][band].mean() > bluer[0][band].mean() + 10
    assert not differs[rows[deep], columns[deep]].any()


def test_a_horizontal_section_holds_its_share() -> None:
    spec = dataclasses.replace(PLAIN, section="horizontal", anatomy=RICH, seed=2)
    layout = lay_out(spec)
    shown = set(np.unique(layout.bundles.kind[layout.bundles.inside_um > 0]))
    assert {Kind.MUSCLE, Kind.NERVE} <= shown


def test_plain_stroma_has_nerves_and_vessels_but_no_muscle_or_gland() -> None:
    layout = lay_out(dataclasses.replace(PLAIN, section="stroma", anatomy=RICH))
    kinds = set(np.unique(layout.bundles.kind))
    assert Kind.MUSCLE not in kinds
    assert kinds & {Kind.NERVE, Kind.ARTERY}
    assert not layout.adnexa.kind.any()


def test_priors_are_repeatable_and_leave_the_other_fields_alone() -> None:
    assert sample_anatomy(3) == sample_anatomy(3) != sample_anatomy(4)
    drawn = [sample_anatomy(seed) for seed in range(200)]
    assert np.mean([a.elastosis > 0 for a in drawn]) == pytest.approx(0.5, abs=0.12)
    assert np.mean([a.telogen for a in drawn]) == pytest.approx(0.08, abs=0.02)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"muscles": 1.2}, "muscles"), ({"nerves": -1.0}, "nerves"), ({"profiles": 21.0}, "20")],
)
def test_an_anatomy_names_its_fault(change: dict[str, float], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Anatomy(**change)
