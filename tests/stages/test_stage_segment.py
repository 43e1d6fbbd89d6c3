from __future__ import annotations

import dataclasses
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stage_makers import blob_picture, damage_tiles, open_record, settings, write_tiff

from wsi_pipeline.config import parse_config
from wsi_pipeline.cores import available_cores
from wsi_pipeline.errors import (
    ConfigError,
    ModelMismatchError,
    SlideReadError,
    StoreError,
    TilePlanError,
)
from wsi_pipeline.segment import Segmenter, load_segmenter, read_card
from wsi_pipeline.slide import Slide
from wsi_pipeline.slide.base import PyramidSlide
from wsi_pipeline.stages.artefacts import read_json, write_json
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.segment import check_plan, segment_slide
from wsi_pipeline.stages.tile import TiledSlide, tile_slide, write_sections
from wsi_pipeline.store import Segmentation
from wsi_pipeline.tiling import TilePlan


def test_the_store_says_how_it_was_made(
    record: SlideRecord, tiled: TiledSlide, segmentation: Path
) -> None:
    about = Segmentation(segmentation).attributes
    assert about["slide_id"] == "p1"
    assert about["tiles"] == len(tiled.plan)
    plan = tiled.plan
    assert about["pixels"] == {"decided": plan.needed_px, "computed": plan.computed_px}
    assert plan.needed_px < plan.squares.needed_px
    assert "run_seconds" not in about
    assert about["input"] == record.input
    assert about["mpp"] == {"level_0": record.info["mpp"], "source": record.info["mpp_source"]}
    assert about["model"]["sha256"] == read_card(find_model("colour-baseline")).sha256
    assert about["provenance"]["stage"] == "segment"
    assert about["provenance"]["settings"]["tiling"]["tile_px"] == 256
    assert "workers" not in about["provenance"]["settings"]["segment"]


def test_the_image_is_the_slide_and_white_where_nothing_was_computed(
    slide: Slide, tiled: TiledSlide, segmentation: Path
) -> None:
    image = Segmentation(segmentation).read_image()
    expected = np.full_like(image, 255)
    for tile in tiled.plan:
        expected[tile.write.slices] = slide.read_region(tile.write, tiled.plan.grid.mpp)
    np.testing.assert_array_equal(image, expected)


def test_coarser_levels_are_there(segmentation: Path) -> None:
    store = Segmentation(segmentation)
    assert store.levels > 1
    fine = store.read_labels()
    for level in range(1, store.levels):
        coarse = store.read_labels(level)
        assert coarse.shape == store.level_grid(level).shape
        shares = (np.bincount(plane.ravel(), minlength=8) / plane.size for plane in (fine, coarse))
        np.testing.assert_allclose(*shares, atol=0.02)


def test_arrays_are_cut_as_the_settings_say(segmentation: Path) -> None:
    array = Segmentation(segmentation).array("probabilities")
    assert array.chunks == (1, 64, 64)
    assert array.shards == (8, 256, 256)


