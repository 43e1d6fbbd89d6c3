"""Where does a line on the slide run, and how far is everything from it?

1. `wander` draws a curve that turns at random, as strokes, fibres and folds do.
2. `paint_stroke` gives the signed distance to a band along it on the mesh.

Places are ``(down, right)`` on the slide, µm.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.phantom.frame import Nodes, Points
from wsi_pipeline.phantom.noise import Floats

# What no stroke comes near.
FAR_AWAY_UM = 1.0e4


def wander(
    rng: np.random.Generator,
    centre_um: tuple[float, float],
    *,
    heading_rad: float,
    length_um: float,
    bend_rad: float,
) -> Points:
    """Draw a curve.

    Parameters
    ----------
    rng
        Stream that decides the turns.
    centre_um
        Where the middle of the curve lies.
    heading_rad
        Direction at its middle, clockwise from the right.
    length_um
        Its length.
    bend_rad
        Standard deviation of the direction at its ends.

    Returns
    -------
    float64 (N, 2)
    """
    count = int(np.clip(length_um / 40.0, 8, 48))
    knots = rng.normal(0.0, bend_rad, 5)
    turns = np.interp(np.linspace(0, 4, count), np.arange(5), knots - knots[2])
    steps = np.stack([np.sin(heading_rad + turns), np.cos(heading_rad + turns)], axis=-1)
    line = np.cumsum(steps, axis=0) * (length_um / count)
    return np.asarray(line - line[count // 2] + np.asarray(centre_um))


def paint_stroke(
    nodes: Nodes,
    line_um: Points,
    *,
    half_um: NDArray[np.float64] | float,
    reach_um: float = 30.0,
    into: Floats | None = None,
) -> Floats:
    """Signed distance to the border of a band along a curve, on the mesh.

    Parameters
    ----------
    nodes
        The mesh.
    line_um : float64 (N, 2)
        The curve.
    half_um
        Half the width of the band, at each of the N places or everywhere.
    reach_um
        How far beyond the band distances are needed; further away they are very negative.
    into : float32 (Y, X), optional
        Distances to other bands: the union is taken.

    Returns
    -------
    float32 (Y, X)
        µm, positive inside.
    """
    plane = np.full(nodes.shape, -FAR_AWAY_UM, np.float32) if into is None else into.copy()
    halves = np.broadcast_to(np.asarray(half_um, np.float64), (len(line_um),))
    for start, stop, wide, next_wide in zip(
        line_um[:-1], line_um[1:], halves[:-1], halves[1:], strict=True
    ):
        window = _window(nodes, np.stack([start, stop]), reach_um=reach_um + max(wide, next_wide))
        share, away = _beside(nodes, window, ends=(start, stop))
        inside = (wide + (next_wide - wide) * share - away).astype(np.float32)
        plane[window] = np.maximum(plane[window], inside)
    return plane


def _window(nodes: Nodes, places_um: Points, *, reach_um: float) -> tuple[slice, slice]:
    """Nodes within reach of the bounding box of some places."""
    low = np.floor((places_um.min(axis=0) - reach_um) / nodes.step_um)
    high = np.ceil((places_um.max(axis=0) + reach_um) / nodes.step_um) + 1
    first, last = np.maximum(low, 0).astype(int), np.maximum(high, 0).astype(int)
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))


def _beside(
    nodes: Nodes, window: tuple[slice, slice], *, ends: tuple[Points, Points]
) -> tuple[Points, Points]:
    """How far along a straight piece the nodes of a window lie (0 to 1), and how far from it."""
    rows, columns = (
        np.arange(*span.indices(count)) * nodes.step_um
        for span, count in zip(window, nodes.shape, strict=True)
    )
    down, right = rows[:, None] - ends[0][0], columns[None, :] - ends[0][1]
    ahead = ends[1] - ends[0]
    square = max(float(ahead @ ahead), 1e-9)
    share = np.clip((down * ahead[0] + right * ahead[1]) / square, 0.0, 1.0)
    return share, np.hypot(down - share * ahead[0], right - share * ahead[1])


def tapered(count: int, *, middle_um: float, ends_um: float) -> NDArray[np.float64]:
    """Half widths of a band that is widest in its middle."""
    swell = np.sin(np.linspace(0.0, math.pi, count))
    return np.asarray(ends_um + (middle_um - ends_um) * swell)
