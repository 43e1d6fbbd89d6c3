"""How do plain arrays rest on disk?

Arrays that are not part of a segmentation: RGB tiles for other tools, and what is known
about a phantom.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from wsi_pipeline.errors import StoreError
from wsi_pipeline.geometry import Box, Grid


def create_rgb(path: Path, *, grid: Grid, tile_px: int) -> None:
    """Make an empty (Y, X, 3) uint8 array whose chunks are tiles; what is unwritten is white."""
    array = zarr.create_array(
        path,
        shape=(*grid.shape, 3),
        chunks=(tile_px, tile_px, 3),
        dtype=np.uint8,
        fill_value=255,
        dimension_names=("y", "x", "c"),
    )
    array.attrs["grid"] = grid.to_json()


def write_rgb(path: Path, box: Box, rgb: NDArray[np.uint8]) -> None:
    """Write one tile of an array made by `create_rgb`."""
    zarr.open_array(path, mode="r+")[box.slices] = rgb


def write_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], *, attributes: Mapping[str, Any]
) -> None:
    """Write named arrays ("a" or "group/a") into one zarr group with attributes."""
    root = zarr.create_group(path, zarr_format=3)
    root.attrs.update(attributes)
    for name, values in arrays.items():
        chunks = tuple(min(2048, max(1, count)) for count in values.shape)
        root.create_array(name, data=values, chunks=chunks)


def check_confined(path: Path) -> None:
    """Refuse a store from which a link leads elsewhere: it would be read, or written through.

    Parameters
    ----------
    path
        Folder of a store that someone else may have made.

    Raises
    ------
    StoreError
        If it holds such a link.
    """
    inside = path.resolve()
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            member = Path(folder, name)
            if member.is_symlink() and not member.resolve().is_relative_to(inside):
                raise StoreError(
                    f"{member} is a link that leads out of the store; put the data itself there, "
                    "or take the link away"
                )


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write_arrays` wrote: arrays by name, and the attributes.

    Raises
    ------
    StoreError
        If a link in the folder leads out of it.
    """
    check_confined(path)
    root = zarr.open_group(path, mode="r")
    arrays = {
        name: np.asarray(node[:])
        for name, node in root.members(max_depth=None)
        if isinstance(node, zarr.Array)
    }
    return arrays, dict(root.attrs)
