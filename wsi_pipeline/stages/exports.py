"""Results → the form another program reads: which stage writes which form?

Forms that need an optional library import their stage only when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Literal

from wsi_pipeline.config import Config
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.stages.export import export_annotations, export_overlay
from wsi_pipeline.stages.export_stores import export_ngff04
from wsi_pipeline.stages.export_tables import export_nests, export_schema
from wsi_pipeline.stages.forms import ExportForm


def export_as(form: ExportForm, folder: Path, *, config: Config, nuclei: bool = False) -> Path:
    """Write the results of one slide in another form, beside them.

    Parameters
    ----------
    form
        What to write.
    folder
        Results of one slide.
    config
        Settings.
    nuclei
        Whether nuclei go with the outlines for QuPath.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ConfigError
        If an optional library is not installed.
    StoreError
        If an input is missing or cannot be written in this form.
    """
    writers: dict[ExportForm, Callable[[], Path]] = {
        "annotations": lambda: export_annotations(folder, config=config),
        "qupath": lambda: export_overlay(folder, config=config, nuclei=nuclei),
        "geoparquet": lambda: export_nests(folder, config=config),
        "measurements": lambda: export_schema(folder),
        "ome-zarr-0.4": lambda: export_ngff04(folder),
        "dicom-seg": lambda: _optional("dicom")(folder),
        "spatialdata": lambda: _optional("spatialdata")(folder),
    }
    return writers[form]()


def _optional(extra: Literal["dicom", "spatialdata"]) -> Callable[[Path], Path]:
    """Stage that needs the libraries of an extra."""
    try:
        stage = import_module(f"wsi_pipeline.stages.export_{extra}")
    except ModuleNotFoundError as fault:
        raise ConfigError(
            f"this form needs the library {fault.name!r}, which is not installed; run: pip install "
            f"'wsi-pipeline[{extra}]'"
        ) from fault
    write: Callable[[Path], Path] = stage.export
    return write
