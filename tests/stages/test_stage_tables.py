"""Are exported tables what was measured, and do other programs open them?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from jsonschema import Draft202012Validator

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import StoreError
from wsi_pipeline.stages.export import SlideResults
from wsi_pipeline.stages.export_tables import (
    export_nests,
    export_schema,
    filled_tables,
    schema_text,
)
from wsi_pipeline.store import Segmentation, read_attributes, write_areas
from wsi_pipeline.values import Measurement

SCHEMA: dict[str, Any] = json.loads(schema_text())


@pytest.fixture(scope="module")
def measured(measurements: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(measurements.read_text())
    return content


@pytest.fixture(scope="module")
def nests(measurements: Path) -> Path:
    exact = parse_config({"export": {"tolerance_um": 0.0}})
    return export_nests(measurements.parent, config=exact)


def test_nests_are_those_that_were_measured(nests: Path, measured: dict[str, Any]) -> None:
    frame, values = geopandas.read_parquet(nests), measured["values"]
    assert len(frame) == values["nest_count"]["value"] > 0
    assert frame["nest_id"].tolist() == list(range(1, len(frame) + 1))
    assert np.median(frame["area_um2"]) == pytest.approx(values["nest_area_median_um2"]["value"])
    assert frame["touches_edge"].mean() == pytest.approx(values["nest_cut_fraction"]["value"])


def test_outlines_of_nests_have_their_areas_and_places(nests: Path, segmentation: Path) -> None:
    frame, store = geopandas.read_parquet(nests), Segmentation(segmentation)
    assert frame.crs is None
    assert frame.geometry.is_valid.all()
    np.testing.assert_allclose(frame.geometry.area, frame["area_um2"])
    tumour = store.read_labels() == TUMOUR
    row, column = np.nonzero(tumour)
    places = shapely.points(*((n + 0.5) * store.grid.mpp for n in (column, row)))
    covered = shapely.contains(frame.union_all(), places)
    # What is in no nest lies in specks.
    assert covered.mean() > 0.9
    lumina_um2 = frame["area_um2"].sum() - covered.sum() * store.grid.pixel_area_um2
    assert frame["lumen_um2"].sum() <= lumina_um2 + 1e-6


def test_simplified_nests_stay_valid_and_of_their_area(
    measurements: Path, config: Config, nests: Path
) -> None:
    exact = geopandas.read_parquet(nests)
    frame = geopandas.read_parquet(export_nests(measurements.parent, config=config))
    assert frame.geometry.is_valid.all()
    assert frame.geometry.area.sum() == pytest.approx(exact.geometry.area.sum(), rel=0.01)


def test_the_schema_is_a_schema_and_lies_beside_the_numbers(measurements: Path) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    out = export_schema(measurements.parent)
    assert out == measurements.with_name("measurements.schema.json")
    assert json.loads(out.read_text()) == SCHEMA


def test_what_is_measured_is_as_the_schema_says(measured: dict[str, Any]) -> None:
    assert [fault.message for fault in Draft202012Validator(SCHEMA).iter_errors(measured)] == []
    said = {value["status"] for value in measured["values"].values()}
    # Lower bounds are among the kinds that are tried one by one below.
    assert {"measured", "not_assessable", "not_defined"} <= said


def test_the_schema_knows_every_name_and_its_unit(measured: dict[str, Any]) -> None:
    known = SCHEMA["$defs"]["values"]["properties"]
    for values in (measured["values"], *(part["values"] for part in measured["sections"])):
        assert {name: value["unit"] for name, value in values.items()} == {
            name: known[name]["properties"]["unit"]["const"] for name in values
        }


@pytest.mark.parametrize(
    "value",
    [
        Measurement(0.25, "1", interval=(0.2, 0.3)),
        Measurement("vertical", ""),
        Measurement((0.1, 0.9), "1"),
        Measurement(12.0, "µm", "at_least", "the tissue is cut off"),
        Measurement.not_assessable("µm", "no junction is seen"),
        Measurement.not_defined("µm", "there is no tumour"),
    ],
    ids=lambda value: value.status,
)
def test_every_kind_of_measurement_fits(value: Measurement) -> None:
    written = json.loads(json.dumps(value.to_json()))
    assert faults_of(written) == []


@pytest.mark.parametrize(
    "change",
    [
        {"value": None},
        {"status": "guessed"},
        {"status": "not_defined", "reason": "none"},
        {"status": "at_least"},
        {"interval": [1.0]},
        {"unit": None},
        {"p": 0.05},
    ],
    ids=str,
)
def test_what_no_measurement_can_be_is_refused(change: dict[str, Any]) -> None:
    assert faults_of({**Measurement(1.0, "µm").to_json(), **change})


def faults_of(written: dict[str, Any]) -> list[str]:
    schema = {"$ref": "#/$defs/measurement", "$defs": SCHEMA["$defs"]}
    return [fault.message for fault in Draft202012Validator(schema).iter_errors(written)]


def test_measurements_of_another_version_are_refused(
    measured: dict[str, Any], tmp_path: Path
) -> None:
    values = {**measured["values"], "depth_max_um": {"value": 3}}
    (tmp_path / "measurements.json").write_text(json.dumps({**measured, "values": values}))
    with pytest.raises(StoreError, match=r"\$\.values\.depth_max_um.*measure' again"):
        export_schema(tmp_path)
    assert not (tmp_path / "measurements.schema.json").exists()


def test_a_folder_without_measurements_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run 'wsi-pipeline measure' first"):
        export_schema(tmp_path)


def test_tables_with_rows_go_along(nests: Path) -> None:
    results = SlideResults.open(nests.parent)
    assert filled_tables(results)["nests"] == nests


def test_a_table_of_an_earlier_version_is_named_with_what_to_do(
    nests: Path, segmentation: Path, tmp_path: Path
) -> None:
    """Earlier tables of nests did not say how many they hold."""
    results = replace(SlideResults.open(segmentation.parent), folder=tmp_path)
    about = read_attributes(nests)
    old = {name: value for name, value in about.items() if name != "count"}
    write_areas(tmp_path / nests.name, {}, areas_um=[], attributes=old)
    match = r"nests\.parquet has no field 'count'.*run 'wsi-pipeline export --format geoparquet'"
    with pytest.raises(StoreError, match=match):
        filled_tables(results)
    write_areas(tmp_path / nests.name, {}, areas_um=[], attributes=about | {"count": 0})
    assert filled_tables(results) == {}
