"""How does a table of slides rest on disk?

One Parquet file with typed columns, each with its unit and its meaning in its metadata; what is
known about the table stands in the file's metadata.  Equal tables give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from wsi_pipeline.errors import StoreError

_TYPES = {"text": pa.string(), "number": pa.float64(), "truth": pa.bool_()}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column.

    Parameters
    ----------
    name
        Its heading.
    kind
        ``text``, ``number`` (64 bits) or ``truth``.
    about
        What is known of it, e.g. ``unit``; kept in the metadata of the column.
    values
        One per row; None is stored as null.
    """

    name: str
    kind: Literal["text", "number", "truth"]
    about: Mapping[str, str]
    values: Sequence[str | float | bool | None]


def write_table(
    path: Path, columns: Sequence[TableColumn], *, attributes: Mapping[str, Any]
) -> None:
    """Write typed columns.

    Parameters
    ----------
    path
        File to write.
    columns
        All of one length.
    attributes
        What else is known, as plain data; kept under the key ``wsi_pipeline``.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    fields = [
        pa.field(column.name, _TYPES[column.kind], metadata=dict(column.about))
        for column in columns
    ]
    own = json.dumps(dict(attributes), ensure_ascii=False, allow_nan=False)
    schema = pa.schema(fields, metadata={"wsi_pipeline": own})
    arrays = [pa.array(column.values, _TYPES[column.kind]) for column in columns]
    try:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
    except OSError as fault:
        raise StoreError(f"{path} cannot be written: {fault}") from fault
