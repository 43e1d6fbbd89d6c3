"""What if tissues of two slides lay side by side?

Some tiles of a batch get the pixels of half the classes of their neighbour, with their labels
(ClassMix: Olsson et al. 2021, doi:10.1109/WACV48630.2021.00141).  So no tissue comes with the
stain, the scanner or the surroundings of its own kind of slide alone: painted tumour lies in real
dermis, and real dermis around painted glands.

Epidermis is epithelium *at the surface*, and nothing else tells it from the wall of a follicle.  So
glass, horn and epidermis move together, and nothing else is laid over them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND, EPIDERMIS, KERATIN

Planes = NDArray[np.uint8]
SURFACE = (BACKGROUND, EPIDERMIS, KERATIN)


def mix_tiles(
    rgb: Planes, labels: Planes, *, share: float, rng: np.random.Generator
) -> tuple[Planes, Planes]:
    """Lay half the tissues of a tile over the tile before it, now and then.

    Parameters
    ----------
    rgb : (N, Y, X, 3) uint8
        Tiles of a batch.
    labels : (N, Y, X) uint8
        Their classes; 255 is not known and is never laid over.
    share
        Share of the tiles that get something from their neighbour.
    rng
        Source of chance.

    Returns
    -------
    tuple
        New arrays of the same shapes.
    """
    mixed_rgb, mixed_labels = rgb.copy(), labels.copy()
    surface = np.isin(labels, SURFACE)
    tissues = np.where(surface, BACKGROUND, labels)
    for number in np.flatnonzero(rng.random(len(rgb)) < share):
        other = (number + 1) % len(rgb)
        present = np.setdiff1d(tissues[other], [255])
        chosen = rng.permutation(present)[: (len(present) + 1) // 2]
        over = np.isin(tissues[other], chosen) & (surface[other] | ~surface[number])
        mixed_rgb[number][over] = rgb[other][over]
        mixed_labels[number][over] = labels[other][over]
    return mixed_rgb, mixed_labels
