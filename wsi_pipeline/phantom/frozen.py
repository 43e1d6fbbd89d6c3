"""What does freezing do to a section?

1. `swollen` changes the nuclei: larger, darker, without chromatin detail, smudged outlines.
2. `crystallised` opens holes where ice crystals lay: round ones within cells, slits between the
   fibres of the stroma, in patches.
3. `smeared` thickens the section and blurs the dyes, with a bluish cast.

One number, ``PhantomSpec.frozen``, drives all three; 0 changes no pixel.  Labels and outlines
stay: a hole is part of the tissue it lies in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import (
    ADNEXA,
    BACKGROUND,
    DERMIS,
    EPIDERMIS,
    INFLAMMATION,
    TUMOUR,
)
from wsi_pipeline.phantom.block import Block
from wsi_pipeline.phantom.dice import Dice
from wsi_pipeline.phantom.noise import Bytes, Floats, Tile, tile_index
from wsi_pipeline.phantom.nuclei import Nuclei
from wsi_pipeline.phantom.stain import Dyes
from wsi_pipeline.phantom.wallpaper import BORDER_SCALE, Wallpapers

# Blur of the dyes in a fully frozen section, µm: chromatin smears, borders between cells fade.
SMEAR_UM = 0.85
TRUNCATE = 2.5
# How much darker its haematoxylin is, as it is thicker, and how much of it hazes all tissue.
THICKER, HAZE = 0.40, 0.13
# Growth of the nuclear profile; the share that is drawn as smudges without detail.
SWELLING, SMUDGED = 0.22, 0.5
# Spacing of ice crystals within cells, between cells, and in the stroma, µm.
FINE_UM, ROUND_UM, SLIT_UM = 4.5, 13.0, 38.0
CELLULAR = (EPIDERMIS, TUMOUR, ADNEXA, INFLAMMATION)


def swollen(nuclei: Nuclei, frozen: float, *, seed: int) -> Nuclei:
    """Nuclei as they look after freezing.

    Parameters
    ----------
    nuclei
        Table of nuclei.
    frozen
        Strength, 0 to 1.
    seed
        Decides which of them are smudged.

    Returns
    -------
    structured array (N,)
        Larger by `SWELLING` at full strength; the truth about their size is that of this table,
        because it is what the slide shows.
    """
    if frozen == 0:
        return nuclei
    dice = Dice.of(seed, 71)
    places = np.stack([nuclei["down_um"], nuclei["right_um"]], axis=-1)
    growth = 1 + SWELLING * frozen * dice.uniform(places, channel=0, low=0.6, high=1.4)
    smudge = dice.uniform(places, channel=1) < SMUDGED * frozen
    table = nuclei.copy()
    table["area_um2"] *= growth
    for axis in ("major_um", "minor_um"):
        table[axis] *= np.sqrt(growth)
    table["vesicular"] *= np.where(smudge, 0.0, 1 - 0.7 * frozen)
    table["density"] *= np.where(smudge, 1.18, 1 + 0.05 * frozen)
    table["wobble"] = np.minimum(table["wobble"] + 0.05 * frozen * (1 + smudge), 0.16)
    return table


def halo_px(frozen: float, *, mpp: float) -> int:
    """How many pixels around a block the blur needs."""
    return int(np.ceil(TRUNCATE * SMEAR_UM * frozen / mpp)) + 1 if frozen else 0


def crystallised(
    dyes: Dyes, block: Block, papers: Wallpapers, *, labels: Bytes, frozen: float
) -> Dyes:
    """Dyes with holes where ice crystals lay.

    Parameters
    ----------
    dyes : float32 (Y, X), twice
        Haematoxylin and eosin, without nuclei.
    block, papers
        Geometry and textures.
    labels : uint8 (Y, X)
        Holes in cells are round, those in collagen are slits; fat and horn have none.
    frozen
        Strength, 0 to 1.
    """
    if frozen == 0:
        return dyes
    hole = np.zeros(labels.shape, np.float32)
    cells, stroma = np.isin(labels, CELLULAR), labels == DERMIS
    if cells.any():
        np.copyto(hole, _vacuoles(block, papers, frozen=frozen), where=cells)
    if stroma.any():
        np.copyto(hole, _slits(block, papers, frozen=frozen), where=stroma)
    keep = 1 - np.float32(0.9) * hole
    return dyes[0] * keep, dyes[1] * keep


def _crystals(
    block: Block, tile: Tile, *, spacing_um: float, flat: float, width_um: float
) -> Floats:
    """1 inside crystals that grew until they met, 0 in the walls of ``width_um`` between them."""
    scale = 73.0 / spacing_um
    index = tile_index(
        _wavering(block, block.flow_down_um * np.float32(flat)),
        block.flow_right_um,
        step_um=tile.step_um / scale,
        edge_px=len(tile.texels),
    )
    border_um = tile.at(index) * np.float32(1 / (BORDER_SCALE * scale))
    return _ramp(np.asarray(border_um, np.float32), (width_um, width_um + 0.9))


def _wavering(block: Block, down_um: Floats) -> Floats:
    """Coordinate that does not follow the flow exactly: ice cares little for fibres."""
    return np.asarray(down_um + 9.0 * block.patchiness, np.float32)


def _ramp(value: Floats, span: tuple[float, float]) -> Floats:
    """0 up to the span, 1 beyond it, linear within."""
    low, high = span
    ramp = (value - np.float32(low)) * np.float32(1 / (high - low))
    return np.asarray(np.clip(ramp, 0, 1), np.float32)


def _patches(block: Block, *, frozen: float, often: float) -> Floats:
    """Where crystals grew: all over at full strength, in patches below."""
    return _ramp(block.patchiness, (1.9 - often * frozen, 2.4 - often * frozen))


def _vacuoles(block: Block, papers: Wallpapers, *, frozen: float) -> Floats:
    """Honeycomb of round holes in and between cells."""
    large = _crystals(block, papers.fat, spacing_um=ROUND_UM, flat=1.0, width_um=1.7)
    small = _crystals(block, papers.fat, spacing_um=FINE_UM, flat=1.0, width_um=0.7)
    chosen = _ramp(_noise(block, papers, scale=0.2), (0.1, 0.4))
    holes = np.maximum(large * chosen, 0.75 * small * (1 - chosen))
    return np.asarray(holes * _patches(block, frozen=frozen, often=3.4), np.float32)


def _slits(block: Block, papers: Wallpapers, *, frozen: float) -> Floats:
    """Slits and polygons that force the bundles of collagen apart."""
    width_um = 5.5 - 2.0 * frozen
    slits = _crystals(block, papers.fat, spacing_um=SLIT_UM, flat=3.2, width_um=width_um)
    # Not every crystal has fallen out, and strands of fibres cross the holes.
    strands = _ramp(_noise(block, papers, scale=0.5), (0.2, 1.4))
    few = _ramp(_noise(block, papers, scale=0.05), (-0.1, 0.5))
    holes = slits * (0.9 - 0.5 * strands) * few
    return np.asarray(holes * _patches(block, frozen=frozen, often=1.9), np.float32)


def _noise(block: Block, papers: Wallpapers, *, scale: float) -> Floats:
    """Grain of mean 0 and standard deviation about 1."""
    tile = papers.grain
    index = tile_index(
        block.flow_down_um,
        block.flow_right_um,
        step_um=tile.step_um / scale,
        edge_px=len(tile.texels),
    )
    texels = tile.at(index).astype(np.float32)
    return np.asarray((texels - np.float32(127.5)) * np.float32(1 / 40), np.float32)


def smeared(dyes: Dyes, *, labels: Bytes, frozen: float, mpp: float) -> Dyes:
    """Dyes of a thicker, blurred section with a bluish cast.

    Parameters
    ----------
    dyes : float32 (Y, X), twice
        Haematoxylin and eosin, with nuclei.
    labels : uint8 (Y, X)
        Glass takes up no dye.
    frozen
        Strength, 0 to 1.
    mpp
        Width of a pixel, µm.
    """
    if frozen == 0:
        return dyes
    h_dye, e_dye = (
        ndimage.gaussian_filter(plane, SMEAR_UM * frozen / mpp, truncate=TRUNCATE) for plane in dyes
    )
    tissue: NDArray[np.bool_] = labels != BACKGROUND
    gain = np.float32(1 + THICKER * frozen)
    # Swollen cytoplasm takes up haematoxylin wherever there is any eosin.
    haze = np.float32(HAZE * frozen) * np.minimum(e_dye * np.float32(4.0), 1.0)
    h_dye = np.where(tissue, gain * h_dye + haze, h_dye)
    e_dye = np.where(tissue, np.float32(1 - 0.15 * frozen) * e_dye, e_dye)
    return np.asarray(h_dye, np.float32), np.asarray(e_dye, np.float32)
