"""How are grown shapes trimmed, and where is room for round ones?

1. `distance_um` and `round_off` turn masks into signed distances without thin parts.
2. `cut_at` finds the level above which a wanted share of a field lies, evenly or by depth.
3. `place_discs` finds room for round things.

Everything lies on the coarse mesh, in µm, positive inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.phantom.frame import Nodes, Points
from wsi_pipeline.phantom.noise import Floats

OUTSIDE_UM = -1000.0
NEAR_UM = 12.0
# Places at which each disc may lie.
TRIES = 2000


@dataclass(frozen=True, slots=True)
class Site:
    """Where a tumour may grow, and how.

    Parameters
    ----------
    region_um : float32 (Y, X)
        Signed distance to the border of the region in which tumour may lie.
    flow_um : float32 (Y, X)
        Coordinate across the collagen: bundles run where it stays the same.
    tilt : float32 (Y, X) or None
        Factor on the wanted density, 0 to 2, by relative depth; None is even growth.
    """

    region_um: Floats
    flow_um: Floats
    tilt: Floats | None = None


def distance_um(mask: NDArray[np.bool_], *, step_um: float) -> Floats:
    """Distance to the nearest node outside the mask, µm."""
    return np.asarray(ndimage.distance_transform_edt(mask), np.float32) * np.float32(step_um)


def far_distance_um(shape_um: Floats, *, step_um: float) -> Floats:
    """Shape whose values outside are true distances, however steep its own field is.

    Within `NEAR_UM` of the outline the field stays, because it is finer than the mesh.
    """
    away = distance_um(shape_um <= 0, step_um=step_um)
    return np.asarray(np.where(away > NEAR_UM, -away, shape_um), np.float32)


def round_off(shape_um: Floats, *, width_um: float, step_um: float) -> Floats:
    """Morphological opening by a disc, so that nothing narrower than ``width_um`` remains."""
    reach = width_um / 2 - step_um
    eroded = shape_um * 0 + distance_um(shape_um > 0, step_um=step_um) > reach
    if not eroded.any():
        return np.full_like(shape_um, OUTSIDE_UM)
    opened = reach - ndimage.distance_transform_edt(~eroded).astype(np.float32) * step_um
    inner = distance_um(opened > 0, step_um=step_um)
    signed = np.where(opened > 0, inner, opened)
    return np.asarray(ndimage.gaussian_filter(signed, 1.0), dtype=np.float32)


def cut_at(values: Floats, keep: float, *, tilt: Floats | None) -> Floats | float:
    """Level of a field above which the wanted share of it lies.

    Parameters
    ----------
    values : float32 (N,)
        The field where it counts.
    keep
        Wanted share above the level, 0 to 1.
    tilt : float32 or None
        Factor on the share at each place; None is the same share everywhere.

    Returns
    -------
    float or float32
        One level, or one for each element of ``tilt``.
    """
    if tilt is None:
        return float(np.quantile(values, 1 - keep))
    shares = np.linspace(0, 1, 201)
    wanted = np.clip(keep * tilt, 0.0, 0.97)
    return np.asarray(np.interp(1 - wanted, shares, np.quantile(values, shares)), np.float32)


def place_discs(
    rng: np.random.Generator, nodes: Nodes, *, free_um: Floats, radii_um: list[float]
) -> Points:
    """Find places for discs that touch neither each other nor what is not free.

    Returns
    -------
    float64 (N, 3)
        Section coordinates x and y and the radius of each disc that found room, µm.
    """
    placed: list[tuple[float, float, float]] = []
    free = free_um
    for radius_um in radii_um:
        # The first of places drawn beforehand that has room: elsewhere nothing moves.
        tries = rng.integers(nodes.x_um.size, size=TRIES)
        room = tries[free.ravel()[tries] > radius_um]
        if room.size:
            spot = int(room[0])
            x_um, y_um = float(nodes.x_um.ravel()[spot]), float(nodes.y_um.ravel()[spot])
            placed.append((x_um, y_um, radius_um))
            away = np.hypot(nodes.x_um - x_um, nodes.y_um - y_um) - radius_um
            free = np.minimum(free, np.asarray(away, np.float32))
    return np.array(placed, np.float64).reshape(-1, 3)
