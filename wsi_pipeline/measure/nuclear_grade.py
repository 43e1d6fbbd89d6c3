"""How large and how varied are the nuclei of the tumour?

1. Profiles that are cut by the edge, too small or not convex are left out.
2. Mean and spread of their areas give a descriptive grade by fixed limits.
3. Drawing squares of the glass anew gives intervals: neighbouring nuclei are alike, so single
   nuclei are no independent sample.  If the interval of the mean area, or of the spread, takes
   in two grades, the grade is borderline.

The limits follow the published means of nuclear profile areas in breast carcinoma; they are
definitions of this software, and a grade is no histological grade.

References
----------
Tan et al. 2001, doi:10.1038/modpathol.3880415; Watanabe et al. 1995, PMID 7747996; Künsch 1989,
doi:10.1214/aos/1176347265 (block bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.config import GradeSettings
from wsi_pipeline.values import Measurement

Doubles = NDArray[np.float64]

NUCLEAR_UNITS: dict[str, str] = {
    "nuclear_grade": "",
    "nuclei_measured": "1",
    "nuclear_area_mean_um2": "µm²",
    "nuclear_area_sd_um2": "µm²",
    "nuclear_area_cv": "1",
    "nuclear_minor_axis_mean_um": "µm",
}
_SEED = 1
_INTERVAL = (5.0, 95.0)
# Fewer squares say little about how the squares of a tumour differ.
_FEW_BLOCKS = 5


@dataclass(frozen=True, slots=True, eq=False)
class _Draws:
    """Mean (µm²) and coefficient of variation of the areas in each draw."""

    mean_um2: Doubles
    cv: Doubles
    blocks: int


def measure_nuclei(
    nuclei: Mapping[str, NDArray[Any]], *, settings: GradeSettings
) -> dict[str, Measurement]:
    """Grade the nuclei of a tumour.

    Parameters
    ----------
    nuclei
        Columns, one entry per nucleus: ``area_um2``, ``minor_um``, ``solidity``, ``down_um``,
        ``right_um`` and ``touches_edge``.
    settings
        Limits.

    Returns
    -------
    dict
        `NUCLEAR_UNITS` by name.  Intervals are the 5th and 95th percentile over draws.
    """
    keep = is_measurable(nuclei, settings=settings)
    count = int(keep.sum())
    if count < settings.min_nuclei:
        few = f"only {count} nuclei can be measured, fewer than {settings.min_nuclei}"
        return absent_nuclei("not_assessable", few) | {
            "nuclei_measured": Measurement(float(count), "1")
        }
    area = np.asarray(nuclei["area_um2"], np.float64)[keep]
    places = np.stack([nuclei["down_um"], nuclei["right_um"]], axis=1)[keep]
    draws = _draw(area, places, settings=settings)
    mean, sd = float(area.mean()), float(area.std())
    minor = float(np.asarray(nuclei["minor_um"], np.float64)[keep].mean())
    return {
        "nuclear_grade": _graded(mean, sd / mean, draws=draws, settings=settings),
        "nuclei_measured": Measurement(float(count), "1"),
        "nuclear_area_mean_um2": Measurement(mean, "µm²", interval=_interval(draws.mean_um2)),
        "nuclear_area_sd_um2": Measurement(
            sd, "µm²", interval=_interval(draws.cv * draws.mean_um2)
        ),
        "nuclear_area_cv": Measurement(sd / mean, "1", interval=_interval(draws.cv)),
        "nuclear_minor_axis_mean_um": Measurement(minor, "µm"),
    }


def absent_nuclei(status: str, reason: str) -> dict[str, Measurement]:
    """Say of every value why there is none; ``status`` is not_assessable or not_defined."""
    absent = Measurement.not_defined if status == "not_defined" else Measurement.not_assessable
    return {name: absent(unit, reason) for name, unit in NUCLEAR_UNITS.items()}


def grade_of(mean_um2: float, cv: float, *, settings: GradeSettings) -> int:
    """Grade by the mean area of nuclear profiles and their coefficient of variation."""
    if mean_um2 >= settings.large_um2:
        return 3
    if mean_um2 >= settings.varied_um2 and cv >= settings.varied_cv:
        return 3
    return 1 if mean_um2 <= settings.small_um2 else 2


def is_measurable(
    nuclei: Mapping[str, NDArray[Any]], *, settings: GradeSettings
) -> NDArray[np.bool_]:
    """Which nuclei count: those that are whole, large enough and convex."""
    least_um2 = math.pi / 4 * settings.min_diameter_um**2
    keep = (nuclei["area_um2"] >= least_um2) & (nuclei["solidity"] >= settings.min_solidity)
    return np.asarray(keep & ~nuclei["touches_edge"])


def _draw(area: Doubles, places_um: Doubles, *, settings: GradeSettings) -> _Draws:
    """Draw as many squares as there are, with replacement, again and again."""
    cells = np.floor(places_um / settings.block_um).astype(np.int64)
    _, block = np.unique(cells, axis=0, return_inverse=True)
    block = block.ravel()
    blocks = int(block.max()) + 1
    sums = np.stack([np.bincount(block, weights) for weights in (None, area, area * area)])
    rng = np.random.default_rng(_SEED)
    times = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=settings.draws)
    count, total, square = sums @ times.T
    mean = total / count
    sd = np.sqrt(np.maximum(square / count - mean * mean, 0))
    return _Draws(mean, sd / mean, blocks)


def _interval(values: Doubles) -> tuple[float, float]:
    low, high = np.percentile(values, _INTERVAL)
    return float(low), float(high)


def _graded(mean_um2: float, cv: float, *, draws: _Draws, settings: GradeSettings) -> Measurement:
    """Grade in a word, with its limits and what makes it uncertain."""
    drawn = [
        grade_of(one, other, settings=settings)
        for one, other in zip(draws.mean_um2, draws.cv, strict=True)
    ]
    own = grade_of(mean_um2, cv, settings=settings)
    low, high = (int(end) for end in np.percentile(drawn, _INTERVAL, method="nearest"))
    low, high = min(low, own), max(high, own)
    word = str(own) if low == high else f"borderline {low}–{high}"
    reason = (
        f"descriptive grade by mean profile area: 1 up to {settings.small_um2:g} µm², 3 from "
        f"{settings.large_um2:g} µm², or from {settings.varied_um2:g} µm² if the coefficient of "
        f"variation is {settings.varied_cv:g} or more; profiles under "
        f"{settings.min_diameter_um:g} µm left out"
    )
    if draws.blocks < _FEW_BLOCKS:
        reason += f"; its interval rests on {draws.blocks} squares of glass only"
    return Measurement(word, "", reason=reason)
