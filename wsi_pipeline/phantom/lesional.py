"""Which nuclei does the lesion bring with it?

1. Solid growth is filled from a jittered hexagonal lattice; single files have their cells.
2. A row of standing nuclei surrounds each lumen.
3. Dead centres hold ghosts and debris; ulcers neutrophils; germinal centres centroblasts.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from wsi_pipeline.phantom.dice import Dice
from wsi_pipeline.phantom.placing import (
    TURN,
    Cell,
    Habit,
    Nuclei,
    any_way,
    lattice,
    line,
    shape,
    sprinkle,
)
from wsi_pipeline.phantom.spec import NUCLEAR_AREA_UM2, TUMOUR_SPACING_UM
from wsi_pipeline.phantom.tissue import Layout

ENDOTHELIUM = Habit(Cell.ENDOTHELIUM, (22.0, 5.0), 3.4, 0.80)
LYMPHOCYTE = Habit(Cell.LYMPHOCYTE, (24.0, 3.5), 1.1, 0.98)
CENTROBLAST = Habit(Cell.LYMPHOCYTE, (42.0, 8.0), 1.15, 0.66, vesicular=0.6)
NEUTROPHIL = Habit(Cell.LYMPHOCYTE, (17.0, 3.0), 1.4, 1.0, wobble=0.14)
GHOST = Habit(Cell.DEBRIS, (48.0, 12.0), 1.3, 0.17, vesicular=0.9)
DUST = Habit(Cell.DEBRIS, (13.0, 3.0), 1.2, 0.95, wobble=0.1)
# Distance of the nuclei of a gland from its lumen: the cells are tall, their nuclei basal.
GLAND_ROW_UM = 10.0


def tumour_habit(grade: int) -> Habit:
    """Nuclei of a tumour: larger, more varied and more vesicular with grade."""
    area = NUCLEAR_AREA_UM2[grade]
    return {
        1: Habit(Cell.TUMOUR, area, 1.2, 0.72, vesicular=0.1, wobble=0.03),
        2: Habit(Cell.TUMOUR, area, 1.28, 0.74, vesicular=0.45, wobble=0.06),
        3: Habit(Cell.TUMOUR, area, 1.35, 0.80, vesicular=0.75, wobble=0.10),
    }[grade]


def fill_tumour(dice: Dice, layout: Layout) -> Nuclei:
    """Tumour cells, packed; in glands only where no row around a lumen stands already."""
    grade, nodes, look = layout.spec.grade, layout.nodes, layout.spec.look
    habit, spacing = tumour_habit(grade), TUMOUR_SPACING_UM[grade] * look.crowding
    habit = replace(
        habit,
        density=habit.density * (1 + 0.3 * look.hyperchromasia),
        vesicular=habit.vesicular * (1 - look.hyperchromasia),
    )
    packed = layout.tumour_um
    if len(layout.lesion.cells):
        # Single files have their own cells; only plugs in vessels are packed.
        packed = np.minimum(packed, layout.lesion.space_um)
    slide_um = lattice(dice, nodes, spacing_um=spacing, where=packed > -4)
    reach = 0.48 * math.sqrt(habit.area_um2[0])
    keep = nodes.read(packed, slide_um) > reach
    keep &= nodes.read(layout.lesion.lumen_um, slide_um) < -GLAND_ROW_UM - 0.72 * spacing
    keep &= nodes.read(layout.lesion.necrosis_um, slide_um) < 0
    slide_um = slide_um[keep]
    return shape(dice, slide_um, habit=habit, angle_rad=any_way(dice, slide_um))


def add_populations(dice: Dice, layout: Layout) -> list[Nuclei]:
    """Place the populations that only some lesions have, each from a stream of its own."""
    return [
        _filed(dice.stream(1), layout),
        _polarised(dice.stream(2), layout),
        *_dead(dice.stream(3), layout),
        *_germinal(dice.stream(4), layout),
        _exudate(dice.stream(5), layout),
        line(
            dice.stream(6),
            layout.nodes,
            plane_um=layout.lesion.space_um,
            habit=ENDOTHELIUM,
            spacing_um=17.0,
            inset_um=-1.5,
        ),
    ]


def _filed(dice: Dice, layout: Layout) -> Nuclei:
    """One nucleus for each cell of a single file, along the file."""
    cells = layout.lesion.cells
    habit = replace(tumour_habit(layout.spec.grade), elongation=1.5)
    angle = cells[:, 2] + dice.normal(cells[:, :2], channel=TURN, sd=0.2)
    return shape(dice, cells[:, :2], habit=habit, angle_rad=angle)


def _polarised(dice: Dice, layout: Layout) -> Nuclei:
    """A row of standing nuclei around each lumen, away from it."""
    grade = layout.spec.grade
    row = line(
        dice,
        layout.nodes,
        plane_um=layout.lesion.lumen_um,
        habit=replace(tumour_habit(grade), elongation=1.5),
        spacing_um=0.78 * TUMOUR_SPACING_UM[grade],
        inset_um=-GLAND_ROW_UM,
    )
    places = np.stack([row["down_um"], row["right_um"]], axis=-1)
    return row[layout.nodes.read(layout.tumour_um, places) > 3.2]


def _dead(dice: Dice, layout: Layout) -> list[Nuclei]:
    """Ghosts of tumour nuclei and nuclear dust in dead centres."""
    where = np.minimum(layout.lesion.necrosis_um, layout.tumour_um) > 2
    groups = []
    for number, (habit, per_mm2) in enumerate(((GHOST, 1700.0), (DUST, 900.0))):
        own = dice.stream(number)
        slide_um = sprinkle(own, layout.nodes, per_mm2=per_mm2, where=where)
        groups.append(shape(own, slide_um, habit=habit, angle_rad=any_way(own, slide_um)))
    return groups


def _germinal(dice: Dice, layout: Layout) -> list[Nuclei]:
    """Large pale nuclei of a germinal centre, and its mantle of crowded small ones."""
    centre = layout.germinal_um
    mantle = (centre < 0) & (centre > -75) & (layout.inflamed_um > 2)
    groups = []
    for habit, spacing, where in ((CENTROBLAST, 9.2, centre > 0), (LYMPHOCYTE, 7.6, mantle)):
        slide_um = lattice(dice, layout.nodes, spacing_um=spacing, where=where)
        groups.append(shape(dice, slide_um, habit=habit, angle_rad=any_way(dice, slide_um)))
    return groups


def _exudate(dice: Dice, layout: Layout) -> Nuclei:
    """Neutrophils in the fibrin on an ulcer's base."""
    where = (layout.crater_um < -5) & (layout.crater_um > -36) & (layout.below_dej_um > 0)
    where &= np.maximum(layout.tumour_um, layout.adnexa.inside_um) < -4
    slide_um = sprinkle(dice, layout.nodes, per_mm2=3500.0, where=where)
    return shape(dice, slide_um, habit=NEUTROPHIL, angle_rad=any_way(dice, slide_um))
