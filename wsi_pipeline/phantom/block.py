"""What is at each pixel of this block?

1. `read_block` interpolates the geometry at the pixels of a box.
2. `label_block` decides the class of each pixel from the signs of the distances.

The label is exact in this sense: it *is* the sign of the interpolated distances, and the
picture is painted from the same values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import (
    ADNEXA,
    BACKGROUND,
    DERMIS,
    EPIDERMIS,
    INFLAMMATION,
    KERATIN,
    SUBCUTIS,
    TUMOUR,
)
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom.adnexa import Kind
from wsi_pipeline.phantom.frame import Nodes, refine
from wsi_pipeline.phantom.look import Look
from wsi_pipeline.phantom.noise import Bytes, Floats
from wsi_pipeline.phantom.tissue import Layout

# Beyond this distance from a border nothing is drawn that depends on it, µm.
FAR_UM = 120.0


@dataclass(frozen=True, slots=True)
class Block:
    """Geometry at the pixels of a box, float32 (Y, X) in µm unless said otherwise.

    Distances further than `FAR_UM` from zero are only right in sign.  ``retraction`` is the
    width of the clefts around tumour, 0 to 1; ``flaking`` the looseness of horn.
    """

    box: Box
    mpp: float
    outline_um: Floats
    below_surface_um: Floats
    below_dej_um: Floats
    below_dsj_um: Floats
    tumour_um: Floats
    inflamed_um: Floats
    adnexa_um: Floats
    core_um: Floats
    axis_um: Floats
    kind: Bytes
    vessel_um: Floats
    lumen_um: Floats
    flow_down_um: Floats
    flow_right_um: Floats
    fineness: Floats
    patchiness: Floats
    gland_um: Floats
    necrosis_um: Floats
    space_um: Floats
    crater_um: Floats
    germinal_um: Floats
    retraction: float
    flaking: float
    look: Look


def read_block(layout: Layout, box: Box) -> Block:
    """Interpolate the geometry of a phantom at the pixels of a box."""
    nodes = layout.nodes

    def read(plane: Floats) -> Floats:
        return _read_near(nodes, plane, box=box)

    return Block(
        box=box,
        mpp=nodes.frame.mpp,
        outline_um=read(layout.outline_um),
        below_surface_um=read(layout.below_surface_um),
        below_dej_um=read(layout.below_dej_um),
        below_dsj_um=read(layout.below_dsj_um),
        tumour_um=read(layout.tumour_um),
        inflamed_um=read(layout.inflamed_um),
        adnexa_um=read(layout.adnexa.inside_um),
        core_um=read(layout.adnexa.core_um),
        axis_um=read(layout.adnexa.axis_um),
        kind=_read_kind(nodes, layout.adnexa.kind, box=box),
        vessel_um=read(layout.vessels.inside_um),
        lumen_um=read(layout.vessels.core_um),
        flow_down_um=refine(nodes, layout.flow_down_um, box=box),
        flow_right_um=refine(nodes, layout.flow_right_um, box=box),
        fineness=refine(nodes, layout.fineness, box=box),
        patchiness=refine(nodes, layout.patchiness, box=box),
        gland_um=read(layout.lesion.lumen_um),
        necrosis_um=read(layout.lesion.necrosis_um),
        space_um=read(layout.lesion.space_um),
        crater_um=read(layout.crater_um),
        germinal_um=read(layout.germinal_um),
        retraction=layout.spec.retraction,
        flaking=layout.spec.surface.flaking,
        look=layout.spec.look,
    )


def _read_near(nodes: Nodes, plane: Floats, *, box: Box) -> Floats:
    """Interpolate a distance; where the border is far from the whole box, only its sign."""
    around = plane[nodes.under(box).slices]
    low, high = float(around.min()), float(around.max())
    if low > FAR_UM or high < -FAR_UM:
        return np.full(box.shape, low if low > 0 else high, np.float32)
    return refine(nodes, plane, box=box)


def _read_kind(nodes: Nodes, plane: Bytes, *, box: Box) -> Bytes:
    """Code that prevails around each pixel; between two structures the seam is smooth."""
    around = plane[nodes.under(box).slices]
    kind = np.full(box.shape, around.max(), np.uint8)
    for code in np.unique(around)[:-1]:
        kind[refine(nodes, (plane == code).astype(np.float32), box=box) > 0.5] = code
    return kind


def is_bare(layout: Layout, box: Box) -> bool:
    """Whether a box shows nothing but glass."""
    around = layout.nodes.under(box).slices
    above_all_horn = layout.below_surface_um[around].max() < -FAR_UM
    return bool(layout.outline_um[around].max() < 0 or above_all_horn)


def label_block(block: Block, *, horn: NDArray[np.bool_]) -> Bytes:
    """Class of every pixel.

    Parameters
    ----------
    block
        Geometry at the pixels.
    horn : bool (Y, X)
        Where the stratum corneum above the surface has substance.

    Returns
    -------
    uint8 (Y, X)
        Values of `wsi_pipeline.classes`.

    Notes
    -----
    White is not always background: clefts and vessel lumens in the dermis are dermis, the
    inside of a fat cell is subcutis, the lumen of a gland is adnexa, the plugged mouth of a
    follicle is keratin.  Glass between detached flakes of horn is background, and so is the
    lumen of a tumour gland: it is no tissue, and being enclosed by tumour it can be counted.
    Necrotic tumour is tumour; the fibrin of an ulcer's base is dermis.
    """
    above_surface = block.below_surface_um <= 0
    in_adnexa = block.adnexa_um > 0
    plug = in_adnexa & (block.core_um > 0) & (block.kind == Kind.FOLLICLE)
    labels = np.full(block.box.shape, DERMIS, np.uint8)
    labels[block.below_dsj_um > 0] = SUBCUTIS
    labels[block.inflamed_um > 0] = INFLAMMATION
    labels[block.tumour_um > 0] = TUMOUR
    labels[block.gland_um > 0] = BACKGROUND
    labels[in_adnexa] = ADNEXA
    labels[block.below_dej_um <= 0] = EPIDERMIS
    labels[plug] = KERATIN
    labels[above_surface] = BACKGROUND
    labels[above_surface & horn] = KERATIN
    labels[block.outline_um <= 0] = BACKGROUND
    return labels
