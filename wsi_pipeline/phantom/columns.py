"""How much of the dermis's thickness is tumour, place by place along the skin?

1. A column starts every `COLUMN_UM` on the dermo-epidermal junction without its ridges and
   runs along the normal of that curve, smoothed, to the dermo-subcutaneous junction.
2. `read_columns` walks each column in steps of `STEP_UM` over the label plane.
3. `measure_columns` tells which of them tumour fills from top to bottom, and how long junction
   and window are.

Where a column starts and ends is analytic; what lies on it is read from the labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.phantom.frame import Points
from wsi_pipeline.phantom.noise import Bytes
from wsi_pipeline.phantom.tissue import Layout

COLUMN_UM = 20.0
STEP_UM = 2.0
# Smoothing of the normals, µm.
SMOOTH_UM = 250.0
# When tumour spans the dermis: it starts in the first tenth (or 150 µm, at most a fifth), ends
# in the last tenth, leaves no gap wider than a quarter and covers three tenths.
STARTS_BY, STARTS_BY_UM, STARTS_BY_MOST = 0.10, 150.0, 0.20
ENDS_AFTER, GAP_MOST, COVER_LEAST = 0.90, 0.25, 0.30
# Shorter breaks do not end a run of such columns, µm.
BRIDGE_UM = 100.0
# Columns with less tumour than this share hold none.
TRACE = 0.01
# Reach of the envelope around cords and files: half their usual distance, µm.
ENVELOPE_UM = 30.0

COLUMN_DTYPE = np.dtype(
    [
        ("down_um", "f4"),
        ("right_um", "f4"),
        ("thickness_um", "f4"),
        ("cover", "f4"),
        ("first", "f4"),
        ("last", "f4"),
        ("gap", "f4"),
        ("clearance_um", "f4"),
        ("assessable", "?"),
        ("epidermis", "?"),
    ]
)
Columns = NDArray[np.void]


def read_columns(layout: Layout, tumour: NDArray[np.bool_], *, mpp: float) -> Columns:
    """Walk every column of a section.

    Parameters
    ----------
    layout
        Geometry of the phantom.
    tumour : bool (Y, X)
        Where tumour is, on a plane over the whole glass.
    mpp
        Width of its pixels, µm.

    Returns
    -------
    structured array (N,)
        ``down_um``, ``right_um``: the foot on the slide; ``thickness_um``: way to the DSJ;
        ``cover``, ``first``, ``last``, ``gap``: share of that way that is tumour, where tumour
        starts and ends on it, and the widest break in between, all 0 to 1 (``first``, ``last``
        and ``gap`` are NaN without tumour); ``clearance_um``: from the ridged DEJ to the first
        tumour (the Grenz zone); ``assessable``: both junctions are on the section;
        ``epidermis``: the foot bears epidermis.  Empty without layers.
    """
    skin = layout.skin
    if skin is None:
        return np.zeros(0, COLUMN_DTYPE)
    feet, normals = _feet(skin.x_um, skin.envelope_um)
    lower = skin.at(skin.dsj_um, feet[:, 0]) - feet[:, 1]
    ways = np.arange(STEP_UM / 2, 1.6 * float(lower.max()) + 100.0, STEP_UM)
    x_um, y_um = (feet[:, axis, None] + normals[:, axis, None] * ways for axis in (0, 1))
    within = np.logical_and.accumulate(y_um <= skin.at(skin.dsj_um, x_um), axis=1)
    slide_um = layout.nodes.frame.to_slide(x_um, y_um)
    index = np.floor(slide_um / mpp).astype(np.intp)
    high = np.array(tumour.shape) - 1
    on_glass = ((index >= 0) & (index <= high)).all(axis=-1)
    rows, columns = np.moveaxis(np.clip(index, 0, high), -1, 0)
    found = tumour[rows, columns] & within & on_glass
    below_ridge = y_um > skin.at(skin.dej_um, x_um)
    table = _summarise(found, within, below_ridge=below_ridge)
    foot_um = layout.nodes.frame.to_slide(feet[:, 0], feet[:, 1])
    table["down_um"], table["right_um"] = foot_um.T
    count = np.maximum(within.sum(axis=1), 1)
    ends_um = slide_um[np.arange(len(feet)), np.minimum(count, len(ways) - 1)]
    on_section = _on_section(layout, foot_um)
    table["assessable"] = on_section & _on_section(layout, ends_um)
    intact = layout.nodes.read(layout.crater_um, foot_um) < 0
    table["epidermis"] = on_section & intact & layout.spec.with_epidermis
    shown: Columns = table[on_section | table["assessable"]]
    return shown


def _feet(x_um: Points, envelope_um: Points) -> tuple[Points, Points]:
    """Places `COLUMN_UM` apart on a curve and the smoothed normals there, shape (N, 2)."""
    arc = np.concatenate(
        [[0.0], np.cumsum(np.hypot(np.diff(x_um), np.diff(envelope_um)))],
    )
    stops = np.arange(COLUMN_UM / 2, arc[-1], COLUMN_UM)
    feet = np.stack([np.interp(stops, arc, line) for line in (x_um, envelope_um)], axis=-1)
    slope = np.gradient(ndimage.gaussian_filter1d(envelope_um, SMOOTH_UM, mode="nearest"))
    rise = np.interp(feet[:, 0], x_um, slope)
    normals = np.stack([-rise, np.ones_like(rise)], axis=-1)
    return feet, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _on_section(layout: Layout, slide_um: Points) -> NDArray[np.bool_]:
    """Whether places lie on the glass and inside the section's cut edge (ulcers included)."""
    tall, wide = (n * layout.spec.mpp for n in layout.nodes.frame.shape)
    inside = layout.nodes.read(np.maximum(layout.outline_um, layout.crater_um), slide_um) > 0
    inside &= (slide_um >= 0).all(axis=1) & (slide_um < [tall, wide]).all(axis=1)
    return np.asarray(inside)


