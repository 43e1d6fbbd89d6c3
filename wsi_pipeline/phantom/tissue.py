"""Which tissue is where?

1. Draw the layers of the skin and the section's outline.
2. Place follicles, glands and coils; let the tumour grow around those it spares.
3. Put vessels and lymphocytes where stroma is left.

`lay_out` computes every boundary once, as a signed distance on the coarse mesh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wsi_pipeline.phantom.adnexa import (
    Patch,
    Structures,
    draw_adnexa_horizontal,
    draw_adnexa_vertical,
    draw_vessels,
    merge_patches,
)
from wsi_pipeline.phantom.frame import Frame, Nodes
from wsi_pipeline.phantom.lesion import paint_lesion
from wsi_pipeline.phantom.noise import Floats, smooth_noise
from wsi_pipeline.phantom.skin import Skin, draw_skin
from wsi_pipeline.phantom.spec import PhantomSpec, section_extent_um

DEEP_UM = 1.0e4


@dataclass(frozen=True, slots=True)
class Layout:
    """The geometry of a phantom; planes are float32 on the mesh, distances in µm.

    Parameters
    ----------
    spec, nodes, skin
        What was asked for; the mesh; the layer curves (None for a horizontal section).
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


def lay_out(spec: PhantomSpec) -> Layout:
    """Compute the geometry of a phantom."""
    nodes = Nodes.over(Frame.of(spec))
    if spec.section == "vertical":
        return _lay_out_vertical(spec, nodes, skin=draw_skin(spec))
    return _lay_out_horizontal(spec, nodes)


def _lay_out_vertical(spec: PhantomSpec, nodes: Nodes, *, skin: Skin) -> Layout:
    """Layers from the surface down, the lesion between them."""
    x_um, y_um = nodes.x_um, nodes.y_um
    surface, dej, dsj = (
        y_um - skin.at(curve, x_um) for curve in (skin.surface_um, skin.dej_um, skin.dsj_um)
    )
    rng = np.random.default_rng([spec.seed, 2])
    ragged = smooth_noise(rng, nodes.places_um, wavelength_um=(70.0, 70.0)) * 2.5
    ragged += smooth_noise(rng, nodes.places_um, wavelength_um=(450.0, 450.0)) * 14
    outline = (
        np.minimum(skin.half_width_um - 40 - np.abs(x_um), skin.bottom_um - 40 - y_um) + ragged
    )
    patches = _spare(spec, draw_adnexa_vertical(spec, nodes, skin=skin))
    region = np.minimum(_lesion_region(spec, nodes, skin=skin), outline)
    return _fill(
        spec, nodes, skin=skin, layers=(outline, surface, dej, dsj), lesion=(region, patches)
    )


def _lay_out_horizontal(spec: PhantomSpec, nodes: Nodes) -> Layout:
    """A disc of mid dermis."""
    x_um, y_um = nodes.x_um, nodes.y_um
    across, down = (extent / 2 for extent in section_extent_um(spec))
    rng = np.random.default_rng([spec.seed, 2])
    ragged = smooth_noise(rng, nodes.places_um, wavelength_um=(110.0, 110.0)) * 2.5
    ragged += smooth_noise(rng, nodes.places_um, wavelength_um=(700.0, 700.0)) * 25
    reach = np.sqrt((x_um / across) ** 2 + (y_um / down) ** 2)
    outline = np.asarray((1 - reach) * min(across, down) - 60 + ragged, np.float32)
    deep, above = np.full_like(x_um, DEEP_UM), np.full_like(x_um, -DEEP_UM)
    patches = _spare(spec, draw_adnexa_horizontal(spec, nodes, radii_um=(across, down)))
    bulge = smooth_noise(rng, nodes.places_um, wavelength_um=(800.0, 800.0)) * 60
    inner = (math.sqrt(spec.lateral_span) - reach) * min(across, down)
    region = np.minimum(inner + bulge, outline)
    return _fill(
        spec, nodes, skin=None, layers=(outline, deep, deep, above), lesion=(region, patches)
    )


def _spare(spec: PhantomSpec, groups: list[list[Patch]]) -> list[Patch]:
    """Structures that survive: a tumour replaces many follicles and glands in its way."""
    rng = np.random.default_rng([spec.seed, 5])
    loss = 0.0 if spec.architecture == "none" else 0.5 * spec.lateral_span
    kept = rng.random(len(groups)) >= loss
    return [patch for group, keep in zip(groups, kept, strict=True) if keep for patch in group]


