"""How does one tile become many?

Turns and mirrors change image and labels alike; stain, light, focus and noise change the image
only.  Stain is varied in optical density (Tellez et al. 2018, doi:10.1109/TMI.2018.2820199).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Floats = NDArray[np.float32]

_STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
_UNMIX = np.linalg.inv(_STAINS)


def augment(rgb: Rgb, labels: Rgb, *, rng: np.random.Generator) -> tuple[Rgb, Rgb]:
    """Vary one tile at random.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8
        Square tile.
    labels : (Y, X) uint8
        Its classes.
    rng
        Source of chance; the same state gives the same tile.

    Returns
    -------
    tuple
        Varied copies of both.
    """
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    image = np.rot90(rgb, turns).astype(np.float32)
    classes = np.rot90(labels, turns)
    if mirrored:
        image, classes = image[:, ::-1], classes[:, ::-1]
    image = _vary_light(_vary_stain(image, rng), rng)
    image = _vary_focus(image, rng)
    image += rng.normal(0.0, rng.uniform(0.0, 4.0), image.shape).astype(np.float32)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), np.ascontiguousarray(classes)


def _vary_stain(image: Floats, rng: np.random.Generator) -> Floats:
    """Stronger or weaker haematoxylin and eosin, and a little background of each."""
    density = -np.log10(np.maximum(image, 1.0) / 255.0)
    amounts = density @ _UNMIX
    factors, offsets = rng.uniform(0.7, 1.35, 3), rng.normal(0.0, 0.015, 3)
    varied = (amounts * factors + offsets) @ (_STAINS + rng.normal(0.0, 0.02, (3, 3)))
    faded: Floats = (255.0 * 10.0 ** -np.maximum(varied, 0.0)).astype(np.float32)
    return faded


def _vary_light(image: Floats, rng: np.random.Generator) -> Floats:
    """Tone curve and white balance of another scanner."""
    gamma = rng.uniform(0.8, 1.25)
    balance = rng.uniform(0.94, 1.03, 3).astype(np.float32)
    lit: Floats = (255.0 * (image / 255.0) ** gamma * balance).astype(np.float32)
    return lit


def _vary_focus(image: Floats, rng: np.random.Generator) -> Floats:
    """Now and then a small blur: mean of a pixel and its four neighbours, once or twice."""
    for _ in range(max(0, int(rng.integers(-3, 3)))):
        padded = np.pad(image, [(1, 1), (1, 1), (0, 0)], mode="edge")
        sides = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        image = ((padded[1:-1, 1:-1] + sides) / 5.0).astype(np.float32)
    return image
