"""What if chromatin were coarser, cytoplasm granular, and every tissue of a grain of its own?

Painted nuclei are smooth and crisp, and so is what lies around them.  On slides chromatin clumps,
nucleoli stand out, cytoplasm is granular and collagen frayed.  Random fields of several grain
sizes are laid over optical density, over nuclei and their surroundings apart, or over each tissue
apart: no texture tells what a thing is, only its shape and that it differs from its surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsi_pipeline.classes import BACKGROUND

Mask = NDArray[np.bool_]

_NUCLEAR_GRAINS_PX = (1.6, 3.0, 6.0, 14.0)
"""Of pixels of 0.5 µm: from a clump of chromatin to a nucleus."""
_TISSUE_GRAINS_PX = (1.2, 3.0, 8.0, 24.0)
"""Of pixels of 2 µm: from a speck to a bundle of collagen."""
_STRENGTHS = (0.0, 0.06, 0.12, 0.22)
"""Standard deviations of the logarithm of dye, one drawn for each grain."""


def roughen(
    rgb: NDArray[np.uint8], inside: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Lay texture over a square picture, over nuclei and their surroundings apart.

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
    dye = _dye((inside, ~inside), _NUCLEAR_GRAINS_PX, rng)
    density = -np.log(np.maximum(rgb, 1) / 255.0) * np.exp(dye)[..., None]
    return np.asarray(np.clip(255.0 * np.exp(-density), 0, 255), np.uint8)


def roughen_tissues(
    density: Tensor, classes: NDArray[np.uint8], rng: np.random.Generator
) -> Tensor:
    """Lay texture over a square tile, over each tissue apart.

    Parameters
    ----------
    density : (1, 3, N, N) float32
        Optical densities.
    classes : (N, N) uint8
        Label of each pixel, also those that are no class; glass is left as it is.
    rng
        Source of chance.

    Returns
    -------
    Tensor
        New densities of the same shape.
    """
    tissues = [classes == value for value in np.unique(classes) if value != BACKGROUND]
    if not tissues:
        return density
    return density * torch.from_numpy(_dye(tissues, _TISSUE_GRAINS_PX, rng)).exp()


def _dye(
    parts: Sequence[Mask], grains_px: Sequence[float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Logarithm of the factor of dye, (N, N): 0 outside all parts."""
    edge = len(parts[0])
    dye = np.zeros((edge, edge), np.float32)
    for part in parts:
        for grain_px in grains_px:
            strength = np.float32(rng.choice(_STRENGTHS))
            dye += part * _grains(edge, grain_px, rng) * strength
    return dye


def _grains(edge: int, grain_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth random field of about unit spread, (edge, edge)."""
    knots = int(np.ceil(edge / grain_px)) + 3
    values = torch.from_numpy(rng.standard_normal((1, 1, knots, knots)).astype(np.float32))
    field = functional.interpolate(values, scale_factor=grain_px, mode="bicubic")[0, 0].numpy()
    top, left = rng.integers(0, max(1, len(field) - edge), 2)
    return np.asarray(field[top : top + edge, left : left + edge])
