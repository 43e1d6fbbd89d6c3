from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree
from stage_makers import open_record, settings, write_tiff

from wsi_pipeline.config import Config, NucleiSettings
from wsi_pipeline.errors import ConfigError, StoreError
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.measure import measure_segmentation
from wsi_pipeline.stages.nuclei import SCHEMA, find_nuclei
from wsi_pipeline.stages.nuclei_tile import Gate
from wsi_pipeline.store import LABELS, Segmentation, read_arrays, read_points

TILE_PX = 1024


MODELS = ("nuclei-1", "none")


def tiled_by(config: Config, tile_px: int, model: str = "nuclei-1", **segment: Any) -> Config:
    return replace(
        config,
        nuclei=NucleiSettings(model=model, tile_px=tile_px),
        segment=replace(config.segment, **segment),
    )


@pytest.fixture(scope="session")
def nuclei(record: SlideRecord, segmentation: Path, config: Config) -> Path:
    out = segmentation.with_name("nuclei.parquet")
    gate = Gate(segmentation, only_tumour=True)
    about = find_nuclei(record, gate=gate, config=tiled_by(config, TILE_PX), out=out)
    assert about["status"] == "measured"
    return out


@pytest.fixture(scope="session")
def everywhere(
    record: SlideRecord,
    segmentation: Path,
    config: Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """Table and map of all nuclei."""
    folder = tmp_path_factory.mktemp("everywhere")
    find_nuclei(
        record,
        gate=Gate(segmentation, only_tumour=False),
        config=tiled_by(config, TILE_PX),
        out=folder / "n.parquet",
        instances=folder / "n.npy",
    )
    return folder / "n.parquet", folder / "n.npy"


def test_every_nucleus_lies_in_tumour(nuclei: Path, segmentation: Path) -> None:
    columns, about = read_points(nuclei)
    store = Segmentation(segmentation)
    assert about["count"] == len(columns["nucleus_id"]) > 100
    assert set(columns["tissue"]) == {"tumour"}
    row, column = (
        np.floor(columns[name] / store.grid.mpp).astype(int) for name in ("down_um", "right_um")
    )
    assert (store.read_labels()[row, column] == 5).all()
    assert columns["nucleus_id"].tolist() == list(range(1, about["count"] + 1))


def test_they_are_the_phantoms_nuclei(everywhere: tuple[Path, Path], slide_file: Path) -> None:
    """Nuclei of the tumour, by the nearest found centroid."""
    truth, _ = read_arrays(slide_file.with_name("p1.truth.zarr"))
    tumour = (truth["nuclei/kind"] == 0) & (truth["nuclei/area_um2"] > 19.6)
    columns, _ = read_points(everywhere[0])
    found = cKDTree(np.stack([columns["down_um"], columns["right_um"]], axis=1))
    places = np.stack([truth["nuclei/down_um"], truth["nuclei/right_um"]], axis=1)[tumour]
    away, nearest = found.query(places)
    assert (away < 3).mean() > 0.8
    ratio = columns["area_um2"][nearest] / truth["nuclei/area_um2"][tumour]
    assert np.median(ratio[away < 1]) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize(
    ("tile_px", "segment"),
    [
        (512, {"scheduler": "sync"}),
        (1536, {"scheduler": "processes", "workers": 2}),
    ],
)
def test_neither_tiles_nor_scheduler_show_in_the_file(
    record: SlideRecord,
    segmentation: Path,
    nuclei: Path,
    config: Config,
    tmp_path: Path,
    tile_px: int,
    segment: dict[str, Any],
) -> None:
    out = tmp_path / "n.parquet"
    gate = Gate(segmentation, only_tumour=True)
    find_nuclei(record, gate=gate, config=tiled_by(config, tile_px, **segment), out=out)
    assert out.read_bytes() == nuclei.read_bytes()


def test_the_map_shows_the_rows(
    everywhere: tuple[Path, Path], record: SlideRecord, nuclei: Path
) -> None:
    columns, _ = read_points(everywhere[0])
    plane = np.load(everywhere[1])
    assert plane.dtype == np.uint32
    assert list(plane.shape) == list(record.info["level_shapes"][0])
    areas = np.bincount(plane.ravel())[1:] * record.info["mpp"] ** 2
    assert areas == pytest.approx(columns["area_um2"])
    assert not list(everywhere[1].parent.glob("*.work"))
    gated, _ = read_points(nuclei)
    tumour = columns["tissue"] == "tumour"
    assert np.abs(tumour.sum() - len(gated["area_um2"])) <= 0.05 * tumour.sum()


@pytest.mark.parametrize("model", MODELS)
def test_without_a_segmentation_tiles_do_not_show_either(
    record: SlideRecord, config: Config, tmp_path: Path, model: str
) -> None:
    gate, written = Gate(None, only_tumour=False), []
    for tile_px in (512, 4096):
        out = tmp_path / f"{tile_px}.parquet"
        find_nuclei(record, gate=gate, config=tiled_by(config, tile_px, model), out=out)
        written.append(out.read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("model", MODELS)
def test_nuclei_are_cut_at_the_edge_of_the_slide(
    tmp_path: Path, config: Config, model: str
) -> None:
    """The plane is no whole number of strides; what is drawn beyond it is not there."""
    rows, columns = np.mgrid[:301, :203] * 0.5
    picture = np.full((301, 203, 3), (170, 110, 160), float)
    for down, right in ((150.5, 40.0), (75.0, 101.5), (60.0, 50.0), (0.0, 0.0)):
        picture[(rows - down) ** 2 + (columns - right) ** 2 < 25] = (90, 60, 140)
    picture += np.random.default_rng(3).normal(0, 3, picture.shape)
    record = open_record(
        write_tiff(tmp_path / "s.tiff", picture.clip(0, 255).astype(np.uint8), mpp=0.5)
    )
    out, instances = tmp_path / "n.parquet", tmp_path / "n.npy"
    find_nuclei(
        record,
        gate=Gate(None, only_tumour=False),
        config=tiled_by(config, 256, model),
        out=out,
        instances=instances,
    )
    found, plane = read_points(out)[0], np.load(instances)
    assert plane.shape == (301, 203)
    assert (np.bincount(plane.ravel())[1:] * 0.25).tolist() == found["area_um2"].tolist()
    whole = found["area_um2"][~found["touches_edge"]]
    assert whole.tolist() == pytest.approx([25 * np.pi], rel=0.15)
    assert found["touches_edge"].sum() >= 2


@pytest.mark.parametrize(("model", "working"), [("nuclei-1", 0.5), ("none", 0.25)])
def test_a_map_is_on_level_0_whatever_the_working_plane(
    tmp_path: Path, config: Config, model: str, working: float
) -> None:
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:640, :512] * 0.125
    picture = np.full((640, 512, 3), (170, 110, 160), float)
    inside = (rows - 40) ** 2 + (columns - 30) ** 2 < 25
    picture[inside] = (90, 60, 140)
    picture += rng.normal(0, 3, picture.shape)
    record = open_record(
        write_tiff(tmp_path / "s.tiff", picture.clip(0, 255).astype(np.uint8), mpp=0.125)
    )
    out, instances = tmp_path / "n.parquet", tmp_path / "n.npy"
    gate = Gate(None, only_tumour=False)
    find_nuclei(
        record, gate=gate, config=tiled_by(config, 2048, model), out=out, instances=instances
    )
    found, about = read_points(out)
    assert about["mpp"]["working"] == working
    assert about["outlined_by"]["id"] == model
    assert "tissue" not in found
    plane = np.load(instances)
    assert plane.shape == (640, 512)
    assert ((plane > 0) & inside).sum() > 0.9 * inside.sum()
    assert found["area_um2"].tolist() == pytest.approx([25 * np.pi], rel=0.1)


def test_the_table_says_how_it_came_about(
    nuclei: Path, record: SlideRecord, segmentation: Path
) -> None:
    _, about = read_points(nuclei)
    assert about["schema"] == SCHEMA
    assert (about["slide_id"], about["input"]) == ("p1", record.input)
    assert about["model"] == Segmentation(segmentation).attributes["model"]
    assert about["where"] == "tumour"
    assert about["mpp"]["working"] == pytest.approx(0.5)
    assert about["stain"]["is_estimated"]
    assert "tile_px" not in about["provenance"]["settings"]["nuclei"]
    assert (about["outlined_by"]["id"], about["outlined_by"]["mpp"]) == ("nuclei-1", 0.5)
    assert "not validated on human tissue" in about["outlined_by"]["limits"]
    assert "folder" not in about["outlined_by"]
    assert record.path.name not in json.dumps(about)


def test_a_slide_too_coarse_says_so(tmp_path: Path, config: Config) -> None:
    rgb = np.full((300, 300, 3), 200, np.uint8)
    record = open_record(write_tiff(tmp_path / "s.tiff", rgb, mpp=0.8))
    out = tmp_path / "n.parquet"
    about = find_nuclei(record, gate=Gate(None, only_tumour=False), config=config, out=out)
    assert (about["count"], about["status"]) == (0, "not_assessable")
    assert "0.8 µm are too coarse" in about["reason"]
    assert len(read_points(out)[0]["area_um2"]) == 0


def test_bare_glass_says_so(tmp_path: Path, config: Config) -> None:
    rgb = np.full((300, 300, 3), 243, np.uint8)
    record = open_record(write_tiff(tmp_path / "s.tiff", rgb, mpp=0.5))
    out, instances = tmp_path / "n.parquet", tmp_path / "n.npy"
    gate = Gate(None, only_tumour=False)
    about = find_nuclei(record, gate=gate, config=config, out=out, instances=instances)
    assert about["status"] == "not_assessable"
    assert "stained" in about["reason"]
    assert not np.load(instances).any()


@pytest.fixture
def tumour_free(segmentation: Path, tmp_path: Path) -> Path:
    """A copy of the segmentation without its tumour."""
    copy = tmp_path / "s.ome.zarr"
    shutil.copytree(segmentation, copy)
    labels = Segmentation(copy, mode="r+").array(LABELS)
    plane = np.asarray(labels[:])
    labels[:] = np.where(plane == 5, 2, plane)
    return copy


def test_without_tumour_there_is_nothing_to_grade(
    record: SlideRecord, tiles: Path, tumour_free: Path, config: Config, tmp_path: Path
) -> None:
    table, out = tmp_path / "n.parquet", tmp_path / "measurements.json"
    gate = Gate(tumour_free, only_tumour=True)
    about = find_nuclei(record, gate=gate, config=config, out=table)
    assert (about["count"], about["status"]) == (0, "not_defined")
    measure_segmentation(
        record, tiles=tiles, segmentation=tumour_free, config=config, out=out, nuclei=table
    )
    raw = json.loads(out.read_text())
    grade = raw["values"]["nuclear_grade"]
    assert (grade["status"], grade["reason"]) == ("not_defined", "no tumour was segmented")
    assert raw["provenance"]["nuclei_outlined_by"] == read_points(table)[1]["outlined_by"]


def test_the_grade_joins_the_measurements(
    record: SlideRecord,
    tiles: Path,
    segmentation: Path,
    nuclei: Path,
    everywhere: tuple[Path, Path],
    measurements: Path,
    config: Config,
    tmp_path: Path,
) -> None:
    def values_with(table: Path) -> dict[str, dict[str, object]]:
        out = tmp_path / "measurements.json"
        measure_segmentation(
            record, tiles=tiles, segmentation=segmentation, config=config, out=out, nuclei=table
        )
        raw = json.loads(out.read_text())
        assert set(raw["provenance"]["settings"]) == {"measure", "grade"}
        return dict(raw["values"])

    values, without = values_with(nuclei), json.loads(measurements.read_text())["values"]
    assert {name: values[name] for name in without} == without
    assert values["nuclear_area_mean_um2"]["unit"] == "µm²"
    assert values["nuclear_grade"]["value"] is not None
    # Of a table of the whole slide only the tumour counts.
    other = values_with(everywhere[0])["nuclei_measured"]["value"]
    assert other == pytest.approx(values["nuclei_measured"]["value"], rel=0.05)


def test_what_is_of_another_slide_is_refused(
    record: SlideRecord,
    segmentation: Path,
    tiles: Path,
    nuclei: Path,
    config: Config,
    tmp_path: Path,
) -> None:
    other = replace(record, input={"sha256": "0", "bytes": 1})
    gate = Gate(segmentation, only_tumour=True)
    with pytest.raises(StoreError, match="belongs to slide"):
        find_nuclei(other, gate=gate, config=config, out=tmp_path / "n.parquet")
    with pytest.raises(StoreError, match="belongs to slide"):
        measure_segmentation(
            other,
            tiles=tiles,
            segmentation=segmentation,
            config=config,
            out=tmp_path / "m.json",
            nuclei=nuclei,
        )


def test_a_map_of_a_large_slide_is_refused(record: SlideRecord, tmp_path: Path) -> None:
    large = replace(record, info={**record.info, "level_shapes": [[10_001, 500]]})
    with pytest.raises(ConfigError, match="leave --instances out"):
        find_nuclei(
            large,
            gate=Gate(None, only_tumour=False),
            config=settings(),
            out=tmp_path / "n.parquet",
            instances=tmp_path / "n.npy",
        )
    assert not list(tmp_path.iterdir())
