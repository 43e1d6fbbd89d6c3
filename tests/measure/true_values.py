"""True measurements of a phantom, from its formulas: slow, plain, and without the library.

Everything happens in the section's own frame, in which the junctions are functions of x:
Laplace's equation on a square mesh with the curves as borders, field lines drawn step by step
from one to the other, and the label plane read along them at its own pixels.  Values are
those that docs/measurements.md defines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve

from wsi_pipeline.classes import BACKGROUND, EPIDERMIS, TUMOUR
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom import PhantomSpec
from wsi_pipeline.phantom.block import label_block, read_block
from wsi_pipeline.phantom.tissue import Layout, lay_out

MESH_UM, SPACING_UM, STEP_UM, ABOVE_UM = 8.0, 4.0, 2.0, 250.0


@dataclass(frozen=True)
class Rays:
    """Labels along field lines: N of them, S samples each; weights are areas in µm²."""

    depth_um: np.ndarray  # (S,)
    thickness_um: np.ndarray  # (N,)
    weight: np.ndarray  # (N, S)
    labels: np.ndarray  # (N, S)
    tumour: np.ndarray  # (N, S), without specks
    near: np.ndarray  # (N, S), infiltration envelope
    raw_um: np.ndarray  # (N,), depth at which the line leaves the epidermis


def paint_labels(spec: PhantomSpec) -> tuple[Layout, np.ndarray]:
    """Geometry and label plane of a phantom, without its picture (and its horn)."""
    layout = lay_out(spec)
    box = Box.of_shape(layout.nodes.frame.shape)
    return layout, label_block(read_block(layout, box), horn=np.zeros(box.shape, bool))


def true_values(layout: Layout, labels: np.ndarray) -> dict[str, float | str | None]:
    """Every value that can be told from the geometry; None where there is none."""
    rays = draw_rays(layout, labels)
    inside = (rays.depth_um >= 0) & (rays.depth_um < rays.thickness_um[:, None])
    found: dict[str, float | str | None] = {}
    tumour = rays.weight * rays.tumour
    found["dermal_thickness_median_um"] = float(np.median(rays.thickness_um))
    found["infiltration_fraction"] = infiltration(layout, labels)
    found |= full_thickness(rays, inside)
    below = tumour * (rays.depth_um >= 0)
    if not below.any():
        return found
    depth = np.broadcast_to(rays.depth_um, below.shape)
    relative = np.minimum(depth / rays.thickness_um[:, None], 1.0)
    found["depth_max_um"] = percentile(depth, below, 99.5)
    found["relative_depth_max"] = percentile(relative, below, 99.5)
    beyond = depth - rays.thickness_um[:, None]
    found["subcutis_extension_um"] = max(0.0, percentile(beyond, below, 99.5))
    found |= grenz(rays, inside)
    return found


def infiltration(layout: Layout, labels: np.ndarray) -> float:
    """Label pixels between envelope and deep junction: tumour over tissue."""
    row, column = np.nonzero(labels != BACKGROUND)
    mpp = np.float32(layout.spec.mpp)
    x, y = layout.nodes.frame.to_section(
        (row + 0.5).astype(np.float32) * mpp, (column + 0.5).astype(np.float32) * mpp
    )
    top, bottom = datum_um(layout, labels), layout.skin.dsj_um
    at = layout.skin.x_um
    dermis = (y >= np.interp(x, at, top)) & (y < np.interp(x, at, bottom))
    return float((labels[row, column] == TUMOUR)[dermis].mean())


def full_thickness(rays: Rays, inside: np.ndarray) -> dict[str, float | str]:
    """Line by line, in words of the definition."""
    full, holds, valid = [], [], []
    for n, thickness in enumerate(rays.thickness_um):
        own = inside[n]
        valid.append((rays.labels[n, own] != BACKGROUND).mean() >= 0.5)
        full.append(goes_through(rays.near[n, own], thickness))
        holds.append(rays.tumour[n, own].mean() > 0.01)
    ok, full, holds = np.array(valid), np.array(full), np.array(holds)
    longest = run = gap = 0.0
    for is_full in full & ok:
        if is_full:
            run = run + gap + SPACING_UM if run and gap <= 100 else SPACING_UM
            gap, longest = 0.0, max(longest, run)
        else:
            gap += SPACING_UM
    of_tumour = float(full[ok & holds].mean()) if (ok & holds).any() else 0.0
    call = "partial"
    if not (ok & holds).any():
        call = "none"
    elif longest >= 500 and of_tumour >= 0.5:
        call = "full-thickness"
    elif longest >= 100:
        call = "focal full-thickness"
    return {
        "full_thickness_fraction": float(full[ok].mean()),
        "full_thickness_tumour_fraction": of_tumour,
        "full_thickness_run_um": longest,
        "full_thickness_call": call,
        "lateral_extent_mm": float(holds.sum() * SPACING_UM / 1e3),
    }


def goes_through(hit: np.ndarray, thickness_um: float) -> bool:
    """Whether one line is full-thickness."""
    at = np.flatnonzero(hit)
    if not at.size:
        return False
    first, last = at[0] / hit.size, (at[-1] + 1) / hit.size
    gap = (np.diff(at) - 1).max(initial=0) / hit.size
    top = min(max(0.10, 150 / thickness_um), 0.20)
    return bool(first <= top and last >= 0.9 and gap <= 0.25 and hit.mean() >= 0.30)


def grenz(rays: Rays, inside: np.ndarray) -> dict[str, float]:
    """Way from the ridged junction to the first tumour below it."""
    zone = []
    for n, raw in enumerate(rays.raw_um):
        bears = (rays.labels[n] == EPIDERMIS).any()
        below = rays.depth_um[rays.tumour[n] & (rays.depth_um > raw)]
        if bears and below.size and rays.tumour[n, inside[n]].mean() > 0.01:
            zone.append(max(0.0, below[0] - STEP_UM / 2 - raw))
    if not zone:
        return {}
    wide = np.array(zone)
    return {
        "grenz_median_um": float(np.median(wide)),
        "grenz_p05_um": float(np.percentile(wide, 5)),
        "grenz_present_fraction": float((wide >= 20).mean()),
        "dej_contact_fraction": float((wide < 5).mean()),
    }


def percentile(values: np.ndarray, weights: np.ndarray, percent: float) -> float:
    """Weighted percentile."""
    order = np.argsort(values, axis=None)
    reached = np.cumsum(weights.ravel()[order])
    at = np.searchsorted(reached, percent / 100 * reached[-1])
    return float(values.ravel()[order][at])


def draw_rays(layout: Layout, labels: np.ndarray) -> Rays:
    """Field lines from the envelope to the deep junction and on into the fat."""
    skin, mpp = layout.skin, layout.spec.mpp
    x_um, top, bottom = skin.x_um, datum_um(layout, labels), skin.dsj_um
    field = solve(x_um, top, bottom)
    start = np.arange(-skin.half_width_um, skin.half_width_um, SPACING_UM)
    longest = int((1.4 * (bottom - top).max() + 900) / STEP_UM)
    path = [np.stack([start, np.interp(start, x_um, top)], axis=1)]
    for _ in range(longest):
        half = path[-1] + STEP_UM / 2 * field(path[-1])
        path.append(path[-1] + STEP_UM * field(half))
    back = int(ABOVE_UM / STEP_UM)
    upward = path[0] - path[1]
    path = [path[0] + k * upward for k in range(back, 0, -1)] + path
    place = np.stack(path, axis=1)
    place = (place[:, 1:] + place[:, :-1]) / 2
    depth_um = (np.arange(place.shape[1]) - back + 0.5) * STEP_UM
    beyond = place[..., 1] >= np.interp(place[..., 0], x_um, bottom)
    thickness = depth_um[np.maximum(beyond.argmax(axis=1), 1)] - STEP_UM / 2
    raw = (place[..., 1] < np.interp(place[..., 0], x_um, skin.dej_um)).sum(axis=1)
    raw_um = depth_um[0] - STEP_UM / 2 + STEP_UM * raw
    width = np.hypot(*np.moveaxis(np.gradient(place, axis=0), -1, 0))
    tumour = without_specks(labels == TUMOUR, mpp)
    near = ndimage.distance_transform_edt(~tumour) * mpp - mpp / 2 <= 30.0
    row, column = pixels(layout, place)
    on = (row >= 0) & (column >= 0) & (row < labels.shape[0]) & (column < labels.shape[1])
    row, column = np.where(on, row, 0), np.where(on, column, 0)
    read = [np.where(on, plane[row, column], 0) for plane in (labels, tumour, near)]
    # A line belongs to the section where its upper dermis is tissue.
    seen = (read[0][:, back : back + 50] != BACKGROUND).mean(axis=1) > 0.5
    return Rays(
        depth_um,
        thickness[seen],
        (width * STEP_UM)[seen],
        read[0][seen],
        read[1][seen].astype(bool),
        read[2][seen].astype(bool),
        raw_um[seen],
    )


def datum_um(layout: Layout, labels: np.ndarray) -> np.ndarray:
    """The envelope; under an ulcer the exposed surface."""
    skin = layout.skin
    if not layout.spec.ulceration:
        return skin.envelope_um
    y_um = np.arange(skin.surface_um.min() - 50, skin.envelope_um.max() + 400, 2.0)
    place = np.stack(np.meshgrid(skin.x_um, y_um, indexing="ij"), axis=-1)
    row, column = pixels(layout, place)
    row, column = (np.clip(i, 0, n - 1) for i, n in zip((row, column), labels.shape, strict=True))
    found = labels[row, column]
    tissue = found != BACKGROUND
    surface = y_um[tissue.argmax(axis=1)] - 1.0
    near = place[..., 1] < skin.envelope_um[:, None] + 200
    bare = tissue.any(axis=1) & ~((found == EPIDERMIS) & near).any(axis=1)
    bare &= np.abs(skin.x_um) < skin.half_width_um - 150
    exposed = np.where(bare, np.maximum(surface, skin.envelope_um), skin.envelope_um)
    return ndimage.gaussian_filter1d(exposed, 300.0 / 5.34)


def pixels(layout: Layout, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label pixels that hold places (x, y) of the section."""
    slide = layout.nodes.frame.to_slide(place[..., 0], place[..., 1]) / layout.spec.mpp
    return np.floor(slide[..., 0]).astype(int), np.floor(slide[..., 1]).astype(int)


