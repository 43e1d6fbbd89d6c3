"""How do serial sections of one block differ?

1. Waves of the skin run slantwise through the block (`skin`).
2. `drift` lets follicles, glands, vessels, tumour and texture wander by a few micrometres,
   farther with the distance of the sections.
3. Nuclei are others: a section of 4 µm holds half of each at most.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from wsi_pipeline.phantom.frame import Nodes
from wsi_pipeline.phantom.noise import Floats, smooth_noise
from wsi_pipeline.phantom.spec import PhantomSpec

# Structures wander by this much at most (standard deviation), and reach most of it over this
# distance between sections, µm.
WANDER_UM, ALONG_UM = 14.0, 60.0
# After this distance they wander elsewhere, µm.
TURN_UM = 250.0
WAVELENGTH_UM = 420.0
# Nothing moves at the rim of the glass, so that every field keeps its extent, µm.
RIM_UM = 120.0


def drift(spec: PhantomSpec, nodes: Nodes) -> Nodes:
    """Mesh whose nodes read the block where the section at ``level_um`` shows it.

    Parameters
    ----------
    spec
        Slide; at ``level_um`` 0 nothing moves.
    nodes
        Mesh of the glass.

    Returns
    -------
    Nodes
        The same mesh with other section coordinates.
    """
    if spec.level_um == 0:
        return nodes
    rng = np.random.default_rng([spec.seed, 73])
    wave = (WAVELENGTH_UM, WAVELENGTH_UM)
    fields = [smooth_noise(rng, nodes.places_um, wavelength_um=wave) for _ in range(4)]
    turn = spec.level_um / TURN_UM * math.pi / 2
    size = WANDER_UM * (1 - math.exp(-spec.level_um / ALONG_UM)) * _rim(nodes)
    steps = [
        size * (math.cos(turn) * fields[axis] + math.sin(turn) * fields[axis + 2])
        for axis in (0, 1)
    ]
    x_um, y_um = (
        np.clip(plane + step, plane.min(), plane.max()).astype(np.float32)
        for plane, step in zip(nodes.places_um, steps, strict=True)
    )
    return replace(nodes, x_um=x_um, y_um=y_um)


def _rim(nodes: Nodes) -> Floats:
    """0 on the rim of the mesh, 1 further than `RIM_UM` from it."""
    away = [
        np.minimum(np.arange(count), np.arange(count)[::-1]) * (nodes.step_um / RIM_UM)
        for count in nodes.shape
    ]
    return np.minimum(np.minimum(away[0][:, None], away[1]), 1.0).astype(np.float32)
