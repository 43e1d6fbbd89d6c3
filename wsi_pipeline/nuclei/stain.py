"""How much haematoxylin has each pixel taken up?

1. `estimate_stain` finds the colours of both dyes and the usual density inside and outside
   of nuclei from a sample of the slide: once, so that every tile of it is judged alike.
2. `haematoxylin_od` separates the dyes of a tile.

Optical densities are to the base of ten throughout.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.errors import MeasurementError

Floats = NDArray[np.float32]
Triple = tuple[float, float, float]

# Dye vectors where a sample does not show two dyes (Ruifrok and Johnston 2001).
_HAEMATOXYLIN, _EOSIN = (0.650, 0.704, 0.286), (0.072, 0.990, 0.105)
# Fainter pixels say nothing about the colour of a dye, optical density in every channel.
_MIN_OD = 0.1
# Paler pixels are glass, mean optical density.
_MIN_TISSUE_OD = 0.04
# Share of outliers on either side of the fan of colours, percent.
_FAN_PERCENT = 1.0
# Two dyes differ by at least this; anything closer is one dye and noise.
_MIN_FAN_DEG = 15.0
_MIN_SAMPLE_PX = 1000


@dataclass(frozen=True, slots=True)
class Stain:
    """How one slide is stained.

    Parameters
    ----------
    white
        Red, green and blue of unstained glass, 0 to 255.
    unmixing
        Weights on the optical densities of red, green and blue whose sum is the optical
        density of haematoxylin along its own colour.
    background_od, nuclear_od
        Usual haematoxylin density outside and inside nuclei.
    is_estimated
        Whether the colours of the dyes come from the slide; else they are reference colours.
    """

    white: Triple
    unmixing: Triple
    background_od: float
    nuclear_od: float
    is_estimated: bool

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return asdict(self)


def estimate_stain(sample: NDArray[np.uint8]) -> Stain:
    """Find the dyes of a slide.

    Parameters
    ----------
    sample : (N, 3) uint8
        Red, green and blue of pixels drawn evenly from the tissue of the slide.

    Raises
    ------
    MeasurementError
        If there are fewer than a thousand stained pixels.

    Notes
    -----
    Colours of the dyes after Macenko et al.: the extreme directions, but for 1 % on either
    side, of the stained pixels in the plane of the two largest principal components of
    their optical density.  The redder absorber is haematoxylin.  Densities inside and outside
    nuclei are the means on either side of Otsu's threshold.

    References
    ----------
    Macenko et al. 2009, doi:10.1109/ISBI.2009.5193250; Otsu 1979,
    doi:10.1109/TSMC.1979.4310076; Ruifrok and Johnston 2001, PMID 11531144.
    """
    white = _white_of(sample)
    density = -np.log10(np.maximum(sample, 1) / np.asarray(white))
    stained = density[(density > _MIN_OD).all(axis=1)]
    if len(stained) < _MIN_SAMPLE_PX:
        raise MeasurementError(
            f"only {len(stained)} pixels of the sample are stained, too few to tell the dyes "
            "apart; check that the slide is stained with H&E"
        )
    found = _dye_vectors(stained)
    dyes = np.array(found or (_HAEMATOXYLIN, _EOSIN))
    dyes /= np.linalg.norm(dyes, axis=1, keepdims=True)
    unmixing = np.linalg.pinv(dyes.T)[0]
    tissue = density[density.mean(axis=1) > _MIN_TISSUE_OD]
    low, high = _two_levels(tissue @ unmixing)
    weights = (float(unmixing[0]), float(unmixing[1]), float(unmixing[2]))
    return Stain(white, weights, low, high, found is not None)


def haematoxylin_od(rgb: NDArray[np.uint8], stain: Stain) -> Floats:
    """Haematoxylin density (Y, X) of a picture (Y, X, 3); near 0 on glass, noise included."""
    values = np.maximum(np.arange(256), 1)
    total = np.zeros(rgb.shape[:2], np.float32)
    for channel, (white, weight) in enumerate(zip(stain.white, stain.unmixing, strict=True)):
        table = (-weight * np.log10(values / white)).astype(np.float32)
        total += table[rgb[..., channel]]
    return total


def _white_of(sample: NDArray[np.uint8]) -> Triple:
    """Brightest colour of a sample, but never darker than scanners render bare glass."""
    red, green, blue = np.clip(np.percentile(sample, 99.5, axis=0), 225, 255)
    return float(red), float(green), float(blue)


def _dye_vectors(stained: NDArray[np.float64]) -> tuple[Triple, Triple] | None:
    """Haematoxylin and eosin; None where the sample does not show two such dyes."""
    _, axes = np.linalg.eigh(np.cov(stained.T))
    plane = axes[:, :0:-1] * np.where(axes[:, :0:-1].sum(axis=0) < 0, -1, 1)
    angle = np.arctan2(*(stained @ plane).T[::-1])
    ends = np.percentile(angle, [_FAN_PERCENT, 100 - _FAN_PERCENT])
    if ends[1] - ends[0] < math.radians(_MIN_FAN_DEG):
        return None
    vectors = np.stack([np.cos(ends), np.sin(ends)], axis=1) @ plane.T
    vectors = vectors[np.argsort(-vectors[:, 0])]
    if (vectors < -0.1).any():
        return None
    first, second = vectors.tolist()
    return (first[0], first[1], first[2]), (second[0], second[1], second[2])


def _two_levels(density: NDArray[np.float64]) -> tuple[float, float]:
    """Means below and above Otsu's threshold."""
    edges = np.percentile(density, [0.5, 99.5])
    counts, bounds = np.histogram(np.clip(density, *edges), bins=256, range=(edges[0], edges[1]))
    middle = 0.5 * (bounds[:-1] + bounds[1:])
    below, total = np.cumsum(counts), np.cumsum(counts * middle)
    above = below[-1] - below
    usable = (below > 0) & (above > 0)
    low = total[usable] / below[usable]
    high = (total[-1] - total[usable]) / above[usable]
    best = int(np.argmax(below[usable] * above[usable] * (high - low) ** 2))
    return float(low[best]), float(high[best])
