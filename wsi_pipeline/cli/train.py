"""The verbs that make models: ``train`` learns one, ``quantise`` writes it in eight bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsi_pipeline.cli.inputs import read_annotated_table, read_settings
from wsi_pipeline.cli.options import AsJson, Overrides, SettingsFile
from wsi_pipeline.cli.output import answer
from wsi_pipeline.cli.progress import show_progress
from wsi_pipeline.errors import ConfigError

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
    nuclei: Annotated[
        bool, typer.Option("--nuclei", help="Learn to outline nuclei, from phantoms alone.")
    ] = False,
    base: Annotated[
        str | None, typer.Option("--from", help="Model to start from: id or folder.")
    ] = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Learn a segmenter from phantoms and annotated slides; a killed run goes on where it was."""
    from wsi_pipeline.cores import available_cores  # noqa: PLC0415
    from wsi_pipeline.stages.annotated import read_annotated  # noqa: PLC0415
    from wsi_pipeline.stages.start import start_from  # noqa: PLC0415
    from wsi_pipeline.stages.train import train_model  # noqa: PLC0415

    if nuclei:
        if annotations or base:
            raise ConfigError(
                "--nuclei learns from phantoms alone; leave out --annotations, --from"
            )
        _train_nuclei(out, workers or available_cores(), config, overrides, as_json=as_json)
        return
    settings = read_settings(config, overrides or ())
    table = read_annotated_table(annotations) if annotations else ()
    start = start_from(base, settings.train) if base else None
    annotated = read_annotated(table, config=settings) if table else None
    if annotated:
        _tell_slides(annotated, as_json=as_json)
    with show_progress("train", unit="steps") as tell:
        result = train_model(
            settings,
            out=out,
            workers=workers or available_cores(),
            start=start,
            annotated=annotated,
            on_progress=tell,
        )
    _tell_score(out, result.score, before=result.before, as_json=as_json)


def quantise(
    model: Annotated[str, typer.Argument(help="Model id or folder.")],
    *,
    out: Annotated[Path, typer.Option(help="Model folder to write; may be the model's own.")],
    workers: Annotated[
        int | None, typer.Option(help="Cores that paint.", show_default="all cores")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model's network in eight bits as well, ranges learnt from phantoms."""
    from wsi_pipeline.cores import available_cores  # noqa: PLC0415
    from wsi_pipeline.stages.quantise import quantise_model  # noqa: PLC0415
    from wsi_pipeline.stages.resources import find_model  # noqa: PLC0415

    agreement = quantise_model(find_model(model), out=out, workers=workers or available_cores())
    line = f"{out}: {agreement:.2%} of held-out phantoms' tissue is called as in float32"
    answer({"out": out, "agreement": agreement}, line, as_json=as_json)


def _train_nuclei(
    out: Path,
    workers: int,
    config: Path | None,
    overrides: Sequence[str] | None,
    *,
    as_json: bool,
) -> None:
    from wsi_pipeline.stages.train_nuclei import NUCLEAR_TRAINING, train_nuclei  # noqa: PLC0415

    settings = read_settings(config, overrides or (), defaults={"train": NUCLEAR_TRAINING})
    with show_progress("train", unit="steps") as tell:
        result = train_nuclei(settings, out=out, workers=workers, on_progress=tell)
    _tell_score(out, result.score, before=None, as_json=as_json)


def _tell_slides(annotated: AnnotatedSlides, *, as_json: bool) -> None:
    held_out, (unclassified, others) = len(annotated.held_out), annotated.left_out
    typer.echo(f"{annotated.slides} annotated slides, {held_out} of them held out", err=as_json)
    if unclassified:
        typer.echo(f"left out: {unclassified} annotations without a class", err=True)
    if others:
        typer.echo(f"left out: {others} objects that are no annotations", err=True)


def _tell_score(out: Path, score: float, *, before: float | None, as_json: bool) -> None:
    earlier = "" if before is None else f" ({before:.3f} before training)"
    told = {"out": out, "mean_dice": score, "mean_dice_before": before}
    line = f"{out}: mean Dice {score:.3f}{earlier} on what was held out"
    answer(told, line, as_json=as_json)
    if before is not None and score <= before:
        typer.echo("no better than the model it started from", err=True)
