"""Where are the follicles, glands and vessels?

1. Each structure is a `Patch`: a signed distance on a small window of the mesh, and a kind.
2. `draw_adnexa_vertical` places oblique follicles with their sebaceous glands, and coils;
   `draw_adnexa_horizontal` places follicular units cut across.
3. `merge_patches` lays the patches over each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.phantom.frame import Nodes
from wsi_pipeline.phantom.noise import Floats
from wsi_pipeline.phantom.skin import Skin
from wsi_pipeline.phantom.spec import PhantomSpec

FAR_UM = -1000.0
# Length of a resting follicle, as a share of a growing one.
TELOGEN_SHARE = 0.48
# Width of a follicle along its way, and that of a resting one, as shares of its radius.
STATIONS = [-0.05, 0.0, 0.04, 0.1, 0.3, 0.7, 0.8, 0.95]
CLUB = [1.8, 1.5, 1.15, 1.02, 1.0, 0.95, 1.0, 0.92]


class Kind(IntEnum):
    """Structures that are drawn differently."""

    NONE = 0
    FOLLICLE = 1
    SEBACEOUS = 2
    ECCRINE = 3
    VESSEL = 4
    BULB = 5
    MUSCLE = 6
    NERVE = 7
    ARTERY = 8
    VEIN = 9


@dataclass(frozen=True, slots=True)
class Follicle:
    """What is true of one hair follicle.

    Parameters
    ----------
    x_um, y_um
        In the section frame: where a follicle cut lengthwise meets the surface, else the centre
        of its profile.
    radius_um
        Of its outer root sheath.
    tip_um
        Where a follicle cut lengthwise ends, (x, y); None for one cut across.
    telogen
        Whether it rests.
    """

    x_um: float
    y_um: float
    radius_um: float
    tip_um: tuple[float, float] | None = None
    telogen: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """One structure on a window of the mesh.

    Parameters
    ----------
    window
        Rows and columns of the mesh.
    inside_um : float32
        Signed distance to its outline, positive inside.
    kind
        What it is.
    core_um : float32
        Signed distance to its inner outline (lumen, keratin plug), positive inside.
    axis_um : float32
        Distance to the axis of a follicle; large where there is none.
    follicle
        The follicle this is, if it is one.
    """

    window: tuple[slice, slice]
    inside_um: Floats
    kind: Kind
    core_um: Floats
    axis_um: Floats
    follicle: Follicle | None = None


def _plain_patch(
    window: tuple[slice, slice], inside_um: Floats, *, kind: Kind, core_um: float = FAR_UM
) -> Patch:
    """Patch without an axis, whose inner outline runs ``-core_um`` inside the outer one."""
    return Patch(
        window, inside_um, kind, inside_um + np.float32(core_um), np.full_like(inside_um, -FAR_UM)
    )


@dataclass(frozen=True, slots=True)
class Structures:
    """All patches laid over each other; planes on the mesh."""

    inside_um: Floats
    core_um: Floats
    axis_um: Floats
    kind: NDArray[np.uint8]


def merge_patches(shape: tuple[int, int], patches: list[Patch]) -> Structures:
    """Union of patches; where two overlap, the deeper inside wins."""
    inside = np.full(shape, FAR_UM, np.float32)
    core = np.full(shape, FAR_UM, np.float32)
    axis = np.full(shape, -FAR_UM, np.float32)
    kind = np.zeros(shape, np.uint8)
    for patch in patches:
        wins = patch.inside_um > inside[patch.window]
        inside[patch.window] = np.where(wins, patch.inside_um, inside[patch.window])
        core[patch.window] = np.where(wins, patch.core_um, core[patch.window])
        axis[patch.window] = np.where(wins, patch.axis_um, axis[patch.window])
        kind[patch.window] = np.where(wins, patch.kind, kind[patch.window])
    return Structures(inside, core, axis, kind)


# ------------------------------------------------------------------- vertical


def draw_adnexa_vertical(spec: PhantomSpec, nodes: Nodes, *, skin: Skin) -> list[list[Patch]]:
    """Follicles that leave the skin obliquely, each with its glands, and eccrine coils."""
    rng = np.random.default_rng([spec.seed, 3])
    width_mm = 2 * skin.half_width_um / 1000
    # A slanting section meets no follicle lengthwise; `furnish` gives it profiles instead.
    per_mm = spec.follicles_per_mm if spec.section == "vertical" else 0.0
    count = int(rng.poisson(per_mm * width_mm))
    rests = np.random.default_rng([spec.seed, 61]).random(count) < spec.anatomy.telogen
    slots = (np.arange(count) + rng.uniform(0.25, 0.75, count)) / max(count, 1) - 0.5
    tilt = rng.normal(0.32, 0.08) * rng.choice([-1.0, 1.0])
    groups: list[list[Patch]] = []
    for slot, telogen in zip(slots, rests, strict=True):
        foot = (float(slot * 1.9 * skin.half_width_um), tilt + rng.normal(0, 0.05))
        groups.append(_pilosebaceous(rng, nodes, skin=skin, foot=foot, telogen=bool(telogen)))
    for x_um in _uniform(rng, count=rng.poisson(1.0 * width_mm), half_um=skin.half_width_um * 0.9):
        depth = rng.uniform(0.72, 1.02)
        y_um = _between(skin, x_um, share=depth)
        groups.append(_coil(rng, nodes, centre_um=(x_um, y_um)))
    return groups


def _uniform(rng: np.random.Generator, *, count: int, half_um: float) -> list[float]:
    """Lateral positions anywhere between both edges, µm."""
    return [float(x) for x in rng.uniform(-half_um, half_um, count)]


def _between(skin: Skin, x_um: float, *, share: float) -> float:
    """Depth coordinate of a relative depth at a lateral position, µm."""
    place = np.array([x_um])
    upper, lower = skin.at(skin.envelope_um, place)[0], skin.at(skin.dsj_um, place)[0]
    return float(upper + share * (lower - upper))


def _pilosebaceous(
    rng: np.random.Generator,
    nodes: Nodes,
    *,
    skin: Skin,
    foot: tuple[float, float],
    telogen: bool,
) -> list[Patch]:
    """One follicle from the surface (at x, with a tilt) to its bulb, with the glands beside it."""
    x_um, tilt = foot
    y_um = float(skin.at(skin.top_um, np.array([x_um]))[0])
    reach = (_between(skin, x_um, share=1.0) - y_um) * rng.uniform(0.95, 1.25)
    length = min(reach, skin.floor_um - y_um - 60.0) / math.cos(tilt)
    radius = rng.uniform(55.0, 85.0)
    # A resting follicle is short, but its gland stays where it was.
    shown = length * (TELOGEN_SHARE if telogen else 1.0)
    tip = (x_um + shown * math.sin(tilt), y_um + shown * math.cos(tilt))
    own = Follicle(x_um, y_um, radius, tip, telogen)
    follicle = _follicle_along(nodes, own=own, tilt=tilt, length_um=shown)
    glands: list[Patch] = []
    for side in rng.permutation([-1.0, 1.0])[: rng.integers(1, 3)]:
        along = rng.uniform(0.28, 0.36) * length
        aside = side * (radius + 55.0)
        centre = (
            x_um + along * math.sin(tilt) + aside * math.cos(tilt),
            y_um + along * math.cos(tilt) - aside * math.sin(tilt),
        )
        glands += _lobules(rng, nodes, centre_um=centre, towards_rad=math.atan2(1.0, side * 0.7))
    return [follicle, *glands]


def _follicle_along(nodes: Nodes, *, own: Follicle, tilt: float, length_um: float) -> Patch:
    """Longitudinal profile: funnel, isthmus, lower follicle and bulb, or club if it rests."""
    foot_um, radius_um = (own.x_um, own.y_um), own.radius_um
    ends = np.array([foot_um, own.tip_um])
    window = nodes.window(ends[:, 0], ends[:, 1], reach_um=3 * radius_um + 40)
    dx, dy = nodes.x_um[window] - foot_um[0], nodes.y_um[window] - foot_um[1]
    along = (dx * math.sin(tilt) + dy * math.cos(tilt)) / length_um
    # A slight bend keeps the follicle from looking ruled.
    across = dx * math.cos(tilt) - dy * math.sin(tilt) - 0.05 * length_um * np.sin(3 * along)
    widths = CLUB if own.telogen else [1.8, 1.5, 1.15, 1.02, 1.0, 0.82, 0.8, 0.6]
    radius = radius_um * np.interp(along, STATIONS, widths)
    # The shaft ends above the bulb, which is an ellipse around the tip.
    beyond_um = np.maximum(along - 0.97, 0) * length_um
    blunt = 1.2 if own.telogen else 3.0
    inside = radius - np.hypot(across, blunt * beyond_um)
    if not own.telogen:
        bulb = 1 - np.hypot(across / 1.3, (along - 0.97) * length_um / 1.8) / radius_um
        inside = np.maximum(inside, bulb * 1.3 * radius_um)
    # Canal and gland lie where they were, however long the lower follicle is.
    upper = along * (TELOGEN_SHARE if own.telogen else 1.0)
    canal = np.interp(upper, [-0.05, 0.0, 0.05, 0.12, 0.28, 0.3], [1.1, 0.8, 0.5, 0.42, 0.34, 0.0])
    core = np.where(upper < 0.3, canal * radius_um - np.abs(across), FAR_UM)
    # The hair of a resting follicle ends in a club.
    club = np.interp(along, [0.78, 0.93], [1.0, 0.5]) if own.telogen else 1.0
    axis = np.hypot(across, np.maximum(along - 0.9, 0) * length_um) * club
    planes = [np.asarray(plane, np.float32) for plane in (inside, core, axis)]
    return Patch(window, planes[0], Kind.FOLLICLE, planes[1], planes[2], own)


def ellipse(
    nodes: Nodes, *, centre_um: tuple[float, float], axes_um: tuple[float, float], angle: float
) -> tuple[tuple[slice, slice], Floats]:
    """Window on the mesh and approximate signed distance of an ellipse.

    Parameters
    ----------
    nodes
        Mesh.
    centre_um
        Its centre, (x, y) in the section frame.
    axes_um
        Its half axes.
    angle
        Direction of the first, in the section frame, rad.
    """
    window = nodes.window(
        np.array([centre_um[0]]), np.array([centre_um[1]]), reach_um=max(axes_um) + 60
    )
    dx, dy = nodes.x_um[window] - centre_um[0], nodes.y_um[window] - centre_um[1]
    along = (dx * math.cos(angle) + dy * math.sin(angle)) / axes_um[0]
    across = (dy * math.cos(angle) - dx * math.sin(angle)) / axes_um[1]
    reach = np.sqrt(along * along + across * across) + 1e-6
    # Distance from the level set divided by its slope: exact at the outline to first order.
    slope = np.sqrt((along / axes_um[0]) ** 2 + (across / axes_um[1]) ** 2) / reach + 1e-6
    return window, np.asarray((1 - reach) / slope, dtype=np.float32)


def _lobules(
    rng: np.random.Generator, nodes: Nodes, *, centre_um: tuple[float, float], towards_rad: float
) -> list[Patch]:
    """A sebaceous gland: three to five pear-shaped lobules fanned out from the duct."""
    count = int(rng.integers(3, 6))
    patches = []
    for turn in np.linspace(-0.9, 0.9, count) + rng.normal(0, 0.1, count):
        angle = towards_rad + turn
        long_um = rng.uniform(65.0, 125.0)
        centre = (
            centre_um[0] + 0.8 * long_um * math.cos(angle),
            centre_um[1] + 0.8 * long_um * math.sin(angle),
        )
        axes = (long_um, long_um * rng.uniform(0.5, 0.75))
        window, inside = ellipse(nodes, centre_um=centre, axes_um=axes, angle=angle)
        patches.append(_plain_patch(window, inside, kind=Kind.SEBACEOUS))
    return patches


def _coil(rng: np.random.Generator, nodes: Nodes, *, centre_um: tuple[float, float]) -> list[Patch]:
    """An eccrine coil: a cluster of tubules cut at all angles."""
    patches = []
    spread = rng.uniform(60.0, 130.0)
    for ring, count in ((0.0, 1), (0.62, 5), (1.15, 9)):
        start = rng.uniform(0, 2 * math.pi)
        for turn in start + np.arange(count) * 2 * math.pi / count:
            if rng.random() < 0.2:
                continue
            reach = ring * spread * rng.uniform(0.9, 1.1)
            centre = (
                centre_um[0] + 1.3 * reach * math.cos(turn),
                centre_um[1] + 0.8 * reach * math.sin(turn),
            )
            radius = rng.uniform(20.0, 32.0)
            axes = (radius * rng.uniform(1.0, 1.8), radius)
            window, inside = ellipse(
                nodes, centre_um=centre, axes_um=axes, angle=rng.uniform(0, math.pi)
            )
            patches.append(_plain_patch(window, inside, kind=Kind.ECCRINE, core_um=3.5 - radius))
    return patches


# ----------------------------------------------------------------- horizontal


def draw_adnexa_horizontal(
    spec: PhantomSpec, nodes: Nodes, *, radii_um: tuple[float, float]
) -> list[list[Patch]]:
    """Follicular units of one to four follicles cut across, with glands; and coils."""
    rng = np.random.default_rng([spec.seed, 3])
    area_mm2 = math.pi * radii_um[0] * radii_um[1] / 1e6
    units = _spread_points(rng, count=max(1, rng.poisson(0.75 * area_mm2)), radii_um=radii_um)
    coils = _spread_points(rng, count=int(rng.poisson(1.2 * area_mm2)), radii_um=radii_um)
    return [_unit(rng, nodes, centre_um=centre) for centre in units] + [
        _coil(rng, nodes, centre_um=centre) for centre in coils
    ]


def _spread_points(
    rng: np.random.Generator, *, count: int, radii_um: tuple[float, float]
) -> list[tuple[float, float]]:
    """Points over an ellipse that keep away from each other (best of ten candidates)."""
    chosen: list[tuple[float, float]] = []
    for _ in range(count):
        turn, reach = rng.uniform(0, 2 * math.pi, 10), 0.88 * np.sqrt(rng.random(10))
        x_um, y_um = radii_um[0] * reach * np.cos(turn), radii_um[1] * reach * np.sin(turn)
        gaps = [
            min((math.hypot(x - a, y - b) for a, b in chosen), default=1e9)
            for x, y in zip(x_um, y_um, strict=True)
        ]
        best = int(np.argmax(gaps))
        chosen.append((float(x_um[best]), float(y_um[best])))
    return chosen


def _unit(rng: np.random.Generator, nodes: Nodes, *, centre_um: tuple[float, float]) -> list[Patch]:
    """One follicular unit."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.2, 0.45, 0.28, 0.07]))
    turn = rng.uniform(0, 2 * math.pi)
    patches: list[Patch] = []
    for number in range(count):
        angle = turn + 2 * math.pi * number / count
        away = 0.0 if count == 1 else rng.uniform(105.0, 135.0)
        spot = (centre_um[0] + away * math.cos(angle), centre_um[1] + away * math.sin(angle))
        radius = rng.uniform(62.0, 100.0)
        window, inside = ellipse(
            nodes, centre_um=spot, axes_um=(radius * rng.uniform(1.02, 1.3), radius), angle=turn
        )
        none = np.full_like(inside, FAR_UM)
        axis = np.maximum(radius - inside, 0)
        own = Follicle(*spot, radius)
        patches.append(Patch(window, inside, Kind.FOLLICLE, none, axis, own))
        outward = (spot[0] + 60 * math.cos(angle), spot[1] + 60 * math.sin(angle))
        if rng.random() < 0.75:
            patches += _lobules(rng, nodes, centre_um=outward, towards_rad=angle)
    return patches


