"""Vectorised shapes against their slow, obvious twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.measure import regionprops
from skimage.morphology import opening

from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.nuclei.basins import climb
from wsi_pipeline.nuclei.outline import filled, largest_pieces, opened
from wsi_pipeline.nuclei.shapes import measure_hulls, measure_moments
from wsi_pipeline.nuclei.table import describe_nuclei


def blobs(seed: int, *, shape: tuple[int, int] = (60, 70)) -> NDArray[np.int32]:
    """Random labels of any form, touching and in pieces."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 2.5)
    number = 1 + (ndimage.gaussian_filter(rng.normal(size=shape), 6) > 0)
    return np.where(field > 0.02, number, 0).astype(np.int32)


def pieces(seed: int) -> NDArray[np.int32]:
    labels, _ = ndimage.label(blobs(seed) > 0)
    return np.asarray(labels, np.int32)


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_shapes_are_those_of_regionprops(seed: int) -> None:
    labels = pieces(seed)
    grid = Grid(labels.shape, 0.5)
    smooth = np.random.default_rng(seed).random(labels.shape).astype(np.float32)
    table = describe_nuclei(labels, smooth, box=grid.box, grid=grid)
    for row, region in zip(table, regionprops(labels, smooth), strict=True):
        assert row["area_um2"] == pytest.approx(region.area * 0.25)
        centre = [(place + 0.5) * 0.5 for place in region.centroid]
        assert [row["down_um"], row["right_um"]] == pytest.approx(centre)
        # Ours adds the spread of a pixel, 1/12 px², four times its root being an axis.
        longer = np.sqrt(region.axis_major_length**2 + 16 / 12)
        assert row["major_um"] == pytest.approx(longer * 0.5, rel=1e-6)
        assert row["haematoxylin_od_mean"] == pytest.approx(region.intensity_mean, rel=1e-5)
        assert row["haematoxylin_od_sd"] == pytest.approx(region.intensity_std, abs=1e-5)


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_hulls_are_those_of_the_midpoints_of_pixel_edges(seed: int) -> None:
    labels = pieces(seed)
    count = int(labels.max())
    area, perimeter = measure_hulls(labels, count)
    sides = np.array([(0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)])
    for number in range(1, count + 1):
        points = np.argwhere(labels == number)
        hull = ConvexHull((points[:, None] + sides).reshape(-1, 2))
        # Tangents enclose: never less.
        assert 0.9999 <= area[number] / hull.volume <= 1.06
        assert 0.9999 <= perimeter[number] / hull.area <= 1.004


def test_the_hull_of_a_disc_is_the_disc() -> None:
    row, column = np.mgrid[:101, :101]
    disc = ((row - 50) ** 2 + (column - 50) ** 2 < 45**2).astype(np.int32)
    area, perimeter = measure_hulls(disc, 1)
    assert area[1] == pytest.approx(np.pi * 45**2, rel=0.015)
    assert perimeter[1] == pytest.approx(2 * np.pi * 45, rel=0.01)


@given(st.integers(0, 10_000), st.integers(1, 900), st.integers(1, 900))
@settings(max_examples=15)
def test_a_shape_does_not_depend_on_its_place(seed: int, down: int, right: int) -> None:
    labels = pieces(seed)
    count = int(labels.max())
    moved = np.pad(labels, ((down, 0), (right, 0)))
    for here, there in zip(measure_hulls(labels, count), measure_hulls(moved, count), strict=True):
        np.testing.assert_array_equal(here, there)
    one, two = measure_moments(labels, count), measure_moments(moved, count)
    for here, there in zip(one.axes_px(), two.axes_px(), strict=True):
        np.testing.assert_array_equal(here, there)


def test_a_disc_is_an_ellipse_and_two_that_touch_are_none() -> None:
    row, column = np.mgrid[:40, :60]
    discs = ((row - 20) ** 2 + (column - 20) ** 2 < 100).astype(np.int32)
    discs[(row - 20) ** 2 + (column - 39.5) ** 2 < 100] = 2
    assert measure_moments(discs, 2).ellipticity()[1] == pytest.approx(1, abs=0.02)
    both = measure_moments((discs > 0).astype(np.int32), 1)
    assert both.ellipticity()[1] == pytest.approx(2 / 5**0.5, abs=0.02)


@given(st.integers(0, 10_000), st.sampled_from([1.0, 1.6, 2.0, 3.2]))
@settings(max_examples=20)
def test_opening_is_that_of_each_label_alone(seed: int, radius_px: float) -> None:
    labels = blobs(seed)
    reach = int(radius_px)
    span = np.arange(-reach, reach + 1)
    disc = (span[:, None] ** 2 + span**2 <= radius_px**2).astype(np.uint8)
    slow = np.zeros_like(labels)
    for number in (1, 2):
        alone = np.pad(labels == number, reach)
        kept = opening(alone, disc)[reach:-reach, reach:-reach]
        slow[kept] = number
    np.testing.assert_array_equal(opened(labels, radius_px), slow)


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_the_largest_piece_of_each_label_stays(seed: int) -> None:
    labels = blobs(seed)
    slow = np.zeros_like(labels)
    for number in (1, 2):
        parts, count = ndimage.label(labels == number)
        if count:
            slow[parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])] = number
    np.testing.assert_array_equal(largest_pieces(labels, count=2), slow)


def test_small_holes_are_filled_and_others_left() -> None:
    labels = np.zeros((30, 40), np.int32)
    labels[3:20, 3:20] = 1
    labels[3:20, 20:38] = 2
    labels[22:, :10] = 3
    holed = labels.copy()
    holed[8:11, 8:11] = 0  # 9 px
    holed[8:14, 26:32] = 0  # 36 px
    holed[25:27, 0:2] = 0  # open to the rim
    done = filled(holed, most_px=9)
    assert (done[8:11, 8:11] == 1).all()
    assert (done[8:14, 26:32] == 0).all()
    assert (done[25:27, 0:2] == 0).all()
    assert (filled(holed, most_px=36) == np.where(holed[..., :] < 0, 0, labels))[:20].all()


def test_every_pixel_climbs_to_the_nearest_summit() -> None:
    row, column = np.mgrid[:40, :60]
    height = np.maximum(
        10 - np.hypot(row - 20, column - 15), 8 - np.hypot(row - 20, column - 29)
    ).astype(np.float32)
    basins = climb(height, height > 0, mpp=0.5)
    assert basins.max() == 2
    assert basins[20, 15] == 1
    assert basins[20, 29] == 2
    assert ((basins > 0) == (height > 0)).all()


def test_a_nucleus_at_the_edge_of_the_plane_is_marked() -> None:
    grid = Grid((100, 100), 0.5)
    box = Box(-8, -8, 108, 108)
    labels = np.zeros(box.shape, np.int32)
    for number, (top, left) in enumerate([(8, 30), (50, 98), (50, 50)], start=1):
        labels[top : top + 10, left : left + 10] = number
    table = describe_nuclei(labels, np.zeros(box.shape, np.float32), box=box, grid=grid)
    assert table["touches_edge"].tolist() == [True, True, False]
    inner = box.expanded(-20)
    cut = labels[20:-20, 20:-20]
    alone = describe_nuclei(cut, np.zeros(cut.shape, np.float32), box=inner, grid=grid)
    assert alone["touches_edge"].tolist()[2] is False
    assert table["first_px"][2] == (50 - 8) * 100 + 42
