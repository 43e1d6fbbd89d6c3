"""Which boxes do we read, and which part of each do we keep?

1. The plane is cut into squares on shard borders; they partition it exactly.
2. A square that shows no tissue is left out; of the others, the *write box* is the part that holds
   their tissue.  No two write boxes touch one shard.
3. Each write box gets a *read box*: the write box plus the network's halo, its corners
   moved outwards to multiples of the network's stride.  It may reach beyond the plane;
   what lies there is padding.

The plan is a frozen value that does no I/O.  Because a halo covers the network's receptive
field and read boxes start on its stride, a plane computed tile by tile equals the plane
computed at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.errors import TilePlanError
from wsi_pipeline.geometry import Box, Grid

Cell = tuple[int, int]
"""Row and column of a square in the lattice."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One unit of inference.

    Parameters
    ----------
    row, column
        Place in the lattice of squares.
    write
        Box whose pixels this tile decides; on the plan's grid, inside the plane and its square.
    read
        Box the network sees; contains ``write``, may reach beyond the plane.
    """

    row: int
    column: int
    write: Box
    read: Box

    @property
    def cell(self) -> Cell:
        """Place in the lattice of squares."""
        return self.row, self.column

    @property
    def keep(self) -> tuple[slice, slice]:
        """Index of the write box into an array that covers the read box."""
        return self.write.within(self.read).slices


@dataclass(frozen=True, slots=True)
class TileShape:
    """What a network asks of its tiles, in pixels of the working plane.

    Parameters
    ----------
    tile_px
        Edge of a square, and of a write box at most.
    halo_px
        Context needed on each side: at least the radius of the receptive field.
    stride_px
        Read boxes start and end on multiples of this.
    """

    tile_px: int
    halo_px: int
    stride_px: int

    def __post_init__(self) -> None:
        if self.tile_px < 1 or self.halo_px < 0 or self.stride_px < 1:
            raise TilePlanError(f"tile and stride must be positive, halo not negative: {self}")


@dataclass(frozen=True, slots=True)
class TilePlan:
    """The tiles of one plane.

    Parameters
    ----------
    grid
        Plane that is covered.
    shape
        Sizes of square, halo and stride.
    cells
        ``(row, column)`` of each tile kept, in row-major order.
    parts
        Write box by cell, where it is smaller than the cell's square.
    """

    grid: Grid
    shape: TileShape
    cells: tuple[Cell, ...]
    parts: Mapping[Cell, Box] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[Tile]:
        return (self.tile(row, column) for row, column in self.cells)

    @property
    def squares(self) -> TilePlan:
        """The same tiles, each of which decides all of its square."""
        return replace(self, parts={})

    @property
    def lattice(self) -> tuple[int, int]:
        """Rows and columns of squares on the whole plane, glass included."""
        return _lattice(self.grid, self.shape.tile_px)

    def tile(self, row: int, column: int) -> Tile:
        """Boxes of the tile at one place of the lattice."""
        edge = self.shape.tile_px
        write = Box(row * edge, column * edge, (row + 1) * edge, (column + 1) * edge)
        write = self.parts.get((row, column), write & self.grid.box)
        return Tile(row, column, write, _read_box(write, self.shape))

    @property
    def needed_px(self) -> int:
        """Pixels that are decided."""
        return sum(tile.write.area_px for tile in self)

    @property
    def computed_px(self) -> int:
        """Pixels the network sees, halo and padding included."""
        return sum(tile.read.area_px for tile in self)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary from which `parse_tile_plan` makes the same plan again."""
        return {
            "grid": self.grid.to_json(),
            "tile_px": self.shape.tile_px,
            "halo_px": self.shape.halo_px,
            "stride_px": self.shape.stride_px,
            "lattice": list(self.lattice),
            "cells": [list(cell) for cell in self.cells],
            "parts": [[*cell, *astuple(part)] for cell, part in self.parts.items()],
        }


def plan_tiles(
    grid: Grid,
    *,
    shape: TileShape,
    tissue: NDArray[np.bool_],
    tissue_grid: Grid,
    min_tissue_fraction: float = 0.0,
    step_px: int = 1,
) -> TilePlan:
    """Cover the tissue of a plane with tiles.

    Parameters
    ----------
    grid
        Plane to cover, at the working mpp.
    shape
        What the network asks of its tiles.
    tissue : (Y, X) bool
        Tissue mask on ``tissue_grid``, a coarser plane over the same glass.
    tissue_grid
        Plane of the mask.
    min_tissue_fraction
        Squares with a smaller share of tissue are left out; at 0 a single tissue pixel
        anywhere under the square keeps it.
    step_px
        Edges of write boxes are multiples of this, as far as the square and the plane go, and their
        read boxes of few different sizes.

    Returns
    -------
    TilePlan
        Tiles in row-major order, each of which decides the bounding box of its tissue, in whole
        steps; empty if there is no tissue.

    Raises
    ------
    TilePlanError
        If the mask does not have the shape of its grid.
    """
    if tissue.shape != tissue_grid.shape:
        raise TilePlanError(f"tissue mask is {tissue.shape}, its grid {tissue_grid.shape}")
    kept, parts = [], {}
    for tile in plan_whole(grid, shape=shape):
        coarse = tissue_grid.covering(tile.write, grid) & tissue_grid.box
        if not _has_tissue(tissue[coarse.slices], min_tissue_fraction):
            continue
        kept.append((tile.row, tile.column))
        around = _bounding(tissue[coarse.slices]).shifted(coarse.top, coarse.left)
        part = _to_the_edge(around, tissue_grid, grid) & tile.write
        part = _in_steps(part, tile.write, step_px=step_px, stride_px=shape.stride_px)
        if part.area_px and part != tile.write:
            parts[tile.row, tile.column] = part
    return TilePlan(grid, shape, tuple(kept), parts)


