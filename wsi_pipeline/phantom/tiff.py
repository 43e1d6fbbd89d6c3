"""How does a painted slide become a file that slide readers open?

1. Halve the image by area averaging until it fits one screen.
2. Write each level as a page of JPEG tiles with its own resolution tag.
3. Rename the file when it is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

TILE_PX = 256
# The pyramid ends when its longer edge is at most this, px.
LAST_LEVEL_PX = 1024


def write_slide_tiff(
    path: Path, image: NDArray[np.uint8], *, mpp: float, jpeg_quality: int
) -> None:
    """Write a tiled, pyramidal JPEG TIFF.

    Parameters
    ----------
    path
        File to write; it appears only when complete (until then it is called ``*.partial``).
    image : uint8 (Y, X, 3)
        RGB at level 0.
    mpp
        Width of a level-0 pixel, µm; becomes the resolution tag, in pixels per centimetre.
    jpeg_quality
        JPEG quality, 1 to 100; chroma is subsampled as scanners do.
    """
    partial = path.with_name(path.name + ".partial")
    with tifffile.TiffWriter(partial, bigtiff=True) as file:
        for number, level in enumerate(_levels(image)):
            per_cm = 1e4 / (mpp * image.shape[0] / level.shape[0])
            file.write(
                level,
                photometric="rgb",  # tifffile turns it into YCbCr itself; told so, it does not
                subsampling=(2, 2),
                tile=(TILE_PX, TILE_PX),
                compression="jpeg",
                compressionargs={"level": jpeg_quality},
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                subfiletype=0 if number == 0 else 1,
                description="wsi_pipeline phantom" if number == 0 else None,
                metadata=None,
                software=False,
            )
    partial.replace(path)


def _levels(image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Level 0 and its halvings."""
    level = image
    yield level
    while max(level.shape) > LAST_LEVEL_PX:
        level = halve(level)
        yield level


def halve(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average blocks of 2 × 2 pixels; an odd last row or column is left out."""
    rows, columns = (n // 2 * 2 for n in image.shape[:2])
    total = np.full((rows // 2, columns // 2, 3), 2, np.uint16)
    for row in (0, 1):
        for column in (0, 1):
            total += image[row:rows:2, column:columns:2]
    return (total >> 2).astype(np.uint8)
