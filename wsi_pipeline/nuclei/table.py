"""What is each nucleus like?

1. `describe_nuclei` measures every nucleus of a label map: one row each.
2. `owned_by` says which of them a tile decides: those whose centroid lies in its write box.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.nuclei.shapes import Moments, measure_hulls, measure_moments

NUCLEUS_DTYPE = np.dtype(
    [
        ("first_px", "i8"),
        ("down_um", "f8"),
        ("right_um", "f8"),
        ("area_um2", "f8"),
        ("convex_perimeter_um", "f8"),
        ("major_um", "f8"),
        ("minor_um", "f8"),
        ("angle_rad", "f8"),
        ("solidity", "f8"),
        ("haematoxylin_od_mean", "f8"),
        ("haematoxylin_od_sd", "f8"),
        ("texture_od_per_um", "f8"),
        ("touches_edge", "?"),
    ]
)
"""One row per nucleus.

``first_px`` is the row-major index, on the whole plane, of its first pixel: unlike a running
number it does not depend on the tile.  The centre is the centroid in the slide frame.  Axes are
the full axes of the ellipse of the same spread; the direction of the longer one is
``(down, right) = (cos, sin)``.  ``solidity`` is area / area of the convex hull.  Density and its
spread are those of haematoxylin; ``texture_od_per_um`` is the mean slope of that density
inside the nucleus.  ``touches_edge`` marks nuclei that the edge of the plane may have cut.
"""
Nuclei = NDArray[np.void]


def describe_nuclei(
    labels: NDArray[np.int32], smooth: NDArray[np.float32], *, box: Box, grid: Grid
) -> Nuclei:
    """Measure the nuclei of a label map.

    Parameters
    ----------
    labels : (Y, X) int32
        1 … N in a box of the plane.
    smooth : (Y, X) float32
        Haematoxylin density there.
    box
        The box.
    grid
        The plane.

    Returns
    -------
    structured array (N,)
        Fields of `NUCLEUS_DTYPE`, in the order of the labels.
    """
    count = int(labels.max(initial=0))
    moments, (hull_px, perimeter_px) = measure_moments(labels, count), measure_hulls(labels, count)
    area = np.maximum(moments.area, 1)
    major, minor = moments.axes_px()
    table = np.zeros(count + 1, NUCLEUS_DTYPE)
    table["first_px"] = _first_px(labels, count, box=box, grid=grid)
    table["down_um"], table["right_um"] = _centre_um(moments, box=box, grid=grid)
    table["area_um2"] = moments.area * grid.pixel_area_um2
    table["convex_perimeter_um"] = perimeter_px * grid.mpp
    table["major_um"], table["minor_um"] = major * grid.mpp, minor * grid.mpp
    table["angle_rad"] = moments.angle_rad()
    table["solidity"] = np.minimum(area / np.maximum(hull_px, 1), 1)
    mean, sd, slope = _densities(labels, smooth, area=area)
    table["haematoxylin_od_mean"], table["haematoxylin_od_sd"] = mean, sd
    table["texture_od_per_um"] = slope / grid.mpp
    table["touches_edge"] = _on_edge(labels, count, box=box, grid=grid)
    return table[1:]


def owned_by(nuclei: Nuclei, write: Box, *, grid: Grid) -> NDArray[np.bool_]:
    """Whether the centroid lies in a box of the plane; boxes that partition it share no nucleus."""
    row = (nuclei["down_um"] - grid.origin_um[0]) / grid.mpp
    column = (nuclei["right_um"] - grid.origin_um[1]) / grid.mpp
    inside = (row >= write.top) & (row < write.bottom)
    inside &= (column >= write.left) & (column < write.right)
    return np.asarray(inside)


def _first_px(labels: NDArray[np.int32], count: int, *, box: Box, grid: Grid) -> NDArray[np.int64]:
    row, column = np.nonzero(labels)
    first = np.zeros(count + 1, np.int64)
    place = (row + box.top).astype(np.int64) * grid.shape[1] + column + box.left
    first[labels[row, column][::-1]] = place[::-1]  # of several the last written stays
    return first


def _centre_um(
    moments: Moments, *, box: Box, grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroid in the slide frame; the sums are whole numbers, so the box leaves no trace."""
    area = np.maximum(moments.area, 1)
    row = (moments.row + box.top * moments.area) / area + 0.5
    column = (moments.column + box.left * moments.area) / area + 0.5
    return grid.origin_um[0] + row * grid.mpp, grid.origin_um[1] + column * grid.mpp


def _densities(
    labels: NDArray[np.int32], smooth: NDArray[np.float32], *, area: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the density, and mean slope per px, of each nucleus."""
    down, right = (np.asarray(slope) for slope in np.gradient(smooth))
    inside = np.nonzero(labels)
    number, value = labels[inside], smooth[inside].astype(np.float64)
    slope = np.hypot(down[inside], right[inside]).astype(np.float64)
    sums = [np.bincount(number, weights, len(area)) for weights in (value, value * value, slope)]
    mean, square, steep = (values / area for values in sums)
    return mean, np.sqrt(np.maximum(square - mean * mean, 0)), steep


def _on_edge(labels: NDArray[np.int32], count: int, *, box: Box, grid: Grid) -> NDArray[np.bool_]:
    """Whether a nucleus reaches the first or last row or column of the plane."""
    cut = np.zeros(count + 1, np.bool_)
    plane = grid.box.within(box)
    for rows, columns in (
        (slice(plane.top, plane.top + 1), slice(None)),
        (slice(plane.bottom - 1, plane.bottom), slice(None)),
        (slice(None), slice(plane.left, plane.left + 1)),
        (slice(None), slice(plane.right - 1, plane.right)),
    ):
        if min(rows.start or 0, columns.start or 0) >= 0:
            cut[labels[rows, columns]] = True
    return cut
