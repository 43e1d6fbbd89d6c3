"""What does the empty glass look like here?

1. Turn intensities into optical density (OD, log10) against absolute white.
2. Pixels as even as glass, not too dark for it, are candidates: a section always has
   texture at the scale of its cells, glass, mounting medium and a glow of eosin have not.
3. A connected even region is glass where part of it is as bright as the brightest glass
   (a glow or a vignette is reached from there without crossing an edge) or where it is far
   larger than any structureless patch of tissue.
4. Averaged over small cells, carried under the tissue from the nearest glass and smoothed,
   that is the background at every pixel.  Where no glass is seen it is absolute white.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from wsi_pipeline.config import TissueSettings

_Value = TypeVar("_Value", bound=np.generic)

_TEXTURE_UM = 40.0
"""Window in which evenness is judged: a few nuclei wide, less than a fat vacuole."""
_GLASS_MAX_OD = 0.35
"""Glass that lets less than 45 % of the light through is no glass."""
_SAME_GLASS_OD = 0.05
"""Even places this near the brightest glass are glass themselves: half a pale stain."""
_LARGE_EVEN_MM2 = 0.25
"""No tissue is as even as glass over half a millimetre squared."""
_ENOUGH_GLASS = 0.02
"""Share of a plane below which its even places are chance, not glass."""
_CELL_UM = 32.0
"""Cell over which glass is averaged; well under the smoothing."""
_SMOOTH_UM = 250.0
"""Smoothing of the background: a vignette or a glow varies over a millimetre or more."""

_OD_OF_VALUE: NDArray[np.float32] = -np.log10((np.arange(256) + 1) / 256).astype(np.float32)


def optical_density(planes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Optical density of every channel against absolute white.

    Parameters
    ----------
    planes
        (3, Y, X) uint8, red, green and blue; channels come first because every later step
        compares whole channels, which is four times as fast as comparing triplets.

    Returns
    -------
    (3, Y, X) float32, ``-log10((value + 1) / 256)``: 0 for white, 2.4 for black.
    """
    return _OD_OF_VALUE[planes]


def is_padding(planes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels that were never scanned: saturated white or dead black in every channel.

    Some scanners photograph only where they suspect tissue and fill the rest.  Over-exposed
    glass looks the same, and may be treated the same: it holds no tissue, and its background
    is absolute white, which is what is assumed where no other glass is seen.

    Parameters
    ----------
    planes
        (3, Y, X) uint8.

    Returns
    -------
    (Y, X) bool.
    """
    white: NDArray[np.bool_] = planes.min(axis=0) >= 254
    black: NDArray[np.bool_] = planes.max(axis=0) <= 1
    return white | black


def local_texture(values: NDArray[np.float32], *, mpp: float) -> NDArray[np.float32]:
    """Standard deviation in a window of 40 µm around every pixel.

    Parameters
    ----------
    values
        (Y, X) float32.
    mpp
        Pixel width, µm.

    Returns
    -------
    (Y, X) float32, in the unit of ``values``.
    """
    window_px = 2 * max(1, round(_TEXTURE_UM / mpp / 2)) + 1
    mean = ndi.uniform_filter(values, window_px)
    spread: NDArray[np.float32] = ndi.uniform_filter(np.square(values), window_px)
    spread -= np.square(mean)
    return np.sqrt(np.maximum(spread, 0))


def glass_seeds(
    od: NDArray[np.float32],
    padding: NDArray[np.bool_],
    *,
    mpp: float,
    settings: TissueSettings,
) -> NDArray[np.bool_]:
    """Pixels that are certainly glass; many pixels of glass are not among them.

    Parameters
    ----------
    od
        (3, Y, X) float32 optical density.
    padding
        (Y, X) bool, pixels never scanned.
    mpp
        Pixel width, µm.
    settings
        ``glass_texture_od`` and ``glass_range_od`` are used.

    Returns
    -------
    (Y, X) bool; all False where too little of the plane looks like glass to trust it.
    """
    darkest = od.max(axis=0)
    even = local_texture(od[1], mpp=mpp) < settings.glass_texture_od
    even &= ~padding & (darkest < _GLASS_MAX_OD)
    if even.mean() < _ENOUGH_GLASS:
        return np.zeros_like(even)
    brightest = float(np.percentile(darkest[even], 10))
    even &= darkest < brightest + settings.glass_range_od
    regions, _ = ndi.label(even)
    area_px = np.bincount(regions.ravel())
    bright_px = np.bincount(regions[darkest < brightest + _SAME_GLASS_OD], minlength=area_px.size)
    is_glass = (bright_px >= 0.05 * area_px) | (area_px * mpp**2 >= _LARGE_EVEN_MM2 * 1e6)
    is_glass[0] = False
    return np.asarray(is_glass[regions])


def glass_background(
    od: NDArray[np.float32], seeds: NDArray[np.bool_], *, mpp: float
) -> NDArray[np.float32]:
    """Optical density the glass has, or would have, at every pixel.

    Parameters
    ----------
    od
        (3, Y, X) float32 optical density.
    seeds
        (Y, X) bool, pixels that are certainly glass.
    mpp
        Pixel width, µm.

    Returns
    -------
    (3, Y, X) float32; zero everywhere, absolute white, where there are no seeds.
    """
    if not seeds.any():
        return np.zeros_like(od)
    cell_px = max(1, round(_CELL_UM / mpp))
    weight = block_mean(seeds.astype(np.float32), cell_px)
    mean = block_mean(od * seeds, cell_px) / np.maximum(weight, 1e-6)
    unseen = weight < 0.5 / cell_px**2
    nearest = ndi.distance_transform_edt(unseen, return_distances=False, return_indices=True)
    sigma = _SMOOTH_UM / (cell_px * mpp)
    filled = mean[:, nearest[0], nearest[1]]
    smooth = ndi.gaussian_filter(filled, (0, sigma, sigma), mode="nearest", truncate=3)
    return stretched(smooth, cell_px, shape=seeds.shape)


def block_mean(values: NDArray[np.float32], block_px: int) -> NDArray[np.float32]:
    """Mean over blocks of ``block_px``² pixels; cut blocks are completed by their last pixel.

    Parameters
    ----------
    values
        (..., Y, X) float32.
    block_px
        Edge of a block, px.

    Examples
    --------
    >>> block_mean(np.float32([[0, 2, 4]]), 2)
    array([[1., 4.]], dtype=float32)
    """
    if block_px == 1:
        return values
    rows, columns = values.shape[-2:]
    margins = [(0, 0)] * (values.ndim - 2) + [(0, -rows % block_px), (0, -columns % block_px)]
    padded = np.pad(values, margins, mode="edge")
    tall = np.add.reduceat(padded, np.arange(0, rows, block_px), axis=-2)
    blocks: NDArray[np.float32] = np.add.reduceat(tall, np.arange(0, columns, block_px), axis=-1)
    return blocks / np.float32(block_px**2)


def stretched(values: NDArray[_Value], block_px: int, *, shape: tuple[int, ...]) -> NDArray[_Value]:
    """Repeat every pixel ``block_px`` times down and across and cut to ``shape`` (Y, X)."""
    if block_px == 1:
        return values
    wide = np.repeat(values, block_px, axis=-1)[..., : shape[1]]
    return np.repeat(wide, block_px, axis=-2)[..., : shape[0], :]
