"""Where does the dermis meet the fat?

1. Columns stand on the *baseline*, the dermo-epidermal junction smoothed so far that its
   normals do not cross within the dermis.  In each column the first main fat is the
   junction seen there: a thickness as a function of the place along the skin, whatever way
   the tissue lies or bends.
2. Fat that first appears below tumour, a follicle's bulb or a gland does not show where the
   junction was: such columns count as unseen.
3. A one-dimensional grey opening by a cone finds deep excursions that are narrower than
   the gap to be closed and steeper than 45°: follicles and septa.  Gentle valleys are the
   junction's own shape and stay.
4. Whatever is unseen or cut off is interpolated between its flanks; only what is wider than
   the gap to be closed counts as interpolated.  Where tumour sits on fat that is shallower
   than that, the fat is believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import ADNEXA, SUBCUTIS
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.line import ColumnMap, Line, evenly_spaced, line_of
from wsi_pipeline.measure.plane import SectionPlane

# A despeckling window well below the gap to be closed and above a fat cell.
_MEDIAN_UM = 100.0
# Depth above the fat that is searched for tumour and adnexa: a few cells.
_ABUT_UM = 40.0
# A pit whose walls are steeper than this (tan 45°) is no valley of the junction.
_STEEP = 1.0
# Roughness of the junction that is no pit.
_NOISE_UM = 25.0
# Columns this close beside what sits on fat are judged with it.
_GRAZE_UM = 50.0
# A smaller component beside the main one is a lobule within the dermis or a mistake.
_MIN_SHARE_OF_LARGEST = 0.1
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
    plane: SectionPlane, baseline: Line, *, columns: ColumnMap, settings: MeasureSettings
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
    gap_px = max(1, round(settings.close_gap_um / mpp))
    fat = main_fat(plane, settings.min_fat_mm2)
    first = _first_depth(fat, columns, baseline=baseline)
    hidden = _hidden_above(plane, baseline, first=first, reach_px=round(_ABUT_UM / mpp))
    # A column that grazes the flank of what hides the junction sees the fat beyond it.
    hidden = ndimage.binary_dilation(hidden, iterations=max(1, round(_GRAZE_UM / mpp)))
    thickness, guessed = np.empty(first.shape), np.empty(first.shape, bool)
    for span in baseline.spans:
        level = ndimage.median_filter(first[span], max(1, round(_MEDIAN_UM / mpp)), mode="nearest")
        seen = _is_seen(level, hidden[span], gap_px=gap_px, tolerance_px=_NOISE_UM / mpp)
        bridge = _bridge(level, seen, reach_px=gap_px // 2)
        thickness[span] = np.where(seen, level, np.minimum(bridge, level))
        confirmed = level <= bridge + _CONFIRM_UM / mpp
        guessed[span] = _is_wide(~seen, gap_px) & np.isfinite(bridge) & ~confirmed
    thickness[~np.isfinite(thickness)] = np.nan
    return Junction(thickness, guessed, _as_line(baseline, thickness))


def main_fat(plane: SectionPlane, min_fat_mm2: float) -> NDArray[np.bool_]:
    """Fat components large enough to be subcutis, by themselves and beside the largest."""
    parts, count = ndimage.label(plane.classes == SUBCUTIS, np.ones((3, 3)))
    areas_mm2 = np.bincount(parts.ravel(), minlength=count + 1) * plane.grid.pixel_area_um2 / 1e6
    areas_mm2[0] = 0.0
    large = areas_mm2 >= max(min_fat_mm2, _MIN_SHARE_OF_LARGEST * float(areas_mm2.max()))
    large[0] = False
    return np.asarray(large[parts])


def _first_depth(
    fat: NDArray[np.bool_], columns: ColumnMap, *, baseline: Line
) -> NDArray[np.float64]:
    """Depth at which fat begins in each column; infinite where there is none."""
    seen = fat & (columns.column >= 0) & (columns.depth_px > 0)
    first = np.full(len(baseline.points_px), np.inf)
    # The border of a pixel lies half a pixel above its centre.
    np.minimum.at(first, columns.column[seen], columns.depth_px[seen] - 0.5)
    for span in baseline.spans:  # the end columns are wedges: too wide to be one depth
        first[[span.start, span.stop - 1]] = first[[span.start + 1, span.stop - 2]]
    return first


def _hidden_above(
    plane: SectionPlane, baseline: Line, *, first: NDArray[np.float64], reach_px: int
) -> NDArray[np.bool_]:
    """Whether tumour or an adnexal structure lies just above the first fat of a column."""
    hit = np.zeros(first.shape, bool)
    seen, last = np.isfinite(first), np.array(plane.grid.shape) - 1
    for step in range(1, max(1, reach_px) + 1):
        at = baseline.points_px[seen] + baseline.normals[seen] * (first[seen, None] + 0.5 - step)
        row, column = np.clip(np.rint(at).astype(np.intp), 0, last).T
        hit[seen] |= (plane.tumour[row, column] >= 0.5) | (plane.classes[row, column] == ADNEXA)
    return hit


def _is_seen(
    level: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    *,
    gap_px: int,
    tolerance_px: float,
) -> NDArray[np.bool_]:
    """Where the junction shows itself: fat, not hidden from above, not in a narrow steep pit.

    Fat below tumour may lie too deep, never too shallow: it also bounds a pit beside it.
    """
    cone = -_STEEP * np.abs(np.arange(-(gap_px // 2), gap_px // 2 + 1))
    opened = ndimage.grey_opening(level, structure=cone, mode="nearest")
    return np.asarray(np.isfinite(level) & ~hidden & (level <= opened + tolerance_px))


def _bridge(
    level: NDArray[np.float64], seen: NDArray[np.bool_], *, reach_px: int
) -> NDArray[np.float64]:
    """Interpolate between what is seen; level for a short way beyond, then infinite."""
    known = np.flatnonzero(seen)
    if not known.size:
        return np.full(level.shape, np.inf)
    at = np.arange(len(level))
    bridge = np.interp(at, known, level[known])
    bridge[(at < known[0] - reach_px) | (at > known[-1] + reach_px)] = np.inf
    return bridge


def _is_wide(gap: NDArray[np.bool_], gap_px: int) -> NDArray[np.bool_]:
    """Gaps that are wider than a follicle or septum."""
    parts, _ = ndimage.label(gap)
    wide = np.bincount(parts) > gap_px
    wide[0] = False
    return np.asarray(wide[parts])


def _as_line(baseline: Line, thickness_px: NDArray[np.float64]) -> Line:
    """Points of the junction on the plane, a pixel apart, one piece per known stretch."""
    pieces = []
    for span in baseline.spans:
        points = baseline.points_px[span] + baseline.normals[span] * thickness_px[span, None]
        parts, count = ndimage.label(np.isfinite(points[:, 0]))
        pieces += [evenly_spaced(points[parts == part]) for part in range(1, count + 1)]
    return line_of([piece for piece in pieces if len(piece) > 2])
