"""In which pattern does the tumour grow?

1. Every place of the tumour has a width, the local thickness; a cell is up to 18 µm wide.
2. Shares of the tumour's area by width: single cells and files, cords, trabeculae, solid; drawing
   `squares` of the section anew gives their intervals.
3. Lumina, and the tumour within two cells of one: tubules.
4. The first rule that applies names the pattern: glandular, single-file, solid-cord, solid,
   cord-trabecular, else mixed.  How far the nearest other pattern is, is told with it.
5. Number and size of nests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.measure.fine import COARSEST_MPP, fine_labels
from wsi_pipeline.measure.front import NO_TUMOUR
from wsi_pipeline.measure.nests import Nests, find_nests
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.measure.squares import draw_shares, place_blocks
from wsi_pipeline.measure.width import local_thickness_px
from wsi_pipeline.values import Measurement

SHARE_UNITS: dict[str, str] = {
    "single_file_fraction": "1",
    "cord_fraction": "1",
    "trabecula_fraction": "1",
    "solid_fraction": "1",
    "lumen_fraction": "1",
    "tubule_fraction": "1",
}
PATTERN_UNITS: dict[str, str] = {
    "architecture": "",
    "architecture_next": "",
    "architecture_margin": "1",
}
NEST_UNITS: dict[str, str] = {
    "tumour_width_median_um": "µm",
    "tumour_width_profile": "1",
    "nest_total_area_mm2": "mm²",
    "nest_count": "1",
    "nests_per_mm2": "1/mm²",
    "nest_area_median_um2": "µm²",
    "nest_diameter_median_um": "µm",
    "nest_cut_fraction": "1",
}
ARCHITECTURE_UNITS: dict[str, str] = {**PATTERN_UNITS, **SHARE_UNITS, **NEST_UNITS}

# A tumour cell is 12 to 18 µm across.  What is no wider than one is a file or a single cell,
# up to four of 15 µm side by side are a cord, ten and more are solid growth.
SINGLE_UM, CORD_UM, TRABECULA_UM = 18.0, 60.0, 150.0
# Tubules: the tumour within two cells of a lumen.
_TUBULE_UM = 36.0
# Pieces of fewer than five cells are single cells, however wide.
MIN_NEST_UM2 = 500.0
# More nests than this cut off at the glass make their median size a lower bound.
_MAX_CUT = 0.05

WIDTH_STEP_UM, WIDTH_STEPS = 6.0, 41
"""Steps of the distribution of widths: the limits of files, cords and trabeculae are multiples."""
BORDERLINE = 0.2
"""Margin below which a pattern is flagged: a twentieth of the tumour at a limit of a quarter."""

PATTERN_LIMITS: dict[str, dict[str, float]] = {
    "glandular": {"tubules": 0.1},
    "single-file": {"single cells and files": 0.5},
    "solid-cord": {"solid growth": 0.25, "cords and trabeculae": 0.25},
    "solid": {"solid growth": 0.6},
    "cord-trabecular": {"cords and trabeculae": 0.5},
}
"""Least shares of the tumour's area that make each pattern; the first that applies is its name."""

Shares = Mapping[str, float]


def measure_architecture(plane: SectionPlane) -> dict[str, Measurement]:
    """Measure the growth pattern of one section, whatever its orientation."""
    if not (plane.labels == TUMOUR).any():
        return _without_tumour()
    if plane.labels_grid.mpp > COARSEST_MPP:
        reason = (
            f"labels of {plane.labels_grid.mpp:.3g} µm per pixel are too coarse for single cells"
        )
        return {n: Measurement.not_assessable(u, reason) for n, u in ARCHITECTURE_UNITS.items()}
    nests = find_nests(fine_labels(plane, TUMOUR))
    width_um = local_thickness_px(nests.filled)[nests.filled] * np.float32(nests.mpp)
    parts = _parts(nests, width_um)
    shares = {name: float(part.mean()) for name, part in parts.items()}
    spread = draw_shares(parts, place_blocks(nests.filled, nests.mpp))
    low, middle, high = (float(x) for x in np.percentile(width_um, (25, 50, 75)))
    return {
        **name_pattern(shares),
        **{
            name: Measurement(share, "1", interval=spread.get(name))
            for name, share in shares.items()
        },
        "tumour_width_median_um": Measurement(middle, "µm", interval=(low, high)),
        "tumour_width_profile": Measurement(_width_profile(width_um), "1"),
        **_measure_nests(nests, tissue_mm2=plane.tissue_um2 / 1e6),
    }


