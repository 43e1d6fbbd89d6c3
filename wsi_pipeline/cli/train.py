"""The verb ``train``: learn a model from phantoms and annotated slides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsi_pipeline.cli.inputs import read_annotated_table, read_settings
from wsi_pipeline.cli.options import Overrides, SettingsFile
from wsi_pipeline.cli.progress import show_progress

if TYPE_CHECKING:
    from wsi_pipeline.stages.annotated import AnnotatedSlides


def train(
    *,
    out: Annotated[Path, typer.Option(help="Model folder to write; its name is the model's id.")],
    workers: Annotated[
        int | None, typer.Option(help="Cores to use.", show_default="all cores")
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Table of annotated slides: path, annotations, mpp.", metavar="TABLE.tsv"
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--from", help="Model to start from: id or folder.")
    ] = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
) -> None:
    """Learn a segmenter from phantoms and annotated slides; a killed run goes on where it was."""
    from wsi_pipeline.stages.annotated import read_annotated  # noqa: PLC0415
    from wsi_pipeline.stages.segment import available_cores  # noqa: PLC0415
    from wsi_pipeline.stages.start import start_from  # noqa: PLC0415
    from wsi_pipeline.stages.train import train_model  # noqa: PLC0415

    settings = read_settings(config, overrides or ())
    table = read_annotated_table(annotations) if annotations else ()
    start = start_from(base, settings.train) if base else None
    annotated = read_annotated(table, config=settings) if table else None
    if annotated:
        _tell_slides(annotated)
    with show_progress("train", unit="steps") as tell:
        result = train_model(
            settings,
            out=out,
            workers=workers or available_cores(),
            start=start,
            annotated=annotated,
            on_progress=tell,
        )
    _tell_score(out, result.score, before=result.before)


def _tell_slides(annotated: AnnotatedSlides) -> None:
    held_out, (unclassified, others) = len(annotated.held_out), annotated.left_out
    typer.echo(f"{annotated.slides} annotated slides, {held_out} of them held out")
    if unclassified:
        typer.echo(f"left out: {unclassified} annotations without a class", err=True)
    if others:
        typer.echo(f"left out: {others} objects that are no annotations", err=True)


def _tell_score(out: Path, score: float, *, before: float | None) -> None:
    earlier = "" if before is None else f" ({before:.3f} before training)"
    typer.echo(f"{out}: mean Dice {score:.3f}{earlier} on what was held out")
    if before is not None and score <= before:
        typer.echo("no better than the model it started from", err=True)
