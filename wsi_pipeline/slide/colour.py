"""What does a decoded pixel look like on white paper?

1. `check_is_rgb` refuses what is no 8-bit picture.
2. `rgb_on_white` turns the channels that remain into RGB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from wsi_pipeline.errors import SlideReadError


def check_is_rgb(dtype: DTypeLike, channels: int) -> None:
    """Raise `SlideReadError` unless pixels are 8-bit grey, RGB, or RGB with opacity."""
    if np.dtype(dtype) != np.uint8 or channels not in (1, 3, 4):
        raise SlideReadError(
            f"it holds {channels} channels of type {np.dtype(dtype)}, not an 8-bit RGB picture"
        )


def rgb_on_white(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Show pixels of one, three or four channels on white.

    Parameters
    ----------
    pixels
        (Y, X, C), uint8: grey, RGB, or RGB with straight (not premultiplied) opacity.

    Returns
    -------
    NDArray[np.uint8]
        (Y, X, 3).

    Raises
    ------
    SlideReadError
        If the pixels are none of these.
    """
    check_is_rgb(pixels.dtype, pixels.shape[2])
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    rgb, opacity = pixels[..., :3], pixels[..., 3:]
    if (opacity == 255).all():  # also where there is no fourth channel
        return np.ascontiguousarray(rgb)
    # 255 · 255 + 127 still fits into 16 bits.
    opacity = opacity.astype(np.uint16)
    shown: NDArray[np.uint8] = ((rgb * opacity + 255 * (255 - opacity) + 127) // 255).astype(
        np.uint8
    )
    return shown
