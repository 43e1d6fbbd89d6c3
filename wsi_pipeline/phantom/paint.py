"""What would a slide look like whose truth we know?

1. Lay out the geometry, place the nuclei, paint the textures: once.
2. Block by block: interpolate the geometry, label, stain, draw the nuclei, expose, digitise.
3. Take the truth from the same geometry.

A block is painted with a halo as wide as the blur, so the picture has no seams; textures
and nuclei are functions of the place on the glass, never of the block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom.block import is_bare, label_block, read_block
from wsi_pipeline.phantom.census import Table
from wsi_pipeline.phantom.frozen import crystallised, smeared, swollen
from wsi_pipeline.phantom.frozen import halo_px as frozen_halo_px
from wsi_pipeline.phantom.loose import scatter_scraps
from wsi_pipeline.phantom.marks import Marks, lay_marks, mark_codes, measure_marks, without_torn
from wsi_pipeline.phantom.noise import Bytes, Floats
from wsi_pipeline.phantom.nuclei import Nuclei, place_nuclei
from wsi_pipeline.phantom.optics import digitise, expose
from wsi_pipeline.phantom.scanner import doubled, halo_px, spoil, torn
from wsi_pipeline.phantom.spec import PhantomSpec, depth_stretch
from wsi_pipeline.phantom.stain import horn_mask, stain_block
from wsi_pipeline.phantom.stamp import stamp_nuclei
from wsi_pipeline.phantom.stroma import dress
from wsi_pipeline.phantom.tissue import lay_out
from wsi_pipeline.phantom.truth import junction_um, take_truth
from wsi_pipeline.phantom.wallpaper import Wallpapers, paint_wallpapers

CURVES: tuple[Literal["dej", "dsj", "envelope"], ...] = ("dej", "dsj", "envelope")
# Half a megabyte per plane: a block and its intermediates stay in the cache.
BLOCK_PX = 512


@dataclass(frozen=True, slots=True)
class Phantom:
    """A painted slide together with everything that is true about it.

    Parameters
    ----------
    spec
        What was asked for.
    image : uint8 (Y, X, 3)
        RGB at ``spec.mpp``.
    labels : uint8 (Y, X)
        Class of every pixel.
    dej_um, dsj_um : float64 (N, 2)
        Dermo-epidermal and dermo-subcutaneous junction where the section shows them,
        ``(down, right)`` on the slide, µm; empty for horizontal sections.
    nuclei
        Structured array, see `wsi_pipeline.phantom.nuclei.NUCLEUS_DTYPE`.
    truth
        What a perfect measurement would find, see `wsi_pipeline.phantom.truth`.
    artefacts : uint8 (Y, X)
        Which defects touch each cell of about 8 µm, see `wsi_pipeline.phantom.marks.mark_codes`.
    envelope_um : float64 (N, 2)
        The dermo-epidermal junction without its ridges, the datum of relative depth.
    nests, follicles, columns
        Structured arrays: pieces of tumour and hair follicles (`wsi_pipeline.phantom.census`),
        and the dermis place by place along the skin (`wsi_pipeline.phantom.columns`).
    """

    spec: PhantomSpec
    image: Bytes
    labels: Bytes
    dej_um: NDArray[np.float64]
    dsj_um: NDArray[np.float64]
    nuclei: Nuclei
    truth: dict[str, Any]
    artefacts: Bytes
    envelope_um: NDArray[np.float64]
    nests: Table
    follicles: Table
    columns: Table


def paint_phantom(spec: PhantomSpec) -> Phantom:
    """Paint a phantom.

    Parameters
    ----------
    spec
        What to paint; equal specs give equal bytes.

    Returns
    -------
    Phantom
    """
    layout, papers = scatter_scraps(lay_out(spec)), paint_wallpapers(spec.seed)
    marks = lay_marks(layout)
    nuclei = without_torn(place_nuclei(layout), marks)
    nuclei = swollen(nuclei, spec.frozen, seed=spec.seed)
    shape = layout.nodes.frame.shape
    image, labels = np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint8)
    for box in _blocks(shape):
        image[box.slices], labels[box.slices] = _paint_block(marks, papers, nuclei=nuclei, box=box)
    codes = mark_codes(marks)
    truth, tables = take_truth(layout, labels, nuclei=nuclei)
    truth["artefacts"] = measure_marks(marks, codes, labels=labels)
    dej_um, dsj_um, envelope_um = (junction_um(layout, name) for name in CURVES)
    return Phantom(spec, image, labels, dej_um, dsj_um, nuclei, truth, codes, envelope_um, *tables)


def _blocks(shape: tuple[int, int]) -> Iterator[Box]:
    """Boxes that cover a plane."""
    whole = Box.of_shape(shape)
    for top in range(0, shape[0], BLOCK_PX):
        for left in range(0, shape[1], BLOCK_PX):
            yield Box(top, left, top + BLOCK_PX, left + BLOCK_PX) & whole


def _paint_block(
    marks: Marks, papers: Wallpapers, *, nuclei: Nuclei, box: Box
) -> tuple[Bytes, Bytes]:
    """Image and labels of one block."""
    layout, spec = marks.layout, marks.layout.spec
    near = box.expanded(int(np.ceil(2.5 * spec.psf_um / spec.mpp)) + 1)
    wide = near.expanded(halo_px(marks, near) + frozen_halo_px(spec.frozen, mpp=spec.mpp))
    if is_bare(layout, wide):
        light, labels = _glass(spec, wide), np.full(wide.shape, BACKGROUND, np.uint8)
    else:
        light, labels = _paint_section(marks, papers, nuclei=nuclei, box=wide)
    own = box.within(wide).slices
    light = spoil(light, marks, labels=labels, box=wide)[(slice(None), *own)]
    return digitise(light, noise=_sensor_noise(spec, papers.sensor, box=box)), labels[own]


def _paint_section(
    marks: Marks, papers: Wallpapers, *, nuclei: Nuclei, box: Box
) -> tuple[Floats, Bytes]:
    """Light through the stained section, and its labels."""
    spec = marks.layout.spec
    block = read_block(marks.layout, box)
    labels = label_block(block, horn=horn_mask(block, papers, spec=_cut(spec)))
    labels = torn(labels, marks, box=box)
    dyes = stain_block(block, papers, labels=labels)
    dyes = dress(marks.layout, block, papers, dyes=dyes, labels=labels)
    h_dye, e_dye = crystallised(dyes, block, papers, labels=labels, frozen=spec.frozen)
    ink = stamp_nuclei(nuclei, box, mpp=spec.mpp, grain=papers.grain)
    cover = np.where(labels == BACKGROUND, np.float32(0), ink.cover)
    # A nucleus replaces what was there; of the cytoplasm above and below it some eosin stays.
    dyes = (
        np.asarray(h_dye * (1 - cover) + ink.haematoxylin * (cover > 0), np.float32),
        np.asarray(e_dye * (1 - np.float32(0.72) * cover), np.float32),
    )
    dyes = smeared(dyes, labels=labels, frozen=spec.frozen, mpp=spec.mpp)
    return expose(doubled(dyes, marks, box=box), spec), labels


def _cut(spec: PhantomSpec) -> PhantomSpec:
    """Spec whose horny layer is as thick as the section shows it."""
    if spec.section != "oblique":
        return spec
    return replace(spec, corneum_um=spec.corneum_um * depth_stretch(spec))


def _glass(spec: PhantomSpec, box: Box) -> Floats:
    """Light through bare glass."""
    light = np.empty((3, *box.shape), np.float32)
    light[:] = np.array(spec.glass_rgb, np.float32)[:, None, None]
    return light


def _sensor_noise(spec: PhantomSpec, white: Floats, *, box: Box) -> Floats:
    """Noise of a block: three windows at random places of one large field.

    Drawing fresh numbers for every pixel took a fifth of the whole painting time.
    """
    rng = np.random.default_rng([spec.seed, 10, box.top, box.left])
    starts = rng.integers(0, len(white) - BLOCK_PX, (3, 2))
    windows = [white[top : top + box.height, left : left + box.width] for top, left in starts]
    return np.stack(windows) * np.float32(255 * spec.noise)
