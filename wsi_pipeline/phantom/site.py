"""Where may the tumour grow, how much of it is shown, and what lies open above it?

1. `lesion_region` bounds it by relative depth and by width; `grow_tumour` fills that.
2. `ulcerate` takes the epidermis away above part of it.
"""

from __future__ import annotations

import numpy as np

from wsi_pipeline.phantom.frame import Nodes
from wsi_pipeline.phantom.lesion import Lesion, paint_lesion, trim_lesion
from wsi_pipeline.phantom.noise import Floats, smooth_noise
from wsi_pipeline.phantom.shapes import Site
from wsi_pipeline.phantom.skin import Skin
from wsi_pipeline.phantom.spec import PhantomSpec

# Beyond any section, µm.
DEEP_UM = 1.0e4
# Clearance from follicles and glands where tumour grows around them instead of being cut to
# the room it has: no gland may hold another in its lumen, no cell of a file be halved; µm.
CLEARANCE_UM = {"glandular": 40.0, "single-file": 10.0}


def lesion_region(spec: PhantomSpec, nodes: Nodes, *, skin: Skin) -> Floats:
    """Signed distance to the border of the region that tumour may fill."""
    x_um, y_um = nodes.x_um, nodes.y_um
    rng = np.random.default_rng([spec.seed, 20])
    half_um = spec.lateral_span * skin.half_width_um
    shift = rng.uniform(-1, 1) * 0.5 * (skin.half_width_um - half_um)
    envelope, dsj = skin.at(skin.envelope_um, x_um), skin.at(skin.dsj_um, x_um)
    low, high = (envelope + share * (dsj - envelope) for share in spec.depth_span)
    # The region only ever shrinks from the asked span, so the span is never exceeded.
    waver = [
        np.abs(smooth_noise(rng, nodes.places_um, wavelength_um=(700.0, 420.0))) * reach
        for reach in (0.16 * half_um, 12.0, 12.0)
    ]
    sides = half_um - np.abs(x_um - shift) - waver[0]
    floor = np.minimum(y_um - low - waver[1], high - y_um - waver[2])
    # Tumour never touches the ridges themselves: it lies in the dermis.
    clear = y_um - skin.at(skin.dej_um, x_um) - 4.0
    return np.asarray(np.minimum(np.minimum(sides, floor), clear), dtype=np.float32)


def grow_tumour(
    spec: PhantomSpec,
    nodes: Nodes,
    *,
    skin: Skin | None,
    region_um: Floats,
    blocked_um: Floats,
    flow_um: Floats,
) -> Lesion:
    """Grow the tumour around what blocks its way, and keep what is shown of it.

    Parameters
    ----------
    spec, nodes, skin
        Slide, mesh and layers.
    region_um : float32 (Y, X)
        Signed distance to the border of the region in which it may lie.
    blocked_um : float32 (Y, X)
        Signed distance to the outline of follicles, glands and bundles, positive inside.
    flow_um : float32 (Y, X)
        Coordinate across the collagen.
    """
    region = region_um
    if spec.architecture in CLEARANCE_UM:
        region = np.minimum(region, -blocked_um - CLEARANCE_UM[spec.architecture])
    grown = paint_lesion(spec, nodes, site=Site(region, flow_um, _tilt(spec, nodes, skin=skin)))
    room = np.minimum(-blocked_um - 10.0, _shown_um(spec, nodes, skin=skin))
    return trim_lesion(spec, nodes, lesion=grown, room_um=np.asarray(room, np.float32))


def _shown_um(spec: PhantomSpec, nodes: Nodes, *, skin: Skin | None) -> Floats:
    """Signed distance to the wavering depth beyond which the tumour is left out."""
    if spec.shown_to is None:
        return np.full(nodes.shape, DEEP_UM, np.float32)
    if skin is None or spec.shown_to == 0:
        return np.full(nodes.shape, -DEEP_UM, np.float32)
    rng = np.random.default_rng([spec.seed, 77])
    waver = np.abs(smooth_noise(rng, nodes.places_um, wavelength_um=(240.0, 240.0))) * 14
    upper, lower = (skin.at(curve, nodes.x_um) for curve in (skin.envelope_um, skin.dsj_um))
    limit = upper + spec.shown_to * (lower - upper)
    return np.asarray(limit - nodes.y_um - waver, np.float32)


def _tilt(spec: PhantomSpec, nodes: Nodes, *, skin: Skin | None) -> Floats | None:
    """Factor on the density of tumour by relative depth; None where it is the same."""
    if skin is None or spec.depth_bias == 0:
        return None
    upper, lower = (skin.at(curve, nodes.x_um) for curve in (skin.envelope_um, skin.dsj_um))
    relative = np.clip((nodes.y_um - upper) / (lower - upper), 0, 1)
    return np.asarray(1 + spec.depth_bias * (2 * relative - 1), np.float32)


def ulcerate(spec: PhantomSpec, nodes: Nodes, *, skin: Skin | None, region_um: Floats) -> Floats:
    """Signed distance to the outline of an ulcer: over the lesion, down to below the ridges."""
    if skin is None or not spec.ulceration or not (region_um > 0).any():
        return np.full(nodes.shape, -DEEP_UM, np.float32)
    rng = np.random.default_rng([spec.seed, 33])
    over = nodes.x_um[region_um > 0]
    half_um = rng.uniform(0.2, 0.35) * float(np.ptp(over))
    centre_um = float(np.median(over)) + rng.uniform(-0.1, 0.1) * float(np.ptp(over))
    ragged = smooth_noise(rng, nodes.places_um, wavelength_um=(60.0, 60.0))
    x_um = nodes.x_um
    base = np.maximum(skin.at(skin.envelope_um, x_um) + 16, skin.at(skin.dej_um, x_um) + 5)
    # The flanks lean outwards, so that the epidermis ends in a wedge.
    sides = half_um - np.abs(x_um - centre_um) + 1.3 * (base - nodes.y_um) + 6 * ragged
    return np.asarray(np.minimum(0.6 * sides, base + 4 * ragged - nodes.y_um), np.float32)
