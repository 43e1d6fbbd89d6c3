"""Which stretches of an outline are skin: rectangles and lines whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.measure.stretches import (
    bridged,
    find_anchors,
    levelled,
    middle_of_longest_gap,
    runs,
    without_cut_edges,
)

WIDE, HIGH = 400, 200


def block() -> np.ndarray:
    """Outline of a block of tissue, from the middle of its lower side, clockwise."""
    half = WIDE // 2
    left, up, right = np.arange(half), np.arange(HIGH), np.arange(WIDE)
    return np.concatenate(
        [
            np.column_stack((0 * left + HIGH, half - left)),
            np.column_stack((HIGH - up, 0 * up)),
            np.column_stack((0 * right, right)),
            np.column_stack((up, 0 * up + WIDE)),
            np.column_stack((0 * left + HIGH, WIDE - left)),
        ]
    ).astype(float)


TOP = slice(WIDE // 2 + HIGH, WIDE // 2 + HIGH + WIDE)


def joined(bears: np.ndarray) -> list[slice]:
    anchors = find_anchors(block(), bears, shortest_px=40, chord_px=25)
    found = bridged(block(), anchors, longest_px=250, flank_px=40)
    return runs(without_cut_edges(block(), found))


def bearing(*stretches: tuple[int, int]) -> np.ndarray:
    """Epidermis on stretches of the outline, counted from the top's left corner."""
    bears = np.zeros(len(block()), bool)
    for start, stop in stretches:
        bears[TOP.start + start : TOP.start + stop] = True
    return bears


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(0, WIDE)], [(0, WIDE)]),
        ([(0, 150), (170, WIDE)], [(0, WIDE)]),  # an ostium
        ([(0, 80), (300, WIDE)], [(0, WIDE)]),  # an ulcer
        ([(0, 80), (340, WIDE)], [(0, 80), (340, WIDE)]),  # too long a gap
        ([(0, 30)], []),  # a fleck
        ([(0, WIDE), (WIDE + 60, WIDE + 90)], [(0, WIDE)]),  # a fleck on the cut edge
        ([(0, WIDE), (WIDE + 5, WIDE + 35)], [(0, WIDE)]),  # and one near the corner
        ([(0, WIDE), (WIDE + 60, WIDE + 140)], [(0, WIDE)]),  # more than a fleck
        ([(0, 10), (30, 35), (55, 60), (80, 105)], []),  # hardly half of it epidermis
    ],
)
def test_stretches_of_a_block(stretches, expected) -> None:
    found = [(run.start - TOP.start, run.stop - TOP.start) for run in joined(bearing(*stretches))]
    assert len(found) == len(expected)
    for have, want in zip(found, expected, strict=True):
        assert have == pytest.approx(want, abs=3)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_runs_are_the_flags(flags: list[bool]) -> None:
    again = np.zeros(len(flags), bool)
    for run in runs(np.array(flags)):
        assert not again[run].any()
        again[run] = True
    assert again.tolist() == flags


def test_a_ring_is_cut_open_in_its_longest_gap() -> None:
    bears = np.array([False, False, True, False, True, True, False, False])
    assert middle_of_longest_gap(bears) == 0
    assert middle_of_longest_gap(np.ones(5, bool)) == 0


@pytest.mark.parametrize(
    ("lump", "kept"),
    [(8.0, False), (30.0, True), (-8.0, True)],  # missed epidermis, a dome, a crater
)
@pytest.mark.parametrize("bend", [0.0, 4e-4])
def test_lumps_over_gaps(lump: float, kept: bool, bend: float) -> None:
    at = np.arange(301.0)
    skin = bend * (at - 150) ** 2
    rise = lump * np.exp(-(((at - 150) / 25) ** 4))
    # Walking towards smaller columns has the deep side, larger rows, on its left.
    points = np.column_stack((skin - rise, -at))
    level = levelled(points, abs(at - 150) < 25, reach_px=20, flank_px=40, highest_px=18)
    expected = skin - rise if kept else skin
    assert level[:, 0] == pytest.approx(expected, abs=0.6)
    assert level[:100] == pytest.approx(points[:100])