def test_every_tile_is_told(record: SlideRecord, tiled: TiledSlide, tmp_path: Path) -> None:
    plan = dataclasses.replace(tiled.plan, cells=tiled.plan.cells[:3])
    tiles = save_plan(tmp_path, record, plan)
    told: list[tuple[int, int]] = []
    segment_slide(
        record,
        tiles=tiles,
        config=settings(),
        out=tmp_path / "s.ome.zarr",
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def save_plan(folder: Path, record: SlideRecord, plan: TilePlan) -> Path:
    """Plan of a slide with its cells, sizes or plane exchanged."""
    path = folder / "tiles.json"
    tile_slide(record, config=settings(), out=path)
    write_json(path, read_json(path, made_by="tile") | {"plan": plan.to_json()})
    return path


@pytest.mark.parametrize(
    ("shape", "grid", "message"),
    [
        ({"halo_px": 3}, {}, r"halo 3 px, the model needs \d+"),
        ({"stride_px": 2}, {}, r"stride 2 px, the model needs 4"),
        ({}, {"mpp": 1.9}, r"1\.9 µm/px, the model needs 2\.0"),
        ({}, {"mpp": 2.5}, r"2\.5 µm/px, the model needs 2\.0"),
        ({"halo_px": 0, "stride_px": 1}, {"mpp": 1.0}, r"halo.*; stride.*; 1\.0 µm/px"),
    ],
)
def test_a_plan_for_another_model_is_refused(
    record: SlideRecord,
    tiled: TiledSlide,
    tmp_path: Path,
    shape: dict[str, int],
    grid: dict[str, float],
    message: str,
) -> None:
    plan = dataclasses.replace(
        tiled.plan,
        shape=dataclasses.replace(tiled.plan.shape, **shape),
        grid=dataclasses.replace(tiled.plan.grid, **grid),
    )
    with pytest.raises(ModelMismatchError, match=message):
        check_plan(plan, read_card(find_model("colour-baseline")))
    out = tmp_path / "s.ome.zarr"
    with pytest.raises(ModelMismatchError, match="run 'wsi-pipeline tile' with this model"):
        segment_slide(record, tiles=save_plan(tmp_path, record, plan), config=settings(), out=out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("shape", "mpp"),
    [
        ({"halo_px": 1000}, 2.0),
        ({"stride_px": 8}, 2.0),
        ({}, 2.4),
    ],
)
def test_a_plan_with_more_than_the_model_needs_is_accepted(
    tiled: TiledSlide, shape: dict[str, int], mpp: float
) -> None:
    plan = dataclasses.replace(
        tiled.plan,
        shape=dataclasses.replace(tiled.plan.shape, **shape),
        grid=dataclasses.replace(tiled.plan.grid, mpp=mpp),
    )
    check_plan(plan, read_card(find_model("colour-baseline")))


def test_the_plan_of_another_slide_is_refused(tiles: Path, tmp_path: Path) -> None:
    other = open_record(write_tiff(tmp_path / "other.tiff", blob_picture(), mpp=2.0))
    with pytest.raises(StoreError, match="belongs to slide 'p1'"):
        segment_slide(other, tiles=tiles, config=settings(), out=tmp_path / "s.ome.zarr")
    assert not (tmp_path / "s.ome.zarr").exists()


def test_tiles_that_do_not_fit_the_chunks_are_refused(
    record: SlideRecord, tiles: Path, tmp_path: Path
) -> None:
    config = parse_config(
        {
            "tiling": {"tile_px": 384},
            "store": {"chunk_px": 192},
            "segment": {"model": "colour-baseline"},
        }
    )
    with pytest.raises(TilePlanError, match=r"no multiple of 'store.chunk_px' \(192\)"):
        segment_slide(record, tiles=tiles, config=config, out=tmp_path / "s.ome.zarr")
    assert not (tmp_path / "s.ome.zarr").exists()


def test_an_unknown_model_is_refused_before_anything_is_written(
    record: SlideRecord, tiles: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no model 'resnet'"):
        segment_slide(
            record, tiles=tiles, config=settings(model="resnet"), out=tmp_path / "s.ome.zarr"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_tile_that_fails_is_named_and_leaves_no_result(
    slide_file: Path, tmp_path: Path, scheduler: str
) -> None:
    """The file is damaged after it was inspected: some tiles decode, others do not."""
    path = Path(shutil.copy(slide_file, tmp_path / "damaged.tiff"))
    record, tiles = open_record(path), tmp_path / "tiles.json"
    tile_slide(record, config=settings(), out=tiles)
    damage_tiles(path, page=2)  # the level of 2 µm, which the model sees
    out = tmp_path / "segmentation.ome.zarr"
    with pytest.raises(SlideReadError, match=r"'damaged.tiff' cannot be decoded") as fault:
        segment_slide(record, tiles=tiles, config=settings(scheduler=scheduler), out=out)
    assert any(
        re.fullmatch(
            r"in the tile of rows \d+ to \d+ .* of level 0 \(\d+ to \d+ µm down, .*\)", note
        )
        for note in fault.value.__notes__
    )
    assert not out.exists()


def test_a_failed_run_leaves_nothing_in_the_way_of_the_next(
    slide_file: Path, segmentation: Path, tiled: TiledSlide, tmp_path: Path
) -> None:
    path = Path(shutil.copy(slide_file, tmp_path / "slide.tiff"))
    record = open_record(path)
    plan = dataclasses.replace(tiled.plan, cells=tiled.plan.cells[:2])
    tiles, out = save_plan(tmp_path, record, plan), tmp_path / "segmentation.ome.zarr"
    damage_tiles(path, page=2)
    with pytest.raises(SlideReadError):
        segment_slide(record, tiles=tiles, config=settings(), out=out)
    shutil.copy(slide_file, path)
    segment_slide(record, tiles=tiles, config=settings(), out=out)
    assert not list(tmp_path.glob("*.partial"))
    labels, expected = (Segmentation(store).read_labels() for store in (out, segmentation))
    for tile in plan:
        np.testing.assert_array_equal(labels[tile.write.slices], expected[tile.write.slices])


def test_a_slide_that_vanished_is_named(slide_file: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(slide_file, tmp_path / "gone.tiff"))
    record, tiles = open_record(path), tmp_path / "tiles.json"
    tile_slide(record, config=settings(), out=tiles)
    path.unlink()
    with pytest.raises(SlideReadError, match=r"'gone.tiff' cannot be opened"):
        segment_slide(record, tiles=tiles, config=settings(), out=tmp_path / "s.ome.zarr")


def test_a_new_plan_under_an_old_name_is_the_one_that_counts(
    record: SlideRecord, tiled: TiledSlide, tmp_path: Path
) -> None:
    """Workers keep what they opened; they must notice that it has changed."""
    plan = dataclasses.replace(tiled.plan, cells=tiled.plan.cells[4:6])
    tiles, out = save_plan(tmp_path, record, plan), tmp_path / "s.ome.zarr"
    segment_slide(record, tiles=tiles, config=settings(), out=out)
    assert Segmentation(out).read_labels().any()
    write_sections(tiles.with_name("sections.png"), np.zeros_like(tiled.sections))
    write_json(tiles, read_json(tiles, made_by="tile"))
    segment_slide(record, tiles=tiles, config=settings(), out=out)
    assert not Segmentation(out).read_labels().any()  # outside the sections all is background


def test_no_more_tiles_compute_than_there_are_workers(
    record: SlideRecord, tiled: TiledSlide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others read and write meanwhile: with two ahead, three are in flight and one computes."""
    most: dict[str, int] = {"reading": 0, "computing": 0}
    now, lock = {"reading": 0, "computing": 0}, threading.Lock()

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*arguments: Any, **named: Any) -> Any:
            with lock:
                now[name] += 1
                most[name] = max(most[name], now[name])
            time.sleep(0.05)
            try:
                return function(*arguments, **named)
            finally:
                with lock:
                    now[name] -= 1

        return watch

    monkeypatch.setattr(Segmenter, "infer", watched("computing", Segmenter.infer))
    monkeypatch.setattr(PyramidSlide, "read_region", watched("reading", PyramidSlide.read_region))
    plan = dataclasses.replace(tiled.plan, cells=tiled.plan.cells[:6])
    tiles = save_plan(tmp_path, record, plan)
    config = settings(workers=1, look_ahead=2)
    most["reading"] = 0
    segment_slide(record, tiles=tiles, config=config, out=tmp_path / "s.ome.zarr")
    assert most["computing"] == 1
    assert 2 <= most["reading"] <= 3


def test_cores_are_those_this_process_may_use() -> None:
    assert available_cores() >= 1


def test_a_model_that_changes_while_it_runs_is_refused(
    record: SlideRecord, tiles: Path, unet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a slide segmented with one model and half with another is no result."""
    model = shutil.copytree(unet, tmp_path / "model")

    def load_changed(folder: Path, *, device: str, precision: str, runtime: str) -> Segmenter:
        with (folder / "model.toml").open("a") as card:
            card.write("# changed\n")
        return load_segmenter(folder, device=device, precision=precision)

    monkeypatch.setattr("wsi_pipeline.stages.segment.load_segmenter", load_changed)
    out = tmp_path / "s.ome.zarr"
    with pytest.raises(ModelMismatchError, match="is not the one this run began with"):
        segment_slide(record, tiles=tiles, config=settings(model=str(model)), out=out)
    assert not out.exists()
