"""Which pieces of the dense pixels are nuclei?

Crowded nuclei touch, overlap and hide each other, and no single threshold parts them: at a low
one they run together, at a high one the pale ones are lost.  So the picture is read in several
ways, and of pieces that lie over each other the better ones are kept.

1. `read_pieces`: at each of several levels, the connected pieces above it, their holes filled;
   at some levels also the same pixels parted along their necks.
2. `worth_of`: how much a piece looks like one nucleus, from 0 to 1: convex, elliptic, of a
   plausible size.
3. `find_basins`: from the highest level down, a piece takes over if its area times its worth
   exceeds what its pixels are worth already.  Then each nucleus gets its surroundings.

References
----------
Choice among nested regions by their shape: Arteta et al. 2012, doi:10.1007/978-3-642-33415-3_43.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from wsi_pipeline.config import NucleiSettings
from wsi_pipeline.nuclei.basins import climb
from wsi_pipeline.nuclei.outline import filled
from wsi_pipeline.nuclei.shapes import measure_hulls, measure_moments

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

MAX_HOLE_UM2 = 25.0
"""Pale centres of vesicular nuclei are filled up to this area, µm²."""
_DEEPEST_UM = 12.0  # depth beyond which no nucleus reaches
_BLURS_UM = (0.5, 1.0)  # blur of the depth against ragged outlines, fine and coarse
# Worth rises from 0 to 1 between these shares of the ellipse and of the convex hull.  Two
# touching discs have 0.89 and 0.90, single nuclei 0.95 and more.
_ELLIPSE, _HULL = (0.80, 0.98), (0.85, 0.97)
# So it does up to this area: parts of a nucleus are smaller than it.
_FULL_UM2 = (0.0, 30.0)
_LEAST_WORTH = 0.01
_RIM_UM = 2.5  # width of the surroundings of a nucleus: its outline is sought there


class Levels(NamedTuple):
    """Heights at which a picture is read: 0 is ground, 1 the middle of a nucleus.

    ``whole`` run from the highest down; at those that are also in ``parted`` pieces are parted.
    Nothing below ``ground`` belongs to a nucleus.
    """

    whole: tuple[float, ...]
    parted: tuple[float, ...]
    ground: float


OF_DENSITY = Levels(
    (1.10, 0.98, 0.86, 0.74, 0.62, 0.50, 0.38, 0.28), (0.98, 0.74, 0.50, 0.38), 0.25
)
"""For haematoxylin: nuclei are as dense as those around (1), more, or less."""


class _Choice(NamedTuple):
    """The best pieces so far: ``owner`` numbers them, ``worth`` is that of each pixel's piece."""

    owner: Labels
    worth: NDArray[np.float64]


def find_basins(
    height: Floats, *, mpp: float, settings: NucleiSettings, levels: Levels = OF_DENSITY
) -> Labels:
    """Number the surroundings of each nucleus.

    Parameters
    ----------
    height : (Y, X) float32
        How nuclear each pixel is: haematoxylin (`levels.contrast_map`), or what a network says.
    mpp
        Width of a pixel, µm.
    settings
        Sizes that a nucleus may have.
    levels
        At which heights it is read.

    Returns
    -------
    (Y, X) int32
        0 where there can be no nucleus.  The numbers carry no order.
    """
    choice = _Choice(np.zeros(height.shape, np.int32), np.zeros(height.shape))
    for pieces in read_pieces(height, mpp=mpp, levels=levels):
        choice = _better(choice, pieces, mpp=mpp, settings=settings)
    chosen = np.where(choice.worth > _LEAST_WORTH, choice.owner, 0)
    used = np.zeros(int(chosen.max(initial=0)) + 1, np.int32)
    used[np.unique(chosen)] = 1
    used[0] = 0
    numbered = (np.cumsum(used) * used).astype(np.int32)[chosen]
    return _surroundings(numbered, height > levels.ground, mpp=mpp)


def read_pieces(height: Floats, *, mpp: float, levels: Levels) -> Iterator[Labels]:
    """Number the pieces of every reading, (Y, X) int32 each, those of the highest level first."""
    for level in levels.whole:
        dense = height > level
        if level in levels.parted:
            yield from _parted(dense, mpp=mpp)
        whole = label(dense, connectivity=1)  # type: ignore[no-untyped-call]
        yield filled(np.asarray(whole, np.int32), most_px=MAX_HOLE_UM2 / mpp**2)


def _parted(dense: NDArray[np.bool_], *, mpp: float) -> Iterator[Labels]:
    """Parts of which each has one summit of depth, the distance to what is not dense."""
    depth_um = ndimage.distance_transform_edt(dense).astype(np.float32) * np.float32(mpp)
    depth_um = np.minimum(depth_um, np.float32(_DEEPEST_UM))
    for blur_um in _BLURS_UM:
        height = ndimage.gaussian_filter(depth_um, blur_um / mpp, truncate=3.0)
        yield climb(height, dense, mpp=mpp)


def worth_of(pieces: Labels, *, mpp: float, settings: NucleiSettings) -> NDArray[np.float64]:
    """How much each piece looks like one nucleus, 0 to 1, (N + 1,)."""
    count = int(pieces.max(initial=0))
    moments = measure_moments(pieces, count)
    area_um2, length_um = moments.area * mpp**2, moments.axes_px()[0] * mpp
    worth = _ramp(moments.ellipticity(), _ELLIPSE) ** 2
    # Pieces of a high level are smaller than the nucleus whose core they are.
    worth[area_um2 < settings.min_area_um2 / 2] = 0
    worth[(area_um2 > settings.max_area_um2) | (length_um > settings.max_length_um)] = 0
    worth *= _ramp(area_um2, _FULL_UM2)
    worth[0] = 0
    likely = np.flatnonzero(worth)
    number = np.zeros(count + 1, np.int32)
    number[likely] = np.arange(1, len(likely) + 1)
    hull, _ = measure_hulls(number[pieces], len(likely))
    worth[likely] *= _ramp(moments.area[likely] / np.maximum(hull[1:], 1), _HULL) ** 2
    return worth


def _ramp(values: NDArray[np.float64], span: tuple[float, float]) -> NDArray[np.float64]:
    return np.clip((values - span[0]) / (span[1] - span[0]), 0, 1)


def _better(choice: _Choice, pieces: Labels, *, mpp: float, settings: NucleiSettings) -> _Choice:
    """The choice after those pieces took over that are worth more than what they cover."""
    worth = worth_of(pieces, mpp=mpp, settings=settings)
    flat = pieces.ravel()
    area = np.bincount(flat, minlength=len(worth))
    so_far = np.bincount(flat, weights=choice.worth.ravel(), minlength=len(worth))
    takes = worth * area > so_far
    number = np.zeros(len(worth), np.int32)
    number[takes] = int(choice.owner.max(initial=0)) + 1 + np.arange(takes.sum())
    taken = takes[pieces]
    return _Choice(
        np.where(taken, number[pieces], choice.owner), np.where(taken, worth[pieces], choice.worth)
    )


def _surroundings(chosen: Labels, raised: NDArray[np.bool_], *, mpp: float) -> Labels:
    """Give every pixel that may belong to a nucleus to the nearest."""
    away_px, (row, column) = ndimage.distance_transform_edt(chosen == 0, return_indices=True)
    near = (away_px * mpp <= _RIM_UM) & (raised | (chosen > 0))
    return np.where(near, chosen[row, column], 0).astype(np.int32)
