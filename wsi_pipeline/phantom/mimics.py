"""Which lymphocytes could be taken for tumour?

1. `cuff_vessels` lays sleeves of lymphocytes around some vessels.
2. `place_lymphoid_follicles` puts round aggregates with a germinal centre where room is.

Both are signed distances on the coarse mesh, µm, positive inside.
"""

from __future__ import annotations

import numpy as np

from wsi_pipeline.phantom.adnexa import Patch
from wsi_pipeline.phantom.dice import Dice
from wsi_pipeline.phantom.frame import Nodes
from wsi_pipeline.phantom.noise import Floats, smooth_noise
from wsi_pipeline.phantom.shapes import OUTSIDE_UM, place_discs
from wsi_pipeline.phantom.spec import PhantomSpec

CUFF_UM = (14.0, 42.0)
FOLLICLE_RADIUS_UM = (90.0, 190.0)
# Share of a follicle's radius that its germinal centre takes.
GERMINAL_SHARE = (0.5, 0.68)


def cuff_vessels(spec: PhantomSpec, nodes: Nodes, *, vessels: list[Patch]) -> Floats:
    """Sleeves around a share of the vessels, vessels included."""
    plane = np.full(nodes.shape, OUTSIDE_UM, np.float32)
    if spec.cuffs == 0:
        return plane
    rng = np.random.default_rng([spec.seed, 31])
    ragged = 4 * smooth_noise(rng, nodes.places_um, wavelength_um=(45.0, 45.0))
    dice = Dice.of(spec.seed, 31)
    corners = np.array([[span.start for span in vessel.window] for vessel in vessels], np.float64)
    corners = corners.reshape(-1, 2) * nodes.step_um
    thick = dice.uniform(corners, channel=0, low=CUFF_UM[0], high=CUFF_UM[1])
    draws = dice.uniform(corners, channel=1)
    for vessel, thick_um, draw in zip(vessels, thick, draws, strict=True):
        if draw < spec.cuffs:
            sleeve = vessel.inside_um + thick_um + ragged[vessel.window]
            plane[vessel.window] = np.maximum(plane[vessel.window], sleeve)
    return plane


def place_lymphoid_follicles(
    spec: PhantomSpec, nodes: Nodes, *, free_um: Floats
) -> tuple[Floats, Floats]:
    """Round aggregates where the stroma is free.

    Returns
    -------
    tuple of float32 (Y, X)
        Signed distances to the outline of the follicles and of their germinal centres.
    """
    nowhere = np.full(nodes.shape, OUTSIDE_UM, np.float32)
    if not spec.lymphoid_follicles:
        return nowhere, nowhere
    rng, dice = np.random.default_rng([spec.seed, 34]), Dice.of(spec.seed, 34)
    radii = [float(r) for r in rng.uniform(*FOLLICLE_RADIUS_UM, spec.lymphoid_follicles)]
    discs = place_discs(rng, nodes, free_um=free_um - np.float32(15), radii_um=radii)
    ragged = smooth_noise(rng, nodes.places_um, wavelength_um=(130.0, 130.0))
    inside, germinal = nowhere, nowhere
    for x_um, y_um, radius_um in discs:
        place = np.array([[x_um, y_um]])
        low, high = GERMINAL_SHARE
        share = float(dice.uniform(place, channel=0, low=low, high=high)[0])
        lean = [float(dice.uniform(place, channel=n, low=-0.1, high=0.1)[0]) for n in (1, 2)]
        lean = [step * radius_um for step in lean]
        outer = radius_um - np.hypot(nodes.x_um - x_um, nodes.y_um - y_um) + 4 * ragged
        away = np.hypot(nodes.x_um - x_um - lean[0], nodes.y_um - y_um - lean[1])
        inner = share * radius_um - away - 3 * ragged
        inside = np.maximum(inside, np.asarray(outer, np.float32))
        germinal = np.maximum(germinal, np.asarray(inner, np.float32))
    return inside, germinal
