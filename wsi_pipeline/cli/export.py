"""The verb ``export``: results in the form another program reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from wsi_pipeline.cli.guard import FAILED, explain
from wsi_pipeline.cli.inputs import read_settings
from wsi_pipeline.cli.options import Overrides, SettingsFile
from wsi_pipeline.errors import WsiPipelineError

Form = Literal["qupath"]


def export(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Folders of slides in the results: slides/SLIDE_ID.",
            exists=True,
            file_okay=False,
        ),
    ],
    *,
    to: Annotated[
        Form, typer.Option(help="qupath: annotations.geojson.gz, outlines of the classes.")
    ] = "qupath",
    config: SettingsFile = None,
    overrides: Overrides = None,
) -> None:
    """Write what a segmentation shows as outlines to look at and correct in QuPath."""
    from wsi_pipeline.stages.export import export_annotations  # noqa: PLC0415

    settings = read_settings(config, overrides or ())
    write = {"qupath": export_annotations}[to]
    failed = 0
    for folder in folders:
        try:
            typer.echo(f"{write(folder, config=settings)}")
        except WsiPipelineError as fault:
            if len(folders) == 1:
                raise
            typer.echo(f"failed: {folder}: {explain(fault)}", err=True)
            failed += 1
    if failed:
        raise typer.Exit(FAILED)
