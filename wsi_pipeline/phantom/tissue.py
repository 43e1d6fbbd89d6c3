"""Which tissue is where?

1. Draw the layers of the skin and the section's outline.
2. Place follicles, glands and coils, muscles, nerves and large vessels; let the tumour grow
   around those it spares.
3. Put vessels and lymphocytes where stroma is left.

Plain stroma has fat lobules instead of layers, and neither follicles nor glands.

`lay_out` computes every boundary once, as a signed distance on the coarse mesh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from wsi_pipeline.phantom.adnexa import (
    Patch,
    Structures,
    draw_adnexa_horizontal,
    draw_adnexa_vertical,
    draw_vessels,
    merge_patches,
)
from wsi_pipeline.phantom.frame import Frame, Nodes
from wsi_pipeline.phantom.furnish import Ground, add_epithelium, place_bundles
from wsi_pipeline.phantom.infundibula import widen_infundibula
from wsi_pipeline.phantom.lesion import Lesion, add_emboli
from wsi_pipeline.phantom.mimics import cuff_vessels, place_lymphoid_follicles
from wsi_pipeline.phantom.missing import draw_islands, lost_um
from wsi_pipeline.phantom.noise import Floats, smooth_noise
from wsi_pipeline.phantom.serial import drift
from wsi_pipeline.phantom.shapes import distance_um, far_distance_um
from wsi_pipeline.phantom.site import DEEP_UM, grow_tumour, lesion_region, ulcerate
from wsi_pipeline.phantom.skin import Skin, draw_skin
from wsi_pipeline.phantom.spec import LAYERED, PhantomSpec, section_extent_um

# Follicles and glands in groups; bundles.
Things = tuple[list[list[Patch]], Structures]
# How far tumour reaches into the fat lobules of plain stroma, µm.
FAT_INVASION_UM = 90.0


@dataclass(frozen=True, slots=True)
class Layout:
    """The geometry of a phantom; planes are float32 on the mesh, distances in µm.

    Parameters
    ----------
    spec, nodes, skin
        What was asked for; the mesh; the layer curves (None unless the section is vertical).
    outline_um
        Signed distance to the cut edge of the section, positive inside.
    below_surface_um, below_dej_um, below_dsj_um
        Depth below each curve along y, positive below.
    tumour_um, inflamed_um
        Signed distances, positive inside.
    adnexa, vessels
        Follicles and glands; vessels.
    flow_down_um, flow_right_um
        Texture coordinates that follow the skin and waver, so that no texture looks ruled.
    fineness
        0 where collagen is coarse (reticular), 1 where it is fine (papillary, sheaths).
    patchiness
        Smooth noise of standard deviation 1 and 130 µm wavelength: nothing stains evenly.
    lesion
        Parts of the tumour; its outline is ``tumour_um``.
    crater_um
        Signed distance to the outline of an ulcer, whose inside is glass.
    germinal_um
        Signed distance to the germinal centres of lymphoid follicles.
    groups
        Follicles and glands one by one, those of one follicular unit together.
    bundles
        Muscles, nerves and large vessels: stroma, whatever its label.
    """

    spec: PhantomSpec
    nodes: Nodes
    skin: Skin | None
    outline_um: Floats
    below_surface_um: Floats
    below_dej_um: Floats
    below_dsj_um: Floats
    tumour_um: Floats
    inflamed_um: Floats
    adnexa: Structures
    vessels: Structures
    flow_down_um: Floats
    flow_right_um: Floats
    fineness: Floats
    patchiness: Floats
    lesion: Lesion
    crater_um: Floats
    germinal_um: Floats
    groups: list[list[Patch]]
    bundles: Structures


def lay_out(spec: PhantomSpec) -> Layout:
    """Compute the geometry of a phantom."""
    nodes = Nodes.over(Frame.of(spec))
    if spec.section in LAYERED:
        return _lay_out_vertical(spec, nodes, skin=draw_skin(spec))
    return _lay_out_flat(spec, nodes)


def _lay_out_vertical(spec: PhantomSpec, nodes: Nodes, *, skin: Skin) -> Layout:
    """Layers from the surface down, the lesion between them."""
    x_um, y_um = nodes.x_um, nodes.y_um
    moved = drift(spec, nodes)
    surface, dej, dsj = (
        y_um - skin.at(curve, x_um) for curve in (skin.surface_um, skin.dej_um, skin.dsj_um)
    )
    rng = np.random.default_rng([spec.seed, 2])
    ragged = smooth_noise(rng, nodes.places_um, wavelength_um=(70.0, 70.0)) * 2.5
    ragged += smooth_noise(rng, nodes.places_um, wavelength_um=(450.0, 450.0)) * 14
    sides = skin.half_width_um - 40 - np.abs(x_um)
    outline, block = (
        np.asarray(np.minimum(sides, deep - 40 - y_um) + ragged, np.float32)
        for deep in (skin.bottom_um, skin.floor_um)
    )
    drawn = draw_adnexa_vertical(spec, moved, skin=skin)
    drawn = widen_infundibula(spec, moved, groups=drawn)
    islands = draw_islands(spec, moved, skin=skin, among=drawn)
    dej = np.minimum(dej, -islands)
    ground = Ground.of(spec, moved, skin=skin, below_dej_um=dej, outline_um=block)
    things = _furnish(spec, ground, groups=drawn)
    region = np.minimum(lesion_region(spec, nodes, skin=skin), np.minimum(block, -islands - 12))
    layers = (block, surface, dej, dsj)
    layout = _fill(spec, nodes, skin=skin, layers=layers, things=things, region_um=region)
    # What lies deeper than the section reaches is there, but not shown.
    outline = np.minimum(outline, lost_um(spec, nodes, skin=skin))
    return replace(layout, outline_um=np.minimum(layout.outline_um, outline))


def _lay_out_flat(spec: PhantomSpec, nodes: Nodes) -> Layout:
    """A disc of mid dermis, or of plain stroma."""
    x_um, y_um = nodes.x_um, nodes.y_um
    across, down = (extent / 2 for extent in section_extent_um(spec))
    rng = np.random.default_rng([spec.seed, 2])
    ragged = smooth_noise(rng, nodes.places_um, wavelength_um=(110.0, 110.0)) * 2.5
    ragged += smooth_noise(rng, nodes.places_um, wavelength_um=(700.0, 700.0)) * 25
    reach = np.sqrt((x_um / across) ** 2 + (y_um / down) ** 2)
    outline = np.asarray((1 - reach) * min(across, down) - 60 + ragged, np.float32)
    deep, above = np.full_like(x_um, DEEP_UM), np.full_like(x_um, -DEEP_UM)
    is_skin = spec.section == "horizontal"
    moved = drift(spec, nodes)
    drawn = draw_adnexa_horizontal(spec, moved, radii_um=(across, down)) if is_skin else []
    ground = Ground.of(spec, moved, skin=None, below_dej_um=deep, outline_um=outline)
    things = _furnish(spec, ground, groups=drawn)
    fat = (
        above
        if is_skin or not spec.with_subcutis
        else _fat_lobules(spec, nodes, outline_um=outline)
    )
    bulge = smooth_noise(rng, nodes.places_um, wavelength_um=(800.0, 800.0)) * 60
    inner = (math.sqrt(spec.lateral_span) - reach) * min(across, down)
    # Fat is invaded from its edge.
    region = np.minimum(np.minimum(inner + bulge, outline), FAT_INVASION_UM - fat)
    layout = _fill(
        spec, nodes, skin=None, layers=(outline, deep, deep, fat), things=things, region_um=region
    )
    kept = np.minimum(layout.outline_um, lost_um(spec, nodes, skin=None))
    return replace(layout, outline_um=kept)


def _fat_lobules(spec: PhantomSpec, nodes: Nodes, *, outline_um: Floats) -> Floats:
    """Signed distance to the outline of fat lobules in plain stroma."""
    rng = np.random.default_rng([spec.seed, 32])
    field = smooth_noise(rng, nodes.places_um, wavelength_um=(1100.0, 700.0))
    field += 0.35 * smooth_noise(rng, nodes.places_um, wavelength_um=(230.0, 200.0))
    fat = field > np.quantile(field[outline_um > 0], 1 - rng.uniform(0.18, 0.45))
    inner, outer = (distance_um(mask, step_um=nodes.step_um) for mask in (fat, ~fat))
    return np.asarray(ndimage.gaussian_filter(inner - outer, 1.5), np.float32)


def _furnish(spec: PhantomSpec, ground: Ground, *, groups: list[list[Patch]]) -> Things:
    """Follicles and glands, and the bundles between them, as far as the tumour spares them."""
    every = add_epithelium(spec, ground, groups=groups)
    spared = _spare(spec, every, stream=5)
    bundles = [[patch] for patch in place_bundles(spec, ground, groups=every)]
    shown = [patch for (patch,) in _spare(spec, bundles, stream=68)]
    return spared, merge_patches(ground.nodes.shape, shown)


def _spare(spec: PhantomSpec, groups: list[list[Patch]], *, stream: int) -> list[list[Patch]]:
    """Structures that survive: a tumour replaces many follicles and glands in its way."""
    rng = np.random.default_rng([spec.seed, stream])
    loss = 0.0 if spec.architecture == "none" else 0.5 * spec.lateral_span
    kept = rng.random(len(groups)) >= loss
    return [group for group, keep in zip(groups, kept, strict=True) if keep]


def _fill(
    spec: PhantomSpec,
    nodes: Nodes,
    *,
    skin: Skin | None,
    layers: tuple[Floats, Floats, Floats, Floats],
    things: Things,
    region_um: Floats,
) -> Layout:
    """Grow the tumour around what the skin holds, then vessels and inflammation in the rest."""
    outline, surface, dej, dsj = layers
    groups, bundles = things
    crater = ulcerate(spec, nodes, skin=skin, region_um=region_um)
    outline = np.minimum(outline, -crater)
    adnexa = merge_patches(nodes.shape, [patch for group in groups for patch in group])
    moved = drift(spec, nodes)
    top = surface if skin is None else moved.y_um - skin.at(skin.top_um, nodes.x_um)
    flow = _flow(spec, moved, below_surface_um=np.asarray(top, np.float32))
    blocked = np.maximum(adnexa.inside_um, bundles.inside_um + 4.0)
    grown = grow_tumour(
        spec, moved, skin=skin, region_um=region_um, blocked_um=blocked, flow_um=flow[0]
    )
    near_um = far_distance_um(grown.inside_um, step_um=nodes.step_um)
    free = np.minimum(np.minimum(outline, dej), np.minimum(-near_um, -blocked))
    grown = add_emboli(spec, moved, lesion=grown, free_um=np.minimum(free, -dsj))
    tumour = grown.inside_um
    near_um = far_distance_um(tumour, step_um=nodes.step_um)
    free = np.minimum(free, np.minimum(-near_um, -grown.space_um))

    def is_free(x_um: float, y_um: float) -> bool:
        place = nodes.frame.to_slide(np.array([x_um]), np.array([y_um]))
        return bool(nodes.read(free, place)[0] > 22.0)

    drawn = draw_vessels(spec, moved, is_free=is_free)
    vessels = merge_patches(nodes.shape, drawn)
    free = np.minimum(free, -dsj)
    inflamed, germinal = _infiltrate(spec, moved, free_um=free, drawn=drawn, vessels=vessels)
    distances = (outline, surface, dej, dsj, tumour, inflamed)
    fineness = _fineness(
        layers,
        tumour_um=near_um,
        adnexa_um=adnexa.inside_um,
        dense=spec.architecture != "single-file",
    )
    rng = np.random.default_rng([spec.seed, 11])
    patchy = smooth_noise(rng, nodes.places_um, wavelength_um=(130.0, 130.0))
    planes = (adnexa, vessels, *flow, fineness, patchy)
    return Layout(spec, nodes, skin, *distances, *planes, grown, crater, germinal, groups, bundles)


def _infiltrate(
    spec: PhantomSpec, nodes: Nodes, *, free_um: Floats, drawn: list[Patch], vessels: Structures
) -> tuple[Floats, Floats]:
    """Signed distances to lymphocytes of every pattern, and to their germinal centres."""
    inflamed = _inflame(spec, nodes, free_um=free_um, vessels=vessels)
    follicles, germinal = place_lymphoid_follicles(
        spec, nodes, free_um=np.minimum(free_um, -vessels.inside_um)
    )
    cuffs = np.minimum(cuff_vessels(spec, nodes, vessels=drawn), -vessels.inside_um - 1.0)
    patterned = np.minimum(np.maximum(cuffs, follicles), free_um - 2.0)
    return np.maximum(inflamed, patterned), germinal


def _flow(spec: PhantomSpec, nodes: Nodes, *, below_surface_um: Floats) -> tuple[Floats, Floats]:
    """Texture coordinates: depth below the surface and position along it, both wavering."""
    rng = np.random.default_rng([spec.seed, 7])
    # Collagen of plain stroma swirls more than that of skin.
    swirl = 35 if spec.section != "stroma" else 80
    waver = [
        swirl * smooth_noise(rng, nodes.places_um, wavelength_um=(600.0, 450.0))
        + 7 * smooth_noise(rng, nodes.places_um, wavelength_um=(120.0, 120.0))
        for _ in range(2)
    ]
    down = below_surface_um if spec.section in LAYERED else nodes.y_um
    start = rng.uniform(2.0e4, 3.0e4, 2)
    return (
        np.asarray(down + waver[0] + start[0], np.float32),
        np.asarray(nodes.x_um + waver[1] + start[1], np.float32),
    )


def _fineness(
    layers: tuple[Floats, Floats, Floats, Floats],
    *,
    tumour_um: Floats,
    adnexa_um: Floats,
    dense: bool,
) -> Floats:
    """How fine the collagen is: papillary dermis, sheaths of follicles, stroma of the tumour.

    Single files run between bundles that stay as thick as they were: not ``dense``.
    """
    _, surface, dej, _ = layers
    papillary = np.clip(1.5 - dej / 160.0, 0, 1) * (surface < DEEP_UM / 2)
    sheath = np.clip(1.2 + np.minimum(adnexa_um, 0) / 30.0, 0, 1)
    stroma = (0.85 if dense else 0.35) * _fading(-tumour_um, 110.0)
    return np.asarray(np.maximum(papillary, np.maximum(sheath, stroma)), dtype=np.float32)


def _inflame(spec: PhantomSpec, nodes: Nodes, *, free_um: Floats, vessels: Structures) -> Floats:
    """Patches of lymphocytes, denser around vessels and the tumour's border."""
    rng = np.random.default_rng([spec.seed, 6])
    field = smooth_noise(rng, nodes.places_um, wavelength_um=(260.0, 200.0))
    field += 0.5 * smooth_noise(rng, nodes.places_um, wavelength_um=(80.0, 80.0))
    near = _fading(-vessels.inside_um, 30.0) + _fading(free_um, 60.0)
    level = 2.9 - 1.5 * spec.inflammation
    patch = (field + 0.9 * near - level) * 40.0 if spec.inflammation > 0 else field * 0 - DEEP_UM
    return np.asarray(np.minimum(patch, free_um - 2.0), dtype=np.float32)


def _fading(away_um: Floats, reach_um: float) -> Floats:
    """1 at a border, falling by e over the reach and to nothing at 2.3 times that."""
    fade = np.exp(np.maximum(away_um, 0) * np.float32(-1 / reach_um))
    return np.asarray(np.maximum(fade - 0.1, 0) / 0.9, np.float32)
