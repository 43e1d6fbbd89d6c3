"""The verb ``doctor``: is this installation fit to work?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wsi_pipeline.cli.guard import FAILED
from wsi_pipeline.cli.options import AsJson


def doctor(
    out: Annotated[Path, typer.Option(help="Folder that results would be written to.")] = Path(),
    *,
    as_json: AsJson = False,
) -> None:
    """Check packages, slide back-ends, models, processor and disk."""
    from wsi_pipeline.stages.doctor import examine  # noqa: PLC0415

    findings = examine(out)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            typer.echo(
                f"{'ok  ' if finding.is_good else 'BAD '} {finding.subject}: {finding.detail}"
            )
    if not all(finding.is_good for finding in findings):
        raise typer.Exit(FAILED)
