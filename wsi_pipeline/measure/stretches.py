"""Which stretches of an outline are skin, and how does the junction cross their gaps?

An outline is a ring of points, about a pixel apart, each of which bears epidermis or not.

1. Gaps narrower than a follicular ostium are sewn up.
2. A corner parts what lies on either side of it: there the skin ends and the cut begins.
3. What then holds a good length of epidermis, and bears it over at least half, is an
   *anchor*.  A fleck of epidermis on a cut edge is none.
4. Longer gaps are bridged only between anchors that continue each other.
5. What is much shorter than the longest stretch and faces another way is tumour or ink on a
   cut edge, called epidermis.
6. Where the outline rises over a gap by no more than the epidermis is thick, a curve from
   flank to flank takes its place; a crater or a dome keeps its own surface.

Points are (row, column) in pixels.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.measure.line import Points

Flags = NDArray[np.bool_]

# Skin bends less than this within a few hundred µm; the corner to a cut edge is about 90°.
_CORNER_DEG = 50.0
_SAME_WAY = math.cos(math.radians(_CORNER_DEG))
# An anchor bears epidermis over at least this share of its length.
_MIN_SHARE = 0.5
# A stretch on a cut edge is shorter than this share of the longest.
_SHORT_SHARE = 0.5


def runs(flags: Flags) -> list[slice]:
    """Where the flags are up, run by run."""
    steps = np.diff(np.concatenate(([0], flags.astype(np.int8), [0])))
    ends = zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
    return [slice(int(a), int(b)) for a, b in ends]


def middle_of_longest_gap(bears: Flags) -> int:
    """Where to cut a ring open: as far from any epidermis as can be."""
    twice = np.concatenate((bears, bears))
    longest = max(runs(~twice), key=lambda run: run.stop - run.start, default=slice(0, 0))
    return int((longest.start + longest.stop) // 2 % len(bears))


def find_anchors(ring: Points, bears: Flags, *, shortest_px: int, chord_px: int) -> Flags:
    """Stretches that bear enough epidermis to be skin.

    Parameters
    ----------
    ring
        float64 (N, 2), a closed outline, cut open where it bears no epidermis.
    bears
        bool (N,).
    shortest_px
        Gaps below this length are sewn up; epidermis below this length is no anchor.
    chord_px
        Length over which the direction before and after a corner is taken.
    """
    sewn = bears.copy()
    for gap in runs(~bears):
        at_end = gap.start == 0 or gap.stop == len(bears)
        sewn[gap] = not at_end and gap.stop - gap.start < shortest_px
    anchors = np.zeros(len(bears), bool)
    for run in runs(sewn & ~_corners(ring, chord_px)):
        hits = run.start + np.flatnonzero(bears[run])
        if len(hits) >= max(1, shortest_px):
            held = slice(int(hits[0]), int(hits[-1]) + 1)
            anchors[held] = len(hits) >= _MIN_SHARE * (held.stop - held.start)
    return anchors


def bridged(ring: Points, anchors: Flags, *, longest_px: float, flank_px: int) -> Flags:
    """Anchors, and the gaps up to ``longest_px`` between those that continue each other."""
    joined = anchors.copy()
    for one, two in pairwise(runs(anchors)):
        if two.start - one.stop > longest_px:
            continue
        chord = _direction(ring[[one.stop - 1, two.start]])
        before = _direction(ring[max(one.start, one.stop - flank_px) : one.stop])
        after = _direction(ring[two.start : min(two.stop, two.start + flank_px)])
        joined[one.stop : two.start] = (
            min(before @ chord, after @ chord, before @ after) >= _SAME_WAY
        )
    return joined


def without_cut_edges(ring: Points, joined: Flags) -> Flags:
    """Leave out stretches that are short and face another way than the longest."""
    kept, stretches = joined.copy(), runs(joined)
    longest = max(stretches, key=lambda run: run.stop - run.start, default=slice(0, 0))
    for run in stretches:
        same_way = _direction(ring[run]) @ _direction(ring[longest]) >= _SAME_WAY
        short = run.stop - run.start < _SHORT_SHARE * (longest.stop - longest.start)
        kept[run] = same_way or not short
    return kept


def levelled(
    points: Points, gaps: Flags, *, reach_px: int, flank_px: int, highest_px: float
) -> Points:
    """Points with the lumps over gaps replaced by a curve from flank to flank.

    Parameters
    ----------
    points
        float64 (N, 2), a stretch of junction, its deep side on the left.
    gaps
        bool (N,), where it bears no epidermis.
    reach_px
        Length on either side of a gap over which the low-pass has already lifted it.
    flank_px
        Length over which the direction of a flank is taken.
    highest_px
        A lump that rises higher over the curve is a surface of its own and stays.
    """
    level = points.copy()
    for run in runs(ndimage.binary_dilation(gaps, iterations=max(1, reach_px))):
        if run.start >= 2 and run.stop <= len(points) - 2 and gaps[run].any():
            level[run] = _lower(points, run, flank_px=flank_px, highest_px=highest_px)
    return level


def _lower(points: Points, run: slice, *, flank_px: int, highest_px: float) -> Points:
    """One gap: the deeper of outline and curve, unless the outline is far above the curve."""
    own, curve = points[run], _curve(points, run, flank_px)
    along = _direction(own[[0, -1]])
    deep = np.array((-along[1], along[0]))
    own_along, own_depth = (own - own[0]) @ along, (own - own[0]) @ deep
    curve_depth = np.interp(own_along, (curve - own[0]) @ along, (curve - own[0]) @ deep)
    if (curve_depth - own_depth).max() > highest_px:
        return own
    return np.asarray(own + np.maximum(curve_depth - own_depth, 0)[:, None] * deep)


def _curve(points: Points, run: slice, flank_px: int) -> Points:
    """Cubic (Hermite) from one end of a run to the other in the direction of its flanks."""
    start, end = points[run.start], points[run.stop - 1]
    span = float(np.hypot(*(end - start)))
    before = span * _direction(points[max(0, run.start - flank_px) : run.start + 1])
    after = span * _direction(points[run.stop - 1 : run.stop + flank_px])
    t = np.linspace(0.0, 1.0, run.stop - run.start)[:, None]
    return np.asarray(
        (1 + 2 * t) * (1 - t) ** 2 * start
        + t * (1 - t) ** 2 * before
        + t**2 * (3 - 2 * t) * end
        + t**2 * (t - 1) * after
    )


def _direction(points: Points) -> NDArray[np.float64]:
    """Unit vector from the first to the last point."""
    way = points[-1] - points[0]
    return np.asarray(way / max(float(np.hypot(*way)), 1e-9))


def _corners(ring: Points, chord_px: int) -> Flags:
    """Points at which a closed ring turns sharply, and more so than beside them."""
    ahead = np.roll(ring, -chord_px, axis=0) - ring
    behind = ring - np.roll(ring, chord_px, axis=0)
    cross = behind[:, 0] * ahead[:, 1] - behind[:, 1] * ahead[:, 0]
    turn_deg = np.abs(np.degrees(np.arctan2(cross, (behind * ahead).sum(axis=1))))
    most = ndimage.maximum_filter1d(turn_deg, 2 * chord_px, mode="wrap")
    return np.asarray((turn_deg > _CORNER_DEG) & (turn_deg == most))
