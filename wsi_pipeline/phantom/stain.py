"""How much dye has each pixel taken up?

1. `horn_mask` draws the stratum corneum, whose shape is itself texture.
2. Each tissue has one function: geometry and texture in, haematoxylin and eosin out.
3. `stain_block` calls those whose class occurs in the block.

Concentrations are in units of the reference stain: 1 of either dye gives an optical density
(base 10) of one along its stain vector.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import (
    ADNEXA,
    DERMIS,
    EPIDERMIS,
    INFLAMMATION,
    KERATIN,
    SUBCUTIS,
    TUMOUR,
)
from wsi_pipeline.phantom.adnexa import Kind
from wsi_pipeline.phantom.block import Block
from wsi_pipeline.phantom.look import Cells
from wsi_pipeline.phantom.noise import Bytes, Floats, Tile, tile_index
from wsi_pipeline.phantom.spec import RETRACTION_UM, PhantomSpec
from wsi_pipeline.phantom.wallpaper import BORDER_SCALE, Wallpapers

Dyes = tuple[Floats, Floats]
Painter = Callable[[Block, Wallpapers], Dyes]


def _texture(tile: Tile, block: Block, *, scale: float = 1.0) -> Floats:
    """Read a tile along the flow of the tissue, magnified by ``1/scale``; 0..255."""
    index = tile_index(
        block.flow_down_um,
        block.flow_right_um,
        step_um=tile.step_um / scale,
        edge_px=len(tile.texels),
    )
    return np.asarray(tile.at(index), dtype=np.float32)


def _noise(tile: Tile, block: Block, *, scale: float = 1.0) -> Floats:
    """Read a tile as noise of mean 0 and standard deviation about 1."""
    texels = _texture(tile, block, scale=scale)
    return (texels - np.float32(127.5)) * np.float32(1 / 40)


def _ramp(value: Floats, span: tuple[float, float]) -> Floats:
    """0 up to the span, 1 beyond it, linear within."""
    low, high = span
    ramp = (value - np.float32(low)) * np.float32(1 / (high - low))
    return np.asarray(np.clip(ramp, 0, 1), np.float32)


def horn_mask(block: Block, papers: Wallpapers, *, spec: PhantomSpec) -> NDArray[np.bool_]:
    """Where the stratum corneum has substance: compact below, loosening into flakes above."""
    if float(block.below_surface_um.min()) > 0 or not spec.with_epidermis:
        return np.zeros(block.box.shape, np.bool_)
    height = -block.below_surface_um
    lamella = _noise(papers.streak, block, scale=0.35)
    gap = 1.8 * (height - spec.corneum_um) / 16.0 - 0.7 + 0.9 * block.patchiness
    gap = np.maximum(gap, 0.8 * spec.look.horn_gaps - 0.7)
    if spec.surface.flaking > 0:
        return _flaking(block, papers, spec=spec)
    return np.asarray((lamella > gap) & (height < spec.corneum_um + 40.0))


def _flaking(block: Block, papers: Wallpapers, *, spec: PhantomSpec) -> NDArray[np.bool_]:
    """Basket-weave horn with broad gaps, lifted off the epidermis where the tissue is patchy."""
    loose = spec.surface.flaking
    lift = 30 * loose * np.maximum(block.patchiness - 0.4, 0)
    height = -block.below_surface_um - lift
    lamella = _noise(papers.streak, block, scale=0.35 / (1 + loose))
    lamella = lamella + 0.5 * _noise(papers.grain, block, scale=0.2)
    thick = spec.corneum_um * (1 + 0.6 * block.patchiness)
    gap = np.maximum(1.4 * (height - thick) / 16.0 - 0.7, 1.3 * loose - 0.8)
    return np.asarray((lamella > gap) & (height > 0) & (height < thick + 50.0))


def stain_block(block: Block, papers: Wallpapers, *, labels: Bytes) -> Dyes:
    """Haematoxylin and eosin of every pixel of a block, without nuclei.

    Returns
    -------
    tuple of float32 (Y, X)
        Concentrations; zero on glass.
    """
    h_dye, e_dye = np.zeros((2, *labels.shape), np.float32)
    present = np.bincount(labels.ravel(), minlength=8) > 0
    for code, paint in PAINTERS.items():
        if present[code]:
            here = labels == code
            h_new, e_new = paint(block, papers)
            np.copyto(h_dye, h_new, where=here)
            np.copyto(e_dye, e_new, where=here)
    return h_dye, e_dye


def _collagen(block: Block, papers: Wallpapers) -> Dyes:
    """Collagen bundles parted by clefts; finer and more even where the tissue is fine."""
    size, (h_part, e_part) = block.look.bundle_size, np.array(block.look.collagen, np.float32)
    body = _weave(block, papers, scale=1 / size, cleft_um=block.look.cleft_um * size)
    fineness = block.fineness if float(block.fineness.max()) > 0 else np.float32(0)
    if np.ndim(fineness):
        fine = _weave(block, papers, scale=2.3, cleft_um=0.2) * np.float32(0.86)
        body = body + (fine - body) * fineness
    if block.look.blur > 0:
        ground = 0.85 + 0.14 * block.patchiness + 0.06 * _noise(papers.streak, block, scale=0.7)
        body = body + (ground - body) * np.float32(block.look.blur)
    haze = np.float32(block.look.haze) * (0.6 + 0.4 * body)
    return body * (h_part + np.float32(0.03) * fineness) + haze, body * e_part


def _weave(block: Block, papers: Wallpapers, *, scale: float, cleft_um: float) -> Floats:
    """Density of collagen, 0 in clefts and about 1 in bundles."""
    step_um = papers.cleft.step_um / scale
    index = tile_index(
        block.flow_down_um, block.flow_right_um, step_um=step_um, edge_px=len(papers.cleft.texels)
    )
    border_um = papers.cleft.at(index) * np.float32(1 / (BORDER_SCALE * scale))
    full = _ramp(
        border_um - (0.8 / scale) * block.patchiness,
        (cleft_um - 1.2 / scale, cleft_um + 1.0 / scale),
    )
    full = 0.12 + 0.88 * full
    return np.asarray(full * (papers.fibril.at(index) * np.float32(1 / 128)), np.float32)


def _dermis(block: Block, papers: Wallpapers) -> Dyes:
    """Collagen, vessels and the clefts around tumour."""
    h_dye, e_dye = _collagen(block, papers)
    if float(block.crater_um.max()) > -60:
        h_dye, e_dye = _exudate(block, papers, ground=(h_dye, e_dye))
    if float(block.tumour_um.max()) > -25:
        retracted = np.minimum(5.0 * (block.patchiness - 0.7), 7.0)
        if block.retraction > 0:
            wide = np.clip(0.75 + 0.5 * block.patchiness, 0, 1)
            retracted = np.maximum(retracted, 0) + RETRACTION_UM * block.retraction * wide
        cleft = _ramp(block.tumour_um + retracted, (0, 1.5))
        h_dye, e_dye = h_dye * (1 - cleft), e_dye * (1 - cleft)
    if float(block.vessel_um.max()) > 0:
        h_dye, e_dye = _vessel(block, papers, ground=(h_dye, e_dye))
    if float(block.space_um.max()) > -4:
        wall = _ramp(block.space_um, (-3.0, -2.0))
        clear = 1 - _ramp(block.space_um, (-1.0, 0.2))
        h_dye = (h_dye * (1 - wall) + 0.16 * wall) * clear
        e_dye = (e_dye * (1 - wall) + 0.40 * wall) * clear
    return h_dye, e_dye


def _exudate(block: Block, papers: Wallpapers, *, ground: Dyes) -> Dyes:
    """Fibrin on the base of an ulcer, over oedematous dermis."""
    depth = -block.crater_um + 6.0 * block.patchiness
    fibrin = 1 - _ramp(depth, (16.0, 34.0))
    mesh = 1 + 0.22 * _noise(papers.streak, block) + 0.15 * _noise(papers.grain, block)
    h_dye = ground[0] * (1 - fibrin) + 0.10 * mesh * fibrin
    e_dye = ground[1] * (1 - fibrin) + 0.55 * mesh * fibrin
    return np.asarray(h_dye, np.float32), np.asarray(e_dye, np.float32)


def _vessel(block: Block, papers: Wallpapers, *, ground: Dyes) -> Dyes:
    """Wall and lumen over the ground; some lumens hold red cells."""
    wall, lumen = _ramp(block.vessel_um, (-0.5, 0.7)), _ramp(block.lumen_um, (-0.5, 0.7))
    cells = _ramp(_noise(papers.grain, block, scale=0.35), (0.35, 0.75)) * lumen
    h_dye = (ground[0] * (1 - wall) + 0.22 * wall) * (1 - lumen)
    e_dye = (ground[1] * (1 - wall) + 0.38 * wall) * (1 - lumen) + 0.62 * cells
    return np.asarray(h_dye, np.float32), np.asarray(e_dye, np.float32)


def _inflammation(block: Block, papers: Wallpapers) -> Dyes:
    """Oedematous stroma between lymphocytes."""
    h_dye, e_dye = _collagen(block, papers)
    return h_dye * 0.8 + 0.06, e_dye * 0.75 + 0.04


def _cell_borders(block: Block, papers: Wallpapers, *, cell_um: float, width_um: float) -> Floats:
    """1 on the borders of cells of about ``cell_um``, 0 inside them."""
    scale = 73.0 / cell_um
    border_um = _texture(papers.fat, block, scale=scale) * np.float32(1 / (BORDER_SCALE * scale))
    return 1 - _ramp(border_um, (0.25 * width_um, width_um))


def _cytoplasm(block: Block, papers: Wallpapers, *, cells: Cells) -> tuple[Floats, Floats]:
    """Grain and borders of epithelial cells, as strong as they are on this slide."""
    borders = _cell_borders(block, papers, cell_um=cells.border_um, width_um=1.25)
    grain = _noise(papers.grain, block)
    return grain * np.float32(cells.grain), borders * np.float32(cells.borders)


def _epithelium_um(block: Block) -> Floats:
    """Distance to the junction of the epidermis and the follicles that open into it."""
    return np.maximum(-block.below_dej_um, block.adnexa_um)


def _epidermis(block: Block, papers: Wallpapers) -> Dyes:
    """Basal layer dark, spinous layer paler with visible cell borders, granular layer dark."""
    cells = block.look.keratinocytes
    grain, borders = _cytoplasm(block, papers, cells=cells)
    basal = np.float32(cells.basal) * (1 - _ramp(_epithelium_um(block), (5.0, 16.0)))
    granular = 1 - _ramp(np.minimum(block.below_surface_um, -block.core_um), (3.0, 11.0))
    h_dye = 0.22 + 0.13 * basal + 0.20 * granular + 0.03 * grain - 0.08 * borders
    e_dye = 0.29 + 0.02 * grain - 0.12 * borders + 0.10 * granular
    return _scaled((h_dye, e_dye), block.look.epithelium)


def _scaled(dyes: Dyes, factors: tuple[float, float]) -> Dyes:
    """Both dyes, each times its factor, and never less than none."""
    h_dye, e_dye = (
        np.maximum(dye, 0) * np.float32(factor) for dye, factor in zip(dyes, factors, strict=True)
    )
    return h_dye, e_dye


def _keratin(block: Block, papers: Wallpapers) -> Dyes:
    """Lamellae of horn; in the mouth of a follicle they are loose and run along its canal."""
    body = np.clip(0.8 + 0.28 * _noise(papers.streak, block, scale=0.6), 0.05, 1.4)
    if float(block.core_um.max()) > 0:
        body = np.where(block.below_surface_um > 0, _plug(block, papers), body)
    return _scaled((body, body), block.look.horn)


def _plug(block: Block, papers: Wallpapers) -> Floats:
    """Loose horn along the wall of a follicle's canal."""
    # In a wide flask lamellae peel off its wall, in a narrow canal they follow the hair.
    across_um = block.core_um if block.flaking > 0 else block.axis_um
    index = tile_index(
        across_um + (3.0 + 9.0 * block.flaking) * block.patchiness,
        block.flow_down_um,
        step_um=1.5 * papers.streak.step_um,
        edge_px=len(papers.streak.texels),
    )
    lamella = (papers.streak.at(index).astype(np.float32) - 127.5) * np.float32(1 / 40)
    loose = 0.75 - 0.5 * _ramp(block.core_um, (1.0, 12.0))
    if block.flaking > 0:
        # Lamellae part: what is thin becomes glass, what is thick stays.
        loose, lamella = loose - 0.35 * block.flaking, (1 + block.flaking) * lamella
    return np.clip(loose + 0.6 * lamella, 0.0, 1.3)


