"""What does the tumour do to the epidermis above it?

1. In each column the dermo-epidermal junction itself, with its ridges, is where the deepest
   surface epidermis ends.
2. The Grenz zone is the strip of dermis from there to the first tumour.
3. Tumour above that junction is within the epidermis: epidermotropism.
4. Columns that hold tumour, and over more than a follicle's width no epithelium above it, are
   ulcerated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import ADNEXA, BACKGROUND
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.columns import STEP_UM, Columns
from wsi_pipeline.measure.thickness import TUMOUR_COVER, extent_of, share_of
from wsi_pipeline.values import Measurement

GRENZ_UNITS: dict[str, str] = {
    "grenz_median_um": "µm",
    "grenz_p05_um": "µm",
    "grenz_present_fraction": "1",
    "dej_contact_fraction": "1",
    "grenz_length_mm": "mm",
    "epidermotropism_fraction": "1",
    "ulceration_um": "µm",
}
NO_COLUMN = "no tumour lies below epidermis"
# Closer than this, about two label pixels, is contact.
CONTACT_UM = 5.0
# Narrower bare stretches are tears and mistakes.
MIN_ULCER_UM = 100.0
# Where a column must hold epithelium in order not to be bare: ridges reach 100 µm down.
_COVER_UM = (-250.0, 100.0)

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def measure_grenz(columns: Columns, *, settings: MeasureSettings) -> dict[str, Measurement]:
    """Measure how tumour and epidermis lie to each other."""
    holds = extent_of(columns, columns.tumour).cover > TUMOUR_COVER
    raw_um = junction_depth_um(columns)
    zone_um = grenz_um(columns, raw_um)
    seen = holds & np.isfinite(zone_um)
    if not seen.any():
        found = {n: Measurement.not_defined(u, NO_COLUMN) for n, u in GRENZ_UNITS.items()}
    else:
        zone, width_um = zone_um[seen], columns.paths.width_um[seen]
        values = {
            "grenz_median_um": _percentile(zone, width_um, 50.0),
            "grenz_p05_um": _percentile(zone, width_um, 5.0),
            "grenz_present_fraction": share_of(zone >= settings.grenz_um, width_um),
            "dej_contact_fraction": share_of(zone < CONTACT_UM, width_um),
            "grenz_length_mm": float(width_um.sum()) / 1e3,
            "epidermotropism_fraction": _within_epidermis(columns, raw_um, where=seen),
        }
        found = {name: Measurement(value, GRENZ_UNITS[name]) for name, value in values.items()}
    bare_um = float(columns.paths.width_um[is_ulcerated(columns, holds)].sum())
    return found | {"ulceration_um": Measurement(bare_um, "µm")}


def junction_depth_um(columns: Columns) -> Floats:
    """Depth of the junction with its ridges below the envelope, (N,); NaN without epidermis."""
    hit = columns.epidermis
    last = hit.shape[1] - 1 - hit[:, ::-1].argmax(axis=1)
    depth_um = columns.paths.depth_um[last] + STEP_UM / 2
    return np.asarray(np.where(hit.any(axis=1), depth_um, np.nan))


def grenz_um(columns: Columns, raw_um: Floats) -> Floats:
    """Way from that junction to the first tumour below it, (N,); NaN without one of them."""
    below = columns.tumour & (columns.paths.depth_um > raw_um[:, None])
    first_um = columns.paths.depth_um[below.argmax(axis=1)] - STEP_UM / 2
    return np.asarray(np.where(below.any(axis=1), np.maximum(first_um - raw_um, 0.0), np.nan))


def _within_epidermis(columns: Columns, raw_um: Floats, *, where: Mask) -> float:
    """Share of tumour in the epidermis above tumour."""
    above = (columns.paths.depth_um < np.nan_to_num(raw_um, nan=-np.inf)[:, None]) & where[:, None]
    tumour, epidermis = (
        float((columns.paths.width_um[:, None] * (mask & above)).sum())
        for mask in (columns.tumour, columns.epidermis)
    )
    return tumour / max(tumour + epidermis, 1e-9)


def is_ulcerated(columns: Columns, holds: Mask) -> Mask:
    """Columns that hold tumour in stretches without epithelium, (N,)."""
    low, high = _COVER_UM
    near = (columns.paths.depth_um >= low) & (columns.paths.depth_um < high)
    cover = (columns.epidermis | (columns.labels == ADNEXA))[:, near].any(axis=1)
    tissue = (columns.labels != BACKGROUND)[:, near].any(axis=1)
    bare, ulcer = ~cover & tissue, np.zeros(len(cover), bool)
    for piece in np.unique(columns.paths.piece):
        parts, count = ndimage.label(bare & (columns.paths.piece == piece))
        lengths_um = np.bincount(parts, columns.paths.width_um, count + 1)
        lengths_um[0] = 0.0
        ulcer |= lengths_um[parts] >= MIN_ULCER_UM
    return np.asarray(ulcer & holds)


def _percentile(values: Floats, weights: Floats, percent: float) -> float:
    """Smallest value at or below which lies this much of the weight."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    at = int(np.searchsorted(reached, percent / 100 * reached[-1]))
    return float(values[order][min(at, len(values) - 1)])
