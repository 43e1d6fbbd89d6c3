"""The verb ``export``: results in the form another program reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from wsi_pipeline.cli.guard import FAILED, explain
from wsi_pipeline.cli.inputs import read_settings
from wsi_pipeline.cli.options import AsJson, Overrides, SettingsFile
from wsi_pipeline.cli.output import answer
from wsi_pipeline.errors import ConfigError, WsiPipelineError
from wsi_pipeline.stages.forms import ExportForm


def export(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Folders of slides in the results (slides/SLIDE_ID), or of a whole run.",
            exists=True,
            file_okay=False,
        ),
    ],
    *,
    form: Annotated[
        ExportForm, typer.Option("--format", "-f", help="What to write; see below.")
    ] = "annotations",
    nuclei: Annotated[
        bool, typer.Option("--nuclei", help="qupath: also the nuclei, as cells.")
    ] = False,
    tolerance_um: Annotated[
        float | None,
        typer.Option(
            help="qupath, geoparquet: how far outlines may be simplified, µm; 0 keeps all pixels.",
            show_default="2",
        ),
    ] = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Write results in a form that another program reads, beside the results.

    annotations: annotations.geojson.gz, outlines to correct in QuPath, without specks.

    qupath: overlay.geojson.gz, outlines of every piece of every class, with --nuclei cells too.

    geoparquet: nests.parquet, one polygon per nest of tumour; nuclei.parquet is GeoParquet already.

    measurements: checks measurements.json and writes measurements.schema.json, its JSON Schema.

    ome-zarr-0.4: segmentation-0.4.ome.zarr, for programs that do not read OME-Zarr 0.5.

    dicom-seg: segmentation.dcm, a DICOM segmentation of a DICOM slide; needs the extra 'dicom'.

    spatialdata: spatialdata.zarr, for scverse; needs the extra 'spatialdata'.

    Files appear when they are whole; what was there is replaced.
    """
    from wsi_pipeline.stages.exports import export_as  # noqa: PLC0415

    if nuclei and form != "qupath":
        raise ConfigError(f"--nuclei goes with --format qupath, not with {form}; leave it out")
    words = [*(overrides or ())]
    if tolerance_um is not None:
        words.append(f"export.tolerance_um={tolerance_um}")
    settings = read_settings(config, words)
    slides = [slide for folder in folders for slide in _slides_in(folder)]
    written: list[Path] = []
    failed: list[dict[str, str]] = []
    for folder in slides:
        try:
            written.append(export_as(form, folder, config=settings, nuclei=nuclei))
        except WsiPipelineError as fault:
            if len(slides) == 1 or isinstance(fault, ConfigError):
                raise
            typer.echo(f"failed: {folder}: {explain(fault)}", err=True)
            failed.append({"folder": str(folder), "reason": explain(fault)})
    told = {"written": written, "failed": failed}
    answer(told, *(f"{path}" for path in written), as_json=as_json)
    if failed:
        raise typer.Exit(FAILED)


def _slides_in(folder: Path) -> Iterator[Path]:
    """Folder of a slide as it is; of a run, those of its slides that were read."""
    found = sorted(record.parent for record in folder.glob("slides/*/slide.json"))
    yield from found or [folder]
