"""What do muscle, nerve, large vessel, papilla and solar elastosis look like?

1. `dress` lays their dyes over those of the stroma, at the pixels of a block.
2. `place_stromal_nuclei` gives them their nuclei, along their fibres.

None of them changes a label: muscles, nerves and vessels are dermis, or subcutis in the fat.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import ADNEXA, DERMIS, SUBCUTIS
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom.adnexa import FAR_UM, Kind
from wsi_pipeline.phantom.block import Block
from wsi_pipeline.phantom.dice import Dice
from wsi_pipeline.phantom.frame import refine
from wsi_pipeline.phantom.noise import Bytes, Floats, Tile, tile_index
from wsi_pipeline.phantom.placing import (
    TURN,
    Cell,
    Habit,
    Nuclei,
    any_way,
    line,
    shape,
    sprinkle,
)
from wsi_pipeline.phantom.stain import Dyes
from wsi_pipeline.phantom.tissue import Layout
from wsi_pipeline.phantom.wallpaper import BORDER_SCALE, Wallpapers

MYOCYTE = Habit(Cell.MYOCYTE, (34.0, 8.0), 5.0, 0.66, vesicular=0.25, wobble=0.03)
SCHWANN = Habit(Cell.NERVE, (26.0, 6.0), 4.2, 0.72, wobble=0.10)
PAPILLA = Habit(Cell.FIBROBLAST, (28.0, 6.0), 1.8, 0.74)
LINING = Habit(Cell.ENDOTHELIUM, (22.0, 5.0), 3.2, 0.82)
# Nuclei of each kind of bundle, and how many lie on a square millimetre.
CREWS = {
    Kind.MUSCLE: (MYOCYTE, 1300.0, 0.10),
    Kind.NERVE: (SCHWANN, 2100.0, 0.30),
    Kind.ARTERY: (MYOCYTE, 1700.0, 0.15),
    Kind.VEIN: (MYOCYTE, 900.0, 0.2),
}
# Fibrous coat of bundles that lie in the fat, µm.
COAT_UM = 22.0
# Elastosis spares a strip below the epidermis and reaches this deep at most, µm.
SPARED_UM, ELASTOSIS_UM = (18.0, 50.0), (110.0, 420.0)


def _ramp(value: Floats, span: tuple[float, float]) -> Floats:
    """0 up to the span, 1 beyond it, linear within."""
    low, high = span
    ramp = (value - np.float32(low)) * np.float32(1 / (high - low))
    return np.asarray(np.clip(ramp, 0, 1), np.float32)


def _read(tile: Tile, places: tuple[Floats, Floats], *, scale: float) -> Floats:
    """Texture of mean 0 and standard deviation about 1, along own coordinates."""
    index = tile_index(*places, step_um=tile.step_um / scale, edge_px=len(tile.texels))
    texels = tile.at(index).astype(np.float32)
    return np.asarray((texels - np.float32(127.5)) * np.float32(1 / 40), np.float32)


def dress(layout: Layout, block: Block, papers: Wallpapers, *, dyes: Dyes, labels: Bytes) -> Dyes:
    """Lay the structures of the stroma over its dyes.

    Parameters
    ----------
    layout, block
        Geometry of the phantom, and at the pixels.
    papers
        Textures.
    dyes
        Haematoxylin and eosin of the block so far.
    labels : uint8 (Y, X)
        Classes of the block; glass and epithelium stay as they are, but for papillae.

    Returns
    -------
    tuple of float32 (Y, X)
    """
    if layout.spec.anatomy.elastosis > 0:
        dyes = _laid(dyes, _elastosis(layout, block, papers, dyes=dyes), labels == DERMIS)
    stroma = (labels == DERMIS) | (labels == SUBCUTIS)
    if float(block.vessel_um.max()) > 0:
        dyes = _laid(dyes, _small_vessel(block, papers, dyes=dyes), labels == SUBCUTIS)
    around = layout.nodes.under(block.box).slices
    if float(layout.bundles.inside_um[around].max()) > -COAT_UM:
        dyes = _laid(dyes, _bundle(layout, block, papers, dyes=dyes, labels=labels), stroma)
    bulb = (labels == ADNEXA) & (block.kind == Kind.BULB)
    if bulb.any():
        dyes = _laid(dyes, _bulb(block, papers, dyes=dyes), bulb)
    return dyes


def _laid(below: Dyes, above: Dyes, where: NDArray[np.bool_]) -> Dyes:
    """Dyes of the upper layer where it lies."""
    return np.where(where, above[0], below[0]), np.where(where, above[1], below[1])


def _blend(below: Dyes, above: tuple[Floats | float, Floats | float], share: Floats) -> Dyes:
    """Mix two layers."""
    h_dye, e_dye = (
        np.asarray(old * (1 - share) + new * share, np.float32)
        for old, new in zip(below, above, strict=True)
    )
    return h_dye, e_dye


def _elastosis(layout: Layout, block: Block, papers: Wallpapers, *, dyes: Dyes) -> Dyes:
    """A band of tangled, greyish-blue fibres instead of collagen."""
    grade = layout.spec.anatomy.elastosis
    low, high = ELASTOSIS_UM
    bottom = low + (high - low) * grade
    # A block knows distances that are far from its borders by their sign only.
    below_um = refine(layout.nodes, layout.below_dej_um, box=block.box)
    depth = np.asarray(below_um + 22.0 * block.patchiness, np.float32)
    share = _ramp(depth, SPARED_UM) * (1 - _ramp(depth, (0.7 * bottom, 1.15 * bottom)))
    share = share * _ramp(block.patchiness, (-1.6, -0.2)) * min(1.0, 0.55 + 0.6 * grade)
    share = share * _ramp(-block.tumour_um, (5.0, 60.0)) * _ramp(-block.adnexa_um, (6.0, 40.0))
    phase = block.flow_right_um * np.float32(2 * math.pi / 46.0) + 2.0 * block.patchiness
    wave = (7.0 * np.sin(phase) + 4.0 * block.patchiness).astype(np.float32)
    places = (block.flow_down_um + wave, block.flow_right_um)
    curl = _read(papers.streak, places, scale=1.3) + 0.5 * _read(papers.grain, places, scale=1.0)
    # Where the ground has a cleft, the mass has a shallower one.
    body = 0.35 + 0.65 * np.clip(dyes[1] * np.float32(1 / 0.33), 0, 1.15)
    return _blend(dyes, (body * (0.15 + 0.022 * curl), body * (0.175 + 0.022 * curl)), share)


def _small_vessel(block: Block, papers: Wallpapers, *, dyes: Dyes) -> Dyes:
    """Capillaries of the fat."""
    wall, lumen = _ramp(block.vessel_um, (-0.5, 0.7)), _ramp(block.lumen_um, (-0.5, 0.7))
    mixed = _blend(dyes, (0.18, 0.34), wall)
    return _blend(mixed, _blood(block, papers, filling=0.4), lumen)


def _blood(block: Block, papers: Wallpapers, *, filling: float) -> Dyes:
    """Red cells, crowded in one part of the lumen and loose in another."""
    box, scale = block.box, 73.0 / 7.0
    rows, columns = (
        (np.arange(low, high, dtype=np.float32) + 0.5) * block.mpp
        for low, high in ((box.top, box.bottom), (box.left, box.right))
    )
    places = (np.broadcast_to(rows[:, None], box.shape), np.broadcast_to(columns, box.shape))
    index = tile_index(*places, step_um=papers.fat.step_um / scale, edge_px=len(papers.fat.texels))
    border_um = papers.fat.at(index) * np.float32(1 / (BORDER_SCALE * scale))
    grain = _read(papers.grain, places, scale=0.5)
    crowd = _ramp(block.patchiness + 0.25 * grain, (0.7 - 2.0 * filling, 1.2 - 2.0 * filling))
    # Cells touch where they are crowded, and shrink to single ones where they are not.
    single = _ramp(_read(papers.grain, places, scale=0.28), (0.1, 0.5))
    shrunk = np.asarray(border_um + 1.6 * crowd - 1.5, np.float32)
    cells = _ramp(shrunk, (-0.2, 0.9)) * np.maximum(crowd, single)
    e_dye = cells * (0.60 + 0.12 * _ramp(border_um, (0.2, 1.6)) + 0.04 * grain)
    return np.asarray(0.02 * cells, np.float32), np.asarray(e_dye, np.float32)


def _bundle(layout: Layout, block: Block, papers: Wallpapers, *, dyes: Dyes, labels: Bytes) -> Dyes:
    """Muscles, nerves and large vessels, and their coat where they lie in fat."""
    nodes, bundles, box = layout.nodes, layout.bundles, block.box
    inside, core, axis = (
        refine(nodes, plane, box=box)
        for plane in (bundles.inside_um, bundles.core_um, bundles.axis_um)
    )
    kind = _kind_at(layout, box)
    fibres = _read(papers.streak, (block.flow_down_um, block.flow_right_um), scale=0.8)
    ragged = -inside + 5.0 * block.patchiness + 1.5 * fibres
    coat = (1 - _ramp(ragged, (0.5 * COAT_UM, 0.5 * COAT_UM + 2.0))) * (labels == SUBCUTIS)
    clefts = 0.25 + 0.75 * _ramp(fibres, (-1.2, -0.6))
    dyes = _blend(dyes, (0.04 * clefts, (0.32 + 0.05 * fibres) * clefts), coat)
    for code, paint in (
        (Kind.MUSCLE, _muscle),
        (Kind.NERVE, _nerve),
        (Kind.ARTERY, _wall),
        (Kind.VEIN, _wall),
    ):
        here = kind == code
        if here.any():
            drawn = paint(block, papers, places=(inside, core, axis), dyes=dyes)
            dyes = _laid(dyes, drawn, here)
    return dyes


def _kind_at(layout: Layout, box: Box) -> NDArray[np.uint8]:
    """Code of the bundle around each pixel."""
    factor, shape = layout.nodes.factor, layout.nodes.shape
    rows, columns = (
        np.clip(np.rint((np.arange(low, high) + 0.5) / factor).astype(np.intp), 0, count - 1)
        for low, high, count in (
            (box.top, box.bottom, shape[0]),
            (box.left, box.right, shape[1]),
        )
    )
    return layout.bundles.kind[rows][:, columns]


Places = tuple[Floats, Floats, Floats]


def _muscle(block: Block, papers: Wallpapers, *, places: Places, dyes: Dyes) -> Dyes:
    """Even, finely fibrillar, more lilac than collagen; a thin cleft parts it from that."""
    inside, along, across = places
    phase = along * np.float32(2 * math.pi / 70.0) + 1.5 * block.patchiness
    wave = (1.6 * np.sin(phase)).astype(np.float32)
    fibril = _read(papers.streak, (across + wave, along), scale=0.9)
    fine = _read(papers.streak, (across - wave, along), scale=2.2)
    texture = 1 + 0.07 * fibril + 0.05 * fine
    # Bundles of fibres are parted by slits along their way.
    slit = _ramp(_read(papers.streak, (across, along), scale=0.28), (1.5, 2.1))
    body = np.asarray(texture * (1 - 0.6 * slit), np.float32)
    inside = inside + 0.8 * fibril + 1.2 * block.patchiness
    dyes = _blend(dyes, (0.0, 0.03), _ramp(inside, (-2.5, -1.0)) * _ramp(block.patchiness, (0, 1)))
    return _blend(dyes, (0.115 * body, 0.335 * body), _ramp(inside, (-0.3, 1.0)))


def _nerve(block: Block, papers: Wallpapers, *, places: Places, dyes: Dyes) -> Dyes:
    """Pale, wavy fibres in a thin sheath."""
    inside, along, across = places
    phase = along * np.float32(2 * math.pi / 34.0) + 0.9 * block.patchiness
    wave = (3.2 * np.sin(phase)).astype(np.float32)
    fibril = _read(papers.streak, (across + wave, along), scale=1.1)
    pale = np.asarray(0.85 + 0.22 * fibril - 0.2 * _ramp(fibril, (1.0, 1.8)), np.float32)
    dyes = _blend(dyes, (0.0, 0.04), _ramp(inside, (-3.5, -2.0)))
    dyes = _blend(dyes, (0.07, 0.34), _ramp(inside, (-1.5, -0.3)))
    return _blend(dyes, (0.085 * pale, 0.185 * pale), _ramp(inside, (1.8, 3.2)))


def _wall(block: Block, papers: Wallpapers, *, places: Places, dyes: Dyes) -> Dyes:
    """Muscular coat that runs around the lumen, a bright inner layer, and blood."""
    inside, lumen_um, around = places
    fibril = _read(papers.streak, (inside + 40.0, around), scale=0.9)
    wall = _ramp(inside, (-0.5, 1.0))
    slit = 1 - 0.45 * _ramp(_read(papers.streak, (inside + 40.0, around), scale=0.35), (1.1, 1.8))
    dyes = _blend(dyes, ((0.12 + 0.02 * fibril) * slit, (0.33 + 0.05 * fibril) * slit), wall)
    # Beyond the wall the distance to the lumen has no meaning.
    lumen_um = np.minimum(lumen_um, inside - 2.0)
    dyes = _blend(dyes, (0.08, 0.46), np.float32(0.6) * _ramp(lumen_um, (-4.0, -2.5)))
    return _blend(dyes, _blood(block, papers, filling=0.5), _ramp(lumen_um, (-0.6, 0.6)))


def _bulb(block: Block, papers: Wallpapers, *, dyes: Dyes) -> Dyes:
    """Dark matrix around a pale papilla; the cap over the papilla is darker still."""
    grain = _read(papers.grain, (block.flow_down_um, block.flow_right_um), scale=1.0)
    near = 1 - _ramp(-block.core_um, (4.0, 30.0))
    matrix = (0.30 + 0.10 * near + 0.04 * grain, 0.24 + 0.02 * grain)
    dyes = _blend(dyes, matrix, np.float32(0.75) * _ramp(block.adnexa_um, (2.0, 8.0)))
    return _blend(dyes, (0.09 + 0.02 * grain, 0.13 + 0.02 * grain), _ramp(block.core_um, (-1, 1)))


def place_stromal_nuclei(dice: Dice, layout: Layout) -> list[Nuclei]:
    """Nuclei of muscles, nerves, large vessels and papillae."""
    bundles, nodes = layout.bundles, layout.nodes
    slopes = _slopes(bundles.axis_um)
    free = np.maximum(layout.tumour_um, layout.inflamed_um) < -3
    groups = []
    for kind, (habit, per_mm2, spread) in CREWS.items():
        where = (bundles.kind == kind) & (bundles.inside_um > 3) & free
        if kind in (Kind.ARTERY, Kind.VEIN):
            where &= bundles.core_um < -3
        own = dice.stream(kind)
        slide_um = sprinkle(own, nodes, per_mm2=per_mm2, where=where)
        # Places are drawn around nodes: at the border of the mesh some lie half a step beyond.
        nearest = np.rint(slide_um / nodes.step_um).astype(np.intp)
        row, column = np.minimum(nearest, np.array(nodes.shape) - 1).T
        # Fibres run where the coordinate across them stays the same; around a vessel that
        # coordinate is the way around, and its nuclei lie along it.
        down, right = (slope[row, column] for slope in slopes)
        angle = np.arctan2(down, -right)
        if kind in (Kind.ARTERY, Kind.VEIN):
            angle = angle + math.pi / 2
        angle = angle + own.normal(slide_um, channel=TURN, sd=spread)
        groups.append(shape(own, slide_um, habit=habit, angle_rad=angle))
    tubes = (bundles.kind == Kind.ARTERY) | (bundles.kind == Kind.VEIN)
    lumen = np.where(tubes, bundles.core_um, FAR_UM).astype(np.float32)
    groups.append(line(dice, nodes, plane_um=lumen, habit=LINING, spacing_um=15.0, inset_um=-1.5))
    papilla = (layout.adnexa.kind == Kind.BULB) & (layout.adnexa.core_um > 2)
    slide_um = sprinkle(dice, nodes, per_mm2=4200.0, where=papilla)
    angle = any_way(dice, slide_um)
    groups.append(shape(dice, slide_um, habit=PAPILLA, angle_rad=angle))
    return groups


def _slopes(plane: Floats) -> tuple[Floats, Floats]:
    """Slope of a plane down and right; steps, where coordinates wrap, are left out."""
    down, right = np.gradient(plane)
    return np.asarray(down, np.float32), np.asarray(right, np.float32)
