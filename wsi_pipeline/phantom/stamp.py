"""How is a nucleus drawn?

1. `stamp_nuclei` evaluates all nuclei of a block together, in batches of similar size.
2. Each is an anti-aliased outline, a darker membrane, chromatin grain and, where it is
   vesicular, a pale centre with nucleoli.
3. Later nuclei lie over earlier ones.
4. `map_nuclei` says for every pixel whose nucleus it shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom.noise import Floats, Tile
from wsi_pipeline.phantom.nuclei import Nuclei

# Edge of the square a nucleus is drawn in, px; the smallest that holds it is used.
STAMP_PX = (12, 16, 24, 32, 48, 64, 96, 160)


@dataclass(frozen=True, slots=True)
class Ink:
    """Nuclei of a block: how much of each pixel they cover and their haematoxylin there.

    Parameters
    ----------
    cover : float32 (Y, X)
        0 outside nuclei, 1 inside.
    haematoxylin : float32 (Y, X)
        Concentration, already multiplied with the cover.
    """

    cover: Floats
    haematoxylin: Floats


def stamp_nuclei(nuclei: Nuclei, box: Box, *, mpp: float, grain: Tile) -> Ink:
    """Draw the nuclei that touch a box.

    Parameters
    ----------
    nuclei
        Table of nuclei (`nuclei.NUCLEUS_DTYPE`).
    box
        Pixels wanted.
    mpp
        Width of a pixel, µm.
    grain
        Chromatin texture.
    """
    pad = STAMP_PX[-1]
    canvas = Ink(*np.zeros((2, box.height + 2 * pad, box.width + 2 * pad), np.float32))
    for edge_px, numbers in _batches(nuclei, box, mpp=mpp):
        batch = nuclei[numbers]
        corners = _corners(batch, mpp=mpp, edge_px=edge_px)
        stamps = _draw(batch, corners, mpp=mpp, edge_px=edge_px, grain=grain)
        _lay_over(canvas, corners - np.array([box.top - pad, box.left - pad]), stamps=stamps)
    return Ink(canvas.cover[pad:-pad, pad:-pad], canvas.haematoxylin[pad:-pad, pad:-pad])


def map_nuclei(nuclei: Nuclei, box: Box, *, mpp: float) -> NDArray[np.uint32]:
    """Say for every pixel of a box whose nucleus it shows.

    Returns
    -------
    uint32 (Y, X)
        Row of the nucleus in the table plus one, as `stamp_nuclei` draws them: of two that
        overlap the later drawn; 0 where less than half of the pixel is covered.
    """
    pad = STAMP_PX[-1]
    canvas = np.zeros((box.height + 2 * pad, box.width + 2 * pad), np.uint32)
    for edge_px, numbers in _batches(nuclei, box, mpp=mpp):
        batch = nuclei[numbers]
        corners = _corners(batch, mpp=mpp, edge_px=edge_px)
        within, _ = _within_px(batch, corners, mpp=mpp, edge_px=edge_px)
        places = corners - np.array([box.top - pad, box.left - pad])
        for number, (top, left), inside in zip(numbers, places, within >= 0, strict=True):
            canvas[top : top + edge_px, left : left + edge_px][inside] = number + 1
    return canvas[pad:-pad, pad:-pad]


def _batches(nuclei: Nuclei, box: Box, *, mpp: float) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Rows of the nuclei that touch a box, in the order of drawing, by the edge of their square."""
    half = np.ceil(0.5 * nuclei["major_um"] * (1 + 2.5 * nuclei["wobble"]) / mpp).astype(int) + 1
    row, column = nuclei["down_um"] / mpp, nuclei["right_um"] / mpp
    near = (row > box.top - half) & (row < box.bottom + half)
    near &= (column > box.left - half) & (column < box.right + half)
    for edge_px, smaller in zip(STAMP_PX, (0, *STAMP_PX), strict=False):
        numbers = np.flatnonzero(near & (2 * half <= edge_px) & (2 * half > smaller))
        if len(numbers):
            yield edge_px, numbers


def _corners(nuclei: Nuclei, *, mpp: float, edge_px: int) -> NDArray[np.intp]:
    """Top-left pixel of each nucleus's square, shape (N, 2)."""
    centre = np.stack([nuclei["down_um"], nuclei["right_um"]], axis=-1) / mpp
    return np.floor(centre - edge_px / 2 + 0.5).astype(np.intp)


