"""What lies along each way through the dermis?

1. Columns start a few µm apart on the dermo-epidermal envelope and follow the field lines down
   to the dermo-subcutaneous junction: rays that never cross.  Without a deep junction they run
   straight along the normals, as deep as there is tissue.
2. Each is carried a little further on both sides, for what lies in the epidermis and in the fat.
3. The label map is read every 2 µm along it, whatever its pixels are: the skin, straightened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from wsi_pipeline.classes import BACKGROUND, EPIDERMIS, TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.dej import Surface
from wsi_pipeline.measure.depth import DepthMap, FieldLines
from wsi_pipeline.measure.line import Line
from wsi_pipeline.measure.plane import SectionPlane, label_mask

STEP_UM = 2.0
"""Distance of the samples along a column: the Grenz zone is to be known to a few µm."""
# The epidermis of the scalp with its ridges is thinner; horn above it need not be read.
_ABOVE_UM = 250.0
# How far into the fat.
_BELOW_UM = 100.0

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The ways of N columns through the dermis, sampled S times each, every `STEP_UM`.

    Parameters
    ----------
    point
        intp (N,), where on the dermo-epidermal junction each column starts.
    piece
        intp (N,), stretch of the junction it belongs to.
    width_um
        float64 (N,), length of the junction it stands for.
    thickness_um
        float64 (N,), its length between the junctions; NaN where there is no deep one.
    depth_um
        float64 (S,), depth of each sample below the envelope, negative above it.
    places_px
        float32 (N, S, 2), where the samples lie on the measurement plane.
    """

    point: NDArray[np.intp]
    piece: NDArray[np.intp]
    width_um: Floats
    thickness_um: Floats
    depth_um: Floats
    places_px: NDArray[np.float32]

    @property
    def dermis(self) -> Mask:
        """Samples between the junctions, (N, S); all below the envelope without a deep one."""
        deep_um = np.nan_to_num(self.thickness_um, nan=np.inf)
        return np.asarray((self.depth_um >= 0) & (self.depth_um < deep_um[:, None]))


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What is read along such ways.

    Parameters
    ----------
    paths
        Where it was read.
    labels
        uint8 (N, S).
    tumour
        bool (N, S), tumour but for specks.
    near_tumour
        bool (N, S), within ``envelope_um`` of it: the infiltration envelope.
    epidermis
        bool (N, S), surface epidermis, without follicles.
    """

    paths: Paths
    labels: NDArray[np.uint8]
    tumour: Mask
    near_tumour: Mask
    epidermis: Mask


def trace_paths(
    plane: SectionPlane, surface: Surface, *, depth: DepthMap, settings: MeasureSettings
) -> Paths:
    """Follow the field lines from evenly spaced points, ``column_um`` apart.

    Notes
    -----
    A field line that starts where the deep junction is not known is no column.
    """
    mpp = plane.grid.mpp
    point, width_um = _starts(surface.line, settings.column_um, mpp=mpp)
    path, thickness_um = _follow(depth, surface.line.points_px[point], point=point, mpp=mpp)
    keep = np.isfinite(thickness_um) | (depth.field is None)
    depth_um = _sample_depths(path, mpp)
    return Paths(
        point=point[keep],
        piece=surface.line.pieces[point[keep]],
        width_um=width_um[keep],
        thickness_um=thickness_um[keep],
        depth_um=depth_um,
        places_px=_along(path[keep], depth_um / mpp),
    )


def read_columns(
    plane: SectionPlane,
    surface: Surface,
    *,
    paths: Paths,
    tumour: NDArray[np.float32],
    settings: MeasureSettings,
) -> Columns:
    """Read the label map along the columns.

    Parameters
    ----------
    tumour
        float32 (Y, X), tumour share of the pixels of the measurement plane, without specks.
    settings
        ``envelope_um``.
    """
    place = _label_places(plane, paths.places_px)
    shape = plane.labels.shape
    row, column = _pixels(place, shape)
    on = ((place > -0.5) & (place < np.array(shape) - 0.5)).all(axis=-1)
    labels = np.where(on, plane.labels[row, column], np.uint8(BACKGROUND))
    whole = (plane.labels == TUMOUR) & label_mask(tumour > 0, plane)
    # A label pixel at the border may lie in a measurement pixel that is mostly something else.
    beside = ndimage.binary_dilation(surface.epidermis, np.ones((3, 3)))
    near_epidermis = beside[_pixels(paths.places_px, plane.grid.shape)]
    reach_px = settings.envelope_um / plane.labels_grid.mpp
    return Columns(
        paths=paths,
        labels=labels,
        tumour=whole[row, column] & on,
        near_tumour=_near(whole, place, reach_px=reach_px),
        epidermis=(labels == EPIDERMIS) & near_epidermis,
    )


def _starts(line: Line, spacing_um: float, *, mpp: float) -> tuple[NDArray[np.intp], Floats]:
    """Points of the junction at even distances, and the length each stands for, µm."""
    points, widths = [np.empty(0, np.intp)], [np.empty(0)]
    for span in line.spans:
        length_px = span.stop - span.start
        count = max(1, round(length_px * mpp / spacing_um))
        at = span.start + (np.arange(count) + 0.5) / count * length_px
        points.append(np.minimum(at.astype(np.intp), span.stop - 1))
        widths.append(np.full(count, length_px * mpp / count))
    return np.concatenate(points), np.concatenate(widths)


def _follow(
    depth: DepthMap, start: Floats, *, point: NDArray[np.intp], mpp: float
) -> tuple[Floats, Floats]:
    """Places a pixel apart down each column, (N, K, 2), and its thickness, µm."""
    below = round(_BELOW_UM / mpp) + 2
    if depth.field is None:
        deepest = int(max(depth.visible_um[point], default=0) / mpp) + below
        along, down = np.arange(deepest)[:, None], depth.baseline.normals[point]
        return start[:, None] + along * down[:, None], np.full(len(start), np.nan)
    known = depth.junction.thickness_px[point]
    # A field line is longer than the normal, but hardly by half.
    longest = int(1.5 * np.nanmax(known)) + below
    path = _traced(depth.field, start, steps=longest)
    remaining = _interpolated(depth.field.to_dsj_px, path)
    reached = remaining <= 0
    last = np.maximum(reached.argmax(axis=1), 1)
    own = np.arange(len(start))
    one, two = remaining[own, last - 1], remaining[own, last]
    thickness_px = last - 1 + one / np.maximum(one - two, 1e-9)
    # The outermost lines may stray beyond the side: their length is told where they start.
    thickness_px = np.where(reached.any(axis=1), thickness_px, remaining[:, 2] + 2)
    return path, np.where(np.isfinite(known), thickness_px * mpp, np.nan)


def _traced(field: FieldLines, start: Floats, *, steps: int) -> Floats:
    """Field lines by the midpoint rule, a pixel at a time."""
    path = [start]
    for _ in range(steps):
        half = path[-1] + 0.5 * _direction(field, path[-1])
        path.append(path[-1] + _direction(field, half))
    return np.stack(path, axis=1)


def _direction(field: FieldLines, places: Floats) -> Floats:
    """Unit vectors down the field lines."""
    way = np.stack([_interpolated(axis, places) for axis in field.direction], axis=-1)
    return np.asarray(way / np.maximum(np.hypot(*way.T), 1e-9)[:, None])


def _interpolated(plane: NDArray[np.floating], places: Floats) -> Floats:
    """Bilinear values at places (…, 2)."""
    return np.asarray(
        ndimage.map_coordinates(plane, np.moveaxis(places, -1, 0), order=1, mode="nearest"),
        np.float64,
    )


def _sample_depths(path: Floats, mpp: float) -> Floats:
    """Depths at which the columns are read, µm."""
    above, below = round(_ABOVE_UM / STEP_UM), int((path.shape[1] - 1) * mpp / STEP_UM)
    return np.asarray((np.arange(-above, below) + 0.5) * STEP_UM, np.float64)


def _along(path: Floats, at_px: Floats) -> NDArray[np.float32]:
    """Places at lengths along each path; before its first point straight backwards."""
    before = np.clip(np.floor(at_px).astype(np.intp), 0, path.shape[1] - 2)
    share = (at_px - before)[:, None]
    return np.asarray(path[:, before] * (1 - share) + path[:, before + 1] * share, np.float32)


def _pixels(
    places: NDArray[np.floating], shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels that hold the places; the nearest beyond the rim."""
    row, column = (
        np.clip(np.rint(places[..., axis]).astype(np.intp), 0, shape[axis] - 1) for axis in (0, 1)
    )
    return row, column


def _label_places(plane: SectionPlane, places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Places on the measurement plane in label pixels."""
    first = plane.labels_grid.from_um(*plane.grid.origin_um)
    ratio = plane.grid.mpp / plane.labels_grid.mpp
    return np.asarray((places + 0.5) * ratio + np.array(first) - 0.5, np.float32)


def _near(whole: Mask, place: NDArray[np.float32], *, reach_px: float) -> Mask:
    """Places within a distance of the border of a mask of label pixels, or inside.

    Notes
    -----
    The border lies half a pixel outside the centre of the outermost pixels.  Asking for the
    nearest of these takes less time, and far less memory, than a distance
    transform of all label pixels.
    """
    border = np.argwhere(whole & ~ndimage.binary_erosion(whole))
    if not len(border):
        return np.zeros(place.shape[:-1], bool)
    inside = whole[_pixels(place, whole.shape)]
    away_px, _ = KDTree(border).query(
        place[~inside], distance_upper_bound=reach_px + 0.5, workers=1
    )
    inside[~inside] = np.isfinite(away_px)
    return inside
