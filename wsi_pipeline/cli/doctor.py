"""The verb ``doctor``: is this installation fit to work?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsi_pipeline.cli.guard import FAILED
from wsi_pipeline.cli.options import AsJson
from wsi_pipeline.cli.output import answer

if TYPE_CHECKING:
    from wsi_pipeline.stages.machine import Finding


def doctor(
    out: Annotated[Path, typer.Option(help="Folder that results would be written to.")] = Path(),
    *,
    as_json: AsJson = False,
) -> None:
    """Check packages, slide back-ends, models, processor, GPU, Slurm, memory and disk."""
    from wsi_pipeline.stages.doctor import examine  # noqa: PLC0415

    findings = examine(out)
    counts = {
        status: sum(finding.status == status for finding in findings)
        for status in ("ok", "warn", "fail")
    }
    lines = [_line(finding) for finding in findings]
    lines.append(f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed")
    document = {**counts, "findings": [asdict(finding) for finding in findings]}
    answer(document, *lines, as_json=as_json)
    if counts["fail"]:
        raise typer.Exit(FAILED)


def _line(finding: Finding) -> str:
    remedy = f"\n      → {finding.remedy}" if finding.remedy else ""
    return f"{finding.status:4}  {finding.subject}: {finding.detail}{remedy}"
