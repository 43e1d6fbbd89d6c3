"""Where does a class begin and end?

1. `outline_regions`: pieces too small to be corrected join what surrounds them, the outlines of
   the remaining ones are traced along pixel edges (`tracing`) and simplified together, so that
   neighbours keep one common border without gaps or overlaps.
2. `fill_regions`: a pixel takes the class of the smallest region that covers its centre.  In a
   viewer small things are drawn on top of large ones, in whatever order.

References
----------
Visvalingam & Whyatt 1993, doi:10.1179/000870493786962263 (simplification; here on all borders of
a tessellation at once, as GEOS does).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_pipeline.annotate.tracing import connected_pieces, trace_pieces
from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.geometry import Grid

NOT_ANNOTATED = 255
"""Label of a pixel that no region covers: it is not known what it shows."""

Ring = NDArray[np.float64]
"""(N, 2) places (down, right) in µm, closed: the last is the first."""
Polygon = tuple[Ring, ...]
"""Outer ring, then holes."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One thing that was outlined.

    Parameters
    ----------
    value
        Label of its class, or `NOT_ANNOTATED` for an area that is to be left out.
    polygons
        Its parts; each is an outer ring with holes, µm in the slide frame.
    """

    value: int
    polygons: tuple[Polygon, ...]

    @property
    def area_um2(self) -> float:
        """Area without holes, µm²."""
        return float(sum(_area_um2(polygon) for polygon in self.polygons))


def outline_regions(
    labels: NDArray[np.uint8], *, grid: Grid, tolerance_um: float, min_piece_um2: float
) -> Iterator[Region]:
    """Outline every connected piece of every class but the background.

    Parameters
    ----------
    labels : (Y, X) uint8
        Label map.
    grid
        Its place on the glass.
    tolerance_um
        Corners are cut off whose triangle is smaller than the square of this, µm; borders move
        by about as much.  0 keeps the edges of pixels.
    min_piece_um2
        Smaller pieces, and smaller holes, join what surrounds them, µm².

    Yields
    ------
    Region
        One polygon each, ordered by class, then from top to bottom.
    """
    kept = join_small(labels, min_px=min_piece_um2 / grid.pixel_area_um2)
    values, shapes = _outline(kept, tolerance_px=tolerance_um / grid.mpp)
    for number in np.argsort(values, kind="stable"):
        yield Region(int(values[number]), (_polygon(shapes[number], grid),))


def outline_objects(
    ids: NDArray[np.int32], *, grid: Grid, tolerance_um: float
) -> dict[int, tuple[Polygon, ...]]:
    """Outline numbered objects; what of one touches at a corner only is a polygon of its own.

    Parameters
    ----------
    ids : (Y, X) int32
        Number of the object of each pixel, 0 for none.
    grid
        Place of the map on the glass.
    tolerance_um
        As of `outline_regions`.

    Returns
    -------
    dict
        Polygons of each object, by number, ascending.
    """
    values, shapes = _outline(ids, tolerance_px=tolerance_um / grid.mpp)
    outlines: dict[int, tuple[Polygon, ...]] = {}
    for number in np.argsort(values, kind="stable"):
        own = outlines.get(int(values[number]), ())
        outlines[int(values[number])] = (*own, _polygon(shapes[number], grid))
    return outlines


def _outline(
    labels: NDArray[np.integer[Any]], *, tolerance_px: float
) -> tuple[NDArray[np.integer[Any]], NDArray[np.object_]]:
    """Labels and outlines in px of all pieces but those labelled 0, simplified together."""
    pieces = trace_pieces(labels, ignored=BACKGROUND)
    if not pieces.values.size:
        return pieces.values, np.empty(0, object)
    shapes = shapely.polygons(
        shapely.linearrings(pieces.corners, indices=pieces.ring_of_corner),
        indices=pieces.piece_of_ring,
    )
    if tolerance_px > 0:
        shapes = shapely.coverage_simplify(shapes, tolerance_px)
    return pieces.values, np.asarray(shapes, object)


def join_small(labels: NDArray[np.uint8], *, min_px: float) -> NDArray[np.uint8]:
    """Give pieces of fewer than ``min_px`` pixels to what surrounds them.

    Pixels are taken over from the rim of a piece inwards, by the neighbour above, left, right or
    below, in this order.  Where no piece is large enough nothing is changed.
    """
    pieces = connected_pieces(labels)
    small = (np.bincount(pieces.ravel()) < min_px)[pieces]
    joined = np.pad(labels.astype(np.int16), 1, constant_values=-1)
    joined[1:-1, 1:-1][small] = -1
    flat, columns = joined.ravel(), joined.shape[1]
    left = np.flatnonzero(np.pad(small, 1))
    while left.size:
        around = flat[left + np.array([[-columns], [-1], [1], [columns]])]
        known = (around >= 0).any(axis=0)
        if not known.any():
            return labels
        flat[left[known]] = around[(around >= 0).argmax(axis=0), np.arange(left.size)][known]
        left = left[~known]
    return joined[1:-1, 1:-1].astype(np.uint8)


def fill_regions(regions: Sequence[Region], *, grid: Grid) -> NDArray[np.uint8]:
    """Label the pixels whose centres lie in regions.

    Parameters
    ----------
    regions
        What was outlined.  Where regions overlap the smaller one wins; of two equal ones the
        later.
    grid
        Plane to fill.

    Returns
    -------
    (Y, X) uint8
        Classes; `NOT_ANNOTATED` where there is no region.
    """
    plane = np.full(grid.shape, NOT_ANNOTATED, np.uint8)
    for region in sorted(regions, key=lambda one: -one.area_um2):
        for polygon in region.polygons:
            _fill(plane, [(ring - grid.origin_um) / grid.mpp for ring in polygon], region.value)
    return plane


def _fill(plane: NDArray[np.uint8], rings_px: Sequence[Ring], value: int) -> None:
    """Fill one polygon by the even-odd rule; exact for pixel centres."""
    rows, columns = _crossings(rings_px, plane.shape[0])
    first = np.clip(np.ceil(columns - 0.5), 0, plane.shape[1]).astype(np.intp)
    order = np.lexsort((first, rows))
    # Closed rings cross a row an even number of times: sorted, crossings are starts and ends.
    spans = np.stack((rows[order][::2], first[order][::2], first[order][1::2]), axis=1)
    for row, start, stop in spans[spans[:, 1] < spans[:, 2]].tolist():
        plane[row, start:stop] = value


def _crossings(
    rings_px: Sequence[Ring], height_px: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows, and the places in them, at which edges cross the centres of rows."""
    edges = np.concatenate([np.hstack((ring[:-1], ring[1:])) for ring in rings_px])
    # Both neighbours of a border meet it from the same end, so rounding leaves no gap.
    edges = np.where(edges[:, :1] > edges[:, 2:3], edges[:, [2, 3, 0, 1]], edges)
    top, left, bottom, right = edges.T
    first = np.clip(np.ceil(top - 0.5), 0, height_px).astype(np.intp)
    counts = np.clip(np.ceil(bottom - 0.5), 0, height_px).astype(np.intp) - first
    edge = np.repeat(np.arange(len(edges)), counts)
    rows = np.arange(edge.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    share = (rows + 0.5 - top[edge]) / (bottom - top)[edge]
    return rows, left[edge] + share * (right - left)[edge]


def _polygon(shape: shapely.Polygon, grid: Grid) -> Polygon:
    """Rings of a polygon in px as rings in µm."""
    rings, ring_of_corner = shapely.get_coordinates(shapely.get_rings(shape), return_index=True)
    places = rings * grid.mpp + grid.origin_um
    return tuple(np.split(places, np.flatnonzero(np.diff(ring_of_corner)) + 1))


def _area_um2(polygon: Polygon) -> float:
    """Area of an outer ring less that of its holes, µm²."""
    areas = [abs(_twice_signed_area(ring)) / 2 for ring in polygon]
    return areas[0] - sum(areas[1:])


def _twice_signed_area(ring: Ring) -> float:
    down, right = (ring - ring[0]).T  # near zero, where products are exact
    return float(np.dot(down[:-1], right[1:]) - np.dot(down[1:], right[:-1]))
