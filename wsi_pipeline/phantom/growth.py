"""How do tumour cells arrange themselves, besides nests and cords?

1. `grow_bands`: trabeculae, thick branching bands along a random network.
2. `grow_glands`: tubules and cribriform nests, each with a lumen.
3. `line_up_cells`: files of single cells along the collagen; here cells come first, and the
   tumour is the union of their bodies.

Shapes are signed distances on the coarse mesh, µm, positive inside.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

from wsi_pipeline.phantom.frame import Nodes, Points
from wsi_pipeline.phantom.noise import Floats, paint_cells, smooth_noise
from wsi_pipeline.phantom.shapes import OUTSIDE_UM, Site, cut_at, distance_um, round_off
from wsi_pipeline.phantom.spec import TUMOUR_SPACING_UM, PhantomSpec

# Trabeculae are thicker than cords, which reach 56 µm, and thinner than nests.
BAND_WIDTH_UM = (64.0, 96.0)
MIN_BAND_UM = 60.0
MIN_GLAND_UM = 40.0
# Between lumen and stroma stands at least one row of cells.
MIN_WALL_UM = 11.0
# Distance of neighbouring files: a bundle of collagen or two.
FILE_PITCH_UM = 30.0


def grow_bands(spec: PhantomSpec, nodes: Nodes, *, site: Site) -> Floats:
    """Bands along the borders of a random tessellation: they branch where three cells meet."""
    rng = np.random.default_rng([spec.seed, 25])
    sway = [smooth_noise(rng, nodes.places_um, wavelength_um=(280.0, 280.0)) for _ in range(2)]
    spacing = rng.uniform(330.0, 400.0)
    places = (
        np.asarray((nodes.x_um + 45 * sway[0]) / (1.35 * spacing), np.float32),
        np.asarray((nodes.y_um + 45 * sway[1]) / (0.8 * spacing), np.float32),
    )
    network = paint_cells(rng, places, shape=(37, 37)).identity
    seam = np.zeros(network.shape, np.bool_)
    seam[:, :-1] |= network[:, :-1] != network[:, 1:]
    seam[:-1] |= network[:-1] != network[1:]
    middle = ndimage.gaussian_filter(distance_um(~seam, step_um=nodes.step_um), 1.5)
    swell = smooth_noise(rng, nodes.places_um, wavelength_um=(200.0, 200.0))
    half_width = np.clip(38.0 + 6.0 * swell, BAND_WIDTH_UM[0] / 2, BAND_WIDTH_UM[1] / 2)
    band = np.asarray(half_width - middle, np.float32)
    gate = smooth_noise(rng, nodes.places_um, wavelength_um=(420.0, 300.0)) * 60.0
    inside = site.region_um > 0
    candidates = inside & (band > 0)
    if not candidates.any():
        return np.full(nodes.shape, OUTSIDE_UM, np.float32)
    # Opening takes the stumps away; the quantile aims that much higher.
    keep = min(1.0, 1.1 * spec.tumour_density * inside.sum() / candidates.sum())
    gate = gate - cut_at(gate[candidates], keep, tilt=site.tilt)
    shape = np.asarray(np.minimum(np.minimum(band, gate), site.region_um), np.float32)
    bands = round_off(shape, width_um=MIN_BAND_UM, step_um=nodes.step_um)
    # Where bands have run together, an island of stroma remains between them.
    deep = distance_um(bands > 0, step_um=nodes.step_um) - MIN_BAND_UM
    return np.minimum(bands, -round_off(deep, width_um=24.0, step_um=nodes.step_um))


def grow_glands(spec: PhantomSpec, nodes: Nodes, *, site: Site) -> tuple[Floats, Floats]:
    """Glands, single or back to back, and their lumina.

    Returns
    -------
    tuple of float32 (Y, X)
        Signed distances to the outline of the glands and to that of the lumina.
    """
    rng = np.random.default_rng([spec.seed, 26])
    sway = [smooth_noise(rng, nodes.places_um, wavelength_um=(150.0, 150.0)) for _ in range(2)]
    spacing = rng.uniform(125.0, 165.0)
    places = (
        np.asarray((nodes.x_um + 16 * sway[0]) / (1.15 * spacing), np.float32),
        np.asarray((nodes.y_um + 16 * sway[1]) / (0.9 * spacing), np.float32),
    )
    cells = paint_cells(rng, places, shape=(97, 97))
    border = ndimage.gaussian_filter(cells.border_um * np.float32(spacing), 6.0 / nodes.step_um)
    # Where the noise is high, the outline swallows the stroma between neighbours.
    fused = border + 13 * smooth_noise(rng, nodes.places_um, wavelength_um=(450.0, 380.0))
    wiggle = 2.5 * smooth_noise(rng, nodes.places_um, wavelength_um=(36.0, 36.0))
    inside = site.region_um > 0
    gap = cut_at(fused[inside], min(0.97, 1.05 * spec.tumour_density), tilt=site.tilt)
    shape = np.asarray(np.minimum(fused - gap, site.region_um), np.float32)
    glands = round_off(shape, width_um=MIN_GLAND_UM, step_um=nodes.step_um)
    if not (glands > 0).any():
        return glands, np.full_like(glands, OUTSIDE_UM)
    inner = np.minimum(border, glands) + wiggle
    wall = max(MIN_WALL_UM, cut_at(inner[glands > 0], spec.lumen_share, tilt=None))
    lumina = np.minimum(inner - wall, glands - MIN_WALL_UM)
    return glands, np.asarray(lumina, np.float32)


def line_up_cells(spec: PhantomSpec, nodes: Nodes, *, site: Site) -> tuple[Floats, Points]:
    """Cells in files between the bundles of collagen, and on their own.

    Returns
    -------
    tuple
        Signed distance to the outline of the cells, float32 (Y, X), and the cells
        themselves, float64 (N, 3): place ``(down, right)`` on the slide in µm and the
        direction of the file in radians (`nuclei.NUCLEUS_DTYPE` says how it is counted).
    """
    rng = np.random.default_rng([spec.seed, 27])
    breadth = TUMOUR_SPACING_UM[spec.grade]
    cells = _along_collagen(rng, nodes, site=site, spacing_um=breadth)
    cells = cells[nodes.read(site.region_um, cells[:, :2]) > breadth / 2]
    if not len(cells):
        return np.full(nodes.shape, OUTSIDE_UM, np.float32), cells
    # Neighbours on a line stay or go together, in files of about five.
    gate = ndimage.gaussian_filter1d(rng.standard_normal(len(cells)), 2.0).astype(np.float32)
    crowd = smooth_noise(rng, nodes.places_um, wavelength_um=(600.0, 420.0))
    gate = gate / gate.std() + 0.6 * nodes.read(crowd, cells[:, :2])
    body_um2 = 0.25 * math.pi * breadth**2
    region_um2 = float((site.region_um > 0).sum()) * nodes.step_um**2
    keep = min(0.95, spec.tumour_density * region_um2 / (body_um2 * len(cells)))
    tilt = None if site.tilt is None else nodes.read(site.tilt, cells[:, :2])
    cells = cells[gate > cut_at(gate, keep, tilt=tilt)]
    return _cover(nodes, cells, axes_um=(0.62 * breadth, 0.5 * breadth)), cells


def _along_collagen(
    rng: np.random.Generator, nodes: Nodes, *, site: Site, spacing_um: float
) -> Points:
    """Places ``spacing_um`` apart on lines along the bundles, with the line's direction."""
    rows, columns = (np.flatnonzero((site.region_um > 0).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return np.empty((0, 3))
    corner = np.array([rows[0], columns[0]])
    flow = site.flow_um[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    levels = np.arange(float(flow.min()), float(flow.max()), FILE_PITCH_UM)
    pieces = [np.empty((0, 3))]
    for level in levels + rng.normal(0, 3.0, levels.shape):
        contours: list[Points] = find_contours(flow, level)  # type: ignore[no-untyped-call]
        for contour in contours:
            line_um = (contour + corner) * nodes.step_um
            pieces.append(_walk(rng, line_um, spacing_um=spacing_um))
    return np.concatenate(pieces)


def _walk(rng: np.random.Generator, line_um: Points, *, spacing_um: float) -> Points:
    """Stops along a line, each with the direction there: (N, 3)."""
    steps = np.linalg.norm(np.diff(line_um, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    stops = (np.arange(arc[-1] / spacing_um) + rng.random()) * spacing_um
    stops += rng.normal(0, 0.08 * spacing_um, stops.shape)
    here, ahead = (
        np.stack([np.interp(stops + far, arc, line_um[:, axis]) for axis in (0, 1)], axis=-1)
        for far in (0.0, 6.0)
    )
    down, right = (ahead - here).T
    aside = rng.normal(0, 0.9, (len(stops), 1)) * np.stack([right, -down], axis=-1) / 6.0
    return np.concatenate([here + aside, np.arctan2(right, down)[:, None]], axis=1)


def _cover(nodes: Nodes, cells: Points, *, axes_um: tuple[float, float]) -> Floats:
    """Signed distance to the union of elliptical cell bodies."""
    reach = math.ceil(2.5 * axes_um[0] / nodes.step_um)
    near = np.arange(-reach, reach + 1)
    row, column = (grid.ravel() for grid in np.meshgrid(near, near, indexing="ij"))
    home = np.rint(cells[:, :2] / nodes.step_um).astype(np.intp)
    rows, columns = home[:, :1] + row, home[:, 1:] + column
    down, right = rows * nodes.step_um - cells[:, :1], columns * nodes.step_um - cells[:, 1:2]
    cos, sin = np.cos(cells[:, 2:]), np.sin(cells[:, 2:])
    along, across = down * cos + right * sin, right * cos - down * sin
    inside = axes_um[1] * (1 - np.hypot(along / axes_um[0], across / axes_um[1]))
    plane = np.full(nodes.shape, OUTSIDE_UM, np.float32)
    shown = (rows >= 0) & (columns >= 0) & (rows < nodes.shape[0]) & (columns < nodes.shape[1])
    np.maximum.at(plane, (rows[shown], columns[shown]), inside[shown].astype(np.float32))
    far = -distance_um(plane <= 0, step_um=nodes.step_um)
    return np.where(plane > -axes_um[1], plane, np.minimum(far, -axes_um[1]))
