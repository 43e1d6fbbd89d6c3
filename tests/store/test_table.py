"""A table of slides comes back as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wsi_pipeline.errors import StoreError
from wsi_pipeline.store import TableColumn, write_table

COLUMNS = [
    TableColumn("slide", "text", {"unit": ""}, ["a", None]),
    TableColumn("depth_um", "number", {"unit": "µm", "meaning": "depth"}, [None, 0.0]),
    TableColumn("is_baseline", "truth", {}, [False, None]),
]


def test_types_units_and_nulls_come_back(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, COLUMNS, attributes={"version": "1"})
    table = pq.read_table(path)
    assert table.to_pydict() == {
        "slide": ["a", None],
        "depth_um": [None, 0.0],
        "is_baseline": [False, None],
    }
    assert table.schema.types == [pa.string(), pa.float64(), pa.bool_()]
    assert table.schema.field("depth_um").metadata[b"unit"].decode() == "µm"
    assert json.loads(table.schema.metadata[b"wsi_pipeline"]) == {"version": "1"}


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_table(tmp_path / name, COLUMNS, attributes={})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_rows_keep_their_types(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, [TableColumn("d", "number", {}, [])], attributes={})
    assert pq.read_table(path).schema.types == [pa.float64()]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_table(tmp_path / "none" / "t.parquet", COLUMNS, attributes={})
