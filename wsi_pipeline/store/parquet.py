"""How does a table of places rest on disk?

One Parquet file with a column per field and a column ``geometry`` of points or polygons, as
GeoParquet 1.1 wants them; what is known about the table stands in the file's metadata.  Equal
tables give equal bytes.

References
----------
GeoParquet 1.1.0, https://geoparquet.org/releases/v1.1.0/
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wsi_pipeline.errors import StoreError

_UNREADABLE = (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError)
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
    geo = _geo("Point", places_um)
    _write(path, columns, geometry=_points(places_um), geo=geo, attributes=attributes)


def write_areas(
    path: Path,
    columns: Mapping[str, NDArray[Any]],
    *,
    areas_um: Sequence[Sequence[Sequence[NDArray[np.float64]]]],
    attributes: Mapping[str, Any],
) -> None:
    """Write a table whose rows are areas on the glass.

    Parameters
    ----------
    path
        File to write.
    columns
        Name to values, one per row.
    areas_um
        Polygons of each row; of each the outer ring and its holes: closed, (N, 2) ``(down,
        right)`` in the slide frame, µm; written with x to the right and y downwards.
    attributes
        What else is known, as plain data; kept under the key ``wsi_pipeline``.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    outer = [rings[0] for polygons in areas_um for rings in polygons]
    geo = _geo("MultiPolygon", np.concatenate(outer) if outer else np.empty((0, 2)))
    shapes = pa.array([_multipolygon(polygons) for polygons in areas_um], pa.binary())
    _write(path, columns, geometry=shapes, geo=geo, attributes=attributes)


def _write(
    path: Path,
    columns: Mapping[str, NDArray[Any]],
    *,
    geometry: pa.Array,
    geo: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> None:
    arrays = [pa.array(values) for values in columns.values()]
    metadata = {
        _GEO: json.dumps(geo),
        _OWN: json.dumps(dict(attributes), ensure_ascii=False, allow_nan=False),
    }
    table = pa.table([*arrays, geometry], names=[*columns, _GEOMETRY])
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
    except _UNREADABLE as fault:
        raise _not_ours(path, fault) from fault
    names = [name for name in table.column_names if name != _GEOMETRY]
    return {name: table.column(name).to_numpy() for name in names}, attributes


def read_attributes(path: Path) -> dict[str, Any]:
    """Read what is known about a table, but none of its rows.

    Raises
    ------
    StoreError
        If there is no such table at ``path``.
    """
    try:
        attributes: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_OWN])
    except _UNREADABLE as fault:
        raise _not_ours(path, fault) from fault
    return attributes


def read_rows(
    path: Path, names: Sequence[str], *, most_rows: int = 4096
) -> Iterator[dict[str, NDArray[Any]]]:
    """Read some columns of a table a few rows at a time; columns it does not have are left out.

    Raises
    ------
    StoreError
        If there is no such table at ``path``.
    """
    try:
        with pq.ParquetFile(path) as file:
            known = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(most_rows, columns=known):
                yield {n: batch.column(n).to_numpy(zero_copy_only=False) for n in known}
    except _UNREADABLE as fault:
        raise _not_ours(path, fault) from fault


def _not_ours(path: Path, fault: Exception) -> StoreError:
    return StoreError(
        f"{path} is not a table of this pipeline ({fault}); run 'wsi-pipeline nuclei' again"
    )


def _multipolygon(polygons_um: Sequence[Sequence[NDArray[np.float64]]]) -> bytes:
    """Polygons as well-known binary (6: polygons, 3: one polygon)."""
    head = struct.pack("<BII", 1, 6, len(polygons_um))
    return b"".join([head, *(_polygon(rings) for rings in polygons_um)])


def _polygon(rings_um: Sequence[NDArray[np.float64]]) -> bytes:
    """One polygon as well-known binary."""
    parts = [struct.pack("<BII", 1, 3, len(rings_um))]
    for ring in rings_um:
        parts += [
            struct.pack("<I", len(ring)),
            np.ascontiguousarray(ring[:, ::-1], "<f8").tobytes(),
        ]
    return b"".join(parts)


def _points(places_um: NDArray[np.float64]) -> pa.Array:
    """Points as well-known binary."""
    points = np.zeros(len(places_um), _WKB_POINT)
    points["order"], points["kind"] = 1, 1
    points["x"], points["y"] = places_um[:, 1], places_um[:, 0]
    starts = np.arange(len(points) + 1, dtype=np.int32) * np.int32(_WKB_POINT.itemsize)
    buffers = [None, pa.py_buffer(starts.tobytes()), pa.py_buffer(points.tobytes())]
    return pa.Array.from_buffers(pa.binary(), len(points), buffers)


def _geo(kind: str, places_um: NDArray[np.float64]) -> dict[str, Any]:
    """Value of the key ``geo``; µm on a slide lie in no coordinate system of the Earth."""
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": [kind], "crs": None}
    if len(places_um):
        low, high = places_um.min(axis=0).tolist(), places_um.max(axis=0).tolist()
        column["bbox"] = [low[1], low[0], high[1], high[0]]
    return {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: column}}
