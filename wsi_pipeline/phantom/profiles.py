"""Which epithelium does a section show of follicles that run through its plane?

1. `draw_profiles` strews oval profiles over dermis and fat; what a profile shows depends on
   its depth: a plugged canal, a hair in its sheaths, solid epithelium, or a bulb.
2. `draw_gland_groups` packs round sebaceous lobules, often around the profile of a duct.
3. `draw_bulb` draws a bulb with its dermal papilla.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from wsi_pipeline.phantom.adnexa import FAR_UM, Follicle, Kind, Patch, ellipse
from wsi_pipeline.phantom.frame import Nodes, Points
from wsi_pipeline.phantom.noise import Floats

LOBULE_UM = (65.0, 185.0)
# Stroma between the lobules of a group, µm.
GAP_UM = (6.0, 22.0)
# Share of profiles without canal or hair: the sheath cut tangentially, or a germ.
SOLID_SHARE = 0.3
Place = tuple[float, float]
# Tells whether a disc (x, y, radius in µm) is free of everything that lies already.
IsFree = Callable[[float, float, float], bool]


def spot(
    rng: np.random.Generator, *, half_um: tuple[float, float], is_free: IsFree, radius_um: float
) -> Place | None:
    """Find a free place for a disc; None if twelve tries meet none."""
    tries = rng.uniform(-1, 1, (12, 2)) * half_um
    for x_um, y_um in tries:
        if is_free(float(x_um), float(y_um), radius_um):
            return float(x_um), float(y_um)
    return None


def draw_profile(
    rng: np.random.Generator, nodes: Nodes, *, centre_um: Place, depth: float, stretch: float
) -> list[Patch]:
    """One follicle cut across.

    Parameters
    ----------
    rng
        Stream of this profile.
    nodes
        Mesh.
    centre_um
        Where, in the section frame.
    depth
        Relative depth, 0 at the epidermis, 1 at the fat; decides what is cut.
    stretch
        Ratio of the axes of the profile; more than 1 for an oblique cut.
    """
    angle = rng.uniform(0, math.pi) if stretch < 1.3 else math.pi / 2 + rng.normal(0, 0.3)
    radius, draw = rng.uniform(52.0, 95.0), rng.random()
    if depth > 0.97 or (depth > 0.8 and draw < 0.4):
        radius = rng.uniform(70.0, 115.0)
        own = Follicle(*centre_um, radius)
        return [draw_bulb(rng, nodes, centre_um=centre_um, radius_um=radius, angle=angle, own=own)]
    axes = (radius * stretch, radius)
    window, inside = ellipse(nodes, centre_um=centre_um, axes_um=axes, angle=angle)
    inside = _rough(rng, nodes, window, inside, centre_um=centre_um, share=0.06)
    far = np.full_like(inside, FAR_UM)
    core, axis = far, -far
    if depth < 0.3:
        canal = rng.uniform(0.35, 0.6)
        core = np.asarray(inside - (1 - canal) * radius, np.float32)
        axis = np.maximum(radius - inside, 0)
    elif draw > SOLID_SHARE:
        axis = np.maximum(radius - inside, 0)
    own = Follicle(*centre_um, radius)
    return [Patch(window, inside, Kind.FOLLICLE, core, axis, own)]


def _rough(
    rng: np.random.Generator,
    nodes: Nodes,
    window: tuple[slice, slice],
    inside_um: Floats,
    *,
    centre_um: Place,
    share: float,
) -> Floats:
    """Outline that departs from an ellipse by a share of its radius."""
    turn = np.arctan2(nodes.y_um[window] - centre_um[1], nodes.x_um[window] - centre_um[0])
    waves = sum(
        rng.normal(0, share) / number * np.cos(number * turn + rng.uniform(0, 2 * math.pi))
        for number in (2, 3, 4, 5)
    )
    return np.asarray(inside_um + waves * max(float(inside_um.max()), 0.0), np.float32)


def draw_bulb(
    rng: np.random.Generator,
    nodes: Nodes,
    *,
    centre_um: Place,
    radius_um: float,
    angle: float,
    own: Follicle | None,
) -> Patch:
    """A bulb, longer along ``angle``, with a papilla that enters from its far end."""
    axes = (radius_um * rng.uniform(1.15, 1.5), radius_um)
    window, inside = ellipse(nodes, centre_um=centre_um, axes_um=axes, angle=angle)
    away = rng.uniform(0.2, 0.45) * axes[0]
    place = (centre_um[0] + away * math.cos(angle), centre_um[1] + away * math.sin(angle))
    inner = (axes[0] * rng.uniform(0.4, 0.55), radius_um * rng.uniform(0.28, 0.42))
    core = _ellipse_in(nodes, window, centre_um=place, axes_um=inner, angle=angle)
    return Patch(window, inside, Kind.BULB, core, np.full_like(inside, -FAR_UM), own)


def _ellipse_in(
    nodes: Nodes,
    window: tuple[slice, slice],
    *,
    centre_um: Place,
    axes_um: tuple[float, float],
    angle: float,
) -> Floats:
    """Approximate signed distance to an ellipse on a given window."""
    dx, dy = nodes.x_um[window] - centre_um[0], nodes.y_um[window] - centre_um[1]
    along = (dx * math.cos(angle) + dy * math.sin(angle)) / axes_um[0]
    across = (dy * math.cos(angle) - dx * math.sin(angle)) / axes_um[1]
    return np.asarray((1 - np.hypot(along, across)) * min(axes_um), np.float32)


def draw_gland_group(rng: np.random.Generator, nodes: Nodes, *, centre_um: Place) -> list[Patch]:
    """Three to eight round lobules side by side, most often with a duct among them."""
    discs = _pack(rng, count=int(rng.integers(3, 9)), centre_um=centre_um)
    patches: list[Patch] = []
    for number, (x_um, y_um, radius) in enumerate(discs):
        place = (float(x_um), float(y_um))
        if number == 0 and rng.random() < 0.6:
            patches += draw_profile(
                rng, nodes, centre_um=place, depth=rng.uniform(0.2, 0.6), stretch=1.2
            )
            continue
        axes = (radius * rng.uniform(1.0, 1.15), radius * rng.uniform(0.88, 1.0))
        window, inside = ellipse(
            nodes, centre_um=place, axes_um=axes, angle=rng.uniform(0, math.pi)
        )
        inside = _rough(rng, nodes, window, inside, centre_um=place, share=0.10)
        inside = np.minimum(inside, _facets(nodes, window, discs=discs, own=number))
        far = np.full_like(inside, FAR_UM)
        patches.append(Patch(window, inside, Kind.SEBACEOUS, far, -far))
    return patches


def _facets(nodes: Nodes, window: tuple[slice, slice], *, discs: Points, own: int) -> Floats:
    """Signed distance to the flat sides that a lobule shares with its neighbours."""
    x_um, y_um = nodes.x_um[window], nodes.y_um[window]
    power = [np.hypot(x_um - x, y_um - y) ** 2 - radius**2 for x, y, radius in discs]
    apart = np.hypot(*(discs[:, :2] - discs[own, :2]).T)
    sides = [
        (power[number] - power[own]) / (2 * apart[number]) - 0.25 * sum(GAP_UM)
        for number in range(len(discs))
        if number != own
    ]
    return np.asarray(np.minimum.reduce(sides), np.float32)


def _pack(rng: np.random.Generator, *, count: int, centre_um: Place) -> Points:
    """Discs that touch but for a gap, the next always where it comes nearest to the centre."""
    radii = rng.uniform(*LOBULE_UM, count)
    radii[0] = rng.uniform(55.0, 90.0)
    placed = [np.array([*centre_um, radii[0]])]
    for radius in radii[1:]:
        others = np.array(placed)
        beside = others[rng.integers(len(others), size=36)]
        turn = rng.uniform(0, 2 * math.pi, 36)
        reach = beside[:, 2] + radius + rng.uniform(*GAP_UM)
        x_um, y_um = beside[:, 0] + reach * np.cos(turn), beside[:, 1] + reach * np.sin(turn)
        gaps = np.hypot(x_um[:, None] - others[:, 0], y_um[:, None] - others[:, 1])
        free = (gaps - others[:, 2] - radius).min(axis=1) > GAP_UM[0] - 1
        if free.any():
            away = np.hypot(x_um - centre_um[0], y_um - centre_um[1])
            best = int(np.argmin(np.where(free, away, np.inf)))
            placed.append(np.array([x_um[best], y_um[best], radius]))
    return np.array(placed)
