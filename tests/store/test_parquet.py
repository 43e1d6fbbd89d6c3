"""Does a table of places come back, and do others find their way in it?"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from wsi_pipeline.errors import StoreError
from wsi_pipeline.store import read_points, write_points

PLACES = np.array([[1.5, 20.25], [30.0, 4.0]])
COLUMNS = {
    "nucleus_id": np.array([1, 2], np.uint32),
    "area_um2": np.array([44.5, 61.0]),
    "tissue": np.array(["tumour", "dermis"], object),
    "touches_edge": np.array([False, True]),
}


def test_a_table_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_points(path, COLUMNS, places_um=PLACES, attributes={"slide_id": "s", "µ": 1})
    columns, attributes = read_points(path)
    assert attributes == {"slide_id": "s", "µ": 1}
    assert list(columns) == list(COLUMNS)
    for name, values in COLUMNS.items():
        assert columns[name].tolist() == values.tolist()
    assert columns["nucleus_id"].dtype == np.uint32


def test_it_is_geoparquet(tmp_path: Path) -> None:
    """The rules of GeoParquet 1.1, and the points decoded by hand."""
    path = tmp_path / "t.parquet"
    write_points(path, COLUMNS, places_um=PLACES, attributes={})
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    about = geo["columns"][geo["primary_column"]]
    assert (about["encoding"], about["geometry_types"], about["crs"]) == ("WKB", ["Point"], None)
    assert about["bbox"] == [4.0, 1.5, 20.25, 30.0]
    field = table.schema.field(geo["primary_column"])
    assert str(field.type) == "binary"
    points = [struct.unpack("<BIdd", value) for value in table["geometry"].to_pylist()]
    assert points == [(1, 1, 20.25, 1.5), (1, 1, 4.0, 30.0)]


def test_equal_tables_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_points(tmp_path / name, COLUMNS, places_um=PLACES, attributes={"k": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    none = {name: values[:0] for name, values in COLUMNS.items()}
    write_points(path, none, places_um=PLACES[:0], attributes={"reason": "none"})
    columns, attributes = read_points(path)
    assert attributes == {"reason": "none"}
    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(COLUMNS, 0)


@pytest.mark.parametrize("content", [None, b"", b"no parquet"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "t.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match="run 'wsi-pipeline nuclei' again"):
        read_points(path)


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_points(tmp_path / "no" / "t", COLUMNS, places_um=PLACES, attributes={})
