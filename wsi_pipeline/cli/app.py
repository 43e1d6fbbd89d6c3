"""Which verbs are there?

``wsi-pipeline VERB`` hands its options to one stage and says where the result is.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import wsi_pipeline
from wsi_pipeline.cli import doctor, export, phantoms, reports, run, slides, train, view
from wsi_pipeline.cli.guard import run_guarded

app = typer.Typer(
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
app.command()(slides.nuclei)
app.command()(slides.measure)
app.command()(export.export)
app.add_typer(reports.app, name="report")
app.command()(view.view)
app.command()(phantoms.phantom)
app.command()(train.train)
app.command()(train.quantise)
app.command()(doctor.doctor)


def main() -> None:
    """Entry point of the command ``wsi-pipeline``."""
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "start")
    sys.exit(run_guarded(app, stage=verb))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wsi-pipeline {wsi_pipeline.__version__}")
        raise typer.Exit


@app.callback()
def begin(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that come before the verb."""
