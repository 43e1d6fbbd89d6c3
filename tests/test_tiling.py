from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.errors import TilePlanError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.tiling import (
    TilePlan,
    TileShape,
    largest_first,
    parse_tile_plan,
    plan_tiles,
    plan_whole,
)

shapes = st.builds(TileShape, st.integers(1, 90), st.integers(0, 60), st.integers(1, 16))
grids = st.builds(Grid, st.tuples(st.integers(1, 300), st.integers(1, 300)), st.just(2.0))


@given(grids, shapes)
def test_write_boxes_partition_the_plane(grid: Grid, shape: TileShape) -> None:
    count = np.zeros(grid.shape, np.int32)
    for tile in plan_whole(grid, shape=shape):
        assert tile.write & grid.box == tile.write
        count[tile.write.slices] += 1
    assert (count == 1).all()


@given(grids, shapes)
def test_read_boxes_hold_the_halo_and_lie_on_the_stride(grid: Grid, shape: TileShape) -> None:
    for tile in plan_whole(grid, shape=shape):
        grown = tile.write.expanded(shape.halo_px)
        assert tile.read & grown == grown
        for edge in (tile.read.top, tile.read.left, tile.read.bottom, tile.read.right):
            assert edge % shape.stride_px == 0
        for inner, outer in (
            (tile.write.top, tile.read.top),
            (tile.read.bottom, tile.write.bottom),
        ):
            assert inner - outer < shape.halo_px + shape.stride_px


@given(grids, shapes)
def test_keep_cuts_the_write_box_out_of_the_read_box(grid: Grid, shape: TileShape) -> None:
    for tile in plan_whole(grid, shape=shape):
        rows = np.arange(tile.read.top, tile.read.bottom)[tile.keep[0]]
        columns = np.arange(tile.read.left, tile.read.right)[tile.keep[1]]
        assert (rows[0], rows[-1] + 1) == (tile.write.top, tile.write.bottom)
        assert (columns[0], columns[-1] + 1) == (tile.write.left, tile.write.right)


@given(st.integers(0, 49), st.integers(0, 39))
def test_any_tissue_keeps_its_tile(row: int, column: int) -> None:
    mask = np.zeros((50, 40), bool)
    mask[row, column] = True
    grid, tissue_grid = Grid((200, 160), 2.0), Grid((50, 40), 8.0)
    plan = plan_tiles(grid, shape=TileShape(64, 8, 4), tissue=mask, tissue_grid=tissue_grid)
    (tile,) = plan
    tissue = grid.covering(Box(row, column, row + 1, column + 1), tissue_grid)
    assert (tile.write & tissue).area_px > 0


@given(st.data(), st.integers(10, 90), st.floats(1.0, 9.0), st.floats(2.0, 2.4))
def test_write_boxes_hold_all_tissue_and_little_else(
    data: st.DataObject, tile_px: int, coarse_mpp: float, mpp: float
) -> None:
    """Whatever the planes: each fine pixel whose middle is tissue is decided, once."""
    slide = Grid((data.draw(st.integers(60, 300)), data.draw(st.integers(60, 300))), 1.0)
    grid, tissue_grid = slide.at_mpp(mpp), slide.at_mpp(max(coarse_mpp, mpp))
    mask = np.zeros(tissue_grid.shape, bool)
    for _ in range(3):
        top, left = (data.draw(st.integers(0, count - 1)) for count in mask.shape)
        mask[top : top + data.draw(st.integers(1, 9)), left : left + 4] = True
    step = data.draw(st.integers(1, tile_px))
    plan = plan_tiles(
        grid,
        shape=TileShape(tile_px, 8, 4),
        tissue=mask,
        tissue_grid=tissue_grid,
        step_px=step,
    )
    count = np.zeros(grid.shape, np.int32)
    coarser = tissue_grid.mpp / mpp
    for tile, square in zip(plan, plan.squares, strict=True):
        assert tile.write & square.write == tile.write
        count[tile.write.slices] += 1
        box = tissue_grid.covering(tile.write, grid) & tissue_grid.box
        for axis, edge in enumerate(tile.write.shape):
            assert edge % step == 0 or edge == square.write.shape[axis]
            places = np.flatnonzero(mask[box.slices].any(axis=1 - axis))
            assert edge < (places[-1] - places[0] + 3) * coarser + step + 4  # the stride
    assert count.max() == 1
    tissue = mask[
        np.ix_(
            *(
                np.minimum((np.arange(fine) + 0.5) * mpp / tissue_grid.mpp, coarse - 1).astype(int)
                for fine, coarse in zip(grid.shape, tissue_grid.shape, strict=True)
            )
        )
    ]
    assert (count[tissue] == 1).all()


