"""How do programs read a segmentation that know only OME-Zarr 0.4?

1. The same three multiscales are written as zarr v2: the same numbers and places, metadata where
   version 0.4 has them, and the attributes of the pipeline.
2. Version 0.4 has no shards: every chunk is a file.  Chunks that hold nothing are not stored.
3. Pixels are copied one shard at a time.

References
----------
OME-NGFF 0.4, https://ngff.openmicroscopy.org/0.4/
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zarr
from numcodecs import Blosc

from wsi_pipeline.errors import StoreError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.store.metadata import IMAGE, LABELS, PLANES, Plane, plane_metadata
from wsi_pipeline.store.segmentation import Segmentation

VERSION = "0.4"


def copy_as_ngff04(source: Segmentation, path: Path, *, compression: int = 3) -> None:
    """Write a segmentation once more, as OME-Zarr 0.4.

    Parameters
    ----------
    source
        What to copy.
    path
        Folder to make; must not exist.
    compression
        zstd level inside blosc.

    Raises
    ------
    StoreError
        If the folder is there already or cannot be written.
    """
    if path.exists():
        raise StoreError(f"{path} exists already; remove it or choose another output")
    try:
        root = zarr.create_group(path, zarr_format=2)
        root.create_group("labels").attrs["labels"] = ["tissue"]
        for plane in PLANES:
            group = root if plane.path == IMAGE else root.create_group(plane.path)
            group.attrs.update(_metadata(plane, source.grid))
            for level in range(source.levels):
                _copy(source.array(plane.path, level), group, name=str(level), level=compression)
        root.attrs["wsi_pipeline"] = source.attributes
    except OSError as fault:
        raise StoreError(f"{path} cannot be written: {fault}") from fault


def _metadata(plane: Plane, grid: Grid) -> dict[str, Any]:
    """Attributes of one multiscale: in 0.4 they stand at the top, each with its version."""
    metadata = plane_metadata(plane, grid)
    del metadata["version"]
    metadata["multiscales"][0]["version"] = VERSION
    if plane.path == LABELS:
        metadata["image-label"]["version"] = VERSION
    else:
        metadata["omero"]["version"] = VERSION
    return metadata


def _copy(array: zarr.Array[Any], group: zarr.Group, *, name: str, level: int) -> None:
    copied = group.create_array(
        name,
        shape=array.shape,
        chunks=array.chunks,
        dtype=array.dtype,
        fill_value=array.fill_value,
        compressors=Blosc(cname="zstd", clevel=level, shuffle=Blosc.BITSHUFFLE),
        chunk_key_encoding={"name": "v2", "separator": "/"},
        # Nothing is stored where nothing was computed.
        config={"write_empty_chunks": False},
    )
    for box in _shards(array):
        copied[(..., *box.slices)] = array[(..., *box.slices)]


def _shards(array: zarr.Array[Any]) -> Iterator[Box]:
    edge = (array.shards or array.chunks)[-1]
    rows, columns = array.shape[-2:]
    for top in range(0, rows, edge):
        for left in range(0, columns, edge):
            yield Box(top, left, top + edge, left + edge) & Box.of_shape((rows, columns))
