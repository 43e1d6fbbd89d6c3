"""Which muscles, nerves and large vessels lie in the stroma?

1. `draw_muscles` runs smooth-muscle bundles from follicles to the papillary dermis.
2. `draw_nerves` and `draw_large_vessels` lay bundles and tubes into deep dermis and fat,
   cut lengthwise or across.

They are stroma: no label changes.  A patch keeps, besides its signed distance, the coordinates
its fibres follow: ``axis_um`` across them, and for muscle and nerve ``core_um`` along them; the
``core_um`` of a vessel is the signed distance to its lumen, its ``axis_um`` the way around it.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from wsi_pipeline.phantom.adnexa import Follicle, Kind, Patch
from wsi_pipeline.phantom.frame import Nodes, Points
from wsi_pipeline.phantom.profiles import Place

# What lies further from a bundle is not kept, µm.
REACH_UM = 40.0
# Half width of a muscle, a nerve cut lengthwise, and one cut across, µm.
MUSCLE_UM = (16.0, 42.0)
NERVE_UM = (14.0, 40.0)
FASCICLE_UM = (22.0, 75.0)
# Radius of the lumen of large vessels, µm.
LUMEN_UM = {Kind.ARTERY: (16.0, 70.0), Kind.VEIN: (35.0, 130.0)}
# Wall as a share of that radius.
WALL_SHARE = {Kind.ARTERY: (0.55, 1.0), Kind.VEIN: (0.08, 0.16)}


def ribbon(
    rng: np.random.Generator, nodes: Nodes, *, line_um: Points, half_um: float, kind: Kind
) -> Patch:
    """A bundle along a line, tapering at both ends.

    Parameters
    ----------
    rng
        Decides where in the texture the bundle starts.
    nodes
        Mesh.
    line_um : float64 (N, 2)
        Its middle, (x, y) in the section frame.
    half_um
        Half its width in the middle.
    kind
        What it is.
    """
    window = nodes.window(line_um[:, 0], line_um[:, 1], reach_um=half_um + REACH_UM)
    x_um, y_um = nodes.x_um[window], nodes.y_um[window]
    steps = np.linalg.norm(np.diff(line_um, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    best = np.full(x_um.shape, np.inf)
    along, across = np.zeros(x_um.shape), np.zeros(x_um.shape)
    for number, (start, stop) in enumerate(pairwise(line_um)):
        ahead = (stop - start) / max(steps[number], 1e-9)
        dx, dy = x_um - start[0], y_um - start[1]
        way = np.clip(dx * ahead[0] + dy * ahead[1], 0, steps[number])
        away = np.hypot(dx - way * ahead[0], dy - way * ahead[1])
        nearer = away < best
        best = np.where(nearer, away, best)
        along = np.where(nearer, arc[number] + way, along)
        across = np.where(nearer, dy * ahead[0] - dx * ahead[1], across)
    share = along / max(arc[-1], 1e-9)
    swell = np.minimum(1.0, 0.35 + 2.2 * np.minimum(share, 1 - share))
    offset = rng.uniform(500.0, 9000.0, 2)
    planes = (half_um * swell - best, along + offset[0], across + offset[1])
    inside, core, axis = (np.asarray(plane, np.float32) for plane in planes)
    return Patch(window, inside, kind, core, axis)


def _line(
    rng: np.random.Generator, ends: tuple[Place, Place], *, sway_um: float, waves: float
) -> Points:
    """Places along a way between two ends that bends and waves."""
    share = np.linspace(0, 1, 25)
    start, stop = (np.array(end) for end in ends)
    ahead = stop - start
    aside = np.array([-ahead[1], ahead[0]]) / max(float(np.hypot(*ahead)), 1e-9)
    bend = np.sin(math.pi * share) * rng.normal(0, sway_um)
    bend += np.sin(2 * math.pi * (waves * share + rng.random())) * sway_um * 0.5
    return np.asarray(start + share[:, None] * ahead + bend[:, None] * aside)


def draw_muscle(
    rng: np.random.Generator, nodes: Nodes, *, follicle: Follicle, tip_um: Place, top_um: float
) -> Patch:
    """The arrector muscle of a follicle, or the part of it that lies in the section.

    Parameters
    ----------
    rng, nodes
        Stream and mesh.
    follicle
        Whose muscle it is.
    tip_um
        Where that follicle ends.
    top_um
        Depth coordinate of the papillary dermis, where it ends.
    """
    share = rng.uniform(0.42, 0.55)
    side = 1.0 if tip_um[0] >= follicle.x_um else -1.0
    low = (
        follicle.x_um + share * (tip_um[0] - follicle.x_um) + side * (follicle.radius_um + 14.0),
        follicle.y_um + share * (tip_um[1] - follicle.y_um),
    )
    slant = math.radians(rng.uniform(30.0, 50.0))
    high = (low[0] + side * (low[1] - top_um) * math.tan(slant), top_um)
    line = _line(rng, (low, high), sway_um=14.0, waves=0.7)
    first = int(rng.integers(0, 9)) if rng.random() < 0.4 else 0
    last = first + int(rng.integers(10, 16)) if rng.random() < 0.5 else len(line)
    half = rng.uniform(*MUSCLE_UM)
    return ribbon(rng, nodes, line_um=line[first:last], half_um=half, kind=Kind.MUSCLE)


def draw_loose_muscle(rng: np.random.Generator, nodes: Nodes, *, centre_um: Place) -> list[Patch]:
    """A piece of muscle whose follicle lies outside the section, sometimes split in two."""
    length, turn = rng.uniform(150.0, 480.0), rng.uniform(-1.0, 1.0)
    patches, half = [], rng.uniform(*MUSCLE_UM)
    for number in range(1 + int(rng.random() < 0.35)):
        part = length * (1.0 if number == 0 else rng.uniform(0.3, 0.6))
        aside = number * (1.9 * half + 12.0)
        middle = (centre_um[0] - aside * math.sin(turn), centre_um[1] + aside * math.cos(turn))
        way = (0.5 * part * math.cos(turn), 0.5 * part * math.sin(turn))
        ends = ((middle[0] - way[0], middle[1] - way[1]), (middle[0] + way[0], middle[1] + way[1]))
        line = _line(rng, ends, sway_um=10.0, waves=0.6)
        width = half * (1.0 if number == 0 else 0.6)
        patches.append(ribbon(rng, nodes, line_um=line, half_um=width, kind=Kind.MUSCLE))
    return patches


def draw_nerve(rng: np.random.Generator, nodes: Nodes, *, centre_um: Place) -> Patch:
    """A nerve: a wavy ribbon, or the round profile of a fascicle."""
    if rng.random() < 0.45:
        return _round_bundle(rng, nodes, centre_um=centre_um, radius_um=rng.uniform(*FASCICLE_UM))
    length, turn = rng.uniform(180.0, 600.0), rng.normal(0, 0.5)
    way = (0.5 * length * math.cos(turn), 0.5 * length * math.sin(turn))
    ends = (
        (centre_um[0] - way[0], centre_um[1] - way[1]),
        (centre_um[0] + way[0], centre_um[1] + way[1]),
    )
    line = _line(rng, ends, sway_um=16.0, waves=rng.uniform(1.0, 2.0))
    return ribbon(rng, nodes, line_um=line, half_um=rng.uniform(*NERVE_UM), kind=Kind.NERVE)


def _oval(
    rng: np.random.Generator, nodes: Nodes, *, centre_um: Place, radius_um: float, flat: float
) -> tuple[tuple[slice, slice], Points, tuple[Points, Points]]:
    """Window, signed distance and own coordinates of an oval with a wavering outline."""
    reach = radius_um * 1.2 / flat + REACH_UM
    window = nodes.window(np.array([centre_um[0]]), np.array([centre_um[1]]), reach_um=reach)
    dx, dy = nodes.x_um[window] - centre_um[0], nodes.y_um[window] - centre_um[1]
    turn = rng.uniform(0, math.pi)
    along = (dx * math.cos(turn) + dy * math.sin(turn)) * flat
    across = dy * math.cos(turn) - dx * math.sin(turn)
    angle = np.arctan2(across, along)
    outline = 1 + sum(
        rng.normal(0, 0.06) * np.cos(number * angle + rng.uniform(0, 2 * math.pi))
        for number in (2, 3, 4)
    )
    away = np.hypot(along, across)
    return window, radius_um * outline - away, (along, across)


def _round_bundle(
    rng: np.random.Generator, nodes: Nodes, *, centre_um: Place, radius_um: float
) -> Patch:
    """A nerve cut across; its fibres run out of the section, so their texture is short."""
    window, inside, (along, across) = _oval(
        rng, nodes, centre_um=centre_um, radius_um=radius_um, flat=rng.uniform(0.65, 1.0)
    )
    offset = rng.uniform(500.0, 9000.0, 2)
    planes = (inside, along * 3 + offset[0], across + offset[1])
    kept = [np.asarray(plane, np.float32) for plane in planes]
    return Patch(window, kept[0], Kind.NERVE, kept[1], kept[2])


def draw_large_vessel(rng: np.random.Generator, nodes: Nodes, *, centre_um: Place) -> list[Patch]:
    """An artery, most often with its vein beside it; the vein is wider, thinner and collapsed."""
    artery = _tube(rng, nodes, centre_um=centre_um, kind=Kind.ARTERY)
    if rng.random() > 0.65:
        return [artery]
    reach = float(artery.inside_um.max()) + LUMEN_UM[Kind.ARTERY][1] + 40.0
    turn = rng.uniform(0, 2 * math.pi)
    place = (centre_um[0] + reach * math.cos(turn), centre_um[1] + reach * math.sin(turn))
    return [artery, _tube(rng, nodes, centre_um=place, kind=Kind.VEIN)]


def _tube(rng: np.random.Generator, nodes: Nodes, *, centre_um: Place, kind: Kind) -> Patch:
    """A vessel cut across or obliquely."""
    lumen = rng.uniform(*LUMEN_UM[kind])
    wall = max(7.0, lumen * rng.uniform(*WALL_SHARE[kind]))
    flat = rng.uniform(0.7, 1.0) if kind == Kind.ARTERY else rng.uniform(0.3, 0.75)
    if kind == Kind.VEIN:
        lumen *= 0.6
    window, inside, (along, across) = _oval(
        rng, nodes, centre_um=centre_um, radius_um=lumen + wall, flat=flat
    )
    # The inner lining of an artery is thrown into folds.
    angle = np.arctan2(across, along)
    folds = rng.uniform(0.05, 0.12) * lumen * np.cos(rng.integers(7, 13) * angle)
    core = inside - wall + (folds if kind == Kind.ARTERY else 0.0)
    around = np.abs(angle) * (lumen + wall) + rng.uniform(500.0, 9000.0)
    planes = [np.asarray(plane, np.float32) for plane in (inside, core, around)]
    return Patch(window, planes[0], kind, planes[1], planes[2])
