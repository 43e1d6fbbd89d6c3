"""``slide.json`` → ``tiles.json``: where is tissue, and which tiles cover it?

Beside the plan lies ``sections.png``, a palette picture whose values are the section ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from wsi_pipeline.classes import TISSUE_CLASSES
from wsi_pipeline.config import Config
from wsi_pipeline.errors import ModelMismatchError, StoreError, TissueError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.labels import widened
from wsi_pipeline.segment import ModelCard
from wsi_pipeline.slide import Slide
from wsi_pipeline.stages.artefacts import (
    provenance,
    read_json,
    used_settings,
    whole,
    write_json,
)
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import model_card
from wsi_pipeline.tiling import TilePlan, TileShape, parse_tile_plan, plan_tiles
from wsi_pipeline.tissue import Tissue, find_tissue

SCHEMA = "wsi_pipeline/tiles/1"
COARSEST_SHARE = 1.2
"""How much coarser than its model a slide may be."""
_STEPS = 4
"""Write boxes are quarters of a square or multiples of them.  A library of convolutions prepares
itself for each size of tile anew, which takes as long as a third of a small tile, and its memory
grows with every size; what more is computed, a seventh, costs as much as is saved on one slide."""
_READ_PX = 2048
"""Rows of the tissue plane read at a time, so that reading stays bounded in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class TiledSlide:
    """Tissue of a slide and the tiles that cover it.

    Parameters
    ----------
    plan
        Tiles at the model's mpp.
    sections : (Y, X) uint8
        Section ids on ``sections_grid``; 0 on glass.
    sections_grid
        Coarse plane of the tissue mask.
    flags
        Quality flags as plain dictionaries.
    source
        ``slide_id`` and ``input`` of the slide it was made from.
    """

    plan: TilePlan
    sections: NDArray[np.uint8]
    sections_grid: Grid
    flags: tuple[Mapping[str, Any], ...]
    source: Mapping[str, Any]


def tile_slide(
    record: SlideRecord, *, config: Config, out: Path, picture: Path | None = None
) -> TiledSlide:
    """Find the tissue, plan the tiles and write both.

    Parameters
    ----------
    record
        An inspected slide.
    config
        Settings; the model decides the working mpp, the halo and the stride.
    out
        Where to write ``tiles.json``; the sections go beside it as a PNG.
    picture
        Where to draw sections and tiles over the slide; None for no picture.

    Raises
    ------
    TissueError
        If the slide shows no tissue, or too little for any tile.
    ModelMismatchError
        If the slide is too coarse for the model.
    """
    card = model_card(config.segment.model)
    with record.open() as slide:
        rgb, grid = read_tissue_plane(slide, config)
        tissue = find_tissue(rgb, grid=grid, settings=config.tissue)
        plan = plan_slide(slide.grid, tissue, card=card, config=config)
    sections_path = out.with_name("sections.png")
    write_sections(sections_path, tissue.sections)
    if picture is not None:
        draw_plan(picture, rgb=rgb, grid=grid, plan=plan, sections=tissue.sections)
    flags = tuple(flag.to_json() for flag in tissue.flags)
    write_json(
        out,
        {
            "schema": SCHEMA,
            "slide_id": record.declared.slide_id,
            "input": dict(record.input),
            "model": card.to_json(),
            "plan": plan.to_json(),
            "computed_per_needed_px": plan.computed_px / max(plan.needed_px, 1),
            "sections": {
                "file": sections_path.name,
                "mpp": grid.mpp,
                "origin_um": list(grid.origin_um),
                "areas_mm2": [round(area, 6) for area in tissue.section_areas_mm2],
            },
            "flags": list(flags),
            "provenance": provenance(
                "tile", settings=used_settings(config, "slide", "tissue", "tiling")
            ),
        },
    )
    source = {"slide_id": record.declared.slide_id, "input": dict(record.input)}
    return TiledSlide(plan, tissue.sections, grid, flags, source)


