"""Was the skin cut along its depth, or parallel to its surface?

1. Five features: the length of the epidermal ribbon, its one-sidedness, the opposition of
   fat and epidermis, the roundness of the outline, and follicles cut across.
2. A ramp turns each into a membership that passes 0.5 at its threshold.
3. *Vertical* is as true as the weakest of: a long ribbon, on one side, fat (if any) facing
   it.  *Horizontal* is as true as the weakest of: hardly any ribbon, a round outline,
   several follicles or glands cut across, fewer where tumour has replaced them.  A round
   piece alone is no evidence: fat is round too.  Where the model never calls adnexa, dermis
   with other tissue in it and little fat is taken for them, at a low confidence.
4. Whichever exceeds 0.5 is the word, and its membership the confidence; if neither does,
   the section is indeterminate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.measure import regionprops

from wsi_pipeline.classes import ADNEXA, DERMIS, SUBCUTIS, TUMOUR
from wsi_pipeline.measure.dej import Surface
from wsi_pipeline.measure.dsj import main_fat
from wsi_pipeline.measure.line import arc_length, level_lines
from wsi_pipeline.measure.plane import SectionPlane

Word = Literal["vertical", "horizontal", "indeterminate"]

# (membership 0, membership 1); the threshold lies halfway.
RIBBON_LONG = (0.25, 0.75)
RIBBON_ONE_SIDED = (0.25, 0.75)
FAT_OPPOSITE = (0.0, 1.0)  # cosine: 0.5 is 60° from straight below, an opposition of 120°
RIBBON_SHORT = (0.3, 0.1)
OUTLINE_ROUND = (0.7, 0.9)
CUT_ACROSS = (2.0, 5.0)  # count over the share of tissue without tumour; four or more pass

# Longest over shortest axis of a follicle cut across, up to about 50° off square.
MAX_ASPECT = 1.6
# A smaller piece of adnexa is too few pixels to have a shape: the width of a vellus hair.
_MIN_ACROSS_UM = 60.0
# Tumour replaces adnexa; two of them must be seen however much of it there is.
_MIN_FREE = 0.5
# Without adnexa to go by: shares of the tissue, and the most that can be believed.
_MIN_DERMIS, _MAX_DERMIS, _MAX_FAT = 0.5, 0.98, 0.2
_CAP = 0.6

# Outline scale on which roundness is judged: below it are ragged cut edges.
_OUTLINE_UM = 50.0
# Enough fat pixels for a median angle; more cost time only.
_FAT_SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the section lies in the skin, judged from the labels alone.

    Parameters
    ----------
    word
        ``vertical``, ``horizontal`` or ``indeterminate``.
    confidence
        0-1, distance from the nearest threshold; it is a membership, not a probability.
    ribbon_ratio
        Length of the surface epidermis over the diameter of a disc of the tissue's area.
    one_sidedness
        0-1, length of the mean of the ribbon's unit normals: 1 straight, 0 all round.
    fat_opposition
        Median cosine between the ribbon's normal and the way to the fat; None without fat.
    roundness
        4π area / perimeter² of the outline.
    cut_across
        Follicles and glands whose outline is about as long as wide.
    """

    word: Word
    confidence: float
    ribbon_ratio: float
    one_sidedness: float
    fat_opposition: float | None
    roundness: float
    cut_across: int


def judge_orientation(
    plane: SectionPlane, surface: Surface, *, min_fat_mm2: float, sees_adnexa: bool
) -> Orientation:
    """Judge one section.

    Parameters
    ----------
    min_fat_mm2
        Least area of fat to be taken for subcutis.
    sees_adnexa
        Whether the labels tell adnexa at all.
    """
    body = ndimage.binary_fill_holes(plane.tissue >= 0.5)
    area_px = float(np.count_nonzero(body))
    ribbon = surface.covered_px / math.sqrt(4 * area_px / math.pi) if area_px else 0.0
    normals = surface.line.normals
    one_sided = float(np.hypot(*normals.mean(axis=0))) if len(normals) else 0.0
    fat = _fat_opposition(main_fat(plane, min_fat_mm2), surface)
    roundness = _roundness(body, _OUTLINE_UM / plane.grid.mpp)
    across = _count_cut_across(plane)
    evidence = (
        _ramp(across / _free_of_tumour(plane), CUT_ACROSS)
        if sees_adnexa
        else _evidence_without_adnexa(plane)
    )
    word, confidence = _decide(ribbon, one_sided, fat=fat, roundness=roundness, evidence=evidence)
    return Orientation(word, confidence, ribbon, one_sided, fat, roundness, across)


