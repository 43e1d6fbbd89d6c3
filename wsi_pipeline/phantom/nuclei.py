"""Where are the nuclei, and how large?

1. Tumour, epidermis and glands are filled from a jittered hexagonal lattice.
2. Basal cells and endothelium line the contours of the geometry.
3. Stroma is sprinkled with fibroblasts, inflamed stroma with lymphocytes.

Every nucleus is an ellipse with a gentle three-fold and two-fold wobble whose area is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from wsi_pipeline.phantom.adnexa import Kind
from wsi_pipeline.phantom.frame import Nodes, Points
from wsi_pipeline.phantom.noise import Floats
from wsi_pipeline.phantom.spec import NUCLEAR_AREA_UM2
from wsi_pipeline.phantom.tissue import DEEP_UM, Layout

NUCLEUS_DTYPE = np.dtype(
    [
        ("down_um", "f4"),
        ("right_um", "f4"),
        ("area_um2", "f4"),
        ("major_um", "f4"),
        ("minor_um", "f4"),
        ("angle_rad", "f4"),
        ("kind", "u1"),
        ("density", "f4"),
        ("vesicular", "f4"),
        ("wobble", "f4"),
    ]
)
Nuclei = NDArray[np.void]


class Cell(IntEnum):
    """Kinds of cells whose nuclei are drawn."""

    TUMOUR = 0
    LYMPHOCYTE = 1
    FIBROBLAST = 2
    KERATINOCYTE = 3
    ENDOTHELIUM = 4
    ADNEXAL = 5
    ADIPOCYTE = 6


@dataclass(frozen=True, slots=True)
class Habit:
    """What the nuclei of one population look like.

    Parameters
    ----------
    cell
        Kind of cell.
    area_um2
        Mean and standard deviation of the profile area.
    elongation
        Mean ratio of the axes.
    density
        Haematoxylin concentration.
    vesicular
        0 evenly dark, 1 pale with a dark rim and nucleoli.
    wobble
        Departure from an ellipse, share of the radius.
    """

    cell: Cell
    area_um2: tuple[float, float]
    elongation: float
    density: float
    vesicular: float = 0.0
    wobble: float = 0.03


LYMPHOCYTE = Habit(Cell.LYMPHOCYTE, (24.0, 3.5), 1.1, 0.98)
FIBROBLAST = Habit(Cell.FIBROBLAST, (26.0, 10.0), 3.8, 0.76, wobble=0.08)
BASAL = Habit(Cell.KERATINOCYTE, (36.0, 6.0), 1.5, 0.80)
SPINOUS = Habit(Cell.KERATINOCYTE, (42.0, 8.0), 1.35, 0.52, vesicular=0.5)
ENDOTHELIUM = Habit(Cell.ENDOTHELIUM, (22.0, 5.0), 3.4, 0.80)
ADNEXAL = Habit(Cell.ADNEXAL, (34.0, 6.0), 1.3, 0.72, vesicular=0.2)
SEBOCYTE = Habit(Cell.ADNEXAL, (24.0, 5.0), 1.2, 0.72)
ADIPOCYTE = Habit(Cell.ADIPOCYTE, (20.0, 5.0), 3.6, 0.80)
# Distance of neighbouring tumour cells per grade, µm.
TUMOUR_SPACING_UM = {1: 10.5, 2: 12.0, 3: 14.0}


def tumour_habit(grade: int) -> Habit:
    """Nuclei of a tumour: larger, more varied and more vesicular with grade."""
    area = NUCLEAR_AREA_UM2[grade]
    return {
        1: Habit(Cell.TUMOUR, area, 1.2, 0.72, vesicular=0.1, wobble=0.03),
        2: Habit(Cell.TUMOUR, area, 1.28, 0.74, vesicular=0.45, wobble=0.06),
        3: Habit(Cell.TUMOUR, area, 1.35, 0.80, vesicular=0.75, wobble=0.10),
    }[grade]


def place_nuclei(layout: Layout) -> Nuclei:
    """Place every nucleus of a phantom.

    Returns
    -------
    structured array (N,)
        Fields of `NUCLEUS_DTYPE`: centre on the slide, area, full axes, angle of the
        major axis (its direction is ``(down, right) = (cos, sin)``, as in scikit-image),
        kind (`Cell`), and how it stains.
    """
    rng = np.random.default_rng([layout.spec.seed, 9])
    groups = [
        _fill_tumour(rng, layout),
        _epidermal(rng, layout),
        *_adnexal(rng, layout),
        *_stromal(rng, layout),
        _line(
            rng,
            layout,
            plane_um=layout.vessels.core_um,
            habit=ENDOTHELIUM,
            spacing_um=17.0,
            inset_um=-1.5,
        ),
    ]
    every = np.concatenate(groups)
    slide_um = np.stack([every["down_um"], every["right_um"]], axis=-1)
    within = np.minimum(layout.outline_um - 5.0, layout.below_surface_um - 3.0)
    return every[layout.nodes.read(within, slide_um) > 0]


# ------------------------------------------------------------------ populations


def _fill_tumour(rng: np.random.Generator, layout: Layout) -> Nuclei:
    """Tumour cells, packed."""
    grade = layout.spec.grade
    habit, spacing = tumour_habit(grade), TUMOUR_SPACING_UM[grade]
    slide_um = _lattice(rng, layout.nodes, spacing_um=spacing, where=layout.tumour_um > -4)
    inside = layout.nodes.read(layout.tumour_um, slide_um)
    reach = 0.48 * math.sqrt(habit.area_um2[0])
    slide_um = slide_um[inside > reach]
    angle = rng.uniform(0, math.pi, len(slide_um))
    return _shape(rng, slide_um, habit=habit, angle_rad=angle)


def _epidermal(rng: np.random.Generator, layout: Layout) -> Nuclei:
    """Round nuclei of the epidermis above its basal layer."""
    if layout.skin is None or not layout.spec.with_epidermis:
        return np.zeros(0, NUCLEUS_DTYPE)
    height = np.minimum(-layout.below_dej_um, layout.below_surface_um)
    slide_um = _lattice(rng, layout.nodes, spacing_um=10.6, where=height > 2)
    above = layout.nodes.read(_epithelium_um(layout), slide_um)
    below = layout.nodes.read(layout.below_surface_um, slide_um)
    own = layout.nodes.read(layout.below_dej_um, slide_um) < 0
    plug = layout.nodes.read(layout.adnexa.core_um, slide_um)
    slide_um = slide_um[own & (above > 10.5) & (below > 9) & (plug < -6)]
    flat = rng.normal(math.pi / 2 - layout.nodes.frame.turn_rad, 0.35, len(slide_um))
    return _shape(rng, slide_um, habit=SPINOUS, angle_rad=flat)


def _epithelium_um(layout: Layout) -> Floats:
    """Signed distance to the outline of epidermis, follicles and glands together."""
    covered = layout.skin is not None and layout.spec.with_epidermis
    epidermis = np.minimum(-layout.below_dej_um, layout.below_surface_um + 60.0)
    inside = np.minimum(layout.adnexa.inside_um, layout.below_surface_um + 60.0)
    return np.asarray(np.maximum(inside, epidermis) if covered else inside, dtype=np.float32)


def _endothelial(rng: np.random.Generator, layout: Layout) -> Nuclei:
    """Flat nuclei around the lumens of vessels."""
    lumen = layout.vessels.core_um
    return _line(rng, layout, plane_um=lumen, habit=ENDOTHELIUM, spacing_um=17.0, inset_um=-1.5)


def _adnexal(rng: np.random.Generator, layout: Layout) -> list[Nuclei]:
    """The basal row of epidermis, follicles and glands, and what fills the latter two."""
    adnexa, nodes = layout.adnexa, layout.nodes
    below = np.where(layout.below_dej_um > 0, adnexa.inside_um, np.minimum(adnexa.inside_um, -9))
    union = _epithelium_um(layout)
    groups = [_line(rng, layout, plane_um=union, habit=BASAL, spacing_um=6.9, inset_um=4.7)]
    for kind, habit, spacing, least in (
        (Kind.FOLLICLE, ADNEXAL, 9.4, 10.0),
        (Kind.ECCRINE, ADNEXAL, 8.6, 11.0),
        (Kind.SEBACEOUS, SEBOCYTE, 19.0, 12.0),
    ):
        here = np.where(adnexa.kind == kind, below, -DEEP_UM).astype(np.float32)
        slide_um = _lattice(rng, nodes, spacing_um=spacing, where=here > least)
        keep = nodes.read(adnexa.inside_um, slide_um) > least
        keep &= nodes.read(adnexa.core_um, slide_um) < -4.5
        keep &= nodes.read(adnexa.axis_um, slide_um) > 37.0
        slide_um = slide_um[keep]
        groups.append(
            _shape(rng, slide_um, habit=habit, angle_rad=rng.uniform(0, 3.1, len(slide_um)))
        )
    return groups


def _stromal(rng: np.random.Generator, layout: Layout) -> list[Nuclei]:
    """Fibroblasts along the collagen, lymphocytes in patches, flat nuclei in the fat."""
    nodes = layout.nodes
    filled = np.maximum(
        layout.tumour_um, np.maximum(layout.adnexa.inside_um, layout.vessels.inside_um)
    )
    dermis = np.minimum(np.minimum(layout.below_dej_um, -layout.below_dsj_um), -filled) > 3
    fat = (layout.below_dsj_um > 3) & (filled < -3)
    slopes = [np.asarray(slope, np.float32) for slope in np.gradient(layout.flow_down_um)]
    groups = []
    for habit, where, per_mm2, spread in (
        (FIBROBLAST, dermis, 480.0, 0.5),
        (FIBROBLAST, dermis & (layout.fineness > 0.4), 700.0, 0.6),
        (LYMPHOCYTE, dermis & (layout.inflamed_um < 0), 45.0, 1.5),
        (ADIPOCYTE, fat, 110.0, 1.5),
    ):
        slide_um = _sprinkle(rng, nodes, per_mm2=per_mm2, where=where)
        # Collagen runs where the depth of the texture stays the same.
        down, right = (nodes.read(slope, slide_um) for slope in slopes)
        angle = np.arctan2(down, -right) + rng.normal(0, spread, len(slide_um))
        groups.append(_shape(rng, slide_um, habit=habit, angle_rad=angle))
    slide_um = _lattice(rng, nodes, spacing_um=8.2, where=layout.inflamed_um > -12)
    slide_um = slide_um + rng.normal(0, 2.0, slide_um.shape)
    depth = nodes.read(layout.inflamed_um, slide_um) + rng.normal(0, 6, len(slide_um))
    slide_um = slide_um[(depth > 2) & (rng.random(len(slide_um)) < 0.8)]
    groups.append(
        _shape(rng, slide_um, habit=LYMPHOCYTE, angle_rad=rng.uniform(0, 3.1, len(slide_um)))
    )
    return groups


# ------------------------------------------------------------------- placement


def _lattice(
    rng: np.random.Generator, nodes: Nodes, *, spacing_um: float, where: NDArray[np.bool_]
) -> Points:
    """Jittered hexagonal lattice over the nodes marked, as places on the slide, µm."""
    tall, wide = (n * nodes.step_um for n in nodes.shape)
    pitch = spacing_um * math.sqrt(0.75)
    rows, columns = np.arange(0.0, tall, pitch), np.arange(0.0, wide, spacing_um)
    down, right = np.meshgrid(rows, columns, indexing="ij")
    right = right + (np.arange(len(rows)) % 2)[:, None] * (spacing_um / 2)
    slide_um = np.stack([down.ravel(), right.ravel()], axis=-1)
    slide_um = slide_um[_marked(nodes, slide_um, where=where)]
    return slide_um + rng.normal(0, 0.14 * spacing_um, slide_um.shape)


def _sprinkle(
    rng: np.random.Generator, nodes: Nodes, *, per_mm2: float, where: NDArray[np.bool_]
) -> Points:
    """Random places among the nodes marked, as places on the slide, µm."""
    tall, wide = (n * nodes.step_um for n in nodes.shape)
    count = rng.poisson(per_mm2 * tall * wide / 1e6)
    slide_um = rng.random((count, 2)) * [tall, wide]
    return slide_um[_marked(nodes, slide_um, where=where)]


def _marked(nodes: Nodes, slide_um: Points, *, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the nearest node of each place is marked."""
    index = np.rint(slide_um / nodes.step_um).astype(np.intp)
    index = np.minimum(index, np.array(nodes.shape) - 1)
    return np.asarray(where[index[:, 0], index[:, 1]])


