"""Tiles of the slide and of what lies over it, and what is told of a place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.serve import Overlay
from wsi_pipeline.serve.painting import (
    colour_table,
    paint_counts,
    read_count,
    said,
    sample_counts,
)
from wsi_pipeline.serve.pyramid import TILE_PX, TilePyramid


def overlay_of(values: np.ndarray, grid: Grid, **more: object) -> Overlay:
    about = {
        "names": ("none", "one", "two"),
        "colours": ((255, 0, 0), (0, 0, 255)),
        "step": 1,
        "unit": "",
        "none": 0,
        "top": 0,
        "bottom": 0,
    }
    return Overlay("o", "title", (grid,), lambda _, box: values[box.slices], **{**about, **more})  # type: ignore[arg-type]


sizes = st.tuples(st.integers(1, 40_000), st.integers(1, 40_000))


@given(shape=sizes, mpp=st.floats(0.1, 3.0))
def test_tiles_of_each_level_part_the_enlarged_plane(shape: tuple[int, int], mpp: float) -> None:
    pyramid = TilePyramid(Grid(shape, mpp))
    rows, columns = pyramid.shape
    coarsest = pyramid.level_plane(0)
    assert max(coarsest.shape) <= TILE_PX
    assert pyramid.levels == 1 or max(coarsest.shape) > TILE_PX // 2
    for level in range(pyramid.levels):
        plane = pyramid.level_plane(level)
        # Whole pixels on every level, so a viewer squeezes none of them.
        assert plane.extent_um == pytest.approx((rows * mpp, columns * mpp))
        down, right = (-(-count // TILE_PX) for count in plane.shape)
        edges = [pyramid.tile_box(level, row=0, column=i) for i in range(right)]
        assert sum(box.width for box in edges if box) == plane.shape[1]
        last = pyramid.tile_box(level, row=down - 1, column=right - 1)
        assert last is not None
        assert (last.bottom, last.right) == plane.shape
        assert pyramid.tile_box(level, row=down, column=0) is None
    assert all(more - own >= 0 for more, own in zip(pyramid.shape, shape, strict=True))
    assert max(np.subtract(pyramid.shape, shape)) < 2 ** (pyramid.levels - 1)


@pytest.mark.parametrize("place", [(-1, 0, 0), (9, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_there_are_no_other_tiles(place: tuple[int, int, int]) -> None:
    level, row, column = place
    assert TilePyramid(Grid((2000, 900), 0.5)).tile_box(level, row=row, column=column) is None


@given(
    mpp=st.floats(0.3, 9.0),
    tile_mpp=st.floats(0.2, 20.0),
    origin=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    seed=st.integers(0, 99),
)
def test_each_pixel_shows_the_count_under_its_centre(
    mpp: float, tile_mpp: float, origin: tuple[float, float], seed: int
) -> None:
    values = np.random.default_rng(seed).integers(0, 3, (23, 31)).astype(np.uint8)
    overlay = overlay_of(values, Grid((23, 31), mpp, origin))
    tile = Grid((12, 9), tile_mpp, (3.0, -2.0))
    found = sample_counts(overlay, tile)
    for row in range(12):
        for column in range(9):
            place = tile.to_um(row + 0.5, column + 0.5)
            assert found[row, column] == (read_count(overlay, *place) or 0)


def test_the_coarsest_level_that_is_fine_enough_is_read() -> None:
    grids = tuple(Grid((64 >> k, 64 >> k), 2.0 * 2**k) for k in range(3))
    asked: list[int] = []

    def read(level: int, box: Box) -> np.ndarray:
        asked.append(level)
        return np.full(box.shape, level + 1, np.uint8)

    about = overlay_of(np.zeros((0, 0), np.uint8), grids[0])
    overlay = Overlay("o", "t", grids, read, about.names, about.colours, 1, "", 0, 0, 0)
    for mpp in (0.5, 2.0, 3.9, 4.0, 8.0, 64.0):
        sample_counts(overlay, Grid((2, 2), mpp))
    assert asked == [0, 0, 0, 1, 2, 2]


def test_what_has_no_value_is_transparent() -> None:
    named = colour_table(overlay_of(np.zeros((1, 1), np.uint8), Grid((1, 1), 1.0)))
    assert named[:4].tolist() == [[0] * 4, [255, 0, 0, 255], [0, 0, 255, 255], [0] * 4]
    scale = overlay_of(
        np.zeros((1, 1), np.uint8), Grid((1, 1), 1.0), names=(), none=65535, top=100, bottom=10
    )
    table = colour_table(scale)
    assert table[[9, 10, 65534, 65535], 3].tolist() == [0, 255, 255, 0]
    assert table[100].tolist() == table[200].tolist() == [0, 0, 255, 255]
    assert paint_counts(np.zeros((4, 5), np.uint16), table).startswith(b"\x89PNG")


def test_counts_are_told_in_words() -> None:
    overlay = overlay_of(np.array([[2]], np.uint8), Grid((1, 1), 1.0))
    assert said(overlay, read_count(overlay, 0.5, 0.5)) == "two"
    assert said(overlay, read_count(overlay, 1.5, 0.5)) == "outside of the plane"
    assert said(overlay, 7) == "not known"
    depth = overlay_of(np.zeros((1, 1), np.uint8), Grid((1, 1), 1.0), names=(), unit="µm", none=9)
    assert (said(depth, 9), said(depth, 1234)) == ("not defined here", "1,234\u202fµm")
    share = overlay_of(np.zeros((1, 1), np.uint8), Grid((1, 1), 1.0), names=(), step=1 / 255)
    assert (said(share, 0), said(share, 51)) == ("0.0%", "20.0%")
