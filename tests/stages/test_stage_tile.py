from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image
from stage_makers import blob_picture, open_record, settings, write_tiff

from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import (
    ConfigError,
    ModelMismatchError,
    StoreError,
    TilePlanError,
    TissueError,
)
from wsi_pipeline.geometry import Grid
from wsi_pipeline.segment import read_card
from wsi_pipeline.slide import Slide
from wsi_pipeline.stages.export_tiles import export_tiles
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.tile import (
    SCHEMA,
    TiledSlide,
    read_tiled,
    read_tissue_plane,
    tile_slide,
    working_mpp,
    write_sections,
)
from wsi_pipeline.tiling import TilePlan


def assert_same(one: TiledSlide, two: TiledSlide) -> None:
    assert one.plan == two.plan
    assert one.sections_grid == two.sections_grid
    assert one.flags == two.flags
    np.testing.assert_array_equal(one.sections, two.sections)


def test_what_is_read_back_is_what_was_planned(tiled: TiledSlide, tiles: Path) -> None:
    assert_same(read_tiled(tiles), tiled)


def test_tiles_json_says_what_it_is(tiled: TiledSlide, tiles: Path) -> None:
    raw = json.loads(tiles.read_text(encoding="utf-8"))
    assert raw["schema"] == SCHEMA
    assert raw["slide_id"] == "p1"
    assert raw["provenance"]["stage"] == "tile"
    assert raw["computed_per_needed_px"] > 1.0
    areas = raw["sections"]["areas_mm2"]
    expected = [
        (tiled.sections == section).sum() * tiled.sections_grid.pixel_area_um2 / 1e6
        for section in range(1, tiled.sections.max() + 1)
    ]
    assert areas == pytest.approx(expected, abs=1e-4)


def test_the_plan_is_on_the_models_plane(tiled: TiledSlide, config: Config) -> None:
    card = read_card(find_model(config.segment.model))
    assert tiled.plan.grid == Grid((650, 800), card.mpp)
    assert tiled.plan.shape.halo_px == card.halo_px
    assert tiled.plan.shape.stride_px == card.stride_px
    assert tiled.plan.shape.tile_px == 256


def test_every_bit_of_tissue_lies_under_a_tile(tiled: TiledSlide) -> None:
    covered = np.zeros(tiled.sections_grid.shape, bool)
    for tile in tiled.plan:
        box = tiled.sections_grid.covering(tile.write, tiled.plan.grid)
        covered[(box & tiled.sections_grid.box).slices] = True
    assert (tiled.sections > 0).any()
    assert covered[tiled.sections > 0].all()


def test_the_picture_shows_the_slide_with_its_tiles(tiled: TiledSlide, tiles: Path) -> None:
    with Image.open(tiles.with_name("tiles.png")) as image:
        drawn = np.asarray(image)
    assert drawn.shape == (*tiled.sections_grid.shape, 3)
    outline = (drawn == (0, 114, 178)).all(axis=-1)
    for tile in tiled.plan:
        box = tiled.sections_grid.covering(tile.write, tiled.plan.grid) & tiled.sections_grid.box
        assert outline[box.top, box.left : box.right].all()
    inside = ~outline & (tiled.sections > 0)
    assert 60 < drawn[inside].mean() < drawn[~outline & (tiled.sections == 0)].mean()


def test_without_a_picture_none_is_drawn(record: SlideRecord, tmp_path: Path) -> None:
    tile_slide(record, config=settings(), out=tmp_path / "tiles.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sections.png", "tiles.json"]


def test_the_values_of_the_section_map_are_the_ids(tmp_path: Path) -> None:
    sections = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_sections(tmp_path / "s.png", sections)
    with Image.open(tmp_path / "s.png") as image:
        np.testing.assert_array_equal(np.asarray(image), sections)
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (colours[0] == 255).all()
    assert (colours[1:-1] != colours[2:]).any(axis=1).all()  # neighbours differ


def test_a_tall_slide_is_read_in_strips_without_a_seam(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (4300, 64, 3), dtype=np.uint8)
    record = open_record(write_tiff(tmp_path / "tall.tiff", picture, mpp=4.0))
    config = parse_config({"tissue": {"mpp": 4.0}})
    with record.open() as slide:
        rgb, grid = read_tissue_plane(slide, config)
    assert grid == Grid((4300, 64), 4.0)
    np.testing.assert_array_equal(rgb, picture)


@pytest.mark.parametrize(
    ("slide_mpp", "expected"), [(0.25, 2.0), (2.0, 2.0), (2.2, 2.2), (2.4, 2.4)]
)
def test_the_working_mpp_is_the_models_or_a_little_coarser(
    slide_mpp: float, expected: float
) -> None:
    card = dataclasses.replace(read_card(find_model("colour-baseline")), mpp=2.0)
    assert working_mpp(slide_mpp, card) == expected


def test_a_slide_a_little_coarser_than_the_model_is_tiled_at_its_own_mpp(tmp_path: Path) -> None:
    record = open_record(write_tiff(tmp_path / "a.tiff", blob_picture(), mpp=2.3))
    tiled = tile_slide(record, config=settings(), out=tmp_path / "tiles.json")
    assert tiled.plan.grid == Grid((400, 480), record.info["mpp"])


