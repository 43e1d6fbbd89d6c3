"""How deep does each pixel lie between the two junctions?

1. The dermal compartment is anatomical: all tissue below the dermo-epidermal envelope and
   above the dermo-subcutaneous junction, whatever its class.  Were it the pixels called
   dermis, a tumour that replaces them would shrink its own denominator.
2. Depth is the Euclidean distance to the dermo-epidermal envelope.
3. Relative depth is the distance to the one junction over the sum of the distances to
   both: 0 at the epidermis, 1 at the fat and, by definition, in and below it.
4. The lateral window is where both junctions exist: pixels beyond the end of either have
   no column, so that cut edges count as neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.dej import Surface
from wsi_pipeline.measure.dsj import Junction, find_junction
from wsi_pipeline.measure.line import column_map, distances_px, smoothed
from wsi_pipeline.measure.plane import SectionPlane

# Normals steady over ±250 µm: wide against rete and ostia, narrow against a skin fold.
_BASELINE_SIGMA_UM = 250.0


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """Depth of every pixel of one section.

    Parameters
    ----------
    depth_um
        float32 (Y, X), distance to the dermo-epidermal envelope, µm; NaN on its shallow side
        and beyond its ends.
    relative
        float32 (Y, X), 0-1; NaN outside the lateral window of both junctions.
    compartment
        bool (Y, X), the dermal compartment within that window.
    beneath
        bool (Y, X), in the columns of the dermo-epidermal junction, at whatever depth.
    window
        bool (Y, X), in the columns of both junctions, at whatever depth.
    visible_um
        float64 (N,), depth of the deepest tissue in each column of the window of the
        dermo-epidermal junction, µm: a lower bound of the dermal thickness where no fat is.
    junction
        The dermo-subcutaneous junction.
    """

    depth_um: NDArray[np.float32]
    relative: NDArray[np.float32]
    compartment: NDArray[np.bool_]
    beneath: NDArray[np.bool_]
    window: NDArray[np.bool_]
    visible_um: NDArray[np.float64]
    junction: Junction


def map_depth(plane: SectionPlane, surface: Surface, *, settings: MeasureSettings) -> DepthMap:
    """Measure the depth of every pixel of a section that bears epidermis.

    Notes
    -----
    Distances to sub-pixel lines are exact to 0.71 px.  The ratio of distances equals the
    arc-length fraction between parallel surfaces.  Where the deep junction of a dermis of
    2 mm undulates by ±0.2 mm over 2 mm, it differs from the solution of Laplace's equation
    with a standard deviation of 0.022 and by 0.059 at the 99th percentile.

    References
    ----------
    Jones, Buchbinder & Aharon 2000, doi:10.1002/1097-0193(200009)11:1<12::AID-HBM20>3.0.CO;2-K
    """
    mpp, shape = plane.grid.mpp, plane.grid.shape
    baseline = smoothed(surface.line, _BASELINE_SIGMA_UM / mpp)
    columns = column_map(baseline, shape)
    beneath = columns.column >= 0
    tissue = surface.below & beneath & (plane.tissue > 0)
    junction = find_junction(plane, baseline, columns=columns, settings=settings)
    depth_um = distances_px(surface.line, tissue) * np.float32(mpp)
    # Where the junction is unknown the comparison with NaN keeps pixels out of both.
    floor_px = np.where(beneath, junction.thickness_px[columns.column], np.nan)
    compartment = tissue & (columns.depth_px < floor_px)
    relative = np.where(tissue & (columns.depth_px >= floor_px), np.float32(1), np.float32(np.nan))
    if junction.is_seen:
        to_floor_um = distances_px(junction.line, compartment) * np.float32(mpp)
        relative = np.where(compartment, depth_um / (depth_um + to_floor_um), relative)
    visible_px = np.zeros(len(baseline.points_px))
    np.maximum.at(visible_px, columns.column[tissue], columns.depth_px[tissue] + 0.5)
    return DepthMap(
        depth_um=depth_um,
        relative=relative,
        compartment=compartment,
        beneath=beneath,
        window=np.isfinite(floor_px),
        visible_um=visible_px * mpp,
        junction=junction,
    )
