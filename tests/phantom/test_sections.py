"""Oblique sections stretch what they cut; serial sections resemble each other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND, EPIDERMIS
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.phantom import (
    Phantom,
    PhantomSpec,
    compose,
    paint_phantom,
    sample_spec,
    serial_specs,
)
from wsi_pipeline.phantom.adnexa import Kind
from wsi_pipeline.phantom.census import list_follicles
from wsi_pipeline.phantom.skin import draw_skin
from wsi_pipeline.phantom.tissue import Layout, lay_out

LabelPlane = Callable[[Layout], NDArray[np.uint8]]
SPEC = PhantomSpec(
    seed=5,
    section="oblique",
    cut_deg=45.0,
    width_mm=2.6,
    height_mm=2.6,
    mpp=2.0,
    margin_mm=0.05,
    dermis_mm=1.0,
    follicles_per_mm=2.0,
)
SMALL = PhantomSpec(
    seed=2,
    width_mm=0.9,
    height_mm=0.8,
    mpp=1.0,
    margin_mm=0.05,
    dermis_mm=0.35,
    architecture="solid-cord",
    lateral_span=0.9,
)


@pytest.mark.parametrize("cut_deg", [30.0, 50.0, 75.0])
def test_layers_appear_thicker_by_one_over_the_sine(cut_deg: float) -> None:
    spec = dataclasses.replace(SPEC, dermis_mm=0.7, height_mm=3.2)
    straight = draw_skin(dataclasses.replace(spec, section="vertical", cut_deg=90.0))
    slanted = draw_skin(dataclasses.replace(spec, cut_deg=cut_deg))
    wanted = 1 / math.sin(math.radians(cut_deg))
    for upper, lower in (("envelope_um", "dsj_um"), ("surface_um", "envelope_um")):
        thick, thin = (
            float(np.mean(getattr(skin, lower) - getattr(skin, upper)))
            for skin in (slanted, straight)
        )
        assert thick / thin == pytest.approx(wanted, rel=1e-3)
    ridges = [float(np.std(skin.dej_um - skin.envelope_um)) for skin in (slanted, straight)]
    assert ridges[0] / ridges[1] == pytest.approx(wanted, rel=0.02)


def test_an_oblique_section_shows_follicles_as_ovals_of_the_right_length() -> None:
    layout = lay_out(SPEC)
    own = [
        patch for group in layout.groups for patch in group if patch.kind == Kind.FOLLICLE
    ]  # fmt: skip
    assert len(own) >= 3
    assert all(patch.follicle.tip_um is None for patch in own)
    lengths = []
    for patch in own:
        rows, columns = np.nonzero(patch.inside_um > 0)
        spread = np.linalg.eigvalsh(np.cov(np.stack([rows, columns])))
        lengths.append(math.sqrt(spread[1] / spread[0]))
    assert np.median(lengths) == pytest.approx(1 / math.cos(math.radians(45)), abs=0.3)
    shown = np.minimum(layout.outline_um, layout.below_surface_um)
    assert len(list_follicles(layout.groups, layout.nodes, shown_um=shown)) >= len(own) - 1


def test_depths_of_an_oblique_section_are_those_on_the_slide() -> None:
    spec = dataclasses.replace(SPEC, architecture="solid", dermis_mm=0.5, mpp=2.0, width_mm=1.4)
    phantom = paint_phantom(dataclasses.replace(spec, height_mm=1.7))
    truth = phantom.truth
    assert truth["section"] == "oblique"
    assert truth["cut_deg"] == 45.0
    assert truth["dermis_um"] == pytest.approx(500 * math.sqrt(2), rel=0.08)
    assert truth["full_thickness_fraction"] is not None
    assert (phantom.labels == EPIDERMIS).any()


def test_what_is_drawn_for_an_oblique_section_is_valid() -> None:
    for seed in range(6):
        spec = sample_spec(seed, section="oblique")
        assert 35 <= spec.cut_deg <= 70
        draw_skin(spec)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"cut_deg": 10.0}, "cut_deg"),
        ({"section": "vertical"}, "oblique"),
        ({"level_um": -5.0}, "level_um"),
    ],
)
def test_a_cut_names_its_fault(change: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        dataclasses.replace(SPEC, **change)


def test_serial_sections_differ_the_more_the_farther_they_are(label_plane: LabelPlane) -> None:
    spec = dataclasses.replace(SMALL, mpp=2.0)
    labels = [
        label_plane(lay_out(dataclasses.replace(spec, level_um=level)))
        for level in (0.0, 5.0, 30.0, 150.0)
    ]
    away = [float((labels[0] != other).mean()) for other in labels[1:]]
    assert 0 < away[0] < away[1] < away[2]
    assert away[0] < 0.05
    assert away[2] < 0.45


def test_the_truth_of_a_serial_section_is_its_own() -> None:
    first, second = (paint_phantom(each) for each in serial_specs(SMALL, count=2))
    assert first.spec == SMALL
    assert second.spec.level_um > 0
    assert first.truth["tumour_mm2"] != second.truth["tumour_mm2"]
    assert first.truth["tumour_mm2"] == pytest.approx(second.truth["tumour_mm2"], rel=0.5)
    assert not np.array_equal(first.nuclei["area_um2"][:50], second.nuclei["area_um2"][:50])


@pytest.fixture(scope="module")
def pair() -> list[Phantom]:
    tall = dataclasses.replace(SMALL, height_mm=1.0, mpp=2.0)
    return [paint_phantom(dataclasses.replace(SMALL, mpp=2.0)), paint_phantom(tall)]


def test_pieces_lie_side_by_side_and_keep_their_pixels(pair: list[Phantom]) -> None:
    slide = compose(pair)
    assert slide.labels.shape == (500, 900)
    for piece, phantom in zip(slide.pieces, pair, strict=True):
        rows, columns = phantom.labels.shape
        view = (
            slice(piece.top_px, piece.top_px + rows),
            slice(piece.left_px, piece.left_px + columns),
        )
        assert np.array_equal(slide.labels[view], phantom.labels)
        assert np.array_equal(slide.image[view], phantom.image)
    covered = np.zeros(slide.labels.shape, bool)
    covered[50:450, :450], covered[:, 450:] = True, True
    assert (slide.labels[~covered] == BACKGROUND).all()
    off = slide.image[~covered].astype(int) - pair[0].spec.glass_rgb
    assert np.abs(off.mean(axis=0)).max() < 1


def test_one_piece_is_the_phantom_itself(pair: list[Phantom]) -> None:
    alone = compose(pair[:1])
    assert np.array_equal(alone.image, pair[0].image)
    assert alone.pieces[0].left_px == 0


def test_pieces_of_different_glass_are_refused(pair: list[Phantom]) -> None:
    other = dataclasses.replace(
        pair[1], spec=dataclasses.replace(pair[1].spec, glass_rgb=(200, 200, 200))
    )
    with pytest.raises(ConfigError, match="glass_rgb"):
        compose([pair[0], other])