def test_a_slide_too_coarse_for_the_model_is_refused(tmp_path: Path) -> None:
    record = open_record(write_tiff(tmp_path / "a.tiff", blob_picture(), mpp=2.5))
    with pytest.raises(ModelMismatchError, match=r"has 2\.5 µm/px, model 'colour-baseline' needs"):
        tile_slide(record, config=settings(), out=tmp_path / "tiles.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tiff"]


def test_glass_alone_is_refused(tmp_path: Path) -> None:
    rgb = np.full((300, 300, 3), 244, np.uint8)
    record = open_record(write_tiff(tmp_path / "a.tiff", rgb, mpp=2.0))
    with pytest.raises(TissueError):
        tile_slide(record, config=settings(), out=tmp_path / "tiles.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tiff"]


def test_a_plan_without_tiles_is_refused(tmp_path: Path) -> None:
    """Nothing computed would read as nothing found."""
    record = open_record(write_tiff(tmp_path / "a.tiff", blob_picture(), mpp=2.0))
    config = parse_config({"tiling": {"tile_px": 512, "min_tissue_fraction": 0.95}})
    with pytest.raises(TissueError, match=r"lower 'tiling.min_tissue_fraction'"):
        tile_slide(record, config=config, out=tmp_path / "tiles.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tiff"]


@pytest.fixture
def copied(tiles: Path, tiled: TiledSlide, tmp_path: Path) -> Path:
    """A copy of the plan, to be spoilt."""
    for name in ("tiles.json", "sections.png"):
        shutil.copy(tiles.with_name(name), tmp_path / name)
    return tmp_path / "tiles.json"


def test_the_section_map_may_move_with_the_plan(copied: Path, tiled: TiledSlide) -> None:
    assert_same(read_tiled(copied), tiled)


@pytest.mark.parametrize(
    "change",
    [
        {"sections": {"file": "sections.png"}},
        {"sections": {"file": "sections.png", "mpp": "wide", "origin_um": [0, 0]}},
        {"sections": {"file": "sections.png", "mpp": -1.0, "origin_um": [0, 0]}},
        {"sections": {"file": "sections.png", "mpp": 8.0, "origin_um": [0]}},
        {"sections": None},
        {"flags": None},
    ],
)
def test_an_incomplete_plan_is_named(copied: Path, change: dict[str, object]) -> None:
    raw = json.loads(copied.read_text(encoding="utf-8"))
    copied.write_text(json.dumps(raw | change))
    with pytest.raises(StoreError, match=r"tiles.json is incomplete .* tile' again"):
        read_tiled(copied)


def test_a_plan_without_its_section_map_is_incomplete(copied: Path) -> None:
    copied.with_name("sections.png").unlink()
    with pytest.raises(StoreError, match=r"tiles.json is incomplete"):
        read_tiled(copied)


def test_a_section_map_cut_short_is_incomplete(copied: Path) -> None:
    sections = copied.with_name("sections.png")
    sections.write_bytes(sections.read_bytes()[:-200])
    with pytest.raises(StoreError, match=r"tiles.json is incomplete"):
        read_tiled(copied)


@pytest.mark.parametrize("plan", [None, {}, {"grid": 3}])
def test_a_file_without_a_plan_is_refused(copied: Path, plan: object) -> None:
    raw = json.loads(copied.read_text(encoding="utf-8"))
    copied.write_text(json.dumps(raw | {"plan": plan}))
    with pytest.raises(TilePlanError, match="not a tile plan"):
        read_tiled(copied)


@pytest.fixture
def few(tiled: TiledSlide) -> TilePlan:
    """The first tiles and the last, which the edge of the plane cuts short."""
    cells = (*tiled.plan.cells[:2], tiled.plan.cells[-1])
    return dataclasses.replace(tiled.plan, cells=cells)


def test_exported_pictures_are_the_slides_pixels(
    record: SlideRecord, slide: Slide, few: TilePlan, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    count = export_tiles(
        record,
        few,
        out=tmp_path / "png",
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert count == len(few)
    assert told[-1] == (len(few), len(few))
    assert len(list((tmp_path / "png").iterdir())) == len(few)
    for tile in few.squares:
        name = f"y{tile.write.top:07d}_x{tile.write.left:07d}.png"
        with Image.open(tmp_path / "png" / name) as image:
            exported = np.asarray(image)
        np.testing.assert_array_equal(exported, slide.read_region(tile.write, few.grid.mpp))


def test_an_exported_array_holds_the_slides_pixels(
    record: SlideRecord, slide: Slide, few: TilePlan, tmp_path: Path
) -> None:
    out = tmp_path / "rgb.zarr"
    assert export_tiles(record, few, out=out, workers=2) == len(few)
    array = zarr.open_array(out, mode="r")
    assert array.chunks == (256, 256, 3)
    assert Grid.from_json(array.attrs["grid"]) == few.grid
    expected = np.full((*few.grid.shape, 3), 255, np.uint8)
    for tile in few.squares:
        expected[tile.write.slices] = slide.read_region(tile.write, few.grid.mpp)
    np.testing.assert_array_equal(array[:], expected)


def test_an_export_overwrites_no_file(record: SlideRecord, few: TilePlan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        export_tiles(record, few, out=tmp_path / "file")
    with pytest.raises(StoreError, match="with other files in it"):
        export_tiles(record, few, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