def test_a_strip_of_tissue_costs_little_more_than_itself() -> None:
    mask = np.zeros((128, 128), bool)
    mask[:, 60:64] = True
    grid, tissue_grid = Grid((512, 512), 2.0), Grid((128, 128), 8.0)
    shape = TileShape(256, 16, 16)
    plan = plan_tiles(grid, shape=shape, tissue=mask, tissue_grid=tissue_grid)
    assert [tile.write for tile in plan] == [Box(0, 240, 256, 256), Box(256, 240, 512, 256)]
    assert plan.computed_px == 2 * 288 * 48
    plan = plan_tiles(grid, shape=shape, tissue=mask, tissue_grid=tissue_grid, step_px=64)
    assert [tile.write for tile in plan] == [Box(0, 192, 256, 256), Box(256, 192, 512, 256)]
    assert plan.computed_px == 2 * 288 * 96
    assert plan.squares.computed_px == 2 * 288 * 288
    assert parse_tile_plan(json.loads(json.dumps(plan.to_json()))) == plan


def test_the_largest_tiles_come_first_and_equal_ones_together() -> None:
    mask = np.random.default_rng(4).random((96, 128)) > 0.99
    grid, tissue_grid = Grid((384, 512), 2.0), Grid((96, 128), 8.0)
    plan = plan_tiles(grid, shape=TileShape(64, 8, 4), tissue=mask, tissue_grid=tissue_grid)
    tiles = largest_first(plan)
    assert sorted(tile.cell for tile in tiles) == sorted(plan.cells)
    areas = [tile.read.area_px for tile in tiles]
    assert areas == sorted(areas, reverse=True)
    assert len(set(areas)) > 10
    sizes = [tile.read.shape for tile in tiles]
    changes = sum(one != other for one, other in pairwise(sizes))
    assert changes == len(set(sizes)) - 1


def test_tiles_without_enough_tissue_are_left_out() -> None:
    mask = np.zeros((32, 32), bool)
    mask[:16, :4] = True
    grid, tissue_grid = Grid((128, 128), 2.0), Grid((32, 32), 8.0)

    def cells(least: float) -> tuple[tuple[int, int], ...]:
        return plan_tiles(
            grid,
            shape=TileShape(64, 0, 1),
            tissue=mask,
            tissue_grid=tissue_grid,
            min_tissue_fraction=least,
        ).cells

    assert cells(0.0) == ((0, 0),)
    assert cells(0.25) == ((0, 0),)
    assert cells(0.26) == ()


def test_pixel_counts_say_what_the_halo_costs() -> None:
    plan = plan_whole(Grid((128, 128), 2.0), shape=TileShape(64, 16, 16))
    assert plan.needed_px == 128 * 128
    assert plan.computed_px == 4 * 96 * 96


@given(grids, shapes)
def test_json_round_trip(grid: Grid, shape: TileShape) -> None:
    plan = plan_whole(grid, shape=shape)
    assert parse_tile_plan(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(TilePlanError, match="tissue mask is"):
        plan_tiles(
            Grid((10, 10), 2.0),
            shape=TileShape(4, 0, 1),
            tissue=np.ones((3, 3), bool),
            tissue_grid=Grid((2, 2), 8.0),
        )


@pytest.mark.parametrize("shape", [(0, 0, 1), (4, -1, 1), (4, 0, 0)])
def test_impossible_tiles_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(TilePlanError, match="must be positive"):
        TileShape(*shape)


@pytest.mark.parametrize("key", ["grid", "tile_px", "cells", "parts"])
def test_an_incomplete_plan_is_refused(key: str) -> None:
    raw = plan_whole(Grid((10, 10), 2.0), shape=TileShape(4, 0, 1)).to_json()
    del raw[key]
    with pytest.raises(TilePlanError, match="not a tile plan"):
        parse_tile_plan(raw)


def test_a_plan_with_tiles_outside_its_plane_is_refused() -> None:
    raw = TilePlan(Grid((10, 10), 2.0), TileShape(4, 0, 1), ((3, 0),)).to_json()
    with pytest.raises(TilePlanError, match="outside its plane"):
        parse_tile_plan(raw)


@pytest.mark.parametrize("part", [[0, 0, 5, 4], [4, 0, 6, 2], [1, 1, 1, 3]])
def test_a_plan_with_parts_outside_their_tiles_is_refused(part: list[int]) -> None:
    raw = plan_whole(Grid((10, 10), 2.0), shape=TileShape(4, 0, 1)).to_json()
    with pytest.raises(TilePlanError, match="parts outside their tiles"):
        parse_tile_plan(raw | {"parts": [[0, 0, *part]]})
