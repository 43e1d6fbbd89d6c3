"""What does one section look like on the measurement plane?

1. Cut the section's box out of the label map; what belongs to another section is glass.
2. Gather whole blocks of label pixels, in an absolute phase, into measurement pixels.
3. A measurement pixel keeps its commonest class and its exact shares of tumour and tissue,
   so that areas do not depend on the pixel width.
4. A margin of glass goes round it, so that every border of the tissue is inside the plane.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import BACKGROUND, CLASS_NAMES, KERATIN, TUMOUR
from wsi_pipeline.geometry import Box, Grid

# Probabilities are stored as 255 times their value.
_HALF = 128


@dataclass(frozen=True, slots=True, eq=False)
class SectionPlane:
    """One section on the plane on which it is measured.

    Parameters
    ----------
    section_id
        Its value in the section map.
    box_um
        ``(top, left, bottom, right)`` of the section without margin, slide frame, µm.
    grid
        The measurement plane, margin included.
    classes
        uint8 (Y, X): commonest class of a pixel.
    tumour, tissue
        float32 (Y, X), 0-1: share of a pixel that is tumour; that is anything but background.
    areas_um2
        Exact area of each class, in the order of the label values.
    is_cut
        Whether its tissue reaches the edge of the label plane.
    labels
        uint8 (Y, X) on ``labels_grid``: the section's own label pixels, glass elsewhere.
    labels_grid
        Their grid, without margin.
    tumour_probability
        uint8 (Y, X) on ``labels_grid``: 255 times the probability of tumour; None if not known.
    """

    section_id: int
    box_um: tuple[float, float, float, float]
    grid: Grid
    classes: NDArray[np.uint8]
    tumour: NDArray[np.float32]
    tissue: NDArray[np.float32]
    areas_um2: tuple[float, ...]
    is_cut: bool
    labels: NDArray[np.uint8]
    labels_grid: Grid
    tumour_probability: NDArray[np.uint8] | None = None

    @property
    def tissue_um2(self) -> float:
        """Area of all classes but background, µm²."""
        return sum(self.areas_um2) - self.areas_um2[BACKGROUND]

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Glass and keratin that reach the rim of the plane: what lies above the epidermis."""
        cover = (self.classes == BACKGROUND) | (self.classes == KERATIN)
        parts, _ = ndimage.label(cover)
        return np.asarray(parts == parts[0, 0])


def section_planes(
    labels: NDArray[np.uint8],
    *,
    grid: Grid,
    sections: NDArray[np.uint8],
    sections_grid: Grid,
    mpp: float,
    margin_um: float,
    tumour_probability: NDArray[np.uint8] | None = None,
) -> Iterator[SectionPlane]:
    """Yield every section on its own plane, one at a time.

    Parameters
    ----------
    labels
        uint8 (Y, X) class of every pixel of ``grid``.
    sections
        uint8 (Y, X) on ``sections_grid``: 0 glass, n the n-th piece of tissue.
    mpp
        Wanted pixel width, µm; the nearest whole multiple of the label pixel is taken.
    margin_um
        Least width of the glass kept around the section, µm.
    tumour_probability
        uint8 (Y, X) on ``grid``: 255 times the probability of tumour.
    """
    block_px = max(1, round(mpp / grid.mpp))
    margin_px = math.ceil(margin_um / (block_px * grid.mpp)) + 2
    for section_id, found in enumerate(ndimage.find_objects(sections), start=1):
        if found is None:
            continue
        rows, columns = found
        box = Box(rows.start, columns.start, rows.stop, columns.stop)
        inner = _whole_blocks(grid.covering(box, sections_grid) & grid.box, block_px)
        member = _member_mask(sections == section_id, sections_grid, grid=grid, box=inner)
        own = _cut(labels, inner) * member
        found_plane = _plane(
            own,
            section_id=section_id,
            grid=grid.cropped(inner),
            box_um=_box_um(box, sections_grid),
            is_cut=_reaches_edge(own, inner, grid.box),
            block_px=block_px,
            margin_px=margin_px,
        )
        if tumour_probability is None:
            yield found_plane
        else:
            yield replace(found_plane, tumour_probability=_cut(tumour_probability, inner))


def _box_um(box: Box, grid: Grid) -> tuple[float, float, float, float]:
    """Corners of a box in the slide frame, µm."""
    return grid.to_um(box.top, box.left) + grid.to_um(box.bottom, box.right)


