"""Background, colour and shape, each against what was painted or against its obvious twin."""

from __future__ import annotations

import numpy as np
import painted_glass as paint
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from wsi_pipeline.config import TissueSettings
from wsi_pipeline.tissue.glass import (
    block_mean,
    glass_background,
    glass_seeds,
    is_padding,
    optical_density,
    stretched,
)
from wsi_pipeline.tissue.ink import sorted_colours
from wsi_pipeline.tissue.shape import closed, grown, holes_filled, opened, shrunk


def planes(density):
    return np.ascontiguousarray(np.moveaxis(paint.exposed(density), -1, 0))


def background(density):
    picture = planes(density)
    od = optical_density(picture)
    seeds = glass_seeds(od, is_padding(picture), mpp=paint.MPP, settings=TissueSettings())
    return seeds, glass_background(od, seeds, mpp=paint.MPP)


@pytest.mark.parametrize("kind", ["grey", "pink", "vignette", "glow"])
def test_background_is_the_painted_one(kind):
    truth = paint.blob()
    glass = paint.painted_glass(kind)
    seeds, found = background(glass + truth * paint.stained())
    assert np.abs(found - glass)[:, ~truth].max() < 0.02
    assert not (seeds & truth).any()
    assert (seeds & ~truth).sum() > 0.8 * (~truth).sum()


def test_without_glass_the_background_is_white():
    seeds, found = background(paint.painted_glass() + paint.stained())
    assert not seeds.any()
    assert not found.any()


def test_optical_density_is_that_of_the_formula():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(
        optical_density(values), -np.log10((values.astype(float) + 1) / 256), atol=1e-6
    )


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), block_px=st.integers(1, 5))
def test_block_mean_is_the_mean_of_blocks(rows, columns, block_px):
    values = np.random.default_rng(rows * 10 + columns).random((2, rows, columns), np.float32)
    padded = np.pad(values, ((0, 0), (0, -rows % block_px), (0, -columns % block_px)), mode="edge")
    found = block_mean(values, block_px)
    for row, column in np.ndindex(found.shape[1:]):
        block = padded[
            :,
            row * block_px : (row + 1) * block_px,
            column * block_px : (column + 1) * block_px,
        ]
        np.testing.assert_allclose(found[:, row, column], block.mean(axis=(1, 2)), rtol=1e-5)
    assert stretched(found, block_px, shape=(rows, columns)).shape == values.shape


@pytest.mark.parametrize(
    ("rgb", "kind"),
    [
        ((200, 120, 160), "stained"),
        ((90, 70, 150), "stained"),
        ((150, 90, 60), "stained"),  # brown, as of melanin
        ((20, 140, 90), "inked"),
        ((40, 60, 180), "inked"),
        ((210, 40, 45), "inked"),
        ((240, 220, 60), "inked"),
        ((30, 30, 32), "inked"),
        ((150, 150, 152), "grey"),
    ],
)
def test_colours_are_sorted(rgb, kind):
    colours = sorted_colours(optical_density(np.uint8(rgb)[:, None, None]))
    found = {name for name in ("stained", "inked", "grey") if getattr(colours, name).any()}
    assert found == {kind}


def test_a_colour_too_faint_to_name_has_none():
    colours = sorted_colours(np.full((3, 2, 2), 0.04, dtype=np.float32))
    assert not (colours.stained | colours.inked | colours.grey).any()


@given(reach_px=st.integers(1, 20), seed=st.integers(0, 99))
def test_growing_is_within_a_tenth_of_the_round_distance(reach_px, seed):
    mask = np.random.default_rng(seed).random((50, 60)) < 0.002
    mask[25, 30] = True
    distance = ndi.distance_transform_edt(~mask)
    found = grown(mask, reach_px)
    assert found[distance <= 0.9 * reach_px - 1].all()
    assert not found[distance > 1.1 * reach_px + 0.5].any()


@given(reach_px=st.integers(1, 6), seed=st.integers(0, 99))
def test_opening_and_closing_are_idempotent_and_bounded(reach_px, seed):
    noise = np.random.default_rng(seed).normal(size=(40, 44))
    mask = ndi.gaussian_filter(noise, 2) > 0
    assert not (opened(mask, reach_px) & ~mask).any()
    assert not (mask & ~closed(mask, reach_px)).any()
    once = closed(mask, reach_px)
    np.testing.assert_array_equal(closed(once, reach_px), once)
    np.testing.assert_array_equal(shrunk(mask, reach_px), ~grown(~mask, reach_px))


def test_only_small_holes_are_filled_also_those_cut_by_the_edge():
    mask = np.ones((40, 60), dtype=bool)
    mask[10:14, 10:14] = False  # 16 px
    mask[20:30, 30:40] = False  # 100 px
    mask[0:3, 20:24] = False  # cut by the edge, 5 px deep when mirrored
    mask[30:40, 50:60] = False  # a corner of glass
    filled = holes_filled(mask, max_hole_px=50, mirror_px=6)
    assert filled[10:14, 10:14].all()
    assert filled[0:3, 20:24].all()
    assert not filled[20:30, 30:40].any()
    assert not filled[30:40, 50:60].any()