def _tumour(block: Block, papers: Wallpapers) -> Dyes:
    """Amphophilic cytoplasm with faint cell borders."""
    grain, borders = _cytoplasm(block, papers, cells=block.look.tumour_cells)
    rim = 1 - _ramp(block.tumour_um, (0.0, 2.0))
    h_dye = 0.19 + 0.035 * grain + 0.03 * block.patchiness - 0.07 * borders
    e_dye = 0.27 + 0.03 * grain + 0.03 * block.patchiness - 0.11 * borders + 0.05 * rim
    if float(block.necrosis_um.max()) > -6:
        # Ghosts: granular eosinophilic cytoplasm, borders still faintly there.
        dead = _ramp(block.necrosis_um + 2.0 * grain, (-5.0, 5.0))
        coarse = _noise(papers.grain, block, scale=0.4)
        h_dye = h_dye * (1 - dead) + dead * (0.07 + 0.02 * grain)
        e_dye = e_dye * (1 - dead) + dead * (0.47 + 0.07 * grain + 0.06 * coarse - 0.07 * borders)
    return _scaled(
        (np.asarray(h_dye, np.float32), np.asarray(e_dye, np.float32)), block.look.tumour
    )


def _subcutis(block: Block, papers: Wallpapers) -> Dyes:
    """Fat cells with thin membranes; fibrous towards the dermis and along septa."""
    membrane = _cell_borders(block, papers, cell_um=73.0, width_um=1.5)
    septum = _septa(block, papers)
    h_collagen, e_collagen = _collagen(block, papers)
    h_dye = 0.10 * membrane * (1 - septum) + h_collagen * septum
    e_dye = 0.36 * membrane * (1 - septum) + 0.85 * e_collagen * septum
    return np.asarray(h_dye, np.float32), np.asarray(e_dye, np.float32)