def _summarise(
    found: NDArray[np.bool_], within: NDArray[np.bool_], *, below_ridge: NDArray[np.bool_]
) -> Columns:
    """Thickness and tumour of each column from what lies on its steps."""
    table = np.zeros(len(found), COLUMN_DTYPE)
    count = np.maximum(within.sum(axis=1), 1)
    any_tumour = found.any(axis=1)
    first = found.argmax(axis=1)
    last = found.shape[1] - 1 - found[:, ::-1].argmax(axis=1)
    steps = np.arange(found.shape[1])
    before = np.maximum.accumulate(np.where(found, steps, -1), axis=1)
    breaks = np.where(found[:, 1:], steps[1:] - before[:, :-1] - 1, 0)
    # The way to the first tumour is no break.
    breaks = np.where(before[:, :-1] >= 0, breaks, 0)
    table["thickness_um"] = count * STEP_UM
    table["cover"] = found.sum(axis=1) / count
    for name, value in (
        ("first", first / count),
        ("last", (last + 1) / count),
        ("gap", breaks.max(axis=1) / count),
        ("clearance_um", (first - below_ridge.argmax(axis=1)) * STEP_UM),
    ):
        table[name] = np.where(any_tumour, value, np.nan)
    return table


def is_full(columns: Columns) -> NDArray[np.bool_]:
    """Which columns tumour spans from top to bottom; see the constants of this module."""
    latest = np.minimum(
        np.maximum(STARTS_BY, STARTS_BY_UM / columns["thickness_um"]), STARTS_BY_MOST
    )
    return np.asarray(
        columns["assessable"]
        & (columns["first"] <= latest)
        & (columns["last"] >= ENDS_AFTER)
        & (columns["gap"] <= GAP_MOST)
        & (columns["cover"] >= COVER_LEAST)
    )


def measure_columns(layout: Layout, coarse: Bytes, *, columns: Columns) -> dict[str, Any]:
    """Lengths, thickness, shares of full thickness and the Grenz zone.

    Parameters
    ----------
    layout
        Geometry of the phantom.
    coarse : uint8 (Y, X)
        Labels on any plane over the whole glass.
    columns
        From `read_columns`.

    Returns
    -------
    dict
        None where the section has no such thing; see ``docs/phantom.md``.
    """
    valid = columns[columns["assessable"]]
    if layout.skin is None or not len(valid):
        lengths = {"epidermis_length_mm": _length_mm(columns["epidermis"], layout)}
        lengths["assessable_length_mm"] = None if layout.skin is None else 0.0
        return lengths | dict.fromkeys(COLUMN_NAMES)
    full, holds = is_full(valid), valid["cover"] > TRACE
    low, middle, high = np.percentile(valid["thickness_um"], (25, 50, 75))
    clearance = valid["clearance_um"][holds]
    values = (
        float(middle),
        (float(low), float(high)),
        float(full.mean()),
        float(full[holds].mean()) if holds.any() else None,
        _envelope_fraction(layout, coarse),
        _run_um(full),
        float(np.median(clearance)) if clearance.size else None,
    )
    return {
        "epidermis_length_mm": _length_mm(columns["epidermis"], layout),
        "assessable_length_mm": len(valid) * COLUMN_UM / 1000,
        **dict(zip(COLUMN_NAMES, values, strict=True)),
    }


COLUMN_NAMES = (
    "dermal_thickness_median_um",
    "dermal_thickness_quartiles_um",
    "full_thickness_fraction",
    "full_thickness_tumour_fraction",
    "full_thickness_envelope_fraction",
    "full_thickness_run_um",
    "grenz_median_um",
)


def _length_mm(marked: NDArray[np.bool_], layout: Layout) -> float | None:
    """Length of the junction along the columns marked; None without layers."""
    return None if layout.skin is None else float(marked.sum() * COLUMN_UM / 1000)


def _envelope_fraction(layout: Layout, coarse: Bytes) -> float:
    """Share of columns spanned by tumour together with what lies within `ENVELOPE_UM` of it."""
    mpp = layout.spec.height_mm * 1000 / coarse.shape[0]
    stride = max(1, round(2 * STEP_UM / mpp))
    tumour = np.asarray(coarse[::stride, ::stride] == TUMOUR)
    if not tumour.any():
        return 0.0
    away_um = ndimage.distance_transform_edt(~tumour) * (mpp * stride)
    columns = read_columns(layout, away_um <= ENVELOPE_UM, mpp=mpp * stride)
    return float(is_full(columns[columns["assessable"]]).mean())


def _run_um(full: NDArray[np.bool_]) -> float:
    """Length of the longest run of marked columns, short breaks bridged, µm."""
    reach = int(BRIDGE_UM // COLUMN_UM)
    padded = np.pad(full, reach)
    closed = ndimage.binary_closing(padded, np.ones(reach + 1, np.bool_))
    runs, count = ndimage.label(closed)
    return float(np.bincount(runs)[1:].max() * COLUMN_UM) if count else 0.0
