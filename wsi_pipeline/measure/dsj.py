"""Where does the dermis meet the fat?

1. Columns stand on the *baseline*, the dermo-epidermal junction smoothed so far that its
   normals do not cross within the dermis.  In each column the first main fat is the
   junction seen there: a thickness as a function of the place along the skin, whatever way
   the tissue lies or bends.
2. Fat that first appears below tumour does not show where the junction was: such columns
   count as unseen.
3. A one-dimensional grey opening lowers no step but cuts off every deep excursion
   narrower than the gap to be closed: follicles, septa, unseen columns.
4. Wider gaps are interpolated between their flanks.  Where tumour sits on fat that is
   shallower than that, the fat is believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import SUBCUTIS
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.line import ColumnMap, Line, evenly_spaced, line_of
from wsi_pipeline.measure.plane import SectionPlane

# A despeckling window well below the gap to be closed and above a fat cell.
_MEDIAN_UM = 100.0
# Depth above the fat that is searched for tumour: a few cells.
_ABUT_UM = 40.0
# Columns this close beside tumour on fat are judged with it.
_GRAZE_UM = 50.0
# Fat below tumour that lies this close to the interpolated level confirms it.
_CONFIRM_UM = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Junction:
    """The dermo-subcutaneous junction over a baseline of N points.

    Parameters
    ----------
    thickness_px
        float64 (N,), depth of the junction below the baseline; NaN where it is not known.
    interpolated
        bool (N,), carried across from the flanks without fat to confirm it.
    line
        The same as a line on the plane.
    """

    thickness_px: NDArray[np.float64]
    interpolated: NDArray[np.bool_]
    line: Line

    @property
    def is_seen(self) -> bool:
        """Whether any part of the junction is known."""
        return len(self.line.points_px) > 1

    @property
    def interpolated_fraction(self) -> float:
        """Share of the known junction that is interpolated."""
        known = np.isfinite(self.thickness_px)
        return float(self.interpolated[known].mean()) if known.any() else 0.0


def find_junction(
    plane: SectionPlane, baseline: Line, columns: ColumnMap, settings: MeasureSettings
) -> Junction:
    """Find the dermo-subcutaneous junction of one section.

    Parameters
    ----------
    baseline, columns
        Smoothed dermo-epidermal junction, and every pixel's place beside it.
    settings
        ``min_fat_mm2``, ``close_gap_um``.
    """
    mpp = plane.grid.mpp
    fat = main_fat(plane, settings.min_fat_mm2)
    first = _first_depth(fat, columns, len(baseline.points_px))
    on_tumour = _tumour_above(plane, baseline, first, round(_ABUT_UM / mpp))
    # A column that grazes the tumour's flank sees the fat beyond it.
    on_tumour = ndimage.binary_dilation(on_tumour, iterations=max(1, round(_GRAZE_UM / mpp)))
    gap, thickness = np.empty(first.shape, bool), np.empty(first.shape)
    for span in baseline.spans:
        level = _closed(np.where(on_tumour, np.inf, first)[span], settings.close_gap_um, mpp)
        gap[span] = ~np.isfinite(level)
        thickness[span] = _bridged(level)
    confirmed = first <= thickness + _CONFIRM_UM / mpp
    guessed = gap & np.isfinite(thickness) & ~confirmed
    thickness = np.where(gap, np.minimum(thickness, first), thickness)
    thickness[~np.isfinite(thickness)] = np.nan
    return Junction(thickness, guessed, _as_line(baseline, thickness))


def main_fat(plane: SectionPlane, min_fat_mm2: float) -> NDArray[np.bool_]:
    """Fat components large enough to be subcutis."""
    parts, _ = ndimage.label(plane.classes == SUBCUTIS, np.ones((3, 3)))
    large = np.bincount(parts.ravel()) * plane.grid.pixel_area_um2 / 1e6 >= min_fat_mm2
    large[0] = False
    return np.asarray(large[parts])


def _first_depth(fat: NDArray[np.bool_], columns: ColumnMap, count: int) -> NDArray[np.float64]:
    """Depth at which fat begins in each column; infinite where there is none."""
    seen = fat & (columns.column >= 0) & (columns.depth_px > 0)
    first = np.full(count, np.inf)
    # The border of a pixel lies half a pixel above its centre.
    np.minimum.at(first, columns.column[seen], columns.depth_px[seen] - 0.5)
    return first


def _tumour_above(
    plane: SectionPlane, baseline: Line, first: NDArray[np.float64], reach_px: int
) -> NDArray[np.bool_]:
    """Whether tumour lies just above the first fat of a column."""
    hit = np.zeros(first.shape, bool)
    seen, last = np.isfinite(first), np.array(plane.grid.shape) - 1
    for step in range(1, max(1, reach_px) + 1):
        at = baseline.points_px[seen] + baseline.normals[seen] * (first[seen, None] + 0.5 - step)
        row, column = np.clip(np.rint(at).astype(np.intp), 0, last).T
        hit[seen] |= plane.tumour[row, column] >= 0.5
    return hit


def _closed(level: NDArray[np.float64], gap_um: float, mpp: float) -> NDArray[np.float64]:
    """Despeckle, then cut off deep excursions narrower than the gap."""
    median = ndimage.median_filter(level, max(1, round(_MEDIAN_UM / mpp)), mode="nearest")
    return np.asarray(ndimage.grey_opening(median, max(1, round(gap_um / mpp)), mode="nearest"))


def _bridged(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate linearly between the known stretches; infinite beyond the outermost."""
    known = np.flatnonzero(np.isfinite(level))
    if not known.size:
        return level
    at = np.arange(len(level))
    return np.interp(at, known, level[known], left=np.inf, right=np.inf)


def _as_line(baseline: Line, thickness_px: NDArray[np.float64]) -> Line:
    """Points of the junction on the plane, a pixel apart, one piece per known stretch."""
    pieces = []
    for span in baseline.spans:
        points = baseline.points_px[span] + baseline.normals[span] * thickness_px[span, None]
        parts, count = ndimage.label(np.isfinite(points[:, 0]))
        pieces += [evenly_spaced(points[parts == part]) for part in range(1, count + 1)]
    return line_of([piece for piece in pieces if len(piece) > 2])