def name_pattern(shares: Shares) -> dict[str, Measurement]:
    """Name the growth pattern that shares of the tumour's area amount to.

    Parameters
    ----------
    shares
        Value of each name of `SHARE_UNITS`.

    Returns
    -------
    dict
        ``architecture``; ``architecture_next``, the pattern that the least change of one
        share would turn it into; ``architecture_margin``, that change over the limit that
        the share would pass: 0 at a limit, 1 where nothing else is near.
    """
    slack = _slack(shares)
    words = [*slack]
    at = next(n for n, word in enumerate(words) if slack[word] >= 0)
    # A rule before this one may begin to apply, or this one may cease to.
    ways = [(-slack[word], word) for word in words[:at]]
    if at + 1 < len(words):
        ways.append((slack[words[at]], next(w for w in words[at + 1 :] if slack[w] >= 0)))
    margin, nearest = min(ways, key=lambda way: way[0])
    return {
        "architecture": Measurement(words[at], ""),
        "architecture_next": Measurement(nearest, ""),
        "architecture_margin": Measurement(min(margin, 1.0), "1"),
    }


def _slack(shares: Shares) -> dict[str, float]:
    """Distance of each rule to its limit, in limits; at least 0 where the rule applies."""
    parts = {
        "tubules": shares["tubule_fraction"],
        "single cells and files": shares["single_file_fraction"],
        "cords and trabeculae": shares["cord_fraction"] + shares["trabecula_fraction"],
        "solid growth": shares["solid_fraction"],
    }
    slack = {
        word: min(parts[part] / limit - 1 for part, limit in limits.items())
        for word, limits in PATTERN_LIMITS.items()
    }
    return slack | {"mixed": math.inf}


def _without_tumour() -> dict[str, Measurement]:
    """Nothing is counted; what is not there has neither width nor pattern."""
    zero = ("nest_total_area_mm2", "nest_count", "nests_per_mm2")
    return {
        name: Measurement(0.0, unit) if name in zero else Measurement.not_defined(unit, NO_TUMOUR)
        for name, unit in ARCHITECTURE_UNITS.items()
    }


def _parts(nests: Nests, width_um: NDArray[np.float32]) -> dict[str, NDArray[np.bool_]]:
    """Which of the tumour's pixels, lumina included, have which width or are lumen or tubule."""
    bounds = (SINGLE_UM, CORD_UM, TRABECULA_UM)
    is_nest = nests.areas_um2[nests.ids[nests.filled] - 1] >= MIN_NEST_UM2
    kind = np.searchsorted(bounds, width_um * is_nest, side="right")
    spaces = (nests.lumen[nests.filled], _tubules(nests)[nests.filled])
    parts = (*(kind == number for number in range(4)), *spaces)
    return dict(zip(SHARE_UNITS, parts, strict=True))


def _width_profile(width_um: NDArray[np.float32]) -> tuple[float, ...]:
    """Share of the area in each step of width; the last holds all that is wider."""
    step = np.minimum((width_um / WIDTH_STEP_UM).astype(np.intp), WIDTH_STEPS - 1)
    return tuple((np.bincount(step, minlength=WIDTH_STEPS) / step.size).tolist())


def _tubules(nests: Nests) -> NDArray[np.bool_]:
    """Lumina, and the tumour within two cells of one; crop by crop."""
    tubules = np.zeros_like(nests.lumen)
    reach = math.ceil(_TUBULE_UM / nests.mpp)
    ids, _ = ndimage.label(nests.lumen)
    for number, (rows, columns) in enumerate(ndimage.find_objects(ids), start=1):
        around = (
            slice(max(0, rows.start - reach), rows.stop + reach),
            slice(max(0, columns.start - reach), columns.stop + reach),
        )
        distance_px = ndimage.distance_transform_edt(ids[around] != number)
        tubules[around] |= distance_px * nests.mpp <= _TUBULE_UM
    return tubules & nests.filled


def _measure_nests(nests: Nests, *, tissue_mm2: float) -> dict[str, Measurement]:
    """Number and size of nests."""
    is_nest = nests.areas_um2 >= MIN_NEST_UM2
    areas_um2, count = nests.areas_um2[is_nest], int(is_nest.sum())
    values = {
        "nest_total_area_mm2": Measurement(float(nests.areas_um2.sum()) / 1e6, "mm²"),
        "nest_count": Measurement(float(count), "1"),
        "nests_per_mm2": Measurement(count / tissue_mm2, "1/mm²"),
    }
    if not count:
        reason = "the tumour lies in single cells and specks"
        return values | {
            name: Measurement.not_defined(NEST_UNITS[name], reason)
            for name in ("nest_area_median_um2", "nest_diameter_median_um", "nest_cut_fraction")
        }
    cut = float(nests.is_cut[is_nest].mean())
    diameters_um = np.sqrt(4 / math.pi * areas_um2)
    return values | {
        "nest_area_median_um2": _median(areas_um2, "µm²", cut=cut),
        "nest_diameter_median_um": _median(diameters_um, "µm", cut=cut),
        "nest_cut_fraction": Measurement(cut, "1"),
    }


def _median(sizes: NDArray[np.float64], unit: str, *, cut: float) -> Measurement:
    """Median and quartiles; a lower bound where many nests are cut off."""
    low, middle, high = (float(size) for size in np.percentile(sizes, (25, 50, 75)))
    if cut <= _MAX_CUT:
        return Measurement(middle, unit, interval=(low, high))
    reason = f"{cut:.0%} of the nests are cut off at the edge of the section"
    return Measurement(middle, unit, "at_least", reason, (low, high))
