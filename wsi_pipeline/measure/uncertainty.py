"""How far may a headline value be off?

Three independent parts, added as squares, make the interval of a value:

1. *segmentation*: the value for a tumour mask drawn at a low and at a high probability, with
   the anatomy unchanged; nothing where no probabilities are known; for the infiltrated share, also
   that of the tumour which is more than a speck and a doubt;
2. *sampling*: another stretch of the same lesion.  Stretches of 250 µm are drawn anew, as a
   whole, since what lies side by side is not independent; 5th to 95th percentile.  A longest run
   has no pieces that could be drawn anew: gaps half and twice as wide are bridged instead, and,
   where a model drew the map, a column may fail or pass by a little;
3. *scale and place*: the tolerance of the pixel width, and half a measurement pixel for a length
   or, for a relative depth, for each junction.

It knows nothing of tilt, shrinkage, the choice of section or a wrong junction.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND, DERMIS, TUMOUR
from wsi_pipeline.measure.columns import Columns
from wsi_pipeline.measure.depth import DepthMap
from wsi_pipeline.measure.grenz import grenz_um, junction_depth_um
from wsi_pipeline.measure.infiltration import DEPTH_PERCENTILE
from wsi_pipeline.measure.line import Line
from wsi_pipeline.measure.plane import SectionPlane, block_share
from wsi_pipeline.measure.thickness import (
    BRIDGE_UM,
    MIN_COVER,
    TUMOUR_COVER,
    extent_of,
    is_full,
    judged,
    longest_run_um,
)
from wsi_pipeline.values import Measurement

HEADLINES = (
    "infiltration_fraction",
    "relative_depth_max",
    "depth_max_um",
    "full_thickness_fraction",
    "full_thickness_tumour_fraction",
    "full_thickness_run_um",
    "grenz_median_um",
)
"""Values that get such an interval."""
THRESHOLDS = (0.3, 0.7)
"""Probabilities of tumour at which the mask is drawn once too large and once too small."""
_BLOCK_UM = 250.0
_DRAWS = 200
_PERCENT = (5.0, 95.0)
# Steps into which the range of a depth is cut to draw percentiles from it.
_STEPS = 1000
_MIN_BLOCKS = 3
_SLACK = 0.03
"""Share of a column's thickness by which a model's junctions and tumour may lie aside.  On
validation phantoms the least of 0.02, 0.03, 0.05, 0.08 with which nine runs in ten lay within."""

Floats = NDArray[np.float64]
Spread = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Values with weights, and the block of the junction from which each of them comes."""

    block: NDArray[np.intp]
    value: Floats
    weight: Floats


def with_tumour_above(plane: SectionPlane, threshold: float) -> SectionPlane | None:
    """The section as it were with tumour wherever it is this probable; None if that is unknown.

    Notes
    -----
    What is no longer tumour counts as dermis: its second most probable class is not known.
    """
    if plane.tumour_probability is None:
        return None
    probable = plane.tumour_probability >= threshold * 255
    labels = np.where(plane.labels == TUMOUR, np.uint8(DERMIS), plane.labels)
    labels = np.where(probable & (plane.labels != BACKGROUND), np.uint8(TUMOUR), labels)
    tumour = block_share(labels == TUMOUR, plane)
    return dataclasses.replace(plane, labels=labels, tumour=tumour)


def with_intervals(
    values: Mapping[str, Measurement],
    *,
    others: Sequence[Mapping[str, Measurement]],
    spread: Spread,
    columns: Columns,
    plane: SectionPlane,
    mpp_tolerance: float,
) -> dict[str, Measurement]:
    """Give the headline values their intervals.

    Parameters
    ----------
    others
        The same values for other tumour masks.
    spread
        Lower and upper bound of each value by sampling alone.
    columns
        Columns of the section.
    mpp_tolerance
        Relative uncertainty of the pixel width.
    """
    found = dict(values)
    run = "full_thickness_run_um"
    bridged = {**spread, run: _bridged_run(columns)}
    slackened = {} if plane.tumour_probability is None else {run: _slackened_run(columns)}
    thickness_um = columns.paths.thickness_um[np.isfinite(columns.paths.thickness_um)]
    for name in HEADLINES:
        own = values[name]
        if not isinstance(own.value, float) or own.status != "measured":
            continue
        ends = [_point(other[name], own.value) for other in others]
        ends += [spread.get(name, (own.value, own.value)) for spread in (bridged, slackened)]
        if own.unit == "µm":
            ends.append(_around(own.value, own.value * mpp_tolerance))
            ends.append(_around(own.value, plane.grid.mpp / 2))
        if name == "relative_depth_max" and thickness_um.size:
            ends += 2 * [_around(own.value, plane.grid.mpp / 2 / float(np.median(thickness_um)))]
        found[name] = dataclasses.replace(own, interval=_joined(own.value, ends, own.unit))
    return found


def _point(other: Measurement, value: float) -> tuple[float, float]:
    """Another value as a range of no width; this one where there is no other."""
    at = other.value if isinstance(other.value, float) else value
    return at, at


def _around(value: float, by: float) -> tuple[float, float]:
    """A value and the same distance on both sides."""
    return value - by, value + by