def plan_whole(grid: Grid, *, shape: TileShape) -> TilePlan:
    """Cover the whole plane, glass included."""
    return TilePlan(grid, shape, _all_cells(grid, shape.tile_px))


def largest_first(tiles: Iterable[Tile]) -> list[Tile]:
    """Tiles in the order of the area they read, those of one size together.

    A network prepares for each size anew; memory that fits the largest fits the others; and the
    last to be finished are small, so that no core waits for long.
    """
    return sorted(tiles, key=lambda tile: (-tile.read.area_px, tile.read.shape))


def parse_tile_plan(raw: Mapping[str, Any]) -> TilePlan:
    """Make a plan again from `TilePlan.to_json`.

    Raises
    ------
    TilePlanError
        If a field is missing or of the wrong type, or a tile lies outside the plane.
    """
    try:
        grid = Grid.from_json(raw["grid"])
        shape = TileShape(int(raw["tile_px"]), int(raw["halo_px"]), int(raw["stride_px"]))
        cells = tuple((int(row), int(column)) for row, column in raw["cells"])
        parts = {(int(row), int(column)): Box(*map(int, box)) for row, column, *box in raw["parts"]}
    except (KeyError, TypeError, ValueError, IndexError) as fault:
        raise TilePlanError(f"not a tile plan ({fault!r}); write it again") from fault
    rows, columns = _lattice(grid, shape.tile_px)
    if any(not (0 <= row < rows and 0 <= column < columns) for row, column in cells):
        raise TilePlanError("the tile plan names tiles outside its plane; write it again")
    squares = TilePlan(grid, shape, cells)
    if any(
        not box.area_px or squares.tile(*cell).write & box != box for cell, box in parts.items()
    ):
        raise TilePlanError("the tile plan names parts outside their tiles; write it again")
    return replace(squares, parts=parts)


def _lattice(grid: Grid, tile_px: int) -> tuple[int, int]:
    return -(-grid.shape[0] // tile_px), -(-grid.shape[1] // tile_px)


def _all_cells(grid: Grid, tile_px: int) -> tuple[tuple[int, int], ...]:
    rows, columns = _lattice(grid, tile_px)
    return tuple((row, column) for row in range(rows) for column in range(columns))


def _has_tissue(mask: NDArray[np.bool_], min_fraction: float) -> bool:
    return bool(mask.any()) and float(mask.mean()) >= min_fraction


def _bounding(mask: NDArray[np.bool_]) -> Box:
    """Smallest box around what is true, of which there is some."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _in_steps(part: Box, square: Box, *, step_px: int, stride_px: int) -> Box:
    """Grow to whole steps from a multiple of the stride, as far as the square goes."""
    if step_px == 1 or not part.area_px:
        return part
    rows, columns = (
        _stretch(range(*ends), range(*limits), step_px=step_px, stride_px=stride_px)
        for ends, limits in (
            ((part.top, part.bottom), (square.top, square.bottom)),
            ((part.left, part.right), (square.left, square.right)),
        )
    )
    return Box(rows.start, columns.start, rows.stop, columns.stop)


def _stretch(part: range, square: range, *, step_px: int, stride_px: int) -> range:
    """Along one axis."""
    start = max(square.start, part.start // stride_px * stride_px)
    length = min(-(-(part.stop - start) // step_px) * step_px, len(square))
    start = min(start, square.stop - length)
    return range(start, start + length)


def _to_the_edge(box: Box, coarse: Grid, fine: Grid) -> Box:
    """Cover a box of one plane on a finer one, whose last pixels may lie beyond the coarse."""
    cover = fine.covering(box, coarse)
    return Box(
        cover.top if box.top > 0 else 0,
        cover.left if box.left > 0 else 0,
        cover.bottom if box.bottom < coarse.shape[0] else fine.shape[0],
        cover.right if box.right < coarse.shape[1] else fine.shape[1],
    )


def _read_box(write: Box, shape: TileShape) -> Box:
    """Grow by the halo, then outwards to multiples of the stride."""
    return write.expanded(shape.halo_px).coarsened(shape.stride_px).refined(shape.stride_px)
