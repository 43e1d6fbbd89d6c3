"""Where does the epidermis meet the dermis?

1. The *cover* is all that lies above the dermis: glass, horn and surface epidermis.
2. A Gaussian low-pass of the cover gives the envelope of the junction; its 0.5 contour is
   the mean level between ridges and papillae.
3. A stretch of that contour is junction where epidermis is nearer than the outside, and
   across gaps that are ostia or ulcers rather than cut edges: `stretches` tells them apart.
4. Across an ulcer the exposed surface is the datum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.draw import polygon

from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.cover import find_cover
from wsi_pipeline.measure.line import Line, Points, arc_length, evenly_spaced, level_lines, line_of
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.measure.stretches import (
    bridged,
    find_anchors,
    levelled,
    middle_of_longest_gap,
    runs,
    without_cut_edges,
)

# Half-power wavelength of a Gaussian low-pass over its standard deviation: √(2π²/ln 2).
_WAVELENGTH_PER_SIGMA = math.sqrt(2.0 * math.pi**2 / math.log(2.0))
# Longer than the low-pass needs to turn a corner, shorter than a skin fold.
_CHORD_UM = 200.0
# Direction in which a stretch ends: longer than a rete ridge or the lip of an ostium.
_FLANK_UM = 300.0
# The low-pass rounds the corner to a cut edge: the contour leaves the skin so far before it.
_END_UM = 60.0
# Epidermis and horn together are hardly thicker: labels without them raise the outline so far.
_LUMP_UM = 150.0


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """The dermo-epidermal junction and what lies beneath it.

    Parameters
    ----------
    line
        Envelope of the junction; no points where there is no surface epidermis.
    covered_px
        Length of the junction over which epidermis is present (ulcers left out), px.
    below
        bool (Y, X): deep to the envelope.
    epidermis
        bool (Y, X): surface epidermis with its rete ridges, without deeper downgrowths.
    ribbons
        Stretches of epidermis before gaps wider than an ostium were bridged.
    bridged_fraction
        Share of the junction that lies across such gaps.
    """

    line: Line
    covered_px: float
    below: NDArray[np.bool_]
    epidermis: NDArray[np.bool_]
    ribbons: int
    bridged_fraction: float


@dataclass(frozen=True, slots=True, eq=False)
class _Outline:
    """What of one closed contour is junction.

    Parameters
    ----------
    pieces
        Junction, piece by piece.
    lumps
        Polygons between the contour and the junction, where lumps over gaps were cut off.
    covered_px, bridged_px
        Lengths that bear epidermis, and that cross gaps wider than an ostium.
    ribbons
        Stretches before bridging.
    """

    pieces: list[Points]
    lumps: list[Points]
    covered_px: float
    bridged_px: float
    ribbons: int


def find_surface(plane: SectionPlane, settings: MeasureSettings) -> Surface:
    """Find the dermo-epidermal junction of one section.

    Parameters
    ----------
    plane
        The section, with a margin of glass at least `margin_um` wide.
    settings
        ``epidermis_smooth_um``, ``ostium_um``, ``ulcer_gap_um``, ``min_epidermis_mm2``.
    """
    mpp, cover = plane.grid.mpp, find_cover(plane, settings)
    sigma_px = settings.epidermis_smooth_um / _WAVELENGTH_PER_SIGMA / mpp
    envelope = ndimage.gaussian_filter(cover.smooth.astype(np.float32), sigma_px)
    found: list[_Outline] = []
    if cover.epidermis.any():
        trees = _edge_tree(cover.epidermis), _edge_tree(cover.outside)
        shortest_px = 4 * _CHORD_UM / mpp  # an outline must have room for two corners
        contours = (evenly_spaced(contour) for contour in level_lines(envelope))
        found = [
            _follow(contour, trees, glass=plane.outside, mpp=mpp, settings=settings)
            for contour in contours
            if len(contour) > shortest_px
        ]
    pieces = [piece for outline in found for piece in outline.pieces]
    lumps = [lump for outline in found for lump in outline.lumps]
    length_px = max(1.0, sum(arc_length(piece) for piece in pieces))
    return Surface(
        line=line_of(pieces),
        covered_px=sum(outline.covered_px for outline in found),
        below=(envelope < 0.5) & ~_within(lumps, plane.grid.shape),
        epidermis=cover.epidermis & cover.smooth,
        ribbons=sum(outline.ribbons for outline in found),
        bridged_fraction=sum(outline.bridged_px for outline in found) / length_px,
    )


def margin_um(settings: MeasureSettings) -> float:
    """Least glass around a section for its borders to come out undisturbed, µm."""
    return settings.ostium_um + settings.epidermis_smooth_um


def _edge_tree(mask: NDArray[np.bool_]) -> KDTree:
    """Search tree over the rim of a mask."""
    return KDTree(np.argwhere(mask & ~ndimage.binary_erosion(mask, border_value=1)))


def _follow(
    contour: Points,
    trees: tuple[KDTree, KDTree],
    *,
    glass: NDArray[np.bool_],
    mpp: float,
    settings: MeasureSettings,
) -> _Outline:
    """Find what of a closed contour is junction."""
    to_epidermis, to_outside = (tree.query(contour[:-1])[0] for tree in trees)
    bears = to_epidermis < to_outside
    start = middle_of_longest_gap(bears)
    ring, bears = np.roll(contour[:-1], -start, axis=0), np.roll(bears, -start)
    flank_px, smooth_px = round(_FLANK_UM / mpp), settings.epidermis_smooth_um / mpp
    anchors = find_anchors(
        ring,
        bears,
        shortest_px=max(2, round(settings.ostium_um / mpp)),
        chord_px=round(_CHORD_UM / mpp),
    )
    joined = bridged(ring, anchors, longest_px=settings.ulcer_gap_um / mpp, flank_px=flank_px)
    joined = without_cut_edges(ring, joined)
    raised = [_straight_ends(ring[run], smooth_px / 3) for run in runs(joined)]
    level = [
        levelled(
            piece,
            ~bears[run],
            reach_px=round(smooth_px / 2),
            flank_px=flank_px,
            highest_px=_LUMP_UM / mpp,
        )
        for piece, run in zip(raised, runs(joined), strict=True)
    ]
    pieces = [evenly_spaced(_to_the_glass(piece, glass, round(_END_UM / mpp))) for piece in level]
    length_px = sum(arc_length(piece) for piece in pieces)
    step_px = length_px / max(1, int(np.count_nonzero(joined)))
    return _Outline(
        pieces,
        [lump for pair in zip(raised, level, strict=True) for lump in _lumps(*pair)],
        covered_px=step_px * int(np.count_nonzero(joined & bears)),
        bridged_px=step_px * int(np.count_nonzero(joined & ~anchors)),
        ribbons=len(runs(anchors & joined)),
    )


def _lumps(raised: Points, level: Points) -> list[Points]:
    """Polygons between two courses of one line."""
    apart = (raised != level).any(axis=1)
    return [np.concatenate((raised[run], level[run][::-1])) for run in runs(apart)]


def _within(polygons: list[Points], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels within any of the polygons."""
    inside = np.zeros(shape, bool)
    for corners in polygons:
        rows, columns = corners.T
        inside[polygon(rows, columns, shape)] = True  # type: ignore[no-untyped-call]
    return inside


def _straight_ends(points: Points, length_px: float) -> Points:
    """Replace the ends, which the low-pass bends round a corner, by straight continuations."""
    count = min(round(length_px), (len(points) - 2) // 3)
    if count < 1:
        return points
    core = points[count:-count]
    return np.pad(core, ((count, count), (0, 0)), "reflect", reflect_type="odd")


def _to_the_glass(points: Points, glass: NDArray[np.bool_], most_px: int) -> Points:
    """Carry both ends straight on until they meet it, for a short way at most."""
    last = np.array(glass.shape) - 1
    steps = np.arange(1, most_px + 1)[:, None]
    ends = []
    for end, way in ((points[0], points[0] - points[1]), (points[-1], points[-1] - points[-2])):
        on = end + steps * way / max(float(np.hypot(*way)), 1e-9)
        row, column = np.clip(np.rint(on).astype(np.intp), 0, last).T
        met = np.flatnonzero(glass[row, column])
        ends.append(on[: met[0] if met.size else most_px])
    return np.concatenate((ends[0][::-1], points, ends[1]))
