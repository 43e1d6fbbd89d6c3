"""How do scverse's programs see a slide?

1. Image, tissue labels and probabilities become rasters with pyramids; tables of places become
   shapes: a nucleus is a circle of its area.
2. All of them meet in the coordinate system ``global``: µm from the top-left corner of level 0,
   x to the right and y downwards.
3. Pixels are copied chunk by chunk.

References
----------
Marconato et al. 2024, doi:10.1038/s41592-024-02212-x (SpatialData).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array
import geopandas
import numpy as np
import spatialdata
from spatialdata.models import Image2DModel, Labels2DModel, ShapesModel
from spatialdata.transformations import Identity, Scale, Translation
from spatialdata.transformations import Sequence as Steps

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.geometry import Grid

_CHUNK_PX = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Rasters:
    """Planes of one grid.

    Parameters
    ----------
    image, labels, probabilities
        Arrays (3, Y, X), (Y, X) and (C, Y, X), uint8, that can be read in parts.
    grid
        Their place on the glass.
    levels
        Number of levels of their pyramids.
    """

    image: Any
    labels: Any
    probabilities: Any
    grid: Grid
    levels: int


def write_spatialdata(
    path: Path, rasters: Rasters, *, tables: Mapping[str, Path], attributes: Mapping[str, Any]
) -> None:
    """Write a slide as a SpatialData store.

    Parameters
    ----------
    path
        Folder to make; must not exist.
    rasters
        Planes.
    tables
        GeoParquet by name, in µm; points have their ``area_um2``.
    attributes
        What else is known, as plain data; kept under the key ``wsi_pipeline``.
    """
    store = spatialdata.SpatialData(
        images={
            "image": _image(rasters.image, rasters, channels=("red", "green", "blue")),
            "probabilities": _image(rasters.probabilities, rasters, channels=CLASS_NAMES),
        },
        labels={"tissue": _labels(rasters)},
        shapes={name: _shapes(table) for name, table in tables.items()},
        attrs={"wsi_pipeline": dict(attributes)},
    )
    store.write(path)


def _image(array: Any, rasters: Rasters, *, channels: Sequence[str]) -> Any:
    return Image2DModel.parse(
        dask.array.from_array(array, chunks=(len(channels), _CHUNK_PX, _CHUNK_PX)),
        dims=("c", "y", "x"),
        c_coords=list(channels),
        scale_factors=[2] * (rasters.levels - 1) or None,
        transformations={"global": _to_um(rasters.grid)},
    )


def _labels(rasters: Rasters) -> Any:
    return Labels2DModel.parse(
        dask.array.from_array(rasters.labels, chunks=(_CHUNK_PX, _CHUNK_PX)),
        dims=("y", "x"),
        scale_factors=[2] * (rasters.levels - 1) or None,
        transformations={"global": _to_um(rasters.grid)},
    )


def _to_um(grid: Grid) -> Steps:
    """From pixels, whose corners are whole numbers, to µm."""
    down_um, right_um = grid.origin_um
    return Steps(
        [
            Scale([grid.mpp, grid.mpp], axes=("y", "x")),
            Translation([down_um, right_um], axes=("y", "x")),
        ]
    )


def _shapes(table: Path) -> Any:
    frame = geopandas.read_parquet(table)
    if (frame.geometry.geom_type == "Point").all():
        frame["radius"] = np.sqrt(frame["area_um2"] / np.pi)
    return ShapesModel.parse(frame, transformations={"global": Identity()})