def _decide(
    ribbon: float, one_sided: float, *, fat: float | None, roundness: float, evidence: float
) -> tuple[Word, float]:
    """Apply the rule of the module's docstring."""
    vertical = min(_ramp(ribbon, RIBBON_LONG), _ramp(one_sided, RIBBON_ONE_SIDED))
    if fat is not None:
        vertical = min(vertical, _ramp(fat, FAT_OPPOSITE))
    horizontal = min(_ramp(ribbon, RIBBON_SHORT), _ramp(roundness, OUTLINE_ROUND), evidence)
    if vertical >= 0.5:
        return "vertical", vertical
    if horizontal >= 0.5:
        return "horizontal", horizontal
    return "indeterminate", 1.0 - max(vertical, horizontal)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """Membership that rises linearly from 0 at the first end to 1 at the second."""
    return min(1.0, max(0.0, (value - ends[0]) / (ends[1] - ends[0])))


def _fat_opposition(fat: NDArray[np.bool_], surface: Surface) -> float | None:
    """Median cosine between the nearest ribbon normal and the way from there to the fat."""
    places = np.argwhere(fat)
    if not len(places) or not len(surface.line.points_px):
        return None
    places = places[:: math.ceil(len(places) / _FAT_SAMPLE)]
    distance, nearest = KDTree(surface.line.points_px).query(places)
    way = places - surface.line.points_px[nearest]
    cosines = (way * surface.line.normals[nearest]).sum(axis=1) / np.maximum(distance, 1e-9)
    return float(np.median(cosines))


def _roundness(body: NDArray[np.bool_], sigma_px: float) -> float:
    """4π area / perimeter² of the smoothed outline, at most 1; 0 without tissue."""
    smooth = ndimage.gaussian_filter(body.astype(np.float32), sigma_px)
    perimeter_px = sum(arc_length(outline) for outline in level_lines(smooth))
    area_px = float((smooth >= 0.5).sum())
    return min(1.0, 4 * math.pi * area_px / perimeter_px**2) if perimeter_px else 0.0


def _count_cut_across(plane: SectionPlane) -> int:
    """Pieces of adnexa that are not long."""
    parts, _ = ndimage.label(plane.classes == ADNEXA, np.ones((3, 3)))
    areas_um2 = np.bincount(parts.ravel()) * plane.grid.pixel_area_um2
    large = areas_um2 >= math.pi / 4 * _MIN_ACROSS_UM**2
    large[0] = False
    found = regionprops(np.where(large[parts], parts, 0))  # type: ignore[no-untyped-call]
    return sum(
        piece.axis_major_length <= MAX_ASPECT * max(piece.axis_minor_length, 1.0) for piece in found
    )


def _free_of_tumour(plane: SectionPlane) -> float:
    """Share of the tissue in which tumour has not replaced follicles and glands."""
    return max(_MIN_FREE, 1 - plane.areas_um2[TUMOUR] / max(plane.tissue_um2, 1.0))


def _evidence_without_adnexa(plane: SectionPlane) -> float:
    """Membership of dermis that holds something and is not fat; low, as it is indirect."""
    tissue_um2 = max(plane.tissue_um2, 1.0)
    dermis, fat = (plane.areas_um2[value] / tissue_um2 for value in (DERMIS, SUBCUTIS))
    return _CAP if _MIN_DERMIS <= dermis <= _MAX_DERMIS and fat <= _MAX_FAT else 0.0
