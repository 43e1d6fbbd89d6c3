"""How do the coarser levels of a multiscale come about?

1. `plan_pyramid_level` lists the shards of one level; levels are made in order.
2. `write_pyramid_tile` halves one box of the level below: images by the mean, labels by the
   majority of each 2 × 2 block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.geometry import Box
from wsi_pipeline.store.metadata import IMAGE, LABELS, PROBABILITIES
from wsi_pipeline.store.segmentation import Segmentation


@dataclass(frozen=True, slots=True)
class PyramidTile:
    """One shard of a coarser level, to be made from the level below it.

    Parameters
    ----------
    path
        Folder of the segmentation.
    plane
        Which multiscale.
    level
        Level to write, from 1.
    write
        Box on that level.
    """

    path: Path
    plane: str
    level: int
    write: Box


def plan_pyramid_level(path: Path, level: int) -> Iterator[PyramidTile]:
    """Shards of one level of all three multiscales; levels must be made in order.

    Those of which nothing is stored on the level below are glass, and left out: they would hold
    what is read there anyway.
    """
    segmentation = Segmentation(path)
    for plane in (IMAGE, LABELS, PROBABILITIES):
        array = segmentation.array(plane, level)
        edge = (array.shards or array.chunks)[-1]
        rows, columns = array.shape[-2:]
        for top in range(0, rows, edge):
            for left in range(0, columns, edge):
                box = Box(top, left, top + edge, left + edge) & Box.of_shape((rows, columns))
                if segmentation.has_stored(plane, level - 1, box.refined(2)):
                    yield PyramidTile(path, plane, level, box)


def write_pyramid_tile(tile: PyramidTile) -> None:
    """Halve one box of the level below and write it: mean of images, majority of labels."""
    segmentation = Segmentation(tile.path, mode="r+")
    box = tile.write
    below = segmentation.array(tile.plane, tile.level - 1)
    fine = np.asarray(below[(..., *box.refined(2).slices)], np.uint8)
    even = np.pad(
        fine, [(0, 0)] * (fine.ndim - 2) + [(0, n % 2) for n in fine.shape[-2:]], mode="edge"
    )
    halve = halve_labels if tile.plane == LABELS else halve_image
    segmentation.write(tile.plane, tile.level, box, halve(even))


def halve_image(fine: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rounded mean of each 2 × 2 block of (…, Y, X)."""
    rows, columns = fine.shape[-2:]
    coarse = np.empty((*fine.shape[:-2], rows // 2, columns // 2), np.uint8)
    for index in np.ndindex(fine.shape[:-2]):  # one plane at a time stays in cache
        plane = fine[index]
        pairs = plane[0::2].astype(np.uint16)
        pairs += plane[1::2]
        total = pairs[:, 0::2] + pairs[:, 1::2]
        total += np.uint16(2)
        total >>= np.uint16(2)
        coarse[index] = total
    return coarse


def halve_labels(fine: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Most frequent label of each 2 × 2 block of (Y, X); on a tie the first that is tied."""
    one, two, three, four = _quarters(fine)
    rest = np.where(three == four, three, one)
    second = np.where((two == three) | (two == four), two, rest)
    return np.where((one == two) | (one == three) | (one == four), one, second)


def _quarters(fine: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    return tuple(fine[..., row::2, column::2] for row in (0, 1) for column in (0, 1))
