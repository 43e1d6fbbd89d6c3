"""Where are the nuclei, and how large?

1. Tumour, epidermis and glands are filled from a jittered hexagonal lattice.
2. Basal cells and endothelium line the contours of the geometry.
3. Stroma is sprinkled with fibroblasts, inflamed stroma with lymphocytes.
4. What only some lesions bring is in `lesional`, what muscle, nerve and vessel bring in `stroma`.

Every nucleus is an ellipse with a gentle three-fold and two-fold wobble whose area is exact.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from wsi_pipeline.phantom.adnexa import Kind
from wsi_pipeline.phantom.dice import Dice
from wsi_pipeline.phantom.lesional import ENDOTHELIUM, LYMPHOCYTE, add_populations, fill_tumour
from wsi_pipeline.phantom.look import Cells
from wsi_pipeline.phantom.noise import Floats
from wsi_pipeline.phantom.placing import (
    NUCLEUS_DTYPE,
    SPARE,
    TURN,
    Cell,
    Habit,
    Nuclei,
    any_way,
    jitter,
    lattice,
    line,
    shape,
    sprinkle,
)
from wsi_pipeline.phantom.site import DEEP_UM
from wsi_pipeline.phantom.spec import RETRACTION_UM
from wsi_pipeline.phantom.stroma import place_stromal_nuclei
from wsi_pipeline.phantom.tissue import Layout

__all__ = ["NUCLEUS_DTYPE", "Cell", "Nuclei", "place_nuclei"]

FIBROBLAST = Habit(Cell.FIBROBLAST, (26.0, 10.0), 3.8, 0.76, wobble=0.08)
BASAL = Habit(Cell.KERATINOCYTE, (36.0, 6.0), 1.5, 0.80)
SPINOUS = Habit(Cell.KERATINOCYTE, (42.0, 8.0), 1.35, 0.52, vesicular=0.5)
ADNEXAL = Habit(Cell.ADNEXAL, (34.0, 6.0), 1.3, 0.72, vesicular=0.2)
MATRIX = Habit(Cell.ADNEXAL, (36.0, 6.0), 1.3, 0.86)
SEBOCYTE = Habit(Cell.ADNEXAL, (24.0, 5.0), 1.2, 0.72)
ADIPOCYTE = Habit(Cell.ADIPOCYTE, (20.0, 5.0), 3.6, 0.80)


def place_nuclei(layout: Layout) -> Nuclei:
    """Place every nucleus of a phantom.

    Returns
    -------
    structured array (N,)
        Fields of `NUCLEUS_DTYPE`: centre on the slide, area, full axes, angle of the
        major axis (its direction is ``(down, right) = (cos, sin)``, as in scikit-image),
        kind (`Cell`), and how it stains.
    """
    # Sections a few micrometres apart share shapes, not nuclei.
    dice = Dice.of(layout.spec.seed, 9, round(layout.spec.level_um))
    groups = [
        fill_tumour(dice.stream(1), layout),
        _epidermal(dice.stream(2), layout),
        *_adnexal(dice.stream(3), layout),
        *_stromal(dice.stream(4), layout),
        line(
            dice.stream(5),
            layout.nodes,
            plane_um=layout.vessels.core_um,
            habit=ENDOTHELIUM,
            spacing_um=17.0,
            inset_um=-1.5,
        ),
        *add_populations(dice.stream(6), layout),
        *place_stromal_nuclei(dice.stream(7), layout),
    ]
    every = np.concatenate(groups)
    every["density"] *= layout.spec.look.nuclei
    slide_um = np.stack([every["down_um"], every["right_um"]], axis=-1)
    within = np.minimum(layout.outline_um - 5.0, layout.below_surface_um - 3.0)
    return every[layout.nodes.read(within, slide_um) > 0]


# ------------------------------------------------------------------ populations


def _epidermal(dice: Dice, layout: Layout) -> Nuclei:
    """Round nuclei of the epidermis above its basal layer."""
    if layout.skin is None or not layout.spec.with_epidermis:
        return np.zeros(0, NUCLEUS_DTYPE)
    height = np.minimum(-layout.below_dej_um, layout.below_surface_um)
    slide_um = lattice(
        dice, layout.nodes, spacing_um=layout.spec.look.keratinocyte_um, where=height > 2
    )
    above = layout.nodes.read(_epithelium_um(layout), slide_um)
    below = layout.nodes.read(layout.below_surface_um, slide_um)
    own = layout.nodes.read(layout.below_dej_um, slide_um) < 0
    plug = layout.nodes.read(layout.adnexa.core_um, slide_um)
    slide_um = slide_um[own & (above > 10.5) & (below > 9) & (plug < -6)]
    along = math.pi / 2 - layout.nodes.frame.turn_rad
    flat = along + dice.normal(slide_um, channel=TURN, sd=0.35)
    habit = looking(SPINOUS, layout.spec.look.keratinocytes)
    return shape(dice, slide_um, habit=habit, angle_rad=flat)


def looking(habit: Habit, cells: Cells) -> Habit:
    """A population as it looks on one slide."""
    mean, sd = habit.area_um2
    return replace(
        habit,
        area_um2=(mean * cells.area, sd * cells.area),
        elongation=max(1.0, habit.elongation * cells.elongation),
        density=habit.density * cells.density,
        vesicular=habit.vesicular + (1.0 - habit.vesicular) * cells.pallor,
    )


def _epithelium_um(layout: Layout) -> Floats:
    """Signed distance to the outline of epidermis, follicles and glands together."""
    covered = layout.skin is not None and layout.spec.with_epidermis
    epidermis = np.minimum(-layout.below_dej_um, layout.below_surface_um + 60.0)
    inside = np.minimum(layout.adnexa.inside_um, layout.below_surface_um + 60.0)
    return np.asarray(np.maximum(inside, epidermis) if covered else inside, dtype=np.float32)


def _adnexal(dice: Dice, layout: Layout) -> list[Nuclei]:
    """The basal row of epidermis, follicles and glands, and what fills the latter two."""
    adnexa, nodes = layout.adnexa, layout.nodes
    below = np.where(layout.below_dej_um > 0, adnexa.inside_um, np.minimum(adnexa.inside_um, -9))
    union = _epithelium_um(layout)
    cells = layout.spec.look.adnexal_cells
    # Larger nuclei lie further apart.
    apart = math.sqrt(cells.area)
    basal, row = layout.spec.look.keratinocytes, math.sqrt(layout.spec.look.keratinocytes.area)
    groups = [
        line(
            dice,
            layout.nodes,
            plane_um=union,
            habit=looking(BASAL, basal),
            spacing_um=6.9 * row,
            inset_um=4.7 * row,
        )
    ]
    # A thick germinative rim has rows of small cells below the basal one.
    rim_um = max(12.0, layout.spec.look.gland_rim_um)
    for number, (kind, habit, spacing, least, most) in enumerate(
        (
            (Kind.FOLLICLE, *_wall_cells(layout), 10.0, DEEP_UM),
            (Kind.ECCRINE, ADNEXAL, 8.6, 11.0, DEEP_UM),
            (Kind.SEBACEOUS, SEBOCYTE, 19.0, rim_um, DEEP_UM),
            (Kind.BULB, MATRIX, 8.0, 9.0, DEEP_UM),
            (Kind.SEBACEOUS, ADNEXAL, 8.0, 11.0, rim_um),
        )
    ):
        here = np.where(adnexa.kind == kind, below, -DEEP_UM).astype(np.float32)
        where = (here > least) & (here < most)
        own = dice.stream(number)
        slide_um = lattice(own, nodes, spacing_um=spacing * apart, where=where)
        depth_um = nodes.read(adnexa.inside_um, slide_um)
        keep = (depth_um > least) & (depth_um < most)
        keep &= nodes.read(adnexa.core_um, slide_um) < -4.5
        keep &= nodes.read(adnexa.axis_um, slide_um) > 37.0
        slide_um = slide_um[keep]
        angle = any_way(own, slide_um)
        groups.append(shape(own, slide_um, habit=looking(habit, cells), angle_rad=angle))
    return groups


def _wall_cells(layout: Layout) -> tuple[Habit, float]:
    """Cells of the walls of follicles, and their distance; thick walls are like epidermis."""
    if layout.spec.surface.plugs + layout.spec.surface.plugs_across == 0:
        return ADNEXAL, 9.4
    # `_adnexal` sets cells apart by their size, these have a distance of their own.
    apart = math.sqrt(layout.spec.look.adnexal_cells.area)
    return replace(SPINOUS, cell=Cell.ADNEXAL), layout.spec.look.keratinocyte_um / apart


def _stromal(dice: Dice, layout: Layout) -> list[Nuclei]:
    """Fibroblasts along the collagen, lymphocytes in patches, flat nuclei in the fat."""
    nodes = layout.nodes
    filled = np.maximum(
        layout.tumour_um + RETRACTION_UM * layout.spec.retraction,
        np.maximum.reduce(
            [layout.adnexa.inside_um, layout.vessels.inside_um, layout.bundles.inside_um]
        ),
    )
    dermis = np.minimum(np.minimum(layout.below_dej_um, -layout.below_dsj_um), -filled) > 3
    fat = (layout.below_dsj_um > 3) & (filled < -3)
    slopes = [np.asarray(slope, np.float32) for slope in np.gradient(layout.flow_down_um)]
    groups, look = [], layout.spec.look
    fibroblast = replace(FIBROBLAST, elongation=look.spindle)
    for number, (habit, where, per_mm2, spread) in enumerate(
        (
            (fibroblast, dermis, 480.0 * look.stroma_cells, 0.5),
            (fibroblast, dermis & (layout.fineness > 0.4), 700.0, 0.6),
            (LYMPHOCYTE, dermis & (layout.inflamed_um < 0), 45.0 * look.stroma_round, 1.5),
            (ADIPOCYTE, fat, 110.0, 1.5),
        )
    ):
        own = dice.stream(number)
        slide_um = sprinkle(own, nodes, per_mm2=per_mm2, where=where)
        # Collagen runs where the depth of the texture stays the same.
        down, right = (nodes.read(slope, slide_um) for slope in slopes)
        angle = np.arctan2(down, -right) + own.normal(slide_um, channel=TURN, sd=spread)
        groups.append(shape(own, slide_um, habit=habit, angle_rad=angle))
    groups.append(_lymphocytes(dice.stream(9), layout))
    return groups


def _lymphocytes(dice: Dice, layout: Layout) -> Nuclei:
    """Crowded lymphocytes whose patch has a ragged edge."""
    nodes = layout.nodes
    slide_um = lattice(dice, nodes, spacing_um=8.2, where=layout.inflamed_um > -12)
    slide_um = slide_um + jitter(dice, slide_um, channel=SPARE, sd=2.0)
    ragged = dice.normal(slide_um, channel=SPARE + 2, sd=6.0)
    keep = nodes.read(layout.inflamed_um, slide_um) + ragged > 2
    keep &= dice.uniform(slide_um, channel=SPARE + 3) < 0.8
    slide_um = slide_um[keep & (nodes.read(layout.germinal_um, slide_um) < 0)]
    return shape(dice, slide_um, habit=LYMPHOCYTE, angle_rad=any_way(dice, slide_um))
