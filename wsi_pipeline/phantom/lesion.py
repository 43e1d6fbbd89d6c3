"""Where does the tumour grow?

1. The lesion's *region* is bounded by relative depth and lateral extent.
2. Nests are cells of a random tessellation, shrunk, rounded and wide enough to be solid.
3. Cords are winding ribbons along the zero line of a smooth random field.
4. A solid-cord tumour has both, side by side.

Everything is a signed distance on the coarse mesh, µm, positive inside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.phantom.frame import Nodes
from wsi_pipeline.phantom.noise import Floats, paint_cells, smooth_noise
from wsi_pipeline.phantom.spec import PhantomSpec

OUTSIDE_UM = -1000.0
# Solid growth is at least about ten cells wide, so that it is not a trabecula.
MIN_NEST_UM = 150.0
CORD_WIDTH_UM = (16.0, 56.0)


def paint_lesion(spec: PhantomSpec, nodes: Nodes, *, region_um: Floats) -> Floats:
    """Signed distance to the tumour border.

    Parameters
    ----------
    spec
        Growth pattern and density.
    nodes
        Mesh of the planes.
    region_um : float32 (Y, X)
        Signed distance to the border of the region in which tumour may lie.

    Returns
    -------
    float32 (Y, X)
        Positive in tumour.
    """
    nowhere = np.full(nodes.shape, OUTSIDE_UM, np.float32)
    if spec.architecture == "none" or not (region_um > 0).any():
        return nowhere
    if spec.architecture == "solid":
        tumour = _nests(spec, nodes, region_um=region_um, density=spec.tumour_density)
    elif spec.architecture == "cord":
        tumour = _cords(spec, nodes, region_um=region_um, density=spec.tumour_density)
    else:
        tumour = _nests_and_cords(spec, nodes, region_um=region_um)
    rng = np.random.default_rng([spec.seed, 24])
    cells = smooth_noise(rng, nodes.places_um, wavelength_um=(17.0, 17.0))
    lobes = smooth_noise(rng, nodes.places_um, wavelength_um=(70.0, 70.0))
    # Only outwards-facing parts of nests are lobed: a cord keeps its width.
    broad = np.clip((tumour + 60.0) / 60.0, 0, 1) * (spec.architecture != "cord")
    return np.asarray(tumour + 0.9 * cells + 1.5 * broad * lobes, dtype=np.float32)


def _nests_and_cords(spec: PhantomSpec, nodes: Nodes, *, region_um: Floats) -> Floats:
    """Nests in one part of the region, cords in the other."""
    rng = np.random.default_rng([spec.seed, 21])
    share = smooth_noise(rng, nodes.places_um, wavelength_um=(1100.0, 900.0))
    cut = float(np.quantile(share[region_um > 0], 0.55))
    # 300 µm per standard deviation is about the field's slope at that wavelength.
    nest_region = np.minimum(region_um, (share - cut) * 300.0)
    nests = _nests(
        spec, nodes, region_um=nest_region, density=min(0.95, 1.35 * spec.tumour_density)
    )
    around = np.minimum(region_um, -nests - 14.0)
    cords = _cords(spec, nodes, region_um=around, density=0.8 * spec.tumour_density)
    return np.maximum(nests, cords)


def _nests(spec: PhantomSpec, nodes: Nodes, *, region_um: Floats, density: float) -> Floats:
    """Rounded islands parted by stroma."""
    rng = np.random.default_rng([spec.seed, 22])
    x_um, y_um = nodes.x_um, nodes.y_um
    sway = [smooth_noise(rng, nodes.places_um, wavelength_um=(260.0, 260.0)) for _ in range(2)]
    spacing = rng.uniform(330.0, 480.0)
    cells = paint_cells(
        rng,
        (
            np.asarray((x_um + 30 * sway[0]) / (1.25 * spacing), np.float32),
            np.asarray((y_um + 30 * sway[1]) / (0.9 * spacing), np.float32),
        ),
        shape=(37, 37),
    )
    border = ndimage.gaussian_filter(cells.border_um * spacing, 10.0 / nodes.step_um)
    inside = region_um > 0
    # Rounding loses a little of each nest; the quantile aims that much higher.
    gap = float(np.quantile(border[inside], 1 - min(0.97, 1.1 * density))) if inside.any() else 0.0
    return _round_off(np.minimum(region_um, border - gap), step_um=nodes.step_um)


def _round_off(shape_um: Floats, *, step_um: float) -> Floats:
    """Morphological opening by a disc, so that nothing narrower than a nest remains."""
    reach = MIN_NEST_UM / 2 - step_um
    eroded = shape_um * 0 + _distance(shape_um > 0, step_um=step_um) > reach
    if not eroded.any():
        return np.full_like(shape_um, OUTSIDE_UM)
    opened = reach - ndimage.distance_transform_edt(~eroded).astype(np.float32) * step_um
    inner = _distance(opened > 0, step_um=step_um)
    signed = np.where(opened > 0, inner, opened)
    return np.asarray(ndimage.gaussian_filter(signed, 1.0), dtype=np.float32)


def _distance(mask: NDArray[np.bool_], *, step_um: float) -> Floats:
    """Distance to the nearest node outside the mask, µm."""
    return np.asarray(ndimage.distance_transform_edt(mask), np.float32) * np.float32(step_um)


def _cords(spec: PhantomSpec, nodes: Nodes, *, region_um: Floats, density: float) -> Floats:
    """Ribbons of slowly varying width that branch, wind and end."""
    rng = np.random.default_rng([spec.seed, 23])
    field = smooth_noise(rng, nodes.places_um, wavelength_um=(330.0, 105.0))
    line = _distance(field > 0, step_um=nodes.step_um) - _distance(
        field <= 0, step_um=nodes.step_um
    )
    middle = np.abs(ndimage.gaussian_filter(line, 1.0))
    swell = smooth_noise(rng, nodes.places_um, wavelength_um=(240.0, 240.0))
    half_width = np.clip(16.0 + 4.5 * swell, CORD_WIDTH_UM[0] / 2, CORD_WIDTH_UM[1] / 2)
    ribbon = np.asarray(half_width - middle, np.float32)
    gate = smooth_noise(rng, nodes.places_um, wavelength_um=(210.0, 130.0)) * 32.0
    gate += smooth_noise(rng, nodes.places_um, wavelength_um=(700.0, 500.0)) * 22.0
    inside = region_um > 0
    candidates = inside & (ribbon > 0)
    if not candidates.any():
        return np.full(nodes.shape, OUTSIDE_UM, np.float32)
    keep = min(1.0, density * inside.sum() / candidates.sum())
    gate = gate - np.quantile(gate[candidates], 1 - keep)
    return np.asarray(np.minimum(np.minimum(ribbon, gate), region_um), dtype=np.float32)
