"""Where does the epidermis meet the dermis?

1. The surface epidermis is what touches the outside (glass or loose keratin) and is more
   than a speck: islands in the depth are follicles, cysts or mistakes.
2. Outside and surface epidermis together are the *cover*.  Opening the cover with a disc
   removes what dips into the dermis and is narrower than a follicular ostium; what lies
   within a rete ridge of the rest stays.
3. A Gaussian low-pass of the cover gives the envelope of the junction; its 0.5 contour is
   the mean level between ridges and papillae.
4. A stretch of that contour is junction where epidermis is nearer than the outside.  Cut
   edges, where glass meets dermis, are not.  A short stretch without epidermis between two
   with it is an ulcer: there the exposed surface is the datum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from wsi_pipeline.classes import EPIDERMIS
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.line import Line, Points, arc_length, evenly_spaced, level_lines, line_of
from wsi_pipeline.measure.plane import SectionPlane

# Rete ridges reach up to 70 µm below the opened cover; deeper downgrowths are follicles.
_RETE_UM = 100.0
# A cell layer or a retraction cleft may part the epidermis from the glass.
_TOUCH_UM = 24.0
# Half-power wavelength of a Gaussian low-pass over its standard deviation: √(2π²/ln 2).
_WAVELENGTH_PER_SIGMA = math.sqrt(2.0 * math.pi**2 / math.log(2.0))


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
    """

    line: Line
    covered_px: float
    below: NDArray[np.bool_]


def find_surface(plane: SectionPlane, settings: MeasureSettings) -> Surface:
    """Find the dermo-epidermal junction of one section.

    Parameters
    ----------
    plane
        The section, with a margin of glass at least `margin_um` wide.
    settings
        ``epidermis_smooth_um``, ``ostium_um``, ``ulcer_gap_um``, ``min_epidermis_mm2``.
    """
    mpp, outside = plane.grid.mpp, plane.outside
    epidermis = _surface_epidermis(
        plane.classes == EPIDERMIS, outside, plane=plane, settings=settings
    )
    cover = _without_downgrowths(outside | epidermis, settings.ostium_um / 2, mpp=mpp)
    sigma_px = settings.epidermis_smooth_um / _WAVELENGTH_PER_SIGMA / mpp
    envelope = ndimage.gaussian_filter(cover.astype(np.float32), sigma_px)
    pieces, covered_px = [], 0.0
    if epidermis.any():
        trees = _edge_tree(epidermis), _edge_tree(outside)
        for contour in level_lines(envelope):
            found, length_px = _junctions(evenly_spaced(contour), trees, mpp=mpp, settings=settings)
            pieces += found
            covered_px += length_px
    return Surface(line_of(pieces), covered_px, envelope < 0.5)


def margin_um(settings: MeasureSettings) -> float:
    """Least glass around a section for its borders to come out undisturbed, µm."""
    return settings.ostium_um + settings.epidermis_smooth_um


def _surface_epidermis(
    epidermis: NDArray[np.bool_],
    outside: NDArray[np.bool_],
    *,
    plane: SectionPlane,
    settings: MeasureSettings,
) -> NDArray[np.bool_]:
    """Keep the components that touch the outside and are more than specks."""
    parts, count = ndimage.label(epidermis, np.ones((3, 3)))
    steps = max(1, round(_TOUCH_UM / plane.grid.mpp))
    near = ndimage.binary_dilation(outside, np.ones((3, 3)), iterations=steps)
    areas_mm2 = np.bincount(parts.ravel(), minlength=count + 1) * plane.grid.pixel_area_um2 / 1e6
    keep = areas_mm2 >= settings.min_epidermis_mm2
    keep &= np.isin(np.arange(count + 1), parts[near])
    keep[0] = False
    return np.asarray(keep[parts])


def _without_downgrowths(
    cover: NDArray[np.bool_], half_width_um: float, *, mpp: float
) -> NDArray[np.bool_]:
    """Open the cover by a disc, but leave it the rete ridges.

    A downgrowth that outreaches a rete ridge goes with its root: what of it lies within
    reach of the opened cover would otherwise stand as a stub.
    """
    core = ndimage.distance_transform_edt(cover) * mpp > half_width_um
    beyond_um = ndimage.distance_transform_edt(~core) * mpp - half_width_um
    deep = cover & (beyond_um > _RETE_UM)
    if not deep.any():
        return cover
    root = ndimage.distance_transform_edt(~deep) * mpp <= _RETE_UM + mpp
    return np.asarray(cover & ~((beyond_um > 0) & (deep | root)))


def _edge_tree(mask: NDArray[np.bool_]) -> KDTree:
    """Search tree over the rim of a mask."""
    return KDTree(np.argwhere(mask & ~ndimage.binary_erosion(mask, border_value=1)))


def _junctions(
    contour: Points, trees: tuple[KDTree, KDTree], *, mpp: float, settings: MeasureSettings
) -> tuple[list[Points], float]:
    """Pieces of a closed contour that are junction, and the length that bears epidermis."""
    to_epidermis, to_outside = (tree.query(contour)[0] for tree in trees)
    bears = to_epidermis < to_outside
    start = _middle_of_longest_gap(bears)
    ring, bears = np.roll(contour[:-1], -start, axis=0), np.roll(bears[:-1], -start)
    shortest = max(2, round(settings.ostium_um / mpp))
    joined = _without_short_runs(bears, settings.ulcer_gap_um / mpp, value=False)
    joined = _without_short_runs(joined, shortest, value=True)
    pieces = [
        _straight_ends(ring[run], settings.epidermis_smooth_um / 3 / mpp) for run in _runs(joined)
    ]
    share = float(bears[joined].mean()) if joined.any() else 0.0
    return pieces, share * sum(arc_length(piece) for piece in pieces)


def _straight_ends(points: Points, length_px: float) -> Points:
    """Replace the ends, which the low-pass bends round a corner, by straight continuations."""
    count = min(round(length_px), (len(points) - 2) // 3)
    if count < 1:
        return points
    core = points[count:-count]
    return np.pad(core, ((count, count), (0, 0)), "reflect", reflect_type="odd")


def _middle_of_longest_gap(bears: NDArray[np.bool_]) -> int:
    """Where to cut a ring open: as far from any epidermis as can be."""
    twice = np.concatenate((bears[:-1], bears[:-1]))
    longest = max(_runs(~twice), key=lambda run: run.stop - run.start, default=slice(0, 0))
    return int((longest.start + longest.stop) // 2 % (len(bears) - 1))


def _runs(flags: NDArray[np.bool_]) -> list[slice]:
    """Where the flags are up, run by run."""
    steps = np.diff(np.concatenate(([0], flags.astype(np.int8), [0])))
    ends = zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
    return [slice(int(a), int(b)) for a, b in ends]


def _without_short_runs(
    flags: NDArray[np.bool_], shortest: float, *, value: bool
) -> NDArray[np.bool_]:
    """Turn over the runs of ``value`` that are shorter; those at either end stay if False."""
    kept = flags.copy()
    for run in _runs(flags == value):
        at_end = run.start == 0 or run.stop == len(flags)
        if run.stop - run.start < shortest and (value or not at_end):
            kept[run] = not value
    return kept