def _septa(block: Block, papers: Wallpapers) -> Floats:
    """1 in fibrous septa between lobules, and in the first micrometres below the dermis."""
    border_um = _texture(papers.fat, block, scale=0.12) * np.float32(1 / (BORDER_SCALE * 0.12))
    ragged = 6 * block.patchiness
    lobule = 1 - _ramp(border_um + ragged, (16.0, 20.0))
    return np.maximum(lobule, 1 - _ramp(block.below_dsj_um + ragged, (3.0, 8.0)))


def _adnexa(block: Block, papers: Wallpapers) -> Dyes:
    """Follicles, glands and coils."""
    h_dye, e_dye = _follicle(block, papers)
    for kind, paint in ((Kind.SEBACEOUS, _sebaceous), (Kind.ECCRINE, _eccrine)):
        here = block.kind == kind
        if here.any():
            h_new, e_new = paint(block, papers)
            h_dye, e_dye = np.where(here, h_new, h_dye), np.where(here, e_new, e_dye)
    return h_dye, e_dye


def _follicle(block: Block, papers: Wallpapers) -> Dyes:
    """Outer root sheath, bright inner root sheath, hair shaft; horny layer at the mouth."""
    ragged = 1.2 * _noise(papers.grain, block, scale=0.15)
    cells = block.look.adnexal_cells
    grain, borders = _cytoplasm(block, papers, cells=cells)
    basal = np.float32(cells.basal) * (1 - _ramp(_epithelium_um(block) + ragged, (6.0, 14.0)))
    granular = 1 - _ramp(-block.core_um, (3.0, 11.0))
    sheath = 1 - _ramp(block.axis_um + ragged, (31.0, 34.0))
    shaft = 1 - _ramp(block.axis_um + ragged, (19.0, 21.0))
    h_dye = 0.23 + 0.12 * basal + 0.12 * granular + 0.03 * grain - 0.08 * borders
    e_dye = 0.28 + 0.02 * grain - 0.1 * borders
    h_dye, e_dye = h_dye - 0.13 * sheath - 0.03 * shaft, e_dye + 0.26 * sheath - 0.22 * shaft
    return _scaled((h_dye, e_dye), block.look.epithelium)


