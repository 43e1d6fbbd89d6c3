"""What if chromatin were coarser, and cytoplasm too?

Painted nuclei are smooth and crisp, and so is what lies around them.  On slides chromatin clumps,
nucleoli stand out, cytoplasm is granular and collagen frayed.  Random fields of several grain
sizes are laid over optical density, inside nuclei and outside apart: no texture tells a nucleus,
only its shape and that it differs from its surroundings.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

_GRAINS_PX = (1.6, 3.0, 6.0, 14.0)
"""Of pixels of 0.5 µm: from a clump of chromatin to a nucleus."""
_STRENGTHS = (0.0, 0.06, 0.12, 0.22)
"""Standard deviations of the logarithm of dye, one drawn for each grain."""


def roughen(
    rgb: NDArray[np.uint8], inside: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Lay texture over a square picture.

    Parameters
    ----------
    rgb : (N, N, 3) uint8
        Picture.
    inside : (N, N) bool
        Where nuclei are.
    rng
        Source of chance.

    Returns
    -------
    (N, N, 3) uint8
        Glass, which has no dye, stays as it is.
    """
    edge = len(rgb)
    dye = np.zeros((edge, edge), np.float32)
    for part in (inside, ~inside):
        for grain_px in _GRAINS_PX:
            strength = np.float32(rng.choice(_STRENGTHS))
            dye += part * _grains(edge, grain_px, rng) * strength
    density = -np.log(np.maximum(rgb, 1) / 255.0) * np.exp(dye)[..., None]
    return np.asarray(np.clip(255.0 * np.exp(-density), 0, 255), np.uint8)


def _grains(edge: int, grain_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth random field of about unit spread, (edge, edge)."""
    knots = int(np.ceil(edge / grain_px)) + 3
    values = torch.from_numpy(rng.standard_normal((1, 1, knots, knots)).astype(np.float32))
    field = functional.interpolate(values, scale_factor=grain_px, mode="bicubic")[0, 0].numpy()
    top, left = rng.integers(0, max(1, len(field) - edge), 2)
    return np.asarray(field[top : top + edge, left : left + edge])
