"""Which pixel edges bound a connected piece?

1. Every pixel edge between a piece and anything else is a directed step that keeps the piece on
   its right (downwards is the first axis).
2. At its end each step is followed by exactly one other: the one furthest to the left that has
   the same piece on its right.  Pixels of a piece that touch at a corner are thereby joined, so
   a piece has one outer ring, and rings touch but never cross themselves.
3. Corners on straight borders are left out, wherever two pieces run along them alike: what
   neighbours share is the same list of corners.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage import measure

# Steps east, south, west and north: (rows, columns), then the pixel on the right of the step and
# the one on its left, both from the corner at which it starts.
_STEP = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
_RIGHT = np.array([(0, 0), (0, -1), (-1, -1), (-1, 0)])
_LEFT = np.array([(-1, 0), (0, 0), (0, -1), (-1, -1)])


class Pieces(NamedTuple):
    """Outlines of connected pieces.

    Parameters
    ----------
    values : (P,) integer
        Label of each piece.
    piece_of_ring : (R,) intp
        Piece of each ring; of the rings of a piece the first is the outer one.
    ring_of_corner : (N,) intp
        Ring of each corner, ascending.
    corners : (N, 2) float64
        Corners (row, column) in px; rings are not closed.
    """

    values: NDArray[np.integer[Any]]
    piece_of_ring: NDArray[np.intp]
    ring_of_corner: NDArray[np.intp]
    corners: NDArray[np.float64]


def trace_pieces(labels: NDArray[np.integer[Any]], *, ignored: int) -> Pieces:
    """Trace the pieces (connected by edges) of all labels but one.

    Parameters
    ----------
    labels : (Y, X) integer
        Label map.
    ignored
        Label whose pieces are not traced.
    """
    # A rim of piece 0 lies around, so that no step needs to ask where the plane ends.
    pieces = np.pad(connected_pieces(labels), 1)
    value_of = np.zeros(int(pieces.max()) + 1, labels.dtype)
    value_of[pieces[1:-1, 1:-1]] = labels
    wanted = value_of != ignored
    wanted[0] = False
    starts, headings = _steps(pieces, wanted)
    follower = _followers(pieces, starts, headings)
    order, ring = _rings(follower)
    owner = pieces[tuple((starts[order] + _RIGHT[headings[order]]).T)]
    is_corner = ~_is_straight(pieces, starts[order])
    first_of_ring = np.flatnonzero(np.diff(ring, prepend=-1))
    # Rings were met from top to bottom, so the first of a piece is its outer one.
    by_piece = np.argsort(owner[first_of_ring], kind="stable")
    rank = np.empty_like(by_piece)
    rank[by_piece] = np.arange(by_piece.size)
    ring, corners = rank[ring][is_corner], starts[order][is_corner] - 1
    by_ring = np.argsort(ring, kind="stable")
    owners, piece_of_ring = np.unique(owner[first_of_ring][by_piece], return_inverse=True)
    return Pieces(
        value_of[owners],
        piece_of_ring.astype(np.intp),
        ring[by_ring].astype(np.intp),
        corners[by_ring].astype(np.float64),
    )


def connected_pieces(labels: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Number from 1 of the piece, connected by edges, that each pixel belongs to."""
    pieces = measure.label(labels, background=-1, connectivity=1)  # type: ignore[no-untyped-call]
    return np.asarray(pieces, np.int32)


def _steps(
    pieces: NDArray[np.int32], wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Corners at which steps start and their headings, in the order of rows, columns, headings."""
    row, column = np.nonzero(pieces[:-1] != pieces[1:])
    east = _with_owner(pieces, (row + 1, column), (row + 1, column), heading=0)
    west = _with_owner(pieces, (row + 1, column + 1), (row, column), heading=2)
    row, column = np.nonzero(pieces[:, :-1] != pieces[:, 1:])
    south = _with_owner(pieces, (row, column + 1), (row, column), heading=1)
    north = _with_owner(pieces, (row + 1, column + 1), (row, column + 1), heading=3)
    steps = np.concatenate((east, south, west, north), axis=1)
    steps = steps[:, wanted[steps[3]]]
    steps = steps[:, np.lexsort(steps[2::-1])]
    return steps[:2].T, steps[2]


def _with_owner(
    pieces: NDArray[np.int32],
    corner: tuple[NDArray[np.intp], NDArray[np.intp]],
    pixel: tuple[NDArray[np.intp], NDArray[np.intp]],
    *,
    heading: int,
) -> NDArray[np.intp]:
    """Row and column of a corner, heading, and the piece on the right."""
    owner = pieces[pixel]
    return np.stack((*corner, np.full(owner.size, heading), owner.astype(np.intp)))


def _followers(
    pieces: NDArray[np.int32], starts: NDArray[np.intp], headings: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Number of the step that follows each step."""
    ends = starts + _STEP[headings]
    owner = pieces[tuple((starts + _RIGHT[headings]).T)]
    ahead_left = pieces[tuple((ends + _LEFT[headings]).T)] == owner
    ahead_right = pieces[tuple((ends + _RIGHT[headings]).T)] == owner
    turn = np.where(ahead_left, -1, np.where(ahead_right, 0, 1))
    keys = _key(starts, headings, columns=pieces.shape[1])
    wanted = _key(ends, (headings + turn) % 4, columns=pieces.shape[1])
    return np.searchsorted(keys, wanted)


def _key(
    corners: NDArray[np.intp], headings: NDArray[np.intp], *, columns: int
) -> NDArray[np.intp]:
    """One number per step, ascending with row, column and heading."""
    return (corners[:, 0] * (columns + 1) + corners[:, 1]) * 4 + headings


def _rings(follower: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Steps in the order in which they are walked, and the ring that each belongs to."""
    following, seen = follower.tolist(), bytearray(follower.size)
    order: list[int] = []
    lengths: list[int] = []
    for first in range(len(following)):
        before, step = len(order), first
        while not seen[step]:
            seen[step] = 1
            order.append(step)
            step = following[step]
        if len(order) > before:
            lengths.append(len(order) - before)
    return np.array(order, np.intp), np.repeat(np.arange(len(lengths)), lengths)


def _is_straight(pieces: NDArray[np.int32], corners: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether one and the same straight border passes a corner."""
    above, left = corners[:, 0] - 1, corners[:, 1] - 1
    one, two = pieces[above, left], pieces[above, left + 1]
    three, four = pieces[above + 1, left], pieces[above + 1, left + 1]
    straight: NDArray[np.bool_] = ((one == two) & (three == four)) | (
        (one == three) & (two == four)
    )
    return straight