def _sebaceous(block: Block, papers: Wallpapers) -> Dyes:
    """Foam: pale vacuoles with thin walls; a darker rim of basal cells."""
    walls = _cell_borders(block, papers, cell_um=21.0, width_um=1.8)
    bubbles = _cell_borders(block, papers, cell_um=5.0, width_um=1.0)
    deep_um = block.look.gland_rim_um
    rim = 1 - _ramp(block.adnexa_um, (0.5 * deep_um, 1.5 * deep_um))
    foam = np.float32(block.look.foam)
    h_dye = foam * (0.03 + 0.09 * walls + 0.07 * bubbles) + 0.24 * rim
    e_dye = foam * (0.03 + 0.09 * walls + 0.07 * bubbles) + 0.17 * rim
    return np.asarray(h_dye, np.float32), np.asarray(e_dye, np.float32)


def _eccrine(block: Block, papers: Wallpapers) -> Dyes:
    """Tubules with a small lumen."""
    grain = _noise(papers.grain, block) * np.float32(block.look.adnexal_cells.grain)
    lumen = _ramp(block.core_um, (-0.7, 0.7))
    h_dye = (0.22 + 0.03 * grain) * (1 - lumen)
    e_dye = (0.34 + 0.03 * grain) * (1 - lumen) + 0.03 * lumen
    return np.asarray(h_dye, np.float32), np.asarray(e_dye, np.float32)


PAINTERS: dict[int, Painter] = {
    DERMIS: _dermis,
    INFLAMMATION: _inflammation,
    EPIDERMIS: _epidermis,
    KERATIN: _keratin,
    TUMOUR: _tumour,
    SUBCUTIS: _subcutis,
    ADNEXA: _adnexa,
}
