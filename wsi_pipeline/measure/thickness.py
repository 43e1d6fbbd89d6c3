"""Over what length does tumour go through the whole dermis?

1. In each column, from the dermo-epidermal (0) to the dermo-subcutaneous junction (1): the cover,
   that is the share that is tumour, the first and last tumour, and the widest gap between.
2. A column is full-thickness where tumour begins near the top, reaches near the bottom, has no
   wide gap and covers enough.  It may begin below a Grenz zone: most metastases keep one.
3. That is judged on the *infiltration envelope*, tumour and the stroma just beside it, because
   cords and single files never fill the dermis; and once more on the tumour alone.
4. The call of a section: full-thickness, focal full-thickness, partial or none.

Full thickness has no published numeric definition; every threshold is this software's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.measure.columns import Columns
from wsi_pipeline.measure.results import LateralProfile
from wsi_pipeline.values import Measurement

THICKNESS_UNITS: dict[str, str] = {
    "full_thickness_call": "",
    "full_thickness_fraction": "1",
    "full_thickness_tumour_fraction": "1",
    "full_thickness_run_um": "µm",
    "full_thickness_cover15_fraction": "1",
    "full_thickness_cover50_fraction": "1",
    "full_thickness_strict_fraction": "1",
}
CALLS = ("none", "partial", "focal full-thickness", "full-thickness")
"""From the least to the most infiltrative."""

MIN_COVER, LOW_COVER, HIGH_COVER = 0.30, 0.15, 0.50
"""Least cover of a full-thickness column; the other two show what hangs on that choice."""
MAX_GAP = 0.25
MAX_BOTTOM = 0.10
# A Grenz zone may take up this much, as a share of the dermis, or this much in µm of a thin one.
MAX_TOP, MAX_TOP_UM, MOST_TOP = 0.10, 150.0, 0.20
# Less of a column than this is a stray cell.
TUMOUR_COVER = 0.01
# A full-thickness run goes on across gaps up to this.
BRIDGE_UM = 100.0
RUN_UM, FOCAL_RUN_UM = 500.0, 100.0
MIN_TUMOUR_FRACTION = 0.5
# A column that is mostly a tear says nothing.
_MIN_TISSUE = 0.5

NO_COLUMN = "no column of the dermis is whole enough to be judged"

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """How tumour lies in each of N columns, as shares of its thickness.

    Parameters
    ----------
    cover
        float64 (N,), share of the column that is tumour.
    first, last
        float64 (N,), where tumour begins and ends; 1 and 0 without any.
    gap
        float64 (N,), widest tumour-free stretch between the two.
    """

    cover: Floats
    first: Floats
    last: Floats
    gap: Floats


def measure_thickness(columns: Columns) -> dict[str, Measurement]:
    """Measure full-thickness infiltration along the lateral axis of a section."""
    valid = judged(columns)
    width_um = np.where(valid, columns.paths.width_um, 0.0)
    if not valid.any():
        return {n: Measurement.not_assessable(u, NO_COLUMN) for n, u in THICKNESS_UNITS.items()}
    near = extent_of(columns, columns.near_tumour)
    own = extent_of(columns, columns.tumour)
    full, strict = (is_full(columns, extent, MIN_COVER) for extent in (near, own))
    holds = own.cover > TUMOUR_COVER
    run_um = longest_run_um(columns, full & valid)
    low, fraction, high = (
        share_of(is_full(columns, near, cover), width_um)
        for cover in (LOW_COVER, MIN_COVER, HIGH_COVER)
    )
    of_tumour = share_of(full, np.where(holds, width_um, 0.0))
    found: dict[str, float | str] = {
        "full_thickness_call": call_of(run_um, of_tumour, has_tumour=bool(holds[valid].any())),
        "full_thickness_fraction": fraction,
        "full_thickness_tumour_fraction": of_tumour,
        "full_thickness_run_um": run_um,
        "full_thickness_cover15_fraction": low,
        "full_thickness_cover50_fraction": high,
        "full_thickness_strict_fraction": share_of(strict, width_um),
    }
    return {name: Measurement(value, THICKNESS_UNITS[name]) for name, value in found.items()}


def lateral_profile(columns: Columns) -> LateralProfile | None:
    """Extent of the infiltration envelope column by column; None where none can be judged."""
    valid = judged(columns)
    if not valid.any():
        return None
    near = extent_of(columns, columns.near_tumour)
    return LateralProfile(
        piece=columns.paths.piece,
        width_um=columns.paths.width_um,
        thickness_um=np.where(valid, columns.paths.thickness_um, np.nan),
        first=near.first,
        last=near.last,
        cover=near.cover,
        is_full=valid & is_full(columns, near, MIN_COVER),
    )


def judged(columns: Columns) -> Mask:
    """Columns whose deep end is known and that are mostly tissue, (N,)."""
    dermis = columns.paths.dermis
    tissue = ((columns.labels != BACKGROUND) & dermis).sum(axis=1)
    whole = tissue >= _MIN_TISSUE * np.maximum(dermis.sum(axis=1), 1)
    return np.asarray(whole & np.isfinite(columns.paths.thickness_um))


def extent_of(columns: Columns, tumour: Mask) -> Extent:
    """Cover, ends and widest gap of a mask (N, S) within each column."""
    dermis = columns.paths.dermis
    hit, count = tumour & dermis, np.maximum(dermis.sum(axis=1), 1)
    at = np.arange(hit.shape[1])
    top = int(np.argmax(columns.paths.depth_um >= 0))
    first = np.where(hit.any(axis=1), hit.argmax(axis=1) - top, count)
    last = np.where(hit.any(axis=1), hit.shape[1] - hit[:, ::-1].argmax(axis=1) - top, 0)
    before = np.maximum.accumulate(np.where(hit, at, -1), axis=1)[:, :-1]
    gap = np.where(hit[:, 1:] & (before >= 0), at[1:] - before - 1, 0).max(axis=1, initial=0)
    return Extent(hit.sum(axis=1) / count, first / count, last / count, gap / count)


def is_full(columns: Columns, extent: Extent, min_cover: float, *, slack: float = 0.0) -> Mask:
    """Columns through which tumour goes from top to bottom, (N,).

    ``slack`` loosens every limit by this share of the column's thickness; below 0 it tightens.
    """
    thickness_um = np.maximum(columns.paths.thickness_um, 1.0)
    top = np.clip(MAX_TOP_UM / thickness_um, MAX_TOP, MOST_TOP)
    return np.asarray(
        (extent.first <= top + slack)
        & (extent.last >= 1 - MAX_BOTTOM - slack)
        & (extent.gap <= MAX_GAP + slack)
        & (extent.cover >= min_cover - slack)
    )


def longest_run_um(columns: Columns, full: Mask, *, bridge_um: float = BRIDGE_UM) -> float:
    """Longest stretch of such columns, across gaps of up to ``bridge_um``, µm."""
    longest = run = gap = 0.0
    piece = -1
    for is_in, width_um, its in zip(full, columns.paths.width_um, columns.paths.piece, strict=True):
        if its != piece:
            piece, run, gap = int(its), 0.0, 0.0
        if not is_in:
            gap += float(width_um)
            continue
        run = float(width_um) + (run + gap if run > 0 and gap <= bridge_um else 0.0)
        gap, longest = 0.0, max(longest, run)
    return longest


def call_of(run_um: float, tumour_fraction: float, *, has_tumour: bool) -> str:
    """Word for the whole section."""
    if not has_tumour:
        return CALLS[0]
    if run_um >= RUN_UM and tumour_fraction >= MIN_TUMOUR_FRACTION:
        return CALLS[3]
    return CALLS[2] if run_um >= FOCAL_RUN_UM else CALLS[1]


def share_of(mask: Mask, width_um: Floats) -> float:
    """Share of the columns, by the length they stand for; 0 of nothing."""
    total = float(width_um.sum())
    return min(1.0, float(width_um[mask].sum()) / total) if total else 0.0