def _lesion_region(spec: PhantomSpec, nodes: Nodes, *, skin: Skin) -> Floats:
    """Signed distance to the border of the region that tumour may fill."""
    x_um, y_um = nodes.x_um, nodes.y_um
    rng = np.random.default_rng([spec.seed, 20])
    half_um = spec.lateral_span * skin.half_width_um
    shift = rng.uniform(-1, 1) * 0.5 * (skin.half_width_um - half_um)
    envelope, dsj = skin.at(skin.envelope_um, x_um), skin.at(skin.dsj_um, x_um)
    low, high = (envelope + share * (dsj - envelope) for share in spec.depth_span)
    # The region only ever shrinks from the asked span, so the span is never exceeded.
    waver = [
        np.abs(smooth_noise(rng, nodes.places_um, wavelength_um=(700.0, 420.0))) * reach
        for reach in (0.16 * half_um, 12.0, 12.0)
    ]
    sides = half_um - np.abs(x_um - shift) - waver[0]
    floor = np.minimum(y_um - low - waver[1], high - y_um - waver[2])
    # Tumour never touches the ridges themselves: it lies in the dermis.
    clear = y_um - skin.at(skin.dej_um, x_um) - 4.0
    return np.asarray(np.minimum(np.minimum(sides, floor), clear), dtype=np.float32)


def _fill(
    spec: PhantomSpec,
    nodes: Nodes,
    *,
    skin: Skin | None,
    layers: tuple[Floats, Floats, Floats, Floats],
    lesion: tuple[Floats, list[Patch]],
) -> Layout:
    """Grow the tumour around what the skin holds, then vessels and inflammation in the rest."""
    outline, surface, dej, dsj = layers
    region, patches = lesion
    adnexa = merge_patches(nodes.shape, patches)
    tumour = paint_lesion(spec, nodes, region_um=region)
    tumour = np.minimum(tumour, -adnexa.inside_um - 10.0)
    free = np.minimum(np.minimum(outline, dej), np.minimum(-tumour, -adnexa.inside_um))

    def is_free(x_um: float, y_um: float) -> bool:
        place = nodes.frame.to_slide(np.array([x_um]), np.array([y_um]))
        return bool(nodes.read(free, place)[0] > 22.0)

    vessels = merge_patches(nodes.shape, draw_vessels(spec, nodes, is_free=is_free))
    inflamed = _inflame(spec, nodes, free_um=np.minimum(free, -dsj), vessels=vessels)
    distances = (outline, surface, dej, dsj, tumour, inflamed)
    fineness = _fineness(layers, tumour_um=tumour, adnexa_um=adnexa.inside_um)
    rng = np.random.default_rng([spec.seed, 11])
    patchy = smooth_noise(rng, nodes.places_um, wavelength_um=(130.0, 130.0))
    flow = _flow(spec, nodes, below_surface_um=surface)
    return Layout(spec, nodes, skin, *distances, adnexa, vessels, *flow, fineness, patchy)


def _flow(spec: PhantomSpec, nodes: Nodes, *, below_surface_um: Floats) -> tuple[Floats, Floats]:
    """Texture coordinates: depth below the surface and position along it, both wavering."""
    rng = np.random.default_rng([spec.seed, 7])
    waver = [
        35 * smooth_noise(rng, nodes.places_um, wavelength_um=(600.0, 450.0))
        + 7 * smooth_noise(rng, nodes.places_um, wavelength_um=(120.0, 120.0))
        for _ in range(2)
    ]
    down = below_surface_um if spec.section == "vertical" else nodes.y_um
    start = rng.uniform(2.0e4, 3.0e4, 2)
    return (
        np.asarray(down + waver[0] + start[0], np.float32),
        np.asarray(nodes.x_um + waver[1] + start[1], np.float32),
    )


def _fineness(
    layers: tuple[Floats, Floats, Floats, Floats], *, tumour_um: Floats, adnexa_um: Floats
) -> Floats:
    """How fine the collagen is: papillary dermis, sheaths of follicles, stroma of the tumour."""
    _, surface, dej, _ = layers
    papillary = np.clip(1.5 - dej / 160.0, 0, 1) * (surface < DEEP_UM / 2)
    sheath = np.clip(1.2 + np.minimum(adnexa_um, 0) / 30.0, 0, 1)
    stroma = 0.85 * np.exp(np.minimum(tumour_um, 0) / 110.0)
    return np.asarray(np.maximum(papillary, np.maximum(sheath, stroma)), dtype=np.float32)


def _inflame(spec: PhantomSpec, nodes: Nodes, *, free_um: Floats, vessels: Structures) -> Floats:
    """Patches of lymphocytes, denser around vessels and the tumour's border."""
    rng = np.random.default_rng([spec.seed, 6])
    field = smooth_noise(rng, nodes.places_um, wavelength_um=(260.0, 200.0))
    field += 0.5 * smooth_noise(rng, nodes.places_um, wavelength_um=(80.0, 80.0))
    near = np.exp(-np.maximum(-vessels.inside_um, 0) / 30.0) + np.exp(
        -np.maximum(free_um, 0) / 60.0
    )
    level = 2.9 - 1.5 * spec.inflammation
    patch = (field + 0.9 * near - level) * 40.0 if spec.inflammation > 0 else field * 0 - DEEP_UM
    return np.asarray(np.minimum(patch, free_um - 2.0), dtype=np.float32)
