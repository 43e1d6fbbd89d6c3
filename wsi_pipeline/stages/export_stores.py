"""``segmentation.ome.zarr`` → the same planes as OME-Zarr 0.4."""

from __future__ import annotations

from pathlib import Path

from wsi_pipeline.stages.artefacts import whole
from wsi_pipeline.stages.export import SlideResults
from wsi_pipeline.store import copy_as_ngff04

NGFF04 = "segmentation-0.4.ome.zarr"


def export_ngff04(folder: Path) -> Path:
    """Write the segmentation of a slide as OME-Zarr 0.4 (zarr v2).

    Parameters
    ----------
    folder
        Holds ``slide.json`` and ``segmentation.ome.zarr`` of one slide.

    Returns
    -------
    Path
        ``segmentation-0.4.ome.zarr`` in the same folder.

    Raises
    ------
    StoreError
        If an input is missing or not of the same slide.
    """
    results = SlideResults.open(folder)
    with whole(folder / NGFF04) as partial:
        copy_as_ngff04(results.store, partial)
    return folder / NGFF04
