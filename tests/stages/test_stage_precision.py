"""The gate that a faster precision must pass, and what the store says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stage_makers import settings

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.geometry import Box
from wsi_pipeline.segment import load_segmenter, read_card, settle_precision
from wsi_pipeline.slide import Slide
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.segment import segment_slide, segment_whole
from wsi_pipeline.stages.tile import tile_slide
from wsi_pipeline.store import Segmentation

LEAST_AGREEMENT = 0.995


def test_bfloat16_calls_what_float32_calls(slide: Slide) -> None:
    """On tissue of a phantom, with a model that was trained; glass would flatter it."""
    folder = find_model("skin-tumour-5")
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


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_the_store_says_what_computed_it(
    record: SlideRecord, unet: Path, tmp_path: Path, runtime: str
) -> None:
    """By two workers in tiles, and the same as torch on the whole plane, but for rounding."""
    pytest.importorskip("onnx")
    pytest.importorskip(runtime)
    config = settings(model=str(unet), precision="float32", runtime=runtime, workers=2)
    tiles, out = tmp_path / "tiles.json", tmp_path / "s.ome.zarr"
    tiled = tile_slide(record, config=config, out=tiles)
    segment_slide(record, tiles=tiles, config=config, out=out)
    store = Segmentation(out)
    assert store.attributes["runtime"].startswith(f"{runtime} ")
    assert store.attributes["provenance"]["settings"]["segment"]["runtime"] == runtime
    whole = segment_whole(record, tiled.plan, load_segmenter(unet, device="cpu"))
    stored = store.read_probabilities(store.grid.box)
    for tile in tiled.plan:
        here = (slice(None), *tile.write.slices)
        np.testing.assert_allclose(stored[here], whole[here], atol=0.5 / 255 + 1e-3)
