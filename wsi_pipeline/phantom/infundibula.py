"""How does the mouth of a follicle look that has filled with horn?

1. `widen_infundibula` turns part of the follicles cut lengthwise into flasks of horn.
2. `draw_infundibulum` draws one cut across.

The wall stays stratified epithelium (*adnexa*), the horn inside is *keratin*.
"""

from __future__ import annotations

import math

import numpy as np

from wsi_pipeline.phantom.adnexa import FAR_UM, Follicle, Kind, Patch
from wsi_pipeline.phantom.frame import Nodes
from wsi_pipeline.phantom.noise import Floats, smooth_noise
from wsi_pipeline.phantom.ranges import log_uniform
from wsi_pipeline.phantom.spec import PhantomSpec

Window = tuple[slice, slice]
# Half the width of the horn, thickness of the wall and depth of the flask, µm (judgement).
HORN_UM = (50.0, 250.0)
WALL_UM = (35.0, 130.0)
DEEP_UM = (150.0, 900.0)
# Width of the flask along its way, as shares of its widest.
STATIONS = [-0.2, 0.0, 0.3, 0.65]


def widen_infundibula(
    spec: PhantomSpec, nodes: Nodes, *, groups: list[list[Patch]]
) -> list[list[Patch]]:
    """The same groups, with a share of the follicles cut lengthwise widened."""
    return [
        [_widened(_stream(spec, number), spec, nodes, patch) for patch in group]
        for number, group in enumerate(groups)
    ]


def _stream(spec: PhantomSpec, number: int) -> np.random.Generator:
    """Random stream of one group; a group holds one follicle."""
    return np.random.default_rng([spec.seed, 92, number])


def _widened(rng: np.random.Generator, spec: PhantomSpec, nodes: Nodes, patch: Patch) -> Patch:
    """A follicle with a flask of horn, if it is one that has it."""
    own = patch.follicle
    if own is None or own.tip_um is None or rng.random() >= spec.surface.plugs:
        return patch
    half, wall, deep = (log_uniform(rng, *span) for span in (HORN_UM, WALL_UM, DEEP_UM))
    deep = max(deep, 1.2 * half)
    ends = np.array([(own.x_um, own.y_um), own.tip_um])
    window = nodes.window(ends[:, 0], ends[:, 1], reach_um=3 * own.radius_um + half + 2 * wall)
    along, across = _own_places(nodes, window, own=own)
    mouth = rng.uniform(0.25, 1.3)
    widths = [1.1 * mouth, mouth, 0.4 + 0.6 * mouth, 1.0]
    wobble = smooth_noise(rng, (along, across), wavelength_um=(260.0, 260.0))
    # Below its widest place the flask ends in half an ellipse.
    beyond = np.maximum(along - STATIONS[-1] * deep, 0) * half / ((1 - STATIONS[-1]) * deep)
    width = half * np.interp(along / deep, STATIONS, widths)
    flask = width - np.hypot(across, beyond) + 8 * wobble
    outer = flask + wall * (1 + 0.2 * wobble)
    inside, core, axis = _onto(window, patch, ground=(FAR_UM, FAR_UM, np.abs(across)))
    return Patch(
        window,
        np.maximum(inside, np.asarray(outer, np.float32)),
        Kind.FOLLICLE,
        np.maximum(core, np.asarray(flask, np.float32)),
        axis,
        own,
    )


def _own_places(nodes: Nodes, window: Window, *, own: Follicle) -> tuple[Floats, Floats]:
    """Places along and across a follicle, µm; it bends as `adnexa` bends it."""
    tip = own.tip_um or (own.x_um, own.y_um + 1.0)
    length = math.hypot(tip[0] - own.x_um, tip[1] - own.y_um)
    sin, cos = (tip[0] - own.x_um) / length, (tip[1] - own.y_um) / length
    dx, dy = nodes.x_um[window] - own.x_um, nodes.y_um[window] - own.y_um
    along = dx * sin + dy * cos
    across = dx * cos - dy * sin - 0.05 * length * np.sin(3 * along / length)
    return np.asarray(along, np.float32), np.asarray(across, np.float32)


def _onto(
    window: Window, patch: Patch, *, ground: tuple[float, float, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Planes of a patch on a larger window; beyond the patch, the ground."""
    top, left = (old.start - new.start for old, new in zip(patch.window, window, strict=True))
    rows, columns = patch.inside_um.shape

    def extended(plane: Floats, beyond: float | Floats) -> Floats:
        wide = np.full(ground[2].shape, beyond, np.float32)
        wide[top : top + rows, left : left + columns] = plane
        return wide

    inside, core, axis = patch.inside_um, patch.core_um, patch.axis_um
    return extended(inside, ground[0]), extended(core, ground[1]), extended(axis, ground[2])


def draw_infundibulum(
    rng: np.random.Generator, nodes: Nodes, *, centre_um: tuple[float, float], most_um: float
) -> Patch:
    """A horn-filled infundibulum cut across or obliquely, at most ``most_um`` in radius."""
    half, wall = log_uniform(rng, 40.0, 200.0), log_uniform(rng, *WALL_UM)
    shrink = min(1.0, most_um / (half + wall))
    half, wall = half * shrink, max(wall * shrink, 30.0)
    stretch, angle = rng.uniform(1.0, 1.9), rng.uniform(0, math.pi)
    window = nodes.window(
        np.array([centre_um[0]]), np.array([centre_um[1]]), reach_um=2 * (half + wall) + 60
    )
    dx, dy = nodes.x_um[window] - centre_um[0], nodes.y_um[window] - centre_um[1]
    along = (dx * math.cos(angle) + dy * math.sin(angle)) / stretch
    across = dy * math.cos(angle) - dx * math.sin(angle)
    away = np.asarray(np.hypot(along, across), np.float32)
    wobble = smooth_noise(rng, (dx, dy), wavelength_um=(220.0, 220.0))
    core = np.asarray(half - away + 0.1 * half * wobble, np.float32)
    inside = np.asarray(core + wall * (1 + 0.2 * wobble), np.float32)
    own = Follicle(*centre_um, half + wall)
    return Patch(window, inside, Kind.FOLLICLE, core, np.maximum(away, np.float32(40.0)), own)
