"""Which pixels are one nucleus, going by what a network says of each?

A network tells three classes apart: outside nuclei, inside them, and their rim, the outermost
pixel.  Rims part nuclei that touch.

1. Inside counts 1 and rim a half: a height that falls off towards every outline.
2. It is read as haematoxylin is (`readings`): at several levels, parted along necks; the pieces
   that look most like nuclei are kept.
3. A nucleus ends where it is more likely outside than not.
4. What is doubtful from end to end is left out.

References
----------
Three classes, of which one is the border: Caicedo et al. 2019, doi:10.1002/cyto.a.23863.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.config import NucleiSettings
from wsi_pipeline.nuclei.instances import SPUR_UM, Labels, plausible
from wsi_pipeline.nuclei.outline import filled, largest_pieces, opened
from wsi_pipeline.nuclei.readings import MAX_HOLE_UM2, Levels, find_basins
from wsi_pipeline.nuclei.stain import Floats

NUCLEAR_CLASSES = ("outside", "inside", "rim")
"""What a network of nuclei tells apart, in this order."""
_MIN_PROBABILITY = 0.75
"""Least mean probability of the pixels of a nucleus; of 0.7 to 0.9 best on held-out phantoms, by
little: among textures unlike paint it is what a network makes of them that is doubtful."""
_OF_NETWORK = Levels((0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3), (0.9, 0.7, 0.5, 0.3), 0.1)


def nuclei_of(probabilities: NDArray[np.uint8], *, mpp: float, settings: NucleiSettings) -> Labels:
    """Outline the nuclei of a tile.

    Parameters
    ----------
    probabilities : (3, Y, X) uint8
        255 times those of `NUCLEAR_CLASSES`.  In whole steps, because the last digits of a network
        depend on where a tile lies.
    mpp
        Width of a pixel, µm.
    settings
        What counts as a nucleus; ``min_contrast`` has no say.

    Returns
    -------
    (Y, X) int32
        1 … N from top to bottom, 0 elsewhere.
    """
    outside, inside, rim = probabilities.astype(np.float32) / 255
    basins = find_basins(inside + rim / 2, mpp=mpp, settings=settings, levels=_OF_NETWORK)
    labels = np.where(outside < 0.5, basins, 0).astype(np.int32)
    labels = filled(labels, most_px=MAX_HOLE_UM2 / mpp**2)
    labels = largest_pieces(opened(labels, SPUR_UM / mpp), count=int(basins.max(initial=0)))
    return plausible(_beyond_doubt(labels, outside), mpp=mpp, settings=settings)


def _beyond_doubt(labels: Labels, outside: Floats) -> Labels:
    """Labels without those whose pixels may as well be outside."""
    inside = np.flatnonzero(labels)
    number = labels.ravel()[inside]
    area = np.bincount(number, minlength=1)
    doubt = np.bincount(number, outside.ravel()[inside], minlength=1)
    keep = doubt <= (1 - _MIN_PROBABILITY) * area
    return np.where(keep[labels], labels, 0).astype(np.int32)
