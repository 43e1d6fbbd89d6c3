"""How deep does each pixel lie between the two junctions?

1. The dermal compartment is anatomical: all tissue below the dermo-epidermal envelope and
   above the dermo-subcutaneous junction, whatever its class.  Were it the pixels called
   dermis, a tumour that replaces them would shrink its own denominator.
2. Between the junctions, depth is the length of the field line of Laplace's equation from the
   dermo-epidermal envelope; relative depth is that length over the length of the whole line:
   0 at the epidermis, 1 at the fat and, by definition, in and below it.
3. Below the deep junction, depth is the thickness at the nearest point of the junction plus the
   distance to it.  Where there is no deep junction it is the Euclidean distance.
4. The Euclidean ratio of distances checks the relative depth: `DepthMap.estimators_apart`.
5. The lateral window is where both junctions exist: pixels beyond the end of either have
   no column, so that cut edges count as neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.dej import Surface
from wsi_pipeline.measure.dsj import Junction, find_junction
from wsi_pipeline.measure.laplace import arc_lengths, directions, solve_potential
from wsi_pipeline.measure.line import Line, column_map, distances_px, smoothed
from wsi_pipeline.measure.plane import SectionPlane

# Normals steady over ±250 µm: wide against rete and ostia, narrow against a skin fold.
_BASELINE_SIGMA_UM = 250.0

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class FieldLines:
    """The way from the one junction to the other, for every pixel between them.

    Parameters
    ----------
    direction
        float32 (2, Y, X), unit vectors ``(down, right)`` into the depth; away from the dermis
        those of its nearest pixel.
    from_dej_px
        float64 (Y, X), length of the field line from the dermo-epidermal envelope, px; below the
        deep junction it is continued by the distance to it.
    to_dsj_px
        float64 (Y, X), length that remains to the dermo-subcutaneous junction, px; negative
        below it.  Beside the dermis both lengths are those of its nearest pixel.
    """

    direction: NDArray[np.float32]
    from_dej_px: NDArray[np.float64]
    to_dsj_px: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """Depth of every pixel of one section.

    Parameters
    ----------
    depth_um
        float32 (Y, X), below the dermo-epidermal envelope, µm; NaN on its shallow side and
        beyond its ends.
    relative
        float32 (Y, X), 0-1; NaN outside the lateral window of both junctions.
    compartment
        bool (Y, X), the dermal compartment within that window.
    beneath
        bool (Y, X), in the columns of the dermo-epidermal junction, at whatever depth.
    window
        bool (Y, X), in the columns of both junctions, at whatever depth.
    column
        int32 (Y, X), index of the point of the dermo-epidermal junction in whose column a pixel
        lies; -1 where it lies in none.
    visible_um
        float64 (N,), depth of the deepest tissue in each column of the window of the
        dermo-epidermal junction, µm: a lower bound of the dermal thickness where no fat is.
    baseline
        The dermo-epidermal junction, smoothed so far that its normals do not cross.
    junction
        The dermo-subcutaneous junction.
    field
        Between both; None where there is no deep one.
    estimators_apart
        Median difference of relative depth between field lines and ratio of distances; None
        where there is none.
    """

    depth_um: NDArray[np.float32]
    relative: NDArray[np.float32]
    compartment: Mask
    beneath: Mask
    window: Mask
    column: NDArray[np.int32]
    visible_um: NDArray[np.float64]
    baseline: Line
    junction: Junction
    field: FieldLines | None
    estimators_apart: float | None


def map_depth(plane: SectionPlane, surface: Surface, *, settings: MeasureSettings) -> DepthMap:
    """Measure the depth of every pixel of a section that bears epidermis.

    Notes
    -----
    Distances to sub-pixel lines are exact to 0.71 px, lengths of field lines to about as much.
    The ratio of distances equals that of lengths between parallel surfaces.

    References
    ----------
    Jones, Buchbinder & Aharon 2000, doi:10.1002/1097-0193(200009)11:1<12::AID-HBM20>3.0.CO;2-K
    Yezzi & Prince 2003, doi:10.1109/TMI.2003.817775
    """
    mpp, shape = np.float32(plane.grid.mpp), plane.grid.shape
    baseline = smoothed(surface.line, _BASELINE_SIGMA_UM / plane.grid.mpp)
    columns = column_map(baseline, shape)
    beneath = columns.column >= 0
    tissue = surface.below & beneath & (plane.tissue > 0)
    junction = find_junction(plane, baseline, columns=columns, settings=settings)
    # Where the junction is unknown the comparison with NaN keeps pixels out of both.
    floor_px = np.where(beneath, junction.thickness_px[columns.column], np.nan)
    # A tear is no tissue, but field lines cross it.
    dermis = surface.below & beneath & (columns.depth_px < floor_px)
    below = tissue & (columns.depth_px >= floor_px)
    to_dej_px = distances_px(surface.line, tissue | dermis)
    depth_px, relative = to_dej_px, np.where(below, 1.0, np.nan)
    field = apart = None
    # The end columns are wedges: what lies beside the last field line is as deep as it is there.
    between = dermis & ~np.isin(columns.column, _ends(baseline))
    if between.any():
        to_dsj_px = distances_px(junction.line, np.isfinite(floor_px))
        field = _field_lines(between, below, to_dej_px=to_dej_px, to_dsj_px=to_dsj_px)
        whole_px = field.from_dej_px + field.to_dsj_px
        share = field.from_dej_px / np.maximum(whole_px, 1e-6)
        depth_px = np.where(dermis | below, field.from_dej_px, depth_px)
        relative = np.where(dermis & tissue, share, relative)
        ratio = to_dej_px / np.maximum(to_dej_px + to_dsj_px, 1e-6)
        apart = float(np.median(np.abs(ratio - share)[between]))
    visible_px = np.zeros(len(baseline.points_px))
    np.maximum.at(visible_px, columns.column[tissue], columns.depth_px[tissue] + 0.5)
    return DepthMap(
        depth_um=np.where(tissue, depth_px * mpp, np.nan).astype(np.float32),
        relative=relative.astype(np.float32),
        compartment=tissue & dermis,
        beneath=beneath,
        window=np.isfinite(floor_px),
        column=columns.column,
        visible_um=visible_px * plane.grid.mpp,
        baseline=baseline,
        junction=junction,
        field=field,
        estimators_apart=apart,
    )


def _ends(line: Line) -> list[int]:
    """First and last point of every piece."""
    return [at for span in line.spans for at in (span.start, span.stop - 1)]


def _field_lines(
    between: Mask,
    below: Mask,
    *,
    to_dej_px: NDArray[np.float32],
    to_dsj_px: NDArray[np.float32],
) -> FieldLines:
    """Solve for the field lines and measure along them both ways."""
    above, beyond = to_dej_px.astype(np.float64), to_dsj_px.astype(np.float64)
    potential = solve_potential(between, to_dej_px=above, to_dsj_px=beyond)
    nearest = tuple(
        ndimage.distance_transform_edt(~between, return_distances=False, return_indices=True)
    )
    gone, remaining = (
        arc_lengths(potential, above)[nearest],
        arc_lengths(-potential, beyond)[nearest],
    )
    return FieldLines(
        direction=directions(potential)[:, *nearest].astype(np.float32),
        from_dej_px=np.where(below, gone + remaining + beyond, gone),
        to_dsj_px=np.where(below, -beyond, remaining),
    )
