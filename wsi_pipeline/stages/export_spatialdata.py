"""``segmentation.ome.zarr``, ``nuclei.parquet``, ``nests.parquet`` → ``spatialdata.zarr``."""

from __future__ import annotations

from pathlib import Path

from wsi_pipeline.spatial_data import Rasters, write_spatialdata
from wsi_pipeline.stages.artefacts import whole
from wsi_pipeline.stages.export import SlideResults
from wsi_pipeline.stages.export_tables import filled_tables
from wsi_pipeline.store import IMAGE, LABELS, PROBABILITIES

SCHEMA = "wsi_pipeline/spatialdata/1"
SPATIALDATA = "spatialdata.zarr"


def export(folder: Path) -> Path:
    """Write the results of a slide as a SpatialData store.

    Parameters
    ----------
    folder
        Holds ``slide.json`` and ``segmentation.ome.zarr`` of one slide; nuclei and nests go with
        them where their tables are there and not empty.

    Returns
    -------
    Path
        ``spatialdata.zarr`` in the same folder.

    Raises
    ------
    StoreError
        If an input is missing, not of the same slide, or a table of an earlier version.
    """
    results = SlideResults.open(folder)
    store = results.store
    image, labels, probabilities = (store.array(plane) for plane in (IMAGE, LABELS, PROBABILITIES))
    rasters = Rasters(image, labels, probabilities, store.grid, store.levels)
    about = results.about(SCHEMA, settings={})
    with whole(folder / SPATIALDATA) as partial:
        write_spatialdata(partial, rasters, tables=filled_tables(results), attributes=about)
    return folder / SPATIALDATA
