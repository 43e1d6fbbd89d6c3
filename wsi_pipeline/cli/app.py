"""Which verbs are there?

``wsi-pipeline VERB`` hands its options to one stage and says where the result is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import wsi_pipeline
from wsi_pipeline.cli import doctor, phantoms, reports, run, slides
from wsi_pipeline.cli.guard import GuardedGroup

app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Dermal infiltration by skin metastases, measured on H&E whole-slide images. "
    "For research use only.",
    epilog="Exit codes: 0 done · 1 some slides failed and are named · 2 bad usage or input.",
)
app.command()(run.run)
app.command()(slides.inspect)
app.command()(slides.tile)
app.command()(slides.segment)
app.command()(slides.measure)
app.add_typer(reports.app, name="report")
app.command()(phantoms.phantom)
app.command()(doctor.doctor)


def main() -> None:
    """Entry point of the command ``wsi-pipeline``."""
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wsi-pipeline {wsi_pipeline.__version__}")
        raise typer.Exit


@app.callback()
def begin(
    failure: Annotated[
        Path | None, typer.Option(help="Leave the reason of a failure in this file.")
    ] = None,
    failure_log: Annotated[Path | None, typer.Option(help="Log to name in that file.")] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that come before the verb."""