def read_tiled(path: Path) -> TiledSlide:
    """Read ``tiles.json`` and the section map beside it.

    Raises
    ------
    StoreError, TilePlanError
        If either is missing or incomplete.
    """
    raw = read_json(path, made_by="wsi-pipeline tile")
    plan = parse_tile_plan(raw.get("plan", {}))
    try:
        about = raw["sections"]
        with Image.open(path.with_name(Path(about["file"]).name)) as image:
            sections = np.asarray(image, np.uint8)
        origin = (float(about["origin_um"][0]), float(about["origin_um"][1]))
        grid = Grid((sections.shape[0], sections.shape[1]), float(about["mpp"]), origin)
        source = {"slide_id": raw["slide_id"], "input": raw["input"]}
        return TiledSlide(plan, sections, grid, tuple(raw["flags"]), source)
    except (OSError, LookupError, TypeError, ValueError) as fault:
        raise StoreError(
            f"{path} is incomplete ({fault}); run 'wsi-pipeline tile' again"
        ) from fault


def read_tissue_plane(slide: Slide, config: Config) -> tuple[NDArray[np.uint8], Grid]:
    """Whole slide at the tissue plane's mpp, read in strips; small fields stay at their own."""
    mpp = max(config.tissue.mpp, slide.grid.mpp)
    grid = slide.grid.at_mpp(mpp)
    strips = [
        slide.read_region(Box(top, 0, top + _READ_PX, grid.shape[1]) & grid.box, mpp)
        for top in range(0, grid.shape[0], _READ_PX)
    ]
    return np.concatenate(strips), grid


def plan_slide(slide_grid: Grid, tissue: Tissue, *, card: ModelCard, config: Config) -> TilePlan:
    """Cover the tissue with tiles of the size that the model asks for.

    Raises
    ------
    TissueError
        If no tile shows as much tissue as the settings ask for.
    """
    plan = plan_tiles(
        slide_grid.at_mpp(working_mpp(slide_grid.mpp, card)),
        shape=TileShape(config.tiling.tile_px, card.halo_px, card.stride_px),
        # Widened as the labels' mask is, so that which pixels are labelled does not depend on
        # the size of the tiles.
        tissue=widened(tissue.mask),
        tissue_grid=tissue.grid,
        min_tissue_fraction=config.tiling.min_tissue_fraction,
        step_px=max(1, config.tiling.tile_px // _STEPS),
    )
    if not plan:
        raise TissueError(
            f"no tile shows tissue on {config.tiling.min_tissue_fraction:.0%} of its area: nothing "
            "would be measured; lower 'tiling.min_tissue_fraction'"
        )
    return plan


def working_mpp(slide_mpp: float, card: ModelCard) -> float:
    """Pixel width at which a slide is segmented, µm.

    It is the model's own.  A slide up to a fifth coarser is segmented at its own mpp, which
    a network stands; enlarging it would invent detail.

    Raises
    ------
    ModelMismatchError
        If the slide is coarser than that.
    """
    if slide_mpp > COARSEST_SHARE * card.mpp:
        raise ModelMismatchError(
            f"the slide has {slide_mpp:g} µm/px, model '{card.id}' needs {card.mpp:g} or finer; "
            "scan it at a higher magnification or choose another model"
        )
    return max(slide_mpp, card.mpp)


def write_sections(path: Path, sections: NDArray[np.uint8]) -> None:
    """Write section ids as a palette PNG: the values are the ids, the colours tell them apart."""
    image = Image.fromarray(sections).convert("P")
    colours = [tissue.rgb for tissue in TISSUE_CLASSES[1:]]
    palette = [255, 255, 255]
    for section in range(255):
        palette += colours[section % len(colours)]
    image.putpalette(palette)
    with whole(path) as partial:
        image.save(partial, format="PNG", optimize=True)


def draw_plan(
    path: Path,
    *,
    rgb: NDArray[np.uint8],
    grid: Grid,
    plan: TilePlan,
    sections: NDArray[np.uint8],
) -> None:
    """Draw sections (tinted) and write boxes (outlined) over the slide."""
    tint = np.where(sections[..., None] > 0, np.uint8(0), np.uint8(60))
    image = Image.fromarray(np.maximum(rgb, tint) - tint // 2)
    pen = ImageDraw.Draw(image)
    for tile in plan:
        box = grid.covering(tile.write, plan.grid) & grid.box
        pen.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=(0, 114, 178))
    with whole(path) as partial:
        image.save(partial, format="PNG")