def without_specks(tumour: np.ndarray, mpp: float, min_um2: float = 500.0) -> np.ndarray:
    parts, count = ndimage.label(tumour, np.ones((3, 3)))
    large = np.bincount(parts.ravel(), minlength=count + 1) * mpp**2 >= min_um2
    large[0] = False
    return large[parts]


def solve(x_um: np.ndarray, top: np.ndarray, bottom: np.ndarray):
    """Direction of the field lines as a function of places (N, 2)."""
    x = np.arange(x_um[0], x_um[-1], MESH_UM)
    y = np.arange(top.min() - 4 * MESH_UM, bottom.max() + 900, MESH_UM)
    upper, lower = np.interp(x, x_um, top)[:, None], np.interp(x, x_um, bottom)[:, None]
    share = (y - upper) / (lower - upper)  # 0 and 1 on the curves, linear on beyond
    potential = share.copy()
    free = (share > 0) & (share < 1)
    number = np.cumsum(free).reshape(free.shape) - 1
    i, j = np.nonzero(free)
    rows, columns, diagonal, given = [], [], np.zeros(len(i)), np.zeros(len(i))
    for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        there = (i + di >= 0) & (i + di < len(x))
        a, b = i[there] + di, j[there] + dj
        own = np.flatnonzero(there)
        diagonal[own] += 1
        inner = free[a, b]
        rows.append(own[inner])
        columns.append(number[a, b][inner])
        given[own[~inner]] += share[a, b][~inner]
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    beside = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(i),) * 2)
    potential[free] = spsolve((sparse.diags_array(diagonal) - beside).tocsc(), given)
    slope = np.stack(np.gradient(potential, MESH_UM), axis=-1)
    slope /= np.hypot(slope[..., 0], slope[..., 1])[..., None]

    def direction(place: np.ndarray) -> np.ndarray:
        at = [(place[:, 0] - x[0]) / MESH_UM, (place[:, 1] - y[0]) / MESH_UM]
        way = [
            ndimage.map_coordinates(slope[..., axis], at, order=1, mode="nearest")
            for axis in (0, 1)
        ]
        unit = np.stack(way, axis=1)
        return unit / np.hypot(*unit.T)[:, None]

    return direction