def _line(
    rng: np.random.Generator,
    layout: Layout,
    *,
    plane_um: Floats,
    habit: Habit,
    spacing_um: float,
    inset_um: float,
) -> Nuclei:
    """Nuclei along a contour of a distance plane; flat cells lie along it, others stand."""
    places, angles = [np.empty((0, 2))], [np.empty(0)]
    contours: list[Points] = find_contours(plane_um, inset_um)  # type: ignore[no-untyped-call]
    for contour in contours:
        slide_um = contour * layout.nodes.step_um
        steps = np.linalg.norm(np.diff(slide_um, axis=0), axis=1)
        arc = np.concatenate([[0.0], np.cumsum(steps)])
        stops = np.arange(0.5, arc[-1] / spacing_um) * spacing_um
        stops = np.clip(stops + rng.normal(0, 0.12 * spacing_um, stops.shape), 0, arc[-1])
        here = np.stack([np.interp(stops, arc, slide_um[:, axis]) for axis in (0, 1)], axis=-1)
        ahead = np.stack([np.interp(stops + 2, arc, slide_um[:, axis]) for axis in (0, 1)], axis=-1)
        places.append(here)
        angles.append(np.arctan2(*(ahead - here).T[::-1]))
    slide_um = np.concatenate(places)
    angle = np.concatenate(angles) + (0.0 if habit.elongation > 2 else math.pi / 2)
    return _shape(rng, slide_um, habit=habit, angle_rad=angle + rng.normal(0, 0.15, len(angle)))


