"""What if the tissues of a slide differed from each other in other ways than in paint?

Every tissue of a tile takes dye of its own strength and hue, and its nuclei stand out from it as
little or as much as chance will have it (the idea of SynthSeg: Billot et al. 2023,
doi:10.1016/j.media.2023.102789, for contrasts of magnetic resonance).  In paint epithelium is
darker than collagen and dotted with crisp nuclei; on slides it may be paler than collagen, and at
2 µm/px its nuclei all but vanish in it.  What is left to tell tissues by is pattern, shape and
place.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsi_pipeline.classes import BACKGROUND

_STRENGTH, _HUE = 0.3, 0.12
"""Standard deviations of the logarithm of dye: of all colours together, and of each."""
_CONTRAST = (0.35, 1.3)
"""What is left of the difference between a pixel and its surroundings in the same tissue."""
_BLOCK_PX, _BLOCKS = 4, 5
"""Surroundings: a square of some 20 px, 40 µm, in which a dozen nuclei lie."""
_SEAM_PX = 5


def recolour(density: Tensor, classes: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """Change the dye of each tissue apart from the others.

    Parameters
    ----------
    density : (1, 3, Y, X) float32
        Optical densities.
    classes : (Y, X) uint8
        Label of each pixel, also those that are no class; glass is left as it is.
    rng
        Source of chance.

    Returns
    -------
    Tensor
        New densities of the same shape.
    """
    gains = np.exp(rng.normal(0.0, _STRENGTH, (256, 1)) + rng.normal(0.0, _HUE, (256, 3)))
    least, most = np.log(_CONTRAST)
    contrasts = np.exp(rng.uniform(least, most, (256, 1)))
    ways = np.concatenate([gains, contrasts], axis=1).astype(np.float32)
    ways[BACKGROUND] = 1.0
    there = torch.from_numpy(ways[classes]).permute(2, 0, 1)[None]
    # Tissues run into each other over a few pixels, as they do through optics.
    there = functional.avg_pool2d(
        there, _SEAM_PX, stride=1, padding=_SEAM_PX // 2, count_include_pad=False
    )
    around = _surroundings(density, classes)
    return (around + there[:, 3:] * (density - around)) * there[:, :3]


def _surroundings(density: Tensor, classes: NDArray[np.uint8]) -> Tensor:
    """Mean density around each pixel over what is of the same class."""
    around = torch.zeros_like(density)
    for value in np.unique(classes):
        own = torch.from_numpy(classes == value)[None, None].to(torch.float32)
        sums = _pooled(torch.cat([density * own, own], dim=1))
        mean = sums[:, :3] / sums[:, 3:].clamp(min=1e-3)
        around += own * functional.interpolate(mean, density.shape[2:], mode="bilinear")
    return around


def _pooled(planes: Tensor) -> Tensor:
    """Means over squares, in blocks."""
    blocks = functional.avg_pool2d(planes, _BLOCK_PX, ceil_mode=True)
    return functional.avg_pool2d(blocks, _BLOCKS, stride=1, padding=_BLOCKS // 2)
