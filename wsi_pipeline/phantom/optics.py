"""What does the scanner see of the dyes?

1. Beer-Lambert: every dye takes its share of each colour, ``I = I0 * 10^-(C M)``.
2. The objective blurs.
3. The sensor adds noise and rounds to eight bits.

References
----------
Stain vectors: Ruifrok and Johnston 2001 (PMID 11531144); Macenko et al. 2009,
10.1109/ISBI.2009.5193250, in the widely used reference values.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.phantom.noise import Bytes, Floats
from wsi_pipeline.phantom.spec import PhantomSpec

# Rows: haematoxylin, eosin; columns: red, green, blue.
RUIFROK = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105]])
MACENKO = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]])


def stain_matrix(tone: float, *, rotation_deg: float = 0.0) -> NDArray[np.float64]:
    """Unit stain vectors as rows (haematoxylin, eosin).

    Parameters
    ----------
    tone
        Share of Macenko's vectors; the rest is Ruifrok and Johnston's.
    rotation_deg
        Turn of both vectors within their plane.
    """
    pair = (1 - tone) * RUIFROK + tone * MACENKO
    pair /= np.linalg.norm(pair, axis=1, keepdims=True)
    first = pair[0]
    second = pair[1] - (pair[1] @ first) * first
    second /= np.linalg.norm(second)
    between = math.acos(float(np.clip(pair[0] @ pair[1], -1, 1)))
    angles = np.array([0.0, between]) + math.radians(rotation_deg)
    turned = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
    return np.asarray(np.maximum(turned, 0.0))


def expose(dyes: tuple[Floats, Floats], spec: PhantomSpec) -> Floats:
    """Light that passes the dyed section, blurred by the objective.

    Parameters
    ----------
    dyes : float32 (Y, X), twice
        Haematoxylin and eosin.
    spec
        Strengths, stain vectors, light and blur.

    Returns
    -------
    float32 (3, Y, X)
        Red, green, blue on the scale 0..255.
    """
    matrix = stain_matrix(spec.stain_tone, rotation_deg=spec.stain_rotation_deg)
    matrix = matrix * [[spec.haematoxylin], [spec.eosin]]
    decay = (-math.log(10.0) * matrix).astype(np.float32)
    light = np.empty((3, *dyes[0].shape), np.float32)
    for channel, glass in enumerate(spec.glass_rgb):
        plane = dyes[0] * decay[0, channel]
        plane += dyes[1] * decay[1, channel]
        np.exp(plane, out=plane)
        plane *= np.float32(glass)
        light[channel] = ndimage.gaussian_filter(plane, spec.psf_um / spec.mpp, truncate=2.5)
    return light


def digitise(light: Floats, *, noise: Floats) -> Bytes:
    """Add sensor noise and round.

    Parameters
    ----------
    light, noise : float32 (3, Y, X)
        Red, green, blue on the scale 0..255, and what is added to them.

    Returns
    -------
    uint8 (Y, X, 3)
    """
    counts = np.clip(light + noise + np.float32(0.5), 0, 255)
    return np.ascontiguousarray(np.moveaxis(counts.astype(np.uint8), 0, -1))
