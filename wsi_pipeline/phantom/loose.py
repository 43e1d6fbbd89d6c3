"""What has come loose from the section and lies on the glass?

1. `scatter_scraps` copies small pieces of the section, turned by quarters, to free glass.

A scrap is a copy of the geometry, so its labels, dyes and nuclei follow from it as everywhere
else.  Curves and the tables of follicles and columns know nothing of it, and none holds tumour.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from wsi_pipeline.phantom.adnexa import Structures
from wsi_pipeline.phantom.noise import Floats
from wsi_pipeline.phantom.tissue import Layout

# Half the size of a scrap, µm (judgement).
SCRAP_UM = (20.0, 220.0)
# Height above the surface beyond which no horn lies, µm.
ABOVE_HORN_UM = 170.0
# Glass around a scrap on the mesh, µm: three nodes.
RIM_UM = 12.0
TRIES = 30
Window = tuple[slice, slice]
Node = tuple[int, int]


def scatter_scraps(layout: Layout) -> Layout:
    """The same section with loose pieces of it on the glass around."""
    if layout.spec.surface.scraps == 0:
        return layout
    # Far above all horn lies no tissue, whatever the depth below the surface says.
    outline = np.minimum(layout.outline_um, layout.below_surface_um + ABOVE_HORN_UM)
    layout = replace(layout, outline_um=outline)
    for number in range(layout.spec.surface.scraps):
        layout = _with_scrap(np.random.default_rng([layout.spec.seed, 96, number]), layout)
    return layout


def _with_scrap(rng: np.random.Generator, layout: Layout) -> Layout:
    """One more scrap, if a piece without tumour and a free place for it are found."""
    size = math.exp(rng.uniform(*np.log(SCRAP_UM)))
    reach = math.ceil((1.5 * size + RIM_UM) / layout.nodes.step_um) + 2
    blob = _draw_blob(rng, reach=reach, size_um=size, step_um=layout.nodes.step_um)
    source = _find_source(rng, layout, reach=reach, blob=blob)
    place = _find_glass(rng, layout, reach=reach, blob=blob)
    if source is None or place is None:
        return layout
    turns, near = int(rng.integers(4)), blob > -RIM_UM

    def copied(plane: Floats) -> Floats:
        new = plane.copy()
        new[place][near] = np.rot90(plane[source], turns)[near]
        return new

    def carried(things: Structures) -> Structures:
        kind = things.kind.copy()
        kind[place][near] = np.rot90(things.kind[source], turns)[near]
        return Structures(
            copied(things.inside_um), copied(things.core_um), copied(things.axis_um), kind
        )

    outline = copied(layout.outline_um)
    outline[place][near] = np.minimum(outline[place], blob)[near]
    return replace(
        layout,
        outline_um=outline,
        below_surface_um=copied(layout.below_surface_um),
        below_dej_um=copied(layout.below_dej_um),
        below_dsj_um=copied(layout.below_dsj_um),
        tumour_um=copied(layout.tumour_um),
        inflamed_um=copied(layout.inflamed_um),
        flow_down_um=copied(layout.flow_down_um),
        flow_right_um=copied(layout.flow_right_um),
        fineness=copied(layout.fineness),
        patchiness=copied(layout.patchiness),
        crater_um=copied(layout.crater_um),
        germinal_um=copied(layout.germinal_um),
        adnexa=carried(layout.adnexa),
        vessels=carried(layout.vessels),
        bundles=carried(layout.bundles),
    )


def _draw_blob(rng: np.random.Generator, *, reach: int, size_um: float, step_um: float) -> Floats:
    """Signed distance to a ragged oval in the middle of a square of the mesh, µm."""
    steps = np.arange(-reach, reach + 1) * step_um
    down, right = np.meshgrid(steps, steps, indexing="ij")
    angle, slim = rng.uniform(0, math.pi), rng.uniform(0.2, 1.0)
    along = down * math.cos(angle) + right * math.sin(angle)
    across = (right * math.cos(angle) - down * math.sin(angle)) / slim
    turn = np.arctan2(across, along)
    waves = sum(
        rng.normal(0, 0.22) / math.sqrt(n) * np.cos(n * turn + rng.uniform(0, 2 * math.pi))
        for n in (2, 3, 5, 8, 13)
    )
    edge = np.clip(1 + waves, 0.3, 1.45)
    return np.asarray((size_um * edge - np.hypot(along, across)) * slim, np.float32)


def _find_source(
    rng: np.random.Generator, layout: Layout, *, reach: int, blob: Floats
) -> Window | None:
    """Part of the section to copy: most often about the surface, never with tumour."""
    depth, aim = layout.below_surface_um, rng.random()
    if aim < 0.35:
        low, high = -20.0, 10.0
    elif aim < 0.8:
        low, high = 0.2 * layout.spec.epidermis_um, 1.8 * layout.spec.epidermis_um
    else:
        low, high = 0.0, math.inf
    if layout.skin is None:
        low, high = 0.0, math.inf
    centres = np.argwhere((depth > low) & (depth < high) & (layout.outline_um > 0))
    for node in rng.permutation(len(centres))[:TRIES]:
        window = _around(layout, (int(centres[node, 0]), int(centres[node, 1])), reach=reach)
        if window is not None and not (layout.tumour_um[window] > 0)[_disc(blob)].any():
            return window
    return None


def _disc(blob: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where a blob may lie after any quarter turn."""
    near = blob > -RIM_UM
    return np.asarray(near | np.rot90(near) | np.rot90(near, 2) | np.rot90(near, 3))


def _find_glass(
    rng: np.random.Generator, layout: Layout, *, reach: int, blob: Floats
) -> Window | None:
    """Free glass for a blob; None if the tries meet none."""
    centres = np.argwhere(layout.outline_um < -0.5 * RIM_UM - 0.5 * float(blob.max()))
    for node in rng.permutation(len(centres))[:TRIES]:
        window = _around(layout, (int(centres[node, 0]), int(centres[node, 1])), reach=reach)
        if window is not None and (layout.outline_um[window][blob > -2 * RIM_UM] < 0).all():
            return window
    return None


def _around(layout: Layout, node: Node, *, reach: int) -> Window | None:
    """Square of the mesh around a node; None where it would leave the mesh."""
    inside = all(
        reach <= place < count - reach
        for place, count in zip(node, layout.nodes.shape, strict=True)
    )
    window = tuple(slice(place - reach, place + reach + 1) for place in node)
    return (window[0], window[1]) if inside else None
