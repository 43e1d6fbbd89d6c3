"""How does one tile become many?

1. A window is turned by any angle, mirrored, stretched and gently bent, image and labels alike:
   the surface of skin on glass is neither level nor straight.
2. Stain is varied in optical density, where dyes add up: every colour takes a random share of
   the others, which turns stain vectors and changes strengths (the idea of Tellez et al. 2018,
   doi:10.1109/TMI.2018.2820199, without assuming two dyes).
3. In half of the tiles tissues take dye apart from each other (`recolour`), in half of them
   they get textures apart from each other (`roughen`).
4. Light, focus and noise are those of another scanner.

The ranges are far wider than any one laboratory: a network that cannot trust colour must learn
structure (Tobin et al. 2017, doi:10.1109/IROS.2017.8202133).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsi_pipeline.train.recolour import recolour
from wsi_pipeline.train.roughen import roughen_tissues

Rgb = NDArray[np.uint8]

_ZOOM = (0.8, 1.25)
_STRETCH = 0.12
_BENDS = 5
_BEND_PX = 7.0
_SHAKES = (0.03, 0.08, 0.16)
_REACH_PX = 3
RECOLOURED = 0.5
"""Share of tiles whose tissues are recoloured each by itself."""
ROUGHENED = 0.5
"""Share of tiles whose tissues get a texture each for itself."""
# Share of tiles on glass that is not clear: rinsed dye, mounting medium, lamp.
_TINTED = 0.3


def window_px(edge_px: int) -> int:
    """Edge of the window that holds a tile however it is turned and stretched.

    Parameters
    ----------
    edge_px
        Edge of the tile.
    """
    return math.ceil(edge_px * _ZOOM[1] * math.sqrt(2.0) * (1.0 + _STRETCH))


def augment(
    rgb: Rgb,
    labels: Rgb,
    *,
    edge_px: int,
    rng: np.random.Generator,
    recoloured: float = RECOLOURED,
    roughened: float = ROUGHENED,
) -> tuple[Rgb, Rgb]:
    """Cut a varied tile out of the middle of a window.

    Parameters
    ----------
    rgb : (N, N, 3) uint8
        Square window, of `window_px` or more.
    labels : (N, N) uint8
        Its classes.
    edge_px
        Edge of the tile wanted.
    rng
        Source of chance; the same state gives the same tile.
    recoloured
        How often labels take dye apart from each other.
    roughened
        How often they get textures apart from each other.

    Returns
    -------
    tuple
        (edge_px, edge_px, 3) and (edge_px, edge_px) uint8.
    """
    places = _places(rng, edge_px=edge_px, window_px=len(rgb))
    image = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].to(torch.float32)
    classes = torch.from_numpy(np.ascontiguousarray(labels))[None, None].to(torch.float32)
    light = _read_at(image, places, mode="bilinear")
    found = _read_at(classes, places, mode="nearest")[0, 0].to(torch.uint8).contiguous().numpy()
    density = -(light.clamp(min=1.0) / 255.0).log()
    if rng.random() < recoloured:
        density = recolour(density, found, rng)
    if roughened and rng.random() < roughened:
        density = roughen_tissues(density, found, rng)
    light = _vary_focus(_vary_stain(density, rng), rng)
    noise = rng.standard_normal(light.shape, dtype=np.float32) * np.float32(rng.uniform(0.0, 5.0))
    counts = (light + torch.from_numpy(noise)).round().clamp(0, 255).to(torch.uint8)
    return counts[0].permute(1, 2, 0).contiguous().numpy(), found


def _places(rng: np.random.Generator, *, edge_px: int, window_px: int) -> Tensor:
    """Where in the window each pixel of the tile lies, (1, Y, X, 2) as (right, down) in -1..1."""
    turn, zoom = rng.uniform(0, 2 * math.pi), math.exp(rng.uniform(*np.log(_ZOOM)))
    stretch = math.exp(rng.uniform(-_STRETCH, _STRETCH))
    cos, sin = math.cos(turn), math.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([zoom * stretch, zoom / stretch])
    matrix[:, 0] *= rng.choice((-1.0, 1.0))
    matrix *= edge_px / window_px
    affine = torch.from_numpy(np.column_stack([matrix, np.zeros(2)]).astype(np.float32))[None]
    straight = functional.affine_grid(affine, [1, 1, edge_px, edge_px], align_corners=False)
    nodes = rng.normal(0.0, 2 * _BEND_PX / window_px, (1, 2, _BENDS, _BENDS)).astype(np.float32)
    size = (edge_px, edge_px)
    bent = functional.interpolate(torch.from_numpy(nodes), size, mode="bicubic")
    return straight + bent.permute(0, 2, 3, 1)


def _read_at(plane: Tensor, places: Tensor, *, mode: str) -> Tensor:
    """Values of a plane at given places."""
    return functional.grid_sample(
        plane, places, mode=mode, padding_mode="border", align_corners=False
    )


def _vary_stain(density: Tensor, rng: np.random.Generator) -> Tensor:
    """Light through other dyes, a thicker or thinner section, another tone curve and lamp."""
    shake = rng.normal(0.0, rng.choice(_SHAKES), (3, 3))
    mix = (np.eye(3) + shake) * rng.uniform(0.85, 1.18, (3, 1)) * rng.uniform(0.65, 1.4)
    mixed = torch.einsum("ij,njyx->niyx", torch.from_numpy(mix.astype(np.float32)), density)
    veil = rng.normal(0.0, 0.02, (3, 1, 1))
    if rng.random() < _TINTED:
        veil += rng.uniform(0.0, 0.25, (3, 1, 1))
    curve = float(rng.uniform(0.8, 1.25))
    lamp = torch.from_numpy(rng.uniform(0.93, 1.03, (3, 1, 1)).astype(np.float32))
    seen = (mixed + torch.from_numpy(veil.astype(np.float32))).clamp(min=1e-4)
    return 255.0 * torch.exp(-(seen**curve)) * lamp


def _vary_focus(light: Tensor, rng: np.random.Generator) -> Tensor:
    """Sometimes out of focus, now and then sharpened."""
    chance, sigma_px = rng.random(), rng.uniform(0.3, 1.3)
    amount = rng.uniform(0.3, 1.5)
    if chance > 0.4:
        return light
    soft = _blurred(light, sigma_px)
    return light + (light - soft) * amount if chance < 0.12 else soft


def _blurred(light: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of each channel."""
    places = torch.arange(-_REACH_PX, _REACH_PX + 1, dtype=torch.float32)
    weights = torch.exp(-(places**2) / (2 * sigma_px**2))
    weights = (weights / weights.sum()).repeat(3, 1, 1, 1)
    padded = functional.pad(light, (_REACH_PX,) * 4, mode="replicate")
    across = functional.conv2d(padded, weights, groups=3)
    return functional.conv2d(across, weights.transpose(2, 3), groups=3)
