"""How does a table of places rest on disk?

One Parquet file with a column per field and a column ``geometry`` of points, as GeoParquet 1.1
wants them; what is known about the table stands in the file's metadata.  Equal tables
give equal bytes.

References
----------
GeoParquet 1.1.0, https://geoparquet.org/releases/v1.1.0/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wsi_pipeline.errors import StoreError

_OWN, _GEO, _GEOMETRY = b"wsi_pipeline", b"geo", "geometry"
# Well-known binary of a point: byte order (1: little-endian), kind (1: point), x, y.
_WKB_POINT = np.dtype([("order", "u1"), ("kind", "<u4"), ("x", "<f8"), ("y", "<f8")])


def write_points(
    path: Path,
    columns: Mapping[str, NDArray[Any]],
    *,
    places_um: NDArray[np.float64],
    attributes: Mapping[str, Any],
) -> None:
    """Write a table whose rows are places on the glass.

    Parameters
    ----------
    path
        File to write.
    columns
        Name to values, one per row.
    places_um : (N, 2) float64
        ``(down, right)`` of each row in the slide frame, µm; written as points with x to the
        right and y downwards.
    attributes
        What else is known, as plain data; kept under the key ``wsi_pipeline``.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    arrays = [pa.array(values) for values in columns.values()]
    metadata = {
        _GEO: json.dumps(_geo(places_um)),
        _OWN: json.dumps(dict(attributes), ensure_ascii=False, allow_nan=False),
    }
    table = pa.table([*arrays, _points(places_um)], names=[*columns, _GEOMETRY])
    try:
        pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")
    except OSError as fault:
        raise StoreError(f"{path} cannot be written: {fault}") from fault


def read_points(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write_points` wrote: columns by name without the points, and the attributes.

    Raises
    ------
    StoreError
        If there is no such table at ``path``.
    """
    try:
        table = pq.read_table(path)
        attributes: dict[str, Any] = json.loads(table.schema.metadata[_OWN])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError) as fault:
        raise StoreError(
            f"{path} is not a table of this pipeline ({fault}); run 'wsi-pipeline nuclei' again"
        ) from fault
    names = [name for name in table.column_names if name != _GEOMETRY]
    return {name: table.column(name).to_numpy() for name in names}, attributes


def _points(places_um: NDArray[np.float64]) -> pa.Array:
    """Points as well-known binary."""
    points = np.zeros(len(places_um), _WKB_POINT)
    points["order"], points["kind"] = 1, 1
    points["x"], points["y"] = places_um[:, 1], places_um[:, 0]
    starts = np.arange(len(points) + 1, dtype=np.int32) * np.int32(_WKB_POINT.itemsize)
    buffers = [None, pa.py_buffer(starts.tobytes()), pa.py_buffer(points.tobytes())]
    return pa.Array.from_buffers(pa.binary(), len(points), buffers)


def _geo(places_um: NDArray[np.float64]) -> dict[str, Any]:
    """Value of the key ``geo``; µm on a slide lie in no coordinate system of the Earth."""
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Point"], "crs": None}
    if len(places_um):
        low, high = places_um.min(axis=0).tolist(), places_um.max(axis=0).tolist()
        column["bbox"] = [low[1], low[0], high[1], high[0]]
    return {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: column}}
