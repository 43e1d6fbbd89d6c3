"""Lines, distances and columns against their slow, obvious twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import spsolve

from wsi_pipeline.measure.infiltration import balance_of, weighted_percentile
from wsi_pipeline.measure.line import (
    arc_length,
    column_map,
    distances_px,
    evenly_spaced,
    level_lines,
    line_of,
    smoothed,
)
from wsi_pipeline.measure.orientation import _decide


def arc(radius: float, centre: float = 100.0) -> np.ndarray:
    angle = np.linspace(0.3, 1.3, 400)
    return np.column_stack((centre - radius * np.cos(angle), centre + radius * np.sin(angle)))


def test_normals_point_to_the_low_side() -> None:
    y, x = np.mgrid[:80, :80]
    high_outside = (np.hypot(y - 40, x - 40) > 20).astype(np.float32)
    (ring,) = level_lines(high_outside)
    line = line_of([evenly_spaced(ring)])
    inward = [40, 40] - line.points_px
    cosine = (inward * line.normals).sum(axis=1) / np.hypot(*inward.T)
    assert cosine.min() > 0.8


@given(angle=st.floats(0, 2 * np.pi), offset=st.floats(-10, 10))
@settings(max_examples=15, deadline=None)
def test_distances_are_exact_to_a_pixel(angle: float, offset: float) -> None:
    along = np.linspace(-20, 20, 61)[:, None]
    direction = np.array([np.sin(angle), np.cos(angle)])
    points = [30 + offset, 30 - offset] + along * direction
    line, where = line_of([evenly_spaced(points)]), np.ones((60, 60), bool)
    fast = distances_px(line, where)
    gap = np.argwhere(where)[:, None, :] - line.points_px[None]
    slow = np.hypot(gap[..., 0], gap[..., 1]).min(axis=1).reshape(where.shape)
    assert (fast - slow).min() >= -1e-4
    assert (fast - slow).max() <= 1.42  # the diagonal of the pixel that holds the point


def test_columns_follow_the_normals_of_an_arc() -> None:
    line = smoothed(line_of([evenly_spaced(arc(80))]), 5)
    columns = column_map(line, (200, 200))
    y, x = np.mgrid[:200, :200]
    radius, angle = np.hypot(y - 100, x - 100), np.arctan2(x - 100, 100 - y)
    near = (angle > 0.35) & (angle < 1.25) & (radius > 40) & (radius < 95)
    sign = np.sign((line.normals[40] * ([100, 100] - line.points_px[40])).sum())
    assert columns.depth_px[near] * sign == pytest.approx(80 - radius[near], abs=0.5)
    place = columns.column[near] / (len(line.points_px) - 1) + 0.3
    assert place == pytest.approx(angle[near], abs=0.05)


def test_smoothing_keeps_a_straight_line_whole() -> None:
    straight = np.column_stack((np.linspace(3, 40, 60), np.linspace(5, 90, 60)))
    line = smoothed(line_of([straight]), 20)
    assert line.points_px == pytest.approx(straight)
    assert line.length_px == pytest.approx(arc_length(straight))


def test_pieces_are_kept_apart() -> None:
    line = line_of([arc(20), arc(60), arc(80)])
    assert [span.stop - span.start for span in line.spans] == [400, 400, 400]
    assert line_of([]).spans == []


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), min_size=1, max_size=30))
def test_weighted_percentile_is_that_of_the_repeated_values(pairs) -> None:
    values, weights = (np.array(axis, np.float32) for axis in zip(*pairs, strict=True))
    repeated = np.repeat(values, weights.astype(int))
    for percent in (50.0, 99.5):
        expected = np.percentile(repeated, percent, method="inverted_cdf")
        assert weighted_percentile(values, weights, percent=percent) == expected


@pytest.mark.parametrize(
    ("upper", "lower", "log2"), [(2, 1, 1.0), (1, 4, -2.0), (1, 0, 10.0), (0, 1, -10.0)]
)
def test_balance_of(upper: float, lower: float, log2: float) -> None:
    assert balance_of(upper, lower) == log2


@pytest.mark.parametrize(
    ("ribbon", "one_sided", "fat", "roundness", "evidence", "word"),
    [
        (1.4, 0.95, 0.9, 0.5, 0.0, "vertical"),
        (0.6, 0.95, None, 0.9, 1.0, "vertical"),
        (1.4, 0.3, 0.9, 0.5, 0.0, "indeterminate"),  # epithelium all round
        (1.4, 0.95, 0.2, 0.5, 0.0, "indeterminate"),  # fat beside, not below
        (0.05, 0.0, None, 0.95, 1.0, "horizontal"),
        (0.05, 0.0, None, 0.95, 0.0, "indeterminate"),  # a disc of anything
        (0.05, 0.0, None, 0.6, 1.0, "indeterminate"),  # neither ribbon nor disc
        (0.35, 0.9, None, 0.95, 1.0, "indeterminate"),
    ],
)
def test_rule_of_orientation(ribbon, one_sided, fat, roundness, evidence, word) -> None:
    found, confidence = _decide(ribbon, one_sided, fat=fat, roundness=roundness, evidence=evidence)
    assert found == word
    assert 0.5 <= confidence <= 1


def test_distance_ratio_against_laplace() -> None:
    """Dermis 2 mm thick, deep junction ±0.2 mm over 2 mm: the figures of the documentation."""
    step_um, beyond_px = 20.0, 100

    def floor_px(column: np.ndarray) -> np.ndarray:
        return (2000 + 200 * np.cos(2 * np.pi * column * step_um / 2000)) / step_um

    # One wavelength from crest to crest: by symmetry nothing flows through its sides.
    row, column = np.mgrid[0:115, 0:100] + np.array([0.0, 0.5])[:, None, None]
    dermis = (row > 0) & (row < floor_px(column))
    at = np.arange(-beyond_px, 200.0, 0.25) + 0.5
    where = np.pad(dermis, ((0, 0), (beyond_px, beyond_px)))
    to_dej, to_dsj = (
        distances_px(line_of([evenly_spaced(np.column_stack((down, at + beyond_px - 0.5)))]), where)
        for down in (0 * at, floor_px(at))
    )
    ratio = (to_dej / (to_dej + to_dsj))[:, beyond_px:-beyond_px][dermis]
    apart = ratio - laplace(dermis, 1 + (row - floor_px(column)) * step_um / 2000)
    assert apart.std() == pytest.approx(0.022, abs=0.002)
    assert np.percentile(np.abs(apart), 99) == pytest.approx(0.059, abs=0.004)


def laplace(dermis: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Solve Laplace's equation: 0 in the first row, ``beyond`` below, no flow sideways."""
    number = np.cumsum(dermis).reshape(dermis.shape) - 1
    rows, columns = np.nonzero(dermis)
    fixed, entries = np.zeros(len(rows)), []
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        there = (columns + right >= 0) & (columns + right < dermis.shape[1])
        own, near = np.flatnonzero(there), (rows[there] + down, columns[there] + right)
        inner = dermis[near]
        entries += [(own, own, 1.0), (own[inner], number[near][inner], -1.0)]
        fixed[own[~inner]] += np.where(near[0][~inner] == 0, 0.0, beyond[near][~inner])
    i, j, value = (
        np.concatenate([np.broadcast_to(e[k], e[0].shape) for e in entries]) for k in range(3)
    )
    matrix = sparse.coo_array((value, (i, j)), shape=(len(rows),) * 2).tocsc()
    return spsolve(matrix, fixed)
