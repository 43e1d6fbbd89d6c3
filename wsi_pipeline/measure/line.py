"""Which point of a line is nearest, and how far along and away is that?

1. A `Line` is an ordered row of points, about a pixel apart, in one or several pieces.
2. `nearest_points` asks one exact Euclidean feature transform for all pixels at once.
3. `distances_px` measures to the sub-pixel points, not to the pixels that hold them.
4. `column_map` says beside which point of a smooth line a pixel lies, and how deep.

Coordinates are (row, column) in pixels of the measurement plane, whole at pixel *centres*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from wsi_pipeline.geometry import Grid

# Slant against the normal that the last column of a piece may have: tan 15°.
_END_SLANT = 0.27

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Ordered points with the direction in which the tissue deepens.

    Parameters
    ----------
    points_px
        float64 (N, 2), evenly spaced within a piece.
    normals
        float64 (N, 2), unit vectors pointing into the depth.
    pieces
        intp (N,), piece of each point: 0, 0, … 1, 1, …
    """

    points_px: Points
    normals: Points
    pieces: NDArray[np.intp]

    @property
    def spans(self) -> list[slice]:
        """Where each piece lies among the points."""
        edges = np.flatnonzero(np.diff(self.pieces)) + 1
        bounds = [0, *edges.tolist(), len(self.pieces)]
        return [slice(a, b) for a, b in pairwise(bounds) if b > a]

    @property
    def length_px(self) -> float:
        """Length of all pieces together."""
        return sum(arc_length(self.points_px[span]) for span in self.spans)


def arc_length(points_px: Points) -> float:
    """Length of one run of points, px."""
    return float(np.hypot(*np.diff(points_px, axis=0).T).sum())


def level_lines(plane: NDArray[np.float32], level: float = 0.5) -> list[Points]:
    """Contours of a plane, the lower values on their left; closed away from the plane's rim."""
    found = find_contours(plane, level)  # type: ignore[no-untyped-call]
    return [np.asarray(points, np.float64) for points in found]


def line_of(pieces_px: Sequence[Points]) -> Line:
    """Join pieces whose deep side is the left-hand one, as in `level_lines`."""
    if not pieces_px:
        return Line(np.empty((0, 2)), np.empty((0, 2)), np.empty(0, np.intp))
    return Line(
        np.concatenate(pieces_px),
        np.concatenate([_normals(piece) for piece in pieces_px]),
        np.repeat(np.arange(len(pieces_px)), [len(piece) for piece in pieces_px]),
    )


def _normals(points_px: Points) -> Points:
    """Unit vectors across the line, towards its low-valued side."""
    tangent = np.gradient(points_px, axis=0)
    across = np.column_stack((-tangent[:, 1], tangent[:, 0]))
    return np.asarray(across / np.maximum(np.hypot(*across.T), 1e-12)[:, None])


def smoothed(line: Line, sigma_px: float) -> Line:
    """Line low-passed along itself; the ends stay where they are.

    Notes
    -----
    Beyond an end the line is continued by its point reflection, which keeps a straight
    line straight to its very end.
    """
    reach = int(4 * sigma_px) + 1
    return line_of(
        [_smoothed_points(line.points_px[span], sigma_px, reach_px=reach) for span in line.spans]
    )


def _smoothed_points(points_px: Points, sigma_px: float, *, reach_px: int) -> Points:
    """Gaussian along one piece."""
    longer = np.pad(points_px, ((reach_px, reach_px), (0, 0)), "reflect", reflect_type="odd")
    flat = ndimage.gaussian_filter1d(longer, sigma_px, axis=0)
    return np.asarray(flat[reach_px:-reach_px])


def evenly_spaced(points_px: Points) -> Points:
    """Points of the same polyline, as near to one pixel apart as divides its length evenly."""
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points_px, axis=0).T))))
    at = np.linspace(0.0, along[-1], max(2, round(along[-1]) + 1))
    return np.column_stack([np.interp(at, along, axis) for axis in points_px.T])


def nearest_points(line: Line, shape: tuple[int, int]) -> NDArray[np.intp]:
    """Index of the nearest point for every pixel, (Y, X).

    Notes
    -----
    Exact for the pixels that hold the line's points, hence to half a pixel diagonal for
    the points themselves.  Points off the plane are nearest to no pixel.
    """
    owner = np.full(shape, -1, np.int32)
    at = np.rint(line.points_px).astype(np.intp)
    on = ((at >= 0) & (at < shape)).all(axis=1)
    owner[tuple(at[on].T)] = np.flatnonzero(on)
    rows, columns = ndimage.distance_transform_edt(
        owner < 0, return_distances=False, return_indices=True
    )
    return np.asarray(owner[rows, columns], np.intp)


def distances_px(line: Line, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Euclidean distance to the line of the pixels in ``where``; NaN elsewhere.

    Notes
    -----
    The distance to a point *on* the line is never too short and, by the bound of
    `nearest_points`, at most 0.71 px too long.
    """
    nearest = nearest_points(line, (where.shape[0], where.shape[1]))[where]
    gap = np.argwhere(where) - line.points_px[nearest]
    distance = np.full(where.shape, np.nan, np.float32)
    distance[where] = np.hypot(*gap.T)
    return distance


@dataclass(frozen=True, slots=True, eq=False)
class ColumnMap:
    """Every pixel's place beside a smooth line.

    Parameters
    ----------
    column
        int32 (Y, X), index of the line's point beside which the pixel lies; -1 where the
        pixel lies beyond the end of a piece.  The end columns are wedges of 15°, for a cut
        edge is rarely square to the skin.
    depth_px
        float32 (Y, X), distance from the line, negative on its shallow side.
    """

    column: NDArray[np.int32]
    depth_px: NDArray[np.float32]


def column_map(line: Line, shape: tuple[int, int]) -> ColumnMap:
    """Assign every pixel to the point of ``line`` on whose normal it lies."""
    nearest = nearest_points(line, shape)
    rows, columns = (np.arange(n, dtype=np.float32) for n in shape)
    down, right = (axis.astype(np.float32)[nearest] for axis in line.normals.T)
    gap_rows = rows[:, None] - line.points_px[:, 0].astype(np.float32)[nearest]
    gap_columns = columns[None, :] - line.points_px[:, 1].astype(np.float32)[nearest]
    # The nearest *pixel* of a slanted line is uncertain along the line; projecting on the
    # tangent (-right, down … turned by 90°) moves the foot to where the normal meets it.
    along = gap_rows * right - gap_columns * down
    depth_px = gap_rows * down + gap_columns * right
    foot = nearest + np.rint(along).astype(np.intp)
    first, last = (ends[line.pieces[nearest]] for ends in _ends(line))
    column = np.clip(foot, first, last)
    inside = np.abs(foot - column) <= np.maximum(0, depth_px * _END_SLANT)
    return ColumnMap(np.where(inside, column, -1).astype(np.int32), depth_px)


def _ends(line: Line) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last point of every piece."""
    spans = line.spans
    return np.array([s.start for s in spans]), np.array([s.stop - 1 for s in spans])


def to_slide_um(line: Line, grid: Grid) -> Points:
    """(N, 2) of ``(down, right)`` in the slide frame, µm, a row of NaN between pieces."""
    parts = [line.points_px[span] for span in line.spans]
    if not parts:
        return np.empty((0, 2))
    rows = [np.vstack((part, np.full((1, 2), np.nan))) for part in parts]
    points_px = np.concatenate(rows)[:-1] + 0.5  # pixel centres lie at i + 0.5
    return np.asarray(np.array(grid.origin_um) + points_px * grid.mpp)
