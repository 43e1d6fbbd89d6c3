"""Which parts of the section has the knife shown elsewhere, or taken away?

1. `draw_islands` shows epidermis apart from its layer, as a slanting knife does.
2. `lost_um` takes off the surface along part of the section and tears pieces out of it.

What is taken away counts as not shown, exactly like what lies beyond the edge of the section:
the truth leaves those parts of the junctions out.
"""

from __future__ import annotations

import math

import numpy as np

from wsi_pipeline.phantom.adnexa import Patch, ellipse
from wsi_pipeline.phantom.frame import Nodes
from wsi_pipeline.phantom.noise import Floats, smooth_noise
from wsi_pipeline.phantom.skin import Skin
from wsi_pipeline.phantom.spec import PhantomSpec

# Beyond every distance on a section: a minimum with it changes nothing, µm.
NOWHERE_UM = -1e6
# Half axes of a tangentially cut patch of epidermis and of the papillae in it, µm (judgement).
ISLAND_UM = (30.0, 190.0)
PAPILLA_UM = (14.0, 40.0)


def draw_islands(
    spec: PhantomSpec, nodes: Nodes, *, skin: Skin, among: list[list[Patch]]
) -> Floats:
    """Signed distance to patches of epidermis in the upper dermis, positive inside, µm.

    They end where one of the follicles and glands ``among`` them begins.
    """
    plane = np.full(nodes.shape, NOWHERE_UM, np.float32)
    if spec.surface.islands == 0 or not spec.with_epidermis:
        return plane
    rng = np.random.default_rng([spec.seed, 93])
    for _ in range(int(rng.poisson(spec.surface.islands * 2 * skin.half_width_um / 1000))):
        x_um = float(rng.uniform(-1, 1) * skin.half_width_um)
        below = rng.uniform(0.0, 120.0 + 2.5 * spec.rete_amplitude_um)
        size = math.exp(rng.uniform(*np.log(ISLAND_UM)))
        place = x_um, float(skin.at(skin.envelope_um, np.array([x_um]))[0] + below)
        axes = size * rng.uniform(1.0, 2.0), size
        angle = rng.normal(0, 0.8)
        window, inside = ellipse(nodes, centre_um=place, axes_um=axes, angle=angle)
        plane[window] = np.maximum(plane[window], inside)
        for _ in range(int(rng.poisson((size / 75) ** 2))):
            hole = place[0] + rng.normal(0, axes[0] / 2), place[1] + rng.normal(0, size / 2)
            inner = (float(rng.uniform(*PAPILLA_UM)), float(rng.uniform(*PAPILLA_UM)))
            window, papilla = ellipse(nodes, centre_um=hole, axes_um=inner, angle=angle)
            plane[window] = np.minimum(plane[window], -papilla)
    plane += 5 * smooth_noise(rng, nodes.places_um, wavelength_um=(90.0, 90.0))
    for patch in (patch for group in among for patch in group):
        plane[patch.window] = np.minimum(plane[patch.window], -6 - patch.inside_um)
    return plane


def lost_um(spec: PhantomSpec, nodes: Nodes, *, skin: Skin | None) -> Floats:
    """Signed distance to what is left of the section, positive inside, µm."""
    kept = np.full(nodes.shape, -NOWHERE_UM, np.float32)
    if spec.surface.cut > 0 and skin is not None:
        kept = np.minimum(kept, _below_cut_um(spec, nodes, skin=skin))
    if spec.surface.gaps > 0:
        rng = np.random.default_rng([spec.seed, 95])
        size = rng.uniform(500.0, 1500.0)
        field = smooth_noise(rng, nodes.places_um, wavelength_um=(size, size))
        level = float(np.quantile(field, spec.surface.gaps))
        ragged = smooth_noise(rng, nodes.places_um, wavelength_um=(60.0, 60.0))
        # One standard deviation takes about a fifth of a wavelength.
        kept = np.minimum(kept, (field - level) * size / 5 + 5 * ragged)
    return np.asarray(kept, np.float32)


def _below_cut_um(spec: PhantomSpec, nodes: Nodes, *, skin: Skin) -> Floats:
    """Depth below the knife, which enters and leaves the skin at a slant."""
    rng = np.random.default_rng([spec.seed, 94])
    far = np.zeros_like(skin.x_um, np.float32)
    line = np.asarray(skin.x_um, np.float32)
    waves = [
        smooth_noise(rng, (line[None], far[None]), wavelength_um=(size, size))[0]
        for size in (900.0, 350.0)
    ]
    depth = spec.epidermis_um * spec.surface.cut_depth * (1 + 0.25 * waves[0] + 0.15 * waves[1])
    centre = rng.uniform(-1, 1) * (1 - spec.surface.cut) * skin.half_width_um
    beyond = np.abs(line - centre) - spec.surface.cut * skin.half_width_um
    steep = rng.uniform(0.4, 2.0)
    knife = skin.surface_um + depth - np.maximum(beyond, 0) * steep
    ragged = smooth_noise(rng, nodes.places_um, wavelength_um=(50.0, 50.0))
    below = nodes.y_um - skin.at(knife, nodes.x_um) + rng.uniform(1.0, 8.0) * ragged
    return np.asarray(below, np.float32)
