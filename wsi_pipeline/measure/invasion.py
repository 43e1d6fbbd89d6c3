"""How far has the tumour come, down and sideways?

1. The invasion level is the deepest of four compartments that holds a notable share of the
   tumour: papillary dermis, reticular dermis, dermo-subcutaneous junction, subcutis.
2. The extension into the subcutis is a length below that junction, the breach a share of it.
3. The lateral extent is a length along the epidermis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.measure.columns import Columns
from wsi_pipeline.measure.compartment import NO_FAT
from wsi_pipeline.measure.depth import DepthMap
from wsi_pipeline.measure.infiltration import DEPTH_PERCENTILE, weighted_percentile
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.measure.thickness import TUMOUR_COVER, extent_of, share_of
from wsi_pipeline.values import Measurement

INVASION_UNITS: dict[str, str] = {
    "invasion_level": "",
    "subcutis_extension_um": "µm",
    "dsj_breach_fraction": "1",
    "lateral_extent_mm": "mm",
}
LEVELS = ("papillary dermis", "reticular dermis", "dermo-subcutaneous junction", "subcutis")
"""From the top down; muscle and deeper tissue are no classes of the label map."""
# Share of the tumour that makes a level.
MIN_SHARE = 0.005
# The papillary dermis is given as 300-400 µm or a fifth of the dermis, by impression as less.
PAPILLARY, PAPILLARY_UM = 0.15, 250.0
# The dermo-subcutaneous junction is known to about this much.
JUNCTION_UM = 50.0
# Tumour in a column this close to the end of the skin goes on beyond it.
_EDGE_UM = 50.0

CUT_SIDE = "tumour reaches the end of the section"


def measure_invasion(
    plane: SectionPlane, depth: DepthMap, *, columns: Columns, tumour: NDArray[np.float32]
) -> dict[str, Measurement]:
    """Measure how far tumour has come.

    Parameters
    ----------
    tumour
        float32 (Y, X), tumour share of each pixel, without specks.
    """
    found = {"lateral_extent_mm": _lateral_extent(columns)}
    where = depth.window & np.isfinite(depth.depth_um) & (tumour > 0)
    if depth.field is None or not where.any():
        reason = NO_FAT if depth.field is None else "no tumour lies where both junctions are seen"
        return found | {
            name: Measurement.not_assessable(unit, reason)
            for name, unit in INVASION_UNITS.items()
            if name not in found
        }
    weight = tumour[where]
    beyond_um = (-depth.field.to_dsj_px[where] * plane.grid.mpp).astype(np.float32)
    levels = _levels(depth.relative[where], depth.depth_um[where], beyond_um=beyond_um)
    deepest_um = weighted_percentile(beyond_um, weight, percent=DEPTH_PERCENTILE)
    return found | {
        "invasion_level": Measurement(_deepest(levels, weight), ""),
        "subcutis_extension_um": Measurement(max(0.0, deepest_um), "µm"),
        "dsj_breach_fraction": Measurement(_breach(columns), "1"),
    }


def _levels(
    relative: NDArray[np.float32],
    depth_um: NDArray[np.float32],
    *,
    beyond_um: NDArray[np.float32],
) -> NDArray[np.intp]:
    """Index of the level of each pixel."""
    reticular = (relative > PAPILLARY) | (depth_um > PAPILLARY_UM)
    parts = (reticular, reticular & (beyond_um >= -JUNCTION_UM), beyond_um > JUNCTION_UM)
    return np.asarray(sum(part.astype(np.intp) for part in parts))


def _deepest(levels: NDArray[np.intp], weight: NDArray[np.float32]) -> str:
    """Deepest level that holds a notable share."""
    shares = np.bincount(levels, weight, len(LEVELS)) / weight.sum(dtype=np.float64)
    return LEVELS[int(np.flatnonzero(shares >= MIN_SHARE)[-1])]


def _breach(columns: Columns) -> float:
    """Share of the deep junction with tumour just above and just below it."""
    paths = columns.paths
    beyond_um = paths.depth_um - paths.thickness_um[:, None]
    above = columns.tumour & (beyond_um >= -JUNCTION_UM) & (beyond_um < 0)
    below = columns.tumour & (beyond_um >= 0) & (beyond_um < JUNCTION_UM)
    both = np.asarray(above.any(axis=1) & below.any(axis=1))
    return share_of(both, paths.width_um)


def _lateral_extent(columns: Columns) -> Measurement:
    """Length of the columns that hold tumour; a lower bound if the outermost ones do."""
    paths = columns.paths
    holds = extent_of(columns, columns.tumour).cover > TUMOUR_COVER
    length_mm = float(paths.width_um[holds].sum()) / 1e3
    ends = np.zeros(len(holds), bool)
    for piece in np.unique(paths.piece):
        own = np.flatnonzero(paths.piece == piece)
        count = max(1, round(_EDGE_UM / float(paths.width_um[own[0]])))
        ends[own[:count]] = ends[own[-count:]] = True
    if (holds & ends).any():
        return Measurement(length_mm, "mm", "at_least", CUT_SIDE)
    return Measurement(length_mm, "mm")
