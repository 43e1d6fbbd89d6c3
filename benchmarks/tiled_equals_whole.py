"""Does a slide segmented tile by tile equal the slide segmented at once?

    python benchmarks/tiled_equals_whole.py SLIDE [SLIDE …] [--model ID] [--mpp MPP] [--tile-px 512]

Prints, per slide, the largest difference of the float32 probabilities and the share of pixels
whose label differs.  The whole plane must fit into memory.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from wsi_pipeline.config import parse_config
from wsi_pipeline.segment import Segmenter, load_segmenter
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import SlideRecord, inspect_slide
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.segment import open_cached, segment_whole
from wsi_pipeline.stages.tile import working_mpp
from wsi_pipeline.tiling import TilePlan, TileShape, plan_whole


def segment_tiles(record: SlideRecord, plan: TilePlan, segmenter: Segmenter) -> np.ndarray:
    """Float32 probabilities of the plane, computed tile by tile."""
    plane = np.empty((8, *plan.grid.shape), np.float32)
    for tile in plan:
        rgb = open_cached(record).read_region(tile.read, plan.grid.mpp)
        plane[(slice(None), *tile.write.slices)] = segmenter(rgb)[(slice(None), *tile.keep)]
    return plane


def compare(path: Path, *, model: str, mpp: float | None, tile_px: int) -> None:
    record = inspect_slide(
        path, declared=Declared(path.stem), mpp=mpp, config=parse_config({}), out=None
    )
    segmenter = load_segmenter(find_model(model), device="cpu")
    card = segmenter.card
    with record.open() as slide:
        grid = slide.grid.at_mpp(working_mpp(slide.grid.mpp, card))
    plan = plan_whole(grid, shape=TileShape(tile_px, card.halo_px, card.stride_px))
    whole = segment_whole(record, plan, segmenter)
    tiled = segment_tiles(record, plan, segmenter)
    differ = (whole.argmax(axis=0) != tiled.argmax(axis=0)).sum()
    print(
        f"{path.name:40} {card.id:16} {grid.shape[0]:6} × {grid.shape[1]:<6} {len(plan):5} tiles  "
        f"max |Δp| {np.abs(whole - tiled).max():.2e}  labels differ {differ} of {grid.box.area_px}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slides", nargs="+", type=Path)
    parser.add_argument("--model", default="skin-tumour-5")
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--tile-px", type=int, default=512)
    options = parser.parse_args()
    for path in options.slides:
        compare(path, model=options.model, mpp=options.mpp, tile_px=options.tile_px)


if __name__ == "__main__":
    main()