def _draw(
    nuclei: Nuclei, corners: NDArray[np.intp], *, mpp: float, edge_px: int, grain: Tile
) -> Ink:
    """Evaluate a batch of nuclei, each in its own square: (N, edge, edge)."""
    within, places = _within_px(nuclei, corners, mpp=mpp, edge_px=edge_px)
    cover = np.clip(within + 0.5, 0, 1)
    texture = _grain_of(corners, edge_px=edge_px, grain=grain)
    shade = _chromatin(nuclei, within * mpp, places=places, texture=texture)
    return Ink(cover, cover * shade)


def _within_px(
    nuclei: Nuclei, corners: NDArray[np.intp], *, mpp: float, edge_px: int
) -> tuple[Floats, tuple[Floats, Floats]]:
    """Distance inside each outline, px, and places along and across in half axes."""
    axis = np.arange(edge_px, dtype=np.float32) + np.float32(0.5)
    down = (corners[:, :1] + axis) * mpp - nuclei["down_um"][:, None]
    right = (corners[:, 1:] + axis) * mpp - nuclei["right_um"][:, None]
    cos, sin = (turn(nuclei["angle_rad"])[:, None, None] for turn in (np.cos, np.sin))
    down, right = down.astype(np.float32)[:, :, None], right.astype(np.float32)[:, None, :]
    along = (down * cos + right * sin) * (2 / nuclei["major_um"])[:, None, None]
    across = (right * cos - down * sin) * (2 / nuclei["minor_um"])[:, None, None]
    reach = np.sqrt(along * along + across * across) + np.float32(1e-6)
    edge = _outline(along / reach, across / reach, wobble=nuclei["wobble"])
    # Distance from the outline in pixels, exact to first order, for anti-aliasing.
    mean_um = (0.5 * np.sqrt(nuclei["major_um"] * nuclei["minor_um"]))[:, None, None]
    return np.asarray((edge - reach) * (mean_um / mpp), np.float32), (along, across)


def _outline(cos: Floats, sin: Floats, *, wobble: Floats) -> Floats:
    """Radius of the outline in each direction, of unit area."""
    size = wobble[:, None, None]
    # cos 2t and cos 3t of the direction, without an arctangent.
    two, three = 2 * cos * cos - 1, cos * (4 * cos * cos - 3) + 0.4 * sin
    area = 1 + 0.5 * size * size * (0.36 + 1.16)
    return np.asarray((1 + size * (0.6 * two + three)) / np.sqrt(area), np.float32)


def _grain_of(corners: NDArray[np.intp], *, edge_px: int, grain: Tile) -> Floats:
    """Chromatin grain for each square, -1..1, from another place for every nucleus."""
    edge = len(grain.texels)
    start = (corners * np.array([977, 643])) % (edge - edge_px)
    span = np.arange(edge_px)
    rows = (start[:, :1] + span)[:, :, None] * edge
    columns = (start[:, 1:] + span)[:, None, :]
    texels = grain.texels.ravel().take(rows + columns)
    return np.asarray((texels - np.float32(127.5)) / np.float32(127.5), np.float32)


def _chromatin(
    nuclei: Nuclei, within_um: Floats, *, places: tuple[Floats, Floats], texture: Floats
) -> Floats:
    """Haematoxylin inside the outline; ``places`` are in half axes along and across."""
    reach = np.hypot(*places)
    pale = nuclei["vesicular"][:, None, None]
    rim = np.clip(1 - (within_um - 0.3) / 0.9, 0, 1)
    body = 1 - 0.42 * pale * np.clip(1.25 - 1.2 * reach * reach, 0, 1)
    nucleolus = np.zeros_like(body)
    for turn, share in ((0.0, 0.35), (2.3, 0.45)):
        angle = nuclei["down_um"] * 7.0 + turn
        centre = [share * spin(angle)[:, None, None] for spin in (np.cos, np.sin)]
        away = np.hypot(places[0] - centre[0], places[1] - centre[1])
        nucleolus = np.maximum(nucleolus, np.clip((0.27 - away) / 0.1, 0, 1))
    shade = body * (1 + (0.30 + 0.35 * pale) * texture) + 0.22 * rim
    shade += 0.5 * nucleolus * np.clip(2 * pale - 0.5, 0, 1)
    return np.asarray(np.clip(shade, 0.2, 1.6) * nuclei["density"][:, None, None], np.float32)


def _lay_over(canvas: Ink, corners: NDArray[np.intp], *, stamps: Ink) -> None:
    """Composite stamps onto the canvas, in order."""
    edge_px = stamps.cover.shape[1]
    for (top, left), cover, dye in zip(corners, stamps.cover, stamps.haematoxylin, strict=True):
        view = (slice(top, top + edge_px), slice(left, left + edge_px))
        keep = 1 - cover
        canvas.haematoxylin[view] *= keep
        canvas.haematoxylin[view] += dye
        canvas.cover[view] = np.maximum(canvas.cover[view], cover)
