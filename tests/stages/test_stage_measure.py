from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import zarr

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.config import Config
from wsi_pipeline.errors import MeasurementError, StoreError
from wsi_pipeline.measure import measure_slide
from wsi_pipeline.stages.artefacts import read_json, write_json
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.measure import SCHEMA, measure_segmentation
from wsi_pipeline.stages.tile import TiledSlide, write_sections
from wsi_pipeline.store import PROBABILITIES, Segmentation


def test_the_numbers_are_those_of_the_labels(
    measurements: Path, segmentation: Path, tiled: TiledSlide, config: Config
) -> None:
    store = Segmentation(segmentation)
    expected = measure_slide(
        store.read_labels(),
        grid=store.grid,
        sections=tiled.sections,
        sections_grid=tiled.sections_grid,
        declared_section="vertical",
        settings=config.measure,
        never_called=("adnexa",),
        tumour_probability=np.asarray(store.array(PROBABILITIES)[TUMOUR]),
    )
    raw = json.loads(measurements.read_text(encoding="utf-8"))
    plain = json.loads(json.dumps(expected.to_json()))
    assert raw["values"] == plain["values"]
    assert raw["sections"] == plain["sections"]
    assert raw["values"]["area_tumour_mm2"]["value"] > 0


def test_every_value_states_its_unit_and_status(measurements: Path) -> None:
    raw = json.loads(measurements.read_text(encoding="utf-8"))
    for name, entry in raw["values"].items():
        assert set(entry) == {"value", "unit", "status", "reason", "interval"}, name
        assert (entry["value"] is None) == (entry["status"] in ("not_assessable", "not_defined"))


def test_the_file_says_whose_numbers_they_are_and_how_they_came_about(
    measurements: Path, record: SlideRecord, segmentation: Path, config: Config
) -> None:
    raw = json.loads(measurements.read_text(encoding="utf-8"))
    assert raw["schema"] == SCHEMA
    assert raw["slide_id"] == "p1"
    assert raw["declared"] == {"section": "vertical"}
    about, store = raw["provenance"], Segmentation(segmentation).attributes
    assert raw["model"] == store["model"]
    assert about["stage"] == "measure"
    assert about["settings"] == {"measure": asdict(config.measure)}
    assert about["input"] == record.input
    assert (about["mpp"], about["mpp_source"]) == (record.info["mpp"], record.info["mpp_source"])
    assert about["backend"] == record.info["backend"]
    assert about["segmented"] == store["provenance"]
    assert about["nuclei_outlined_by"] is None  # no table was given


@pytest.fixture
def copied(tiles: Path, tmp_path: Path) -> Path:
    """A copy of the plan, to be changed."""
    for name in ("tiles.json", "sections.png"):
        shutil.copy(tiles.with_name(name), tmp_path / name)
    return tmp_path / "tiles.json"


def flag(code: str) -> dict[str, object]:
    return {"code": code, "severity": "warn", "message": "Look.", "value": None, "unit": ""}


def test_flags_of_the_tissue_come_first_and_nothing_is_said_twice(
    record: SlideRecord, copied: Path, segmentation: Path, config: Config
) -> None:
    out = copied.with_name("measurements.json")

    def flags_with(tissue: list[dict[str, object]]) -> list[dict[str, object]]:
        write_json(copied, read_json(copied, made_by="tile") | {"flags": tissue})
        measure_segmentation(
            record, tiles=copied, segmentation=segmentation, config=config, out=out
        )
        flags: list[dict[str, object]] = read_json(out, made_by="measure")["flags"]
        return flags

    first, *others = flags_with([])
    assert flags_with([flag("pen")]) == [flag("pen"), first, *others]
    same = flag(str(first["code"]))
    assert flags_with([same]) == [same, *others]


def test_a_slide_without_sections_has_no_numbers(
    record: SlideRecord, copied: Path, segmentation: Path, tiled: TiledSlide, config: Config
) -> None:
    write_sections(copied.with_name("sections.png"), tiled.sections * 0)
    out = copied.with_name("measurements.json")
    with pytest.raises(MeasurementError, match="holds no section"):
        measure_segmentation(
            record, tiles=copied, segmentation=segmentation, config=config, out=out
        )
    assert not out.exists()


@pytest.mark.parametrize("exists", [True, False])
def test_without_a_segmentation_there_are_no_numbers(
    record: SlideRecord, tiles: Path, tmp_path: Path, config: Config, exists: bool
) -> None:
    store, out = tmp_path / "s.ome.zarr", tmp_path / "measurements.json"
    if exists:
        zarr.create_group(store)
    with pytest.raises(StoreError, match="run 'wsi-pipeline segment' again"):
        measure_segmentation(record, tiles=tiles, segmentation=store, config=config, out=out)
    assert not out.exists()