def _whole_blocks(box: Box, block_px: int) -> Box:
    """Smallest box of whole blocks around ``box``; blocks start at the plane's corner."""
    return Box(
        box.top // block_px * block_px,
        box.left // block_px * block_px,
        -(-box.bottom // block_px) * block_px,
        -(-box.right // block_px) * block_px,
    )


def _cut(labels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Cut out a box that may reach over the lower and right edge; glass lies beyond them."""
    part = labels[box.slices]
    lacking = [(0, want - have) for want, have in zip(box.shape, part.shape, strict=True)]
    return np.pad(part, lacking, constant_values=BACKGROUND)


def _reaches_edge(own: NDArray[np.uint8], box: Box, plane: Box) -> bool:
    """Whether labels of ``box`` lie on the outermost rows or columns of ``plane``."""
    tissue = own != BACKGROUND
    edges = plane.within(box)
    rims = (
        tissue[:1] if box.top == plane.top else tissue[:0],
        tissue[:, :1] if box.left == plane.left else tissue[:, :0],
        tissue[edges.bottom - 1 : edges.bottom],
        tissue[:, edges.right - 1 : edges.right],
    )
    return any(bool(rim.any()) for rim in rims)


def _member_mask(
    member: NDArray[np.bool_], member_grid: Grid, *, grid: Grid, box: Box
) -> NDArray[np.bool_]:
    """Tell for each pixel of ``box`` on ``grid`` whether its centre lies in the section."""
    step = grid.mpp / member_grid.mpp
    start = member_grid.from_um(*grid.to_um(box.top + 0.5, box.left + 0.5))
    rows, columns = (
        np.clip(np.floor(first + step * np.arange(count)).astype(np.intp), 0, size - 1)
        for first, count, size in zip(start, box.shape, member.shape, strict=True)
    )
    return np.asarray(member[rows][:, columns])


def block_counts(labels: NDArray[np.uint8], block_px: int) -> NDArray[np.uint16]:
    """(classes, Y, X): label pixels of each class in each block."""
    rows, columns = labels.shape[0] // block_px, labels.shape[1] // block_px
    counts = np.empty((len(CLASS_NAMES), rows, columns), np.uint16)
    for value, count in enumerate(counts):
        count[:] = _block_count(labels == value, block_px)
    return counts


def _block_count(mask: NDArray[Any], block_px: int) -> NDArray[np.uint16]:
    """Marked label pixels of each block, or the sum of their bytes."""
    # Adding strided slices is five times as fast as a reshaped sum over short axes.
    across = reduce(np.add, (mask[:, k::block_px].astype(np.uint16) for k in range(block_px)))
    return np.asarray(reduce(np.add, (across[k::block_px] for k in range(block_px))))


def block_share(mask: NDArray[np.bool_], plane: SectionPlane) -> NDArray[np.float32]:
    """Share of each measurement pixel of a section that a mask of its label pixels covers."""
    block_px, margin_px = _block_and_margin(plane)
    return np.pad(_block_count(mask, block_px) / np.float32(block_px**2), margin_px)


def probable_sums(
    plane: SectionPlane, probability: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Label pixels that are more probably tumour than not, and the sum of their probabilities.

    float32 (Y, X) on the measurement plane each, from ``tumour_probability``.
    """
    block_px, margin_px = _block_and_margin(plane)
    probable = (probability >= _HALF) & (plane.labels != BACKGROUND)
    counts, sums = (
        np.pad(_block_count(values, block_px).astype(np.float32), margin_px)
        for values in (probable, np.where(probable, probability, np.uint8(0)))
    )
    return counts, sums / np.float32(255)


def label_mask(mask: NDArray[np.bool_], plane: SectionPlane) -> NDArray[np.bool_]:
    """Label pixels that lie in the marked measurement pixels of a section."""
    block_px, margin_px = _block_and_margin(plane)
    inner = mask[margin_px:-margin_px, margin_px:-margin_px]
    return inner.repeat(block_px, axis=0).repeat(block_px, axis=1)


def _block_and_margin(plane: SectionPlane) -> tuple[int, int]:
    """Label pixels to a measurement pixel, and measurement pixels of glass on each side."""
    block_px = round(plane.grid.mpp / plane.labels_grid.mpp)
    return block_px, (plane.grid.shape[0] - plane.labels.shape[0] // block_px) // 2


def _plane(
    own: NDArray[np.uint8],
    *,
    section_id: int,
    grid: Grid,
    box_um: tuple[float, float, float, float],
    is_cut: bool,
    block_px: int,
    margin_px: int,
) -> SectionPlane:
    """Gather label pixels into classes, shares and areas."""
    counts, pixels = block_counts(own, block_px), float(block_px**2)
    tissue = 1 - counts[BACKGROUND] / np.float32(pixels)
    tumour = counts[TUMOUR] / np.float32(pixels)
    rim = Box.of_shape(tissue.shape).expanded(margin_px)
    return SectionPlane(
        section_id=section_id,
        box_um=box_um,
        grid=Grid(tissue.shape, grid.mpp * block_px, grid.origin_um).cropped(rim),
        classes=np.pad(counts.argmax(axis=0).astype(np.uint8), margin_px),
        tumour=np.pad(tumour, margin_px),
        tissue=np.pad(tissue, margin_px),
        areas_um2=tuple(
            float(total) * grid.pixel_area_um2 for total in counts.sum(axis=(1, 2), dtype=np.int64)
        ),
        is_cut=is_cut,
        labels=own,
        labels_grid=grid,
    )