# -------------------------------------------------------------------- vessels


def draw_vessels(
    spec: PhantomSpec, nodes: Nodes, *, is_free: Callable[[float, float], bool]
) -> list[Patch]:
    """Vessels cut at all angles, wherever the stroma is free.

    Parameters
    ----------
    spec, nodes
        Slide and mesh.
    is_free
        Tells whether a place ``(x, y)`` in the section may hold a vessel.
    """
    rng = np.random.default_rng([spec.seed, 4])
    across, down = np.abs(nodes.x_um).max(), np.abs(nodes.y_um).max()
    count = rng.poisson(14.0 * 4 * across * down / 1e6)
    patches = []
    for x, y in zip(
        rng.uniform(-across, across, count), rng.uniform(-down, down, count), strict=True
    ):
        lumen, stretch, angle = 3 + rng.gamma(1.3, 2.4), rng.uniform(1, 3.2), rng.normal(0, 0.5)
        if not is_free(float(x), float(y)):
            continue
        wall = 2.5 + 0.22 * lumen
        axes = (min(lumen, 30.0) * stretch + wall, min(lumen, 30.0) + wall)
        window, inside = ellipse(nodes, centre_um=(x, y), axes_um=axes, angle=angle)
        patches.append(_plain_patch(window, inside, kind=Kind.VESSEL, core_um=-wall))
    return patches
