"""How is a plain picture read as a slide?

1. Pillow decodes all of it into memory when it is opened; it has one level.
2. Its resolution field is not trusted: cameras and viewers write 72 dpi into it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from wsi_pipeline.errors import SlideReadError
from wsi_pipeline.geometry import Box
from wsi_pipeline.slide.base import LevelFacts
from wsi_pipeline.slide.colour import rgb_on_white

MAX_IMAGE_PX = 8192**2
"""Largest picture that is read, px: 192 MiB as RGB."""

# Others of Pillow's formats start programs (Ghostscript for EPS) or are no pictures of a field.
_FORMATS = ("PNG", "JPEG")

# What Pillow raises on a damaged file, depending on the format; it says SyntaxError of a
# broken PNG, and warns first where a picture is many times larger than our own limit.
_FAULTS = (
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class ImageReader:
    """`LevelReader` over Pillow.

    Parameters
    ----------
    path
        File to open.

    Raises
    ------
    SlideReadError
        With Pillow's reason, if it cannot decode it, or if the picture is too large.
    """

    def __init__(self, path: Path) -> None:
        try:
            with Image.open(path, formats=_FORMATS) as image:
                self._levels = [_decoded(image)]
                vendor = str(image.format).lower()
        except UnidentifiedImageError:
            raise SlideReadError("not a picture it knows") from None
        except _FAULTS as fault:
            raise SlideReadError(str(fault).replace(str(path), path.name)) from fault
        rows, columns = self._levels[0].shape[:2]
        self._facts = LevelFacts(
            backend="image",
            backend_version=f"Pillow {PIL.__version__}",
            vendor=vendor,
            level_shapes=((rows, columns),),
            level_downsamples=(1.0,),
            levels_read=(0,),
        )

    @property
    def facts(self) -> LevelFacts:
        """What the file's header says."""
        return self._facts

    def read_level(self, level: int, box: Box) -> NDArray[np.uint8]:
        """RGB in a box that lies inside the picture, its only level."""
        return self._levels[level][box.slices]

    def close(self) -> None:
        """Let go of the pixels."""
        self._levels.clear()


def _decoded(image: Image.Image) -> NDArray[np.uint8]:
    """All pixels of a picture on white."""
    if image.width * image.height > MAX_IMAGE_PX:
        raise SlideReadError(
            f"{image.height} × {image.width} px are too many for a plain picture "
            f"(at most {MAX_IMAGE_PX:,}); convert it to a tiled TIFF with a pyramid"
        )
    if image.mode.startswith(("I", "F")):
        raise SlideReadError("it holds more than 8 bits per channel, not an RGB picture")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return rgb_on_white(np.asarray(image.convert(mode)))