def _joined(value: float, ends: Sequence[tuple[float, float]], unit: str) -> tuple[float, float]:
    """Square root of the sum of squares of the ways down, and of those up, within what can be."""
    down = math.hypot(*(max(0.0, value - low) for low, _ in ends))
    up = math.hypot(*(max(0.0, high - value) for _, high in ends))
    return max(0.0, value - down), value + up if unit == "µm" else min(1.0, value + up)


def sampling_spread(
    plane: SectionPlane,
    depth: DepthMap,
    *,
    columns: Columns,
    tumour: NDArray[np.float32],
) -> dict[str, tuple[float, float]]:
    """Bounds of the headline values if other stretches of the lesion had been cut.

    Notes
    -----
    A bootstrap over blocks with a fixed seed; empty where the section is shorter than three
    blocks.
    """
    blocks = _blocks(depth.baseline, _BLOCK_UM / plane.grid.mpp)
    count = int(blocks.max(initial=-1)) + 1
    if count < _MIN_BLOCKS:
        return {}
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _DRAWS)
    inside = depth.compartment
    own = blocks[depth.column[inside]]
    dermis = _Pieces(own, plane.tumour[inside].astype(float), plane.tissue[inside].astype(float))
    zone_um = grenz_um(columns, junction_depth_um(columns))
    seen = np.isfinite(zone_um)
    paths = columns.paths
    valid = judged(columns)
    full = _full(columns)
    holds = valid & (extent_of(columns, columns.tumour).cover > TUMOUR_COVER)
    at = blocks[paths.point]
    drawn = {
        "infiltration_fraction": _shares(draws, dermis),
        "full_thickness_fraction": _shares(
            draws, _Pieces(at[valid], (paths.width_um * full)[valid], paths.width_um[valid])
        ),
        "full_thickness_tumour_fraction": _shares(
            draws, _Pieces(at[holds], (paths.width_um * full)[holds], paths.width_um[holds])
        ),
        "grenz_median_um": _percentiles(
            draws, _Pieces(at[seen], zone_um[seen], paths.width_um[seen]), 50.0
        ),
    }
    for name, values in (("depth_max_um", depth.depth_um), ("relative_depth_max", depth.relative)):
        where = np.isfinite(values) & (tumour > 0) & (depth.column >= 0)
        pieces = _Pieces(
            blocks[depth.column[where]], values[where].astype(float), tumour[where].astype(float)
        )
        drawn[name] = _percentiles(draws, pieces, DEPTH_PERCENTILE)
    return {name: _bounds(values) for name, values in drawn.items() if np.isfinite(values).any()}


def _full(columns: Columns, slack: float = 0.0) -> NDArray[np.bool_]:
    """Columns through which the infiltration envelope goes from top to bottom, (N,)."""
    return is_full(columns, extent_of(columns, columns.near_tumour), MIN_COVER, slack=slack)


def _bridged_run(columns: Columns) -> tuple[float, float]:
    """Bounds of the longest run if gaps half and twice as wide were bridged."""
    full = _full(columns) & judged(columns)
    low, high = (longest_run_um(columns, full, bridge_um=BRIDGE_UM * by) for by in (0.5, 2.0))
    return low, high


def _slackened_run(columns: Columns) -> tuple[float, float]:
    """Bounds of the longest run if every column failed and passed by a little."""
    valid = judged(columns)
    low, high = (longest_run_um(columns, _full(columns, by) & valid) for by in (-_SLACK, _SLACK))
    return low, high


def _bounds(drawn: Floats) -> tuple[float, float]:
    """Central part of what was drawn."""
    low, high = np.nanpercentile(drawn, _PERCENT)
    return float(low), float(high)


def _blocks(line: Line, length_px: float) -> NDArray[np.intp]:
    """Number of the block of each point of a line; none reaches over two pieces."""
    numbers, first = [np.empty(0, np.intp)], 0
    for span in line.spans:
        size = span.stop - span.start
        count = max(1, round(size / length_px))
        numbers.append(first + np.arange(size) * count // size)
        first += count
    return np.concatenate(numbers)


def _shares(draws: NDArray[np.int64], pieces: _Pieces) -> Floats:
    """Sum of values over sum of weights for every draw of blocks."""
    count = draws.shape[1]
    part, whole = (
        draws @ np.bincount(pieces.block, sums, count) for sums in (pieces.value, pieces.weight)
    )
    return np.where(whole > 0, part / np.maximum(whole, 1e-12), np.nan)


def _percentiles(draws: NDArray[np.int64], pieces: _Pieces, percent: float) -> Floats:
    """Weighted percentile for every draw of blocks, to a thousandth of the range."""
    if not pieces.value.size:
        return np.full(len(draws), np.nan)
    low, high = float(pieces.value.min()), float(pieces.value.max())
    step = max(high - low, 1e-9) / _STEPS
    cell = np.minimum(((pieces.value - low) / step).astype(np.intp), _STEPS - 1)
    shape = (draws.shape[1], _STEPS)
    table = np.bincount(pieces.block * _STEPS + cell, pieces.weight, shape[0] * _STEPS)
    reached = np.cumsum(draws @ table.reshape(shape), axis=1)
    whole = reached[:, -1:]
    at = (reached >= percent / 100 * whole).argmax(axis=1)
    return np.where(whole[:, 0] > 0, low + (at + 0.5) * step, np.nan)
