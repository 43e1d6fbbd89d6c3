"""How are nuclei strewn?

1. `lattice` fills, `sprinkle` scatters and `line` follows a contour.
2. `shape` draws size and look of the nuclei of one population, its `Habit`.

Every nucleus depends on its own place alone, not on how many others there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from wsi_pipeline.phantom.dice import Dice
from wsi_pipeline.phantom.frame import Nodes, Points
from wsi_pipeline.phantom.noise import Floats

# Channels of the dice: `shape` takes 0 to 4.
TURN, JITTER, SPARE = 5, 6, 8

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
    DEBRIS = 7
    MYOCYTE = 8
    NERVE = 9


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


def lattice(dice: Dice, nodes: Nodes, *, spacing_um: float, where: NDArray[np.bool_]) -> Points:
    """Jittered hexagonal lattice over the nodes marked, as places on the slide, µm."""
    tall, wide = (n * nodes.step_um for n in nodes.shape)
    pitch = spacing_um * math.sqrt(0.75)
    rows, columns = np.arange(0.0, tall, pitch), np.arange(0.0, wide, spacing_um)
    down, right = np.meshgrid(rows, columns, indexing="ij")
    right = right + (np.arange(len(rows)) % 2)[:, None] * (spacing_um / 2)
    slide_um = np.stack([down.ravel(), right.ravel()], axis=-1)
    slide_um = slide_um[_marked(nodes, slide_um, where=where)]
    return slide_um + jitter(dice, slide_um, channel=JITTER, sd=0.14 * spacing_um)


def jitter(dice: Dice, slide_um: Points, *, channel: int, sd: float) -> Points:
    """Normal steps down and right for each place, µm; takes the channel and the next."""
    steps = [dice.normal(slide_um, channel=channel + axis, sd=sd) for axis in (0, 1)]
    return np.stack(steps, axis=-1)


def sprinkle(dice: Dice, nodes: Nodes, *, per_mm2: float, where: NDArray[np.bool_]) -> Points:
    """Random places among the nodes marked, as places on the slide, µm."""
    rng = dice.generator()
    tall, wide = (n * nodes.step_um for n in nodes.shape)
    count = rng.poisson(per_mm2 * tall * wide / 1e6)
    slide_um = rng.random((count, 2)) * [tall, wide]
    return slide_um[_marked(nodes, slide_um, where=where)]


def _marked(nodes: Nodes, slide_um: Points, *, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the nearest node of each place is marked."""
    index = np.rint(slide_um / nodes.step_um).astype(np.intp)
    index = np.minimum(index, np.array(nodes.shape) - 1)
    return np.asarray(where[index[:, 0], index[:, 1]])


def line(
    dice: Dice,
    nodes: Nodes,
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
        slide_um = contour * nodes.step_um
        steps = np.linalg.norm(np.diff(slide_um, axis=0), axis=1)
        arc = np.concatenate([[0.0], np.cumsum(steps)])
        stops = np.arange(0.5, arc[-1] / spacing_um) * spacing_um
        stops = stops + dice.normal(_at(stops, arc, slide_um), channel=JITTER, sd=0.12 * spacing_um)
        here = _at(np.clip(stops, 0, arc[-1]), arc, slide_um)
        ahead = _at(np.clip(stops, 0, arc[-1]) + 2, arc, slide_um)
        places.append(here)
        angles.append(np.arctan2(*(ahead - here).T[::-1]))
    slide_um = np.concatenate(places)
    angle = np.concatenate(angles) + (0.0 if habit.elongation > 2 else math.pi / 2)
    angle = angle + dice.normal(slide_um, channel=TURN, sd=0.15)
    return shape(dice, slide_um, habit=habit, angle_rad=angle)


def _at(stops_um: Points, arc_um: Points, line_um: Points) -> Points:
    """Places at some ways along a line, (N, 2)."""
    return np.stack([np.interp(stops_um, arc_um, line_um[:, axis]) for axis in (0, 1)], axis=-1)


def shape(dice: Dice, slide_um: Points, *, habit: Habit, angle_rad: NDArray[np.float64]) -> Nuclei:
    """Draw size and look of nuclei at given places; each depends on its own place alone."""
    count = len(slide_um)
    mean, sd = habit.area_um2
    spread = math.sqrt(math.log1p((sd / mean) ** 2))
    draws = [dice.normal(slide_um, channel=channel) for channel in range(4)]
    area = np.exp(math.log(mean) - spread * spread / 2 + spread * draws[0])
    # Neither specks nor giants: 12 µm² is the smallest profile, five deviations the largest.
    area = np.clip(area, 12.0, mean + 5 * sd)
    ratio = np.maximum(1.0, habit.elongation * np.exp(0.12 * draws[1]))
    nuclei = np.zeros(count, NUCLEUS_DTYPE)
    nuclei["down_um"], nuclei["right_um"] = slide_um[:, 0], slide_um[:, 1]
    nuclei["area_um2"] = area
    nuclei["major_um"] = 2 * np.sqrt(area / math.pi * ratio)
    nuclei["minor_um"] = 2 * np.sqrt(area / math.pi / ratio)
    nuclei["angle_rad"] = angle_rad
    nuclei["kind"] = habit.cell
    nuclei["density"] = habit.density * np.exp(0.12 * draws[2])
    nuclei["vesicular"] = np.clip(habit.vesicular + 0.15 * draws[3], 0, 1)
    nuclei["wobble"] = habit.wobble * dice.uniform(slide_um, channel=4, low=0.4, high=1.4)
    return nuclei


def any_way(dice: Dice, slide_um: Points) -> NDArray[np.float64]:
    """Directions without preference, rad."""
    return dice.uniform(slide_um, channel=TURN, high=math.pi)
