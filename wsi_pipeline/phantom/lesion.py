"""Where does the tumour grow?

1. The lesion's *region* is bounded by relative depth and lateral extent.
2. Nests are cells of a random tessellation, shrunk, rounded and wide enough to be solid.
3. Cords are winding ribbons along the zero line of a smooth random field.
4. A solid-cord tumour has both, side by side; other patterns are in `growth`.
5. Nests may be necrotic in their centre, and plugs of tumour may lie in vessels.

Everything is a signed distance on the coarse mesh, µm, positive inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from wsi_pipeline.phantom.dice import Dice
from wsi_pipeline.phantom.frame import Nodes, Points
from wsi_pipeline.phantom.growth import grow_bands, grow_glands, line_up_cells
from wsi_pipeline.phantom.noise import Floats, paint_cells, smooth_noise
from wsi_pipeline.phantom.shapes import (
    OUTSIDE_UM,
    Site,
    cut_at,
    distance_um,
    place_discs,
    round_off,
)
from wsi_pipeline.phantom.spec import PhantomSpec

# Solid growth is at least about ten cells wide, so that it is not a trabecula.
MIN_NEST_UM = 150.0
CORD_WIDTH_UM = (16.0, 56.0)
# Radius of a vessel that holds a plug, µm.
EMBOLUS_UM = (28.0, 70.0)


@dataclass(frozen=True, slots=True)
class Lesion:
    """A tumour; planes are signed distances on the mesh, µm, positive inside.

    Parameters
    ----------
    inside_um
        Its outline; lumina of glands lie within.
    lumen_um
        Lumina of glands.
    necrosis_um
        Dead centres of nests.
    space_um
        Vessels that hold tumour.
    cells : float64 (N, 3)
        Cells of single-file growth: ``(down, right)`` on the slide in µm, direction in rad.
    plugs
        Number of tumour plugs in vessels.
    """

    inside_um: Floats
    lumen_um: Floats
    necrosis_um: Floats
    space_um: Floats
    cells: Points
    plugs: int


def paint_lesion(spec: PhantomSpec, nodes: Nodes, *, site: Site) -> Lesion:
    """Grow a tumour.

    Parameters
    ----------
    spec
        Growth pattern and density.
    nodes
        Mesh of the planes.
    site
        Where it may grow.
    """
    nowhere = np.full(nodes.shape, OUTSIDE_UM, np.float32)
    lesion = Lesion(nowhere, nowhere, nowhere, nowhere, np.empty((0, 3)), 0)
    if spec.architecture == "none" or not (site.region_um > 0).any():
        return lesion
    lesion = _grow(spec, nodes, site=site, lesion=lesion)
    rng = np.random.default_rng([spec.seed, 24])
    cells = smooth_noise(rng, nodes.places_um, wavelength_um=(17.0, 17.0))
    lobes = smooth_noise(rng, nodes.places_um, wavelength_um=(70.0, 70.0))
    # Only outwards-facing parts of nests are lobed: a cord keeps its width.
    tumour = lesion.inside_um
    broad = np.clip((tumour + 60.0) / 60.0, 0, 1)
    broad = broad * (spec.architecture not in ("cord", "single-file"))
    rough = np.asarray(tumour + 0.9 * cells + 1.5 * broad * lobes, dtype=np.float32)
    return replace(lesion, inside_um=_broken(spec, nodes, inside_um=rough))


def _broken(spec: PhantomSpec, nodes: Nodes, *, inside_um: Floats) -> Floats:
    """Nests with gaps between groups of cells, and with frayed borders."""
    ragged = spec.look.ragged
    if ragged == 0:
        return inside_um
    rng = np.random.default_rng([spec.seed, 27])
    gaps = smooth_noise(rng, nodes.places_um, wavelength_um=(42.0, 42.0))
    gaps += smooth_noise(rng, nodes.places_um, wavelength_um=(95.0, 95.0))
    # From 2.2 standard deviations, hardly a gap, to 0.3, as much gap as cells.
    hold = 14.0 * (gaps + np.float32(3.0 - 2.6 * ragged))
    return np.asarray(np.minimum(inside_um + 6.0 * ragged * gaps, hold), np.float32)


def _grow(spec: PhantomSpec, nodes: Nodes, *, site: Site, lesion: Lesion) -> Lesion:
    """Fill the site in the pattern asked for."""
    density = spec.tumour_density
    if spec.architecture == "single-file":
        tumour, cells = line_up_cells(spec, nodes, site=site)
        return replace(lesion, inside_um=tumour, cells=cells)
    if spec.architecture == "glandular":
        tumour, lumina = grow_glands(spec, nodes, site=site)
        return replace(lesion, inside_um=tumour, lumen_um=lumina)
    if spec.architecture == "solid":
        tumour = _nests(spec, nodes, site=site, density=density)
    elif spec.architecture == "cord":
        tumour = _cords(spec, nodes, site=site, density=density)
    elif spec.architecture == "trabecular":
        tumour = grow_bands(spec, nodes, site=site)
    else:
        tumour = _nests_and_cords(spec, nodes, site=site)
    return replace(lesion, inside_um=tumour)


def trim_lesion(spec: PhantomSpec, nodes: Nodes, *, lesion: Lesion, room_um: Floats) -> Lesion:
    """Keep a tumour to the room it has, and let the centres of its nests die.

    Parameters
    ----------
    spec, nodes
        Slide and mesh.
    lesion
        The tumour as it grew.
    room_um : float32 (Y, X)
        Signed distance to what it must not touch.
    """
    inside = np.minimum(lesion.inside_um, room_um)
    lumina = np.minimum(lesion.lumen_um, inside - 8.0)
    dead = lesion.necrosis_um
    if spec.necrosis > 0:
        rng = np.random.default_rng([spec.seed, 28])
        ragged = 9 * smooth_noise(rng, nodes.places_um, wavelength_um=(70.0, 70.0))
        # A true distance: fields of distance have other slopes far from the outline.
        depth = distance_um(inside > 0, step_um=nodes.step_um)
        dead = np.asarray(depth + ragged - (95.0 - 60.0 * spec.necrosis), np.float32)
    # Cells of single files whose bodies have gone, or been halved, go too.
    cells = lesion.cells
    cells = cells[nodes.read(room_um, cells[:, :2]) > 0]
    return replace(lesion, inside_um=inside, lumen_um=lumina, necrosis_um=dead, cells=cells)


def add_emboli(spec: PhantomSpec, nodes: Nodes, *, lesion: Lesion, free_um: Floats) -> Lesion:
    """Put plugs of tumour into clear spaces wherever the stroma is free."""
    if not spec.emboli or spec.shown_to == 0:
        return lesion
    rng, dice = np.random.default_rng([spec.seed, 29]), Dice.of(spec.seed, 29)
    radii = [float(radius) for radius in rng.uniform(*EMBOLUS_UM, spec.emboli)]
    room = np.asarray(free_um - 12.0, np.float32)
    space, plug = lesion.space_um, np.full(nodes.shape, OUTSIDE_UM, np.float32)
    discs = place_discs(rng, nodes, free_um=room, radii_um=radii)
    wall = smooth_noise(rng, nodes.places_um, wavelength_um=(90.0, 90.0))
    for x_um, y_um, radius_um in discs:
        place = np.array([[x_um, y_um]])
        flat = float(dice.uniform(place, channel=0, low=0.55, high=0.95)[0])
        turn = float(dice.uniform(place, channel=1, high=np.pi)[0])
        width = float(dice.uniform(place, channel=2, low=0.6, high=0.78)[0])
        dx, dy = nodes.x_um - x_um, nodes.y_um - y_um
        along = dx * np.cos(turn) + dy * np.sin(turn)
        across = (dy * np.cos(turn) - dx * np.sin(turn)) / flat
        oval = radius_um - np.hypot(along, across) + 0.07 * radius_um * wall
        space = np.maximum(space, np.asarray(oval * flat, np.float32))
        # The plug has shrunk from the wall, more on one side than on the other.
        lean = np.hypot(along - 0.1 * radius_um, across)
        core = width * radius_um - lean - 0.06 * radius_um * wall
        plug = np.maximum(plug, np.asarray(core * flat, np.float32))
    inside = np.maximum(lesion.inside_um, np.minimum(plug, space - 3.0))
    return replace(lesion, inside_um=inside, space_um=space, plugs=len(discs))


def _nests_and_cords(spec: PhantomSpec, nodes: Nodes, *, site: Site) -> Floats:
    """Nests in one part of the region, cords in the other."""
    rng = np.random.default_rng([spec.seed, 21])
    share = smooth_noise(rng, nodes.places_um, wavelength_um=(1100.0, 900.0))
    cut = float(np.quantile(share[site.region_um > 0], 0.55))
    # 300 µm per standard deviation is about the field's slope at that wavelength.
    nest_region = np.minimum(site.region_um, (share - cut) * 300.0)
    nest_site = replace(site, region_um=nest_region)
    nests = _nests(spec, nodes, site=nest_site, density=min(0.95, 1.35 * spec.tumour_density))
    around = replace(site, region_um=np.minimum(site.region_um, -nests - 14.0))
    cords = _cords(spec, nodes, site=around, density=0.8 * spec.tumour_density)
    return np.maximum(nests, cords)


def _nests(spec: PhantomSpec, nodes: Nodes, *, site: Site, density: float) -> Floats:
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
    inside = site.region_um > 0
    # Rounding loses a little of each nest; the quantile aims that much higher.
    keep = min(0.97, 1.1 * density)
    gap = cut_at(border[inside], keep, tilt=site.tilt) if inside.any() else 0.0
    shape = np.minimum(site.region_um, border - gap)
    return round_off(shape, width_um=MIN_NEST_UM, step_um=nodes.step_um)


def _cords(spec: PhantomSpec, nodes: Nodes, *, site: Site, density: float) -> Floats:
    """Ribbons of slowly varying width that branch, wind and end."""
    rng = np.random.default_rng([spec.seed, 23])
    field = smooth_noise(rng, nodes.places_um, wavelength_um=(330.0, 105.0))
    line = distance_um(field > 0, step_um=nodes.step_um) - distance_um(
        field <= 0, step_um=nodes.step_um
    )
    middle = np.abs(ndimage.gaussian_filter(line, 1.0))
    swell = smooth_noise(rng, nodes.places_um, wavelength_um=(240.0, 240.0))
    half_width = np.clip(16.0 + 4.5 * swell, CORD_WIDTH_UM[0] / 2, CORD_WIDTH_UM[1] / 2)
    ribbon = np.asarray(half_width - middle, np.float32)
    gate = smooth_noise(rng, nodes.places_um, wavelength_um=(210.0, 130.0)) * 32.0
    gate += smooth_noise(rng, nodes.places_um, wavelength_um=(700.0, 500.0)) * 22.0
    inside = site.region_um > 0
    candidates = inside & (ribbon > 0)
    if not candidates.any():
        return np.full(nodes.shape, OUTSIDE_UM, np.float32)
    keep = min(1.0, density * inside.sum() / candidates.sum())
    gate = gate - cut_at(gate[candidates], keep, tilt=site.tilt)
    return np.asarray(np.minimum(np.minimum(ribbon, gate), site.region_um), dtype=np.float32)
