from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.geometry import Box, Grid

boxes = st.builds(
    lambda top, left, height, width: Box(top, left, top + height, left + width),
    *[st.integers(-500, 500)] * 2,
    *[st.integers(0, 500)] * 2,
)
grids = st.builds(
    Grid,
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.floats(0.1, 16.0),
    st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000)),
)


def test_box_sizes_and_slices() -> None:
    box = Box(2, 3, 6, 10)
    assert box.shape == (4, 7)
    assert box.area_px == 28
    assert box.slices == (slice(2, 6), slice(3, 10))
    assert box.within(Box(1, 1, 20, 20)) == Box(1, 2, 5, 9)


def test_boxes_that_do_not_meet_have_an_empty_overlap() -> None:
    assert (Box(0, 0, 2, 2) & Box(5, 5, 9, 9)).area_px == 0


@given(boxes, boxes)
def test_overlap_is_symmetric_and_not_larger_than_either(one: Box, two: Box) -> None:
    assert one & two == two & one
    assert (one & two).area_px <= min(one.area_px, two.area_px)


@given(grids, st.floats(-5e3, 5e3), st.floats(-5e3, 5e3))
def test_micrometres_round_trip(grid: Grid, row: float, column: float) -> None:
    back = grid.from_um(*grid.to_um(row, column))
    assert back == pytest.approx((row, column), abs=1e-6)


@given(grids)
def test_json_round_trip(grid: Grid) -> None:
    assert Grid.from_json(grid.to_json()) == grid


@given(grids, st.floats(0.1, 32.0))
def test_another_mpp_covers_the_same_place(grid: Grid, mpp: float) -> None:
    other = grid.at_mpp(mpp)
    assert other.origin_um == grid.origin_um
    for new_um, old_um in zip(other.extent_um, grid.extent_um, strict=True):
        assert old_um - 1e-5 * mpp <= new_um <= max(old_um, mpp) + mpp


@given(grids, st.floats(0.1, 32.0), boxes)
def test_covering_box_covers_and_is_smallest(grid: Grid, mpp: float, box: Box) -> None:
    other = grid.at_mpp(mpp)
    cover = other.covering(box, grid)
    top, left = other.from_um(*grid.to_um(box.top, box.left))
    bottom, right = other.from_um(*grid.to_um(box.bottom, box.right))
    slack = 1e-5
    assert cover.top <= top + slack
    assert cover.left <= left + slack
    assert cover.bottom >= bottom - slack
    assert cover.right >= right - slack
    assert top - cover.top < 1 + slack
    assert cover.bottom - bottom < 1 + slack


def test_covering_on_a_whole_ratio_is_exact() -> None:
    fine, coarse = Grid((4096, 4096), 0.5), Grid((256, 256), 8.0)
    assert coarse.covering(Box(512, 0, 1024, 16), fine) == Box(32, 0, 64, 1)


def test_cropping_keeps_the_place() -> None:
    grid = Grid((100, 100), 2.0, (10.0, 20.0))
    crop = grid.cropped(Box(5, 7, 15, 27))
    assert crop == Grid((10, 20), 2.0, (20.0, 34.0))
    assert crop.to_um(0, 0) == grid.to_um(5, 7)


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_mpp_is_refused(mpp: float) -> None:
    with pytest.raises(ValueError, match="mpp must be a positive number"):
        Grid((1, 1), mpp)


def test_a_negative_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape must not be negative"):
        Grid((-1, 1), 1.0)