def _shape(
    rng: np.random.Generator, slide_um: Points, *, habit: Habit, angle_rad: NDArray[np.float64]
) -> Nuclei:
    """Draw size and look of nuclei at given places."""
    count = len(slide_um)
    mean, sd = habit.area_um2
    spread = math.sqrt(math.log1p((sd / mean) ** 2))
    area = rng.lognormal(math.log(mean) - spread * spread / 2, spread, count)
    # Neither specks nor giants: 12 µm² is the smallest profile, five deviations the largest.
    area = np.clip(area, 12.0, mean + 5 * sd)
    ratio = np.maximum(1.0, habit.elongation * rng.lognormal(0.0, 0.12, count))
    nuclei = np.zeros(count, NUCLEUS_DTYPE)
    nuclei["down_um"], nuclei["right_um"] = slide_um[:, 0], slide_um[:, 1]
    nuclei["area_um2"] = area
    nuclei["major_um"] = 2 * np.sqrt(area / math.pi * ratio)
    nuclei["minor_um"] = 2 * np.sqrt(area / math.pi / ratio)
    nuclei["angle_rad"] = angle_rad
    nuclei["kind"] = habit.cell
    nuclei["density"] = habit.density * rng.lognormal(0.0, 0.12, count)
    nuclei["vesicular"] = np.clip(habit.vesicular + rng.normal(0, 0.15, count), 0, 1)
    nuclei["wobble"] = habit.wobble * rng.uniform(0.4, 1.4, count)
    return nuclei
