"""How does a plane rest on disk?

A segmentation is one OME-Zarr 0.5 group:

1. the group itself is the image at the working mpp, (c, y, x) uint8, as a multiscale;
2. ``labels/tissue`` is the label map, (y, x) uint8, with names and colours of the classes;
3. ``probabilities`` is a multiscale of its own, (c, y, x) uint8 = round(255 · p).

Arrays are sharded: a shard is what one tile writes, once and whole, so that no two writers
ever share a file; the chunks inside it are what a viewer reads.  Where no tile was computed
nothing is stored: the image reads white, the labels background, the probabilities zero.

References
----------
OME-NGFF 0.5, https://ngff.openmicroscopy.org/0.5/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from wsi_pipeline.errors import StoreError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.store.codecs import disk_faults, fast_codecs
from wsi_pipeline.store.metadata import (
    IMAGE,
    LABELS,
    NGFF_VERSION,
    PLANES,
    PROBABILITIES,
    Plane,
    level_shapes,
    plane_metadata,
)

_OWN = "wsi_pipeline"


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """How arrays are cut up on disk.

    Parameters
    ----------
    shard_px
        Edge of a shard: the write box of a tile.
    chunk_px
        Edge of a chunk inside it; divides ``shard_px``.
    compression
        zstd level inside blosc.
    """

    shard_px: int
    chunk_px: int
    compression: int = 1


def create_segmentation(
    path: Path, *, grid: Grid, layout: StoreLayout, attributes: Mapping[str, Any]
) -> None:
    """Write the metadata of an empty segmentation.

    Parameters
    ----------
    path
        Folder to make; must not exist.
    grid
        Plane of the arrays at full resolution.
    layout
        Sizes of shards and chunks.
    attributes
        Provenance and the like, kept under the key ``wsi_pipeline``.

    Raises
    ------
    StoreError
        If the folder is there already or cannot be made.
    """
    if path.exists():
        raise StoreError(f"{path} exists already; remove it or choose another output")
    try:
        root = zarr.create_group(path, zarr_format=3)
        root.create_group("labels").attrs["ome"] = {"version": NGFF_VERSION, "labels": ["tissue"]}
        for plane in PLANES:
            group = root if plane.path == IMAGE else root.create_group(plane.path)
            group.attrs["ome"] = plane_metadata(plane, grid)
            for level, shape in enumerate(level_shapes(grid)):
                _create_array(group, str(level), plane=plane, shape=shape, layout=layout)
        root.attrs[_OWN] = {**attributes, "grid": grid.to_json()}
    except OSError as fault:
        raise StoreError(f"{path} cannot be written: {fault}") from fault


class Segmentation:
    """An open segmentation.

    Parameters
    ----------
    path
        Folder of the OME-Zarr group.
    mode
        ``r`` to read, ``r+`` to write tiles into it.

    Raises
    ------
    StoreError
        If there is no segmentation of this pipeline at ``path``.
    """

    def __init__(self, path: Path, *, mode: str = "r") -> None:
        try:
            self._root = zarr.open_group(path, mode="r+" if mode == "r+" else "r", zarr_format=3)
            own: Any = self._root.attrs[_OWN]
            self.grid = Grid.from_json(own["grid"])
        except (OSError, KeyError, TypeError, ValueError) as fault:
            raise StoreError(
                f"{path} is not a segmentation ({fault}); run 'wsi-pipeline segment' again"
            ) from fault
        self.path = path
        self._arrays: dict[tuple[str, int], zarr.Array[Any]] = {}
        self.attributes: dict[str, Any] = dict(own)
        self.levels = len(level_shapes(self.grid))

    def array(self, plane: str, level: int = 0) -> zarr.Array[Any]:
        """Array of one multiscale (`IMAGE`, `LABELS` or `PROBABILITIES`) at one level."""
        if (plane, level) not in self._arrays:
            with fast_codecs():
                node = self._root[f"{plane}/{level}".strip("/")]
            if not isinstance(node, zarr.Array):
                raise StoreError(f"{self.path} has no level {level} of '{plane or 'image'}'")
            self._arrays[plane, level] = node
        return self._arrays[plane, level]

    def level_grid(self, level: int) -> Grid:
        """Plane of one pyramid level."""
        shape = level_shapes(self.grid)[level]
        return Grid(shape, self.grid.mpp * 2**level, self.grid.origin_um)

    def read_image(self, level: int = 0) -> NDArray[np.uint8]:
        """RGB (Y, X, 3) uint8 of a whole level."""
        return np.moveaxis(np.asarray(self.array(IMAGE, level)[:], np.uint8), 0, -1)

    def read_labels(self, level: int = 0) -> NDArray[np.uint8]:
        """Label map (Y, X) uint8 of a whole level."""
        return np.asarray(self.array(LABELS, level)[:], np.uint8)

    def read_probabilities(self, box: Box) -> NDArray[np.float32]:
        """Probabilities (C, Y, X) float32 in [0, 1] of a box at full resolution."""
        stored = np.asarray(self.array(PROBABILITIES)[(slice(None), *box.slices)], np.uint8)
        return stored.astype(np.float32) / np.float32(255.0)

    def annotate(self, notes: Mapping[str, Any]) -> None:
        """Add entries to the attributes."""
        self.attributes |= notes
        self._root.attrs[_OWN] = self.attributes

    def write_tile(
        self,
        box: Box,
        *,
        rgb: NDArray[np.uint8],
        probabilities: NDArray[np.uint8],
        labels: NDArray[np.uint8],
    ) -> None:
        """Write what one tile decides; nobody else writes to its shard.

        Parameters
        ----------
        box
            Write box at full resolution; it lies in one shard.
        rgb : (Y, X, 3) uint8
            Image.
        probabilities : (C, Y, X) uint8
            ``round(255 · p)``.
        labels : (Y, X) uint8
            Classes.
        """
        self.write(IMAGE, 0, box, np.moveaxis(rgb, -1, 0))
        self.write(PROBABILITIES, 0, box, probabilities)
        self.write(LABELS, 0, box, labels)

    def write(self, plane: str, level: int, box: Box, values: NDArray[np.uint8]) -> None:
        """Write (…, Y, X) uint8 values of a box of one level.

        Raises
        ------
        OSError
            If the disk fails or is full; the shard that was being written is gone then.
        """
        with disk_faults(self._files(plane, level, box)):
            self.array(plane, level)[(..., *box.slices)] = values

    def tile_files(self, box: Box) -> tuple[Path, ...]:
        """Files that `write_tile` writes for a box, one a plane; one that is all glass has none."""
        return tuple(next(self._files(plane.path, 0, box)) for plane in PLANES)

    def has_stored(self, plane: str, level: int, box: Box) -> bool:
        """Whether a file holds anything of a box of one level; where none does it is all glass."""
        return any(file.exists() for file in self._files(plane, level, box))

    def _files(self, plane: str, level: int, box: Box) -> Iterator[Path]:
        """Files of the shards that a box touches, there or not, the top-left one first."""
        array = self.array(plane, level)
        edge_px = (array.shards or array.chunks)[-1]
        rows, columns = array.shape[-2:]
        shards = (box & Box(0, 0, rows, columns)).coarsened(edge_px)
        for row in range(shards.top, shards.bottom):
            for column in range(shards.left, shards.right):
                place = (*([0] * (array.ndim - 2)), row, column)
                key = array.metadata.encode_chunk_key(place)
                yield self.path / plane / str(level) / key


def _create_array(
    group: zarr.Group, name: str, *, plane: Plane, shape: tuple[int, int], layout: StoreLayout
) -> None:
    channels = (plane.channels,) if plane.channels else ()
    chunk_channels = (plane.chunk_channels,) if plane.channels else ()
    group.create_array(
        name,
        shape=(*channels, *shape),
        chunks=(*chunk_channels, layout.chunk_px, layout.chunk_px),
        shards=(*channels, layout.shard_px, layout.shard_px),
        dtype="uint8",
        fill_value=plane.fill,
        compressors=BloscCodec(cname="zstd", clevel=layout.compression, shuffle="bitshuffle"),
        dimension_names=("c", "y", "x") if plane.channels else ("y", "x"),
    )
