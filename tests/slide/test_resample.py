"""Averaging has an absolute phase and the value its definition says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsi_pipeline.geometry import Box
from wsi_pipeline.slide.resample import (
    average_area,
    choose_level,
    snapped_ratio,
    source_box,
    split_box,
)

RATIOS = st.one_of(
    st.sampled_from([1.0, 2.0, 3.0, 4.0, 8.0, 17.0, 0.9995, 1.002, 4.008]),
    st.floats(1.0, 40.0).map(snapped_ratio),
)
SHAPES = st.tuples(st.integers(1, 90), st.integers(1, 90))


def _noise(shape: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)


def _plane(shape: tuple[int, int], ratio: float) -> Box:
    return Box.of_shape((math.ceil(shape[0] / ratio), math.ceil(shape[1] / ratio)))


def _boxes(plane: Box) -> st.SearchStrategy[Box]:
    rows = st.tuples(st.integers(0, plane.bottom - 1), st.integers(1, plane.bottom))
    columns = st.tuples(st.integers(0, plane.right - 1), st.integers(1, plane.right))
    return st.builds(
        lambda r, c: Box(min(r), min(c), max(r[0] + 1, r[1]), max(c[0] + 1, c[1])), rows, columns
    )


def _read(level: NDArray[np.uint8], target: Box, ratio: float) -> NDArray[np.uint8]:
    shape = (level.shape[0], level.shape[1])
    source = source_box(target, ratio=ratio, level_shape=shape)
    return average_area(level[source.slices], target, ratio=ratio, level_shape=shape)


def _slow_mean(
    level: NDArray[np.uint8], row: int, column: int, ratio: float
) -> NDArray[np.float64]:
    """Mean over one pixel's area, pixel by pixel, from the definition."""

    def shares(index: int, length: int) -> NDArray[np.float64]:
        low, high = index * ratio, min((index + 1) * ratio, length)
        edges = np.arange(length)
        return np.clip(np.minimum(high, edges + 1) - np.maximum(low, edges), 0, None)

    weights = np.outer(shares(row, level.shape[0]), shares(column, level.shape[1]))
    mean: NDArray[np.float64] = np.tensordot(weights, level.astype(float)) / weights.sum()
    return mean


@given(shape=SHAPES, ratio=RATIOS)
@settings(max_examples=60, deadline=None)
def test_each_pixel_is_the_exact_mean_of_its_area(shape: tuple[int, int], ratio: float) -> None:
    level = _noise(shape)
    plane = _plane(shape, ratio)
    fast = _read(level, plane, ratio)
    rng = np.random.default_rng(0)
    corners = [(0, 0), (plane.bottom - 1, plane.right - 1)]
    inside = rng.integers(0, plane.shape, (10, 2)).tolist()
    for row, column in corners + [tuple(place) for place in inside]:
        slow = _slow_mean(level, row, column, ratio)
        # Nearest grey level; the millesimal is float32 at a mean of exactly one half.
        assert np.abs(fast[row, column] - slow).max() <= 0.5 + 1e-3


@given(data=st.data(), shape=SHAPES, ratio=RATIOS)
@settings(max_examples=150, deadline=None)
def test_a_crop_of_a_read_is_the_read_of_the_crop(
    data: st.DataObject, shape: tuple[int, int], ratio: float
) -> None:
    level = _noise(shape)
    plane = _plane(shape, ratio)
    target = data.draw(_boxes(plane))
    np.testing.assert_array_equal(
        _read(level, target, ratio), _read(level, plane, ratio)[target.slices]
    )


@given(plane=SHAPES.map(Box.of_shape), edge_px=st.integers(1, 100))
def test_the_parts_of_a_box_partition_it(plane: Box, edge_px: int) -> None:
    box = plane.shifted(-5, 11)
    count = np.zeros(box.shape, int)
    for part in split_box(box, edge_px):
        assert 0 < max(part.shape) <= edge_px
        count[part.within(box).slices] += 1
    assert (count == 1).all()


def test_an_empty_box_has_no_parts() -> None:
    assert list(split_box(Box(9, 4, 2, 8), 16)) == []


@pytest.mark.parametrize("value", [0, 1, 254, 255])
@pytest.mark.parametrize("ratio", [4.0, 1.7, 33.3])
def test_an_even_area_keeps_its_value(value: int, ratio: float) -> None:
    level = np.full((100, 100, 3), value, np.uint8)
    assert (_read(level, _plane((100, 100), ratio), ratio) == value).all()


@pytest.mark.parametrize(
    ("ratio", "level", "within"),
    [
        (1.0, 0, 1.0),
        (3.99, 1, 1.995),
        (3.9999, 2, 3.9999 / 4),  # 1e-3 coarser than asked is near enough
        (4.008, 2, 1.002),
        (64.0, 2, 16.0),
        (0.9995, 0, 0.9995),
    ],
)
def test_the_coarsest_level_that_is_fine_enough_is_taken(
    ratio: float, level: int, within: float
) -> None:
    assert choose_level(ratio, (1.0, 2.0, 4.0, 16.0), usable=(0, 1, 2)) == (
        level,
        pytest.approx(within),
    )


def test_rounding_noise_does_not_make_a_ratio_fractional() -> None:
    assert snapped_ratio(1.2 / 0.4) == 3.0
    assert snapped_ratio(1.998 / 0.499) != 4.0
