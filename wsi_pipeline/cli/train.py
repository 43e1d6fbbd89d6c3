"""The verb ``train``: learn a model from phantoms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsi_pipeline.cli.inputs import read_settings
from wsi_pipeline.cli.options import Overrides, SettingsFile
from wsi_pipeline.cli.progress import show_progress


def train(
    *,
    out: Annotated[Path, typer.Option(help="Model folder to write; its name is the model's id.")],
    workers: Annotated[int | None, typer.Option(help="Painters.", show_default="all cores")] = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
) -> None:
    """Learn a segmenter from painted phantoms; a run that was killed goes on where it was."""
    from wsi_pipeline.stages.segment import available_cores  # noqa: PLC0415
    from wsi_pipeline.stages.train import train_model  # noqa: PLC0415

    settings = read_settings(config, overrides or ())
    with show_progress("train", unit="steps") as tell:
        result = train_model(
            settings, out=out, workers=workers or available_cores(), on_progress=tell
        )
    typer.echo(f"{out}: mean Dice {result.score:.3f} on held-out phantoms, {result.steps} steps")
