"""How unlike training a slide is, from the tiles to the flag on its measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stage_makers import settings, write_scoring_unet

from wsi_pipeline.config import parse_config
from wsi_pipeline.labels import tissue_within
from wsi_pipeline.segment import load_segmenter
from wsi_pipeline.segment.novelty import novelty_of_tissue, summarise_novelty
from wsi_pipeline.stages.artefacts import read_json
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.measure import measure_segmentation
from wsi_pipeline.stages.segment import open_cached, segment_slide
from wsi_pipeline.stages.tile import TiledSlide, tile_slide
from wsi_pipeline.store import Segmentation
from wsi_pipeline.tiling import TilePlan, TileShape


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scoring_unet(tmp_path_factory.mktemp("scoring-unet"))


def told(record: SlideRecord, tiles: Path, out: Path, **segment: Any) -> dict[str, Any] | None:
    """What the segmentation says of novelty."""
    segment_slide(record, tiles=tiles, config=settings(**segment), out=out)
    novelty: dict[str, Any] | None = Segmentation(out).attributes["novelty"]
    return novelty


def scores_at_once(record: SlideRecord, tiled: TiledSlide, model: Path) -> np.ndarray:
    """Scores of all tissue from one pass over the whole plane."""
    plan = tiled.plan
    shape = TileShape(max(plan.grid.shape), plan.shape.halo_px, plan.shape.stride_px)
    tile = TilePlan(plan.grid, shape, ((0, 0),)).tile(0, 0)
    rgb = open_cached(record).read_region(tile.read, plan.grid.mpp)
    scores = load_segmenter(model, device="cpu", precision="auto").infer(rgb).novelty
    assert scores is not None
    tissue = tissue_within(
        tile.write,
        grid=plan.grid,
        sections=tiled.sections,
        sections_grid=tiled.sections_grid,
    )
    return novelty_of_tissue(scores, scored=tile.read, write=tile.write, tissue=tissue)


@pytest.mark.parametrize("tile_px", [192, 256])
def test_tiled_is_whole(record: SlideRecord, scoring: Path, tmp_path: Path, tile_px: int) -> None:
    config = parse_config(
        {
            "tiling": {"tile_px": tile_px},
            "store": {"chunk_px": 64},
            "segment": {"device": "cpu", "model": str(scoring)},
        }
    )
    tiles, out = tmp_path / "tiles.json", tmp_path / "segmentation.ome.zarr"
    tiled = tile_slide(record, config=config, out=tiles)
    segment_slide(record, tiles=tiles, config=config, out=out)
    card = load_segmenter(scoring, device="cpu").card.novelty
    assert card is not None
    scores = scores_at_once(record, tiled, scoring)
    assert scores.std() > 0.01 * scores.mean()  # or anything would agree
    whole, found = (
        summarise_novelty(scores, card=card).to_json(),
        Segmentation(out).attributes["novelty"],
    )
    assert found["positions"] == whole["positions"] > 1000
    for name in ("median", "q90"):
        assert found[name] == pytest.approx(whole[name], rel=1e-5)
    assert found["share_over_limit"] == pytest.approx(whole["share_over_limit"], abs=1e-3)


@pytest.fixture(scope="module")
def tiles_for_scoring(
    record: SlideRecord, scoring: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("tiles") / "tiles.json"
    tile_slide(record, config=settings(model=str(scoring)), out=out)
    return out


def test_the_scheduler_does_not_show_in_the_score(
    record: SlideRecord, scoring: Path, tiles_for_scoring: Path, tmp_path: Path, dask_address: str
) -> None:
    kinds = [("sync", 1), ("threads", 2), ("processes", 2), (dask_address, 1)]
    found = [
        told(
            record,
            tiles_for_scoring,
            tmp_path / f"{number}.ome.zarr",
            model=str(scoring),
            scheduler=scheduler,
            workers=workers,
        )
        for number, (scheduler, workers) in enumerate(kinds)
    ]
    assert found[0] is not None
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize(("limit", "flagged"), [(1e-3, True), (1e6, False)])
def test_a_slide_beyond_the_limit_is_flagged(
    record: SlideRecord, tiles_for_scoring: Path, tmp_path: Path, limit: float, flagged: bool
) -> None:
    (tmp_path / "model").mkdir()
    model = write_scoring_unet(tmp_path / "model", limit=limit)
    store, out = tmp_path / "s.ome.zarr", tmp_path / "measurements.json"
    novelty = told(record, tiles_for_scoring, store, model=str(model))
    measure_segmentation(
        record, tiles=tiles_for_scoring, segmentation=store, config=settings(), out=out
    )
    raw = read_json(out, made_by="measure")
    assert raw["novelty"] == novelty
    assert novelty is not None
    assert novelty["share_over_limit"] == float(flagged)
    flags = [flag for flag in raw["flags"] if flag["code"] == "unlike_training"]
    assert len(flags) == flagged
    for flag in flags:
        assert flag["value"] == 1.0
        assert flag["message"].startswith("100% of the tissue look less like")


def test_a_model_that_cannot_tell_says_null_and_not_zero(
    segmentation: Path, measurements: Path
) -> None:
    assert Segmentation(segmentation).attributes["novelty"] is None
    raw = read_json(measurements, made_by="measure")
    assert raw["novelty"] is None
    assert "unlike_training" not in {flag["code"] for flag in raw["flags"]}
