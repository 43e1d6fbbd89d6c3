"""The gate that a faster precision must pass, and what the store says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from stage_makers import settings

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.geometry import Box
from wsi_pipeline.segment import load_segmenter, read_card, settle_precision
from wsi_pipeline.slide import Slide
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.segment import segment_slide
from wsi_pipeline.stages.tile import tile_slide
from wsi_pipeline.store import Segmentation

LEAST_AGREEMENT = 0.995


def test_bfloat16_calls_what_float32_calls(slide: Slide) -> None:
    """On tissue of a phantom, with a model that was trained; glass would flatter it."""
    folder = find_model("skin-tumour-2")
    card = read_card(folder)
    grid, stride, halo = slide.grid.at_mpp(card.mpp), card.stride_px, card.halo_px
    box = Box(0, 0, *(-(-count // stride) * stride for count in grid.shape))
    # With its halo: what a network makes of the zeros beyond a picture is never shown.
    rgb = slide.read_region(box.expanded(halo), grid.mpp)
    inner = slice(halo, -halo)
    single, half = (
        load_segmenter(folder, device="cpu", precision=precision)(rgb).argmax(axis=0)[inner, inner]
        for precision in ("float32", "bfloat16")
    )
    tissue = single != BACKGROUND
    assert len(np.unique(single[tissue])) >= 5
    assert (single == half)[tissue].mean() >= LEAST_AGREEMENT


def test_the_store_says_in_which_numbers_it_was_computed(
    record: SlideRecord, unet: Path, tmp_path: Path
) -> None:
    """And its fingerprint differs, so that nothing takes one for the other."""
    fingerprints = {}
    for wish in ("float32", "bfloat16", "auto"):
        config = settings(model=str(unet), precision=wish)
        tiles, out = tmp_path / "tiles.json", tmp_path / f"{wish}.ome.zarr"
        tile_slide(record, config=config, out=tiles)
        segment_slide(record, tiles=tiles, config=config, out=out)
        about = Segmentation(out).attributes["provenance"]
        settled = about["settings"]["segment"]["precision"]
        assert settled == settle_precision(wish, card=read_card(unet), device="cpu")
        fingerprints.setdefault(settled, set()).add(about["settings_sha256"])
    assert [len(found) for found in fingerprints.values()] == [1, 1]
    assert fingerprints["float32"] != fingerprints["bfloat16"]
