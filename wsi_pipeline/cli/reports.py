"""The verb ``report``: one page per case, and one over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsi_pipeline.cli.guard import FAILED
from wsi_pipeline.cli.inputs import CaseRow, read_cases
from wsi_pipeline.cli.options import AsJson
from wsi_pipeline.cli.output import answer
from wsi_pipeline.errors import CaseTableError, ConfigError

app = typer.Typer(no_args_is_help=True, help="Write the page of a case, or of the cohort.")
Table = Annotated[Path, typer.Argument(metavar="CASES.tsv", help="Case table.")]


@app.command()
def case(
    table: Table,
    case_id: Annotated[str, typer.Argument(metavar="CASE", help="case_id in the table.")],
    *,
    slides: Annotated[
        str, typer.Option(help="Folder of a slide's artefacts, with {slide_id} in it.")
    ],
    html: Annotated[Path, typer.Option(help="Write the page here.")],
    data: Annotated[Path, typer.Option(help="Write the data (report.json) here.")],
    as_json: AsJson = False,
) -> None:
    """Write the page of one case; slides without results are named with their reason."""
    from wsi_pipeline.stages.report import SlideFolder, report_case  # noqa: PLC0415

    rows = _rows_by_case(table).get(case_id)
    if rows is None:
        raise CaseTableError(f"{table} has no case '{case_id}'")
    sites = [row.declared.primary_site for row in rows if row.declared.primary_site]
    failed = report_case(
        case_id,
        [
            SlideFolder(
                _filled(slides, "slide_id", row.declared.slide_id), row.declared, file=row.path
            )
            for row in rows
        ],
        primary_site=sites[0] if sites else "",
        html=html,
        json=data,
    )
    told = {"html": html, "data": data, "slides": len(rows), "failed": failed}
    line = f"{html}" + (f" ({failed} of {len(rows)} slides failed)" if failed else "")
    answer(told, line, as_json=as_json)


@app.command()
def cohort(
    table: Table,
    *,
    cases: Annotated[str, typer.Option(help="report.json of a case, with {case_id} in it.")],
    html: Annotated[Path, typer.Option(help="Write the page here.")],
    csv: Annotated[Path, typer.Option(help="Write the table here.")],
    parquet: Annotated[
        Path | None, typer.Option(help="Write the table with types, units and intervals here.")
    ] = None,
    strict: Annotated[bool, typer.Option(help="Exit with 1 if a slide failed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the page and the table over all cases."""
    from wsi_pipeline.stages.report import report_cohort  # noqa: PLC0415

    by_case = _rows_by_case(table)
    rows = report_cohort(
        {case_id: [row.declared.slide_id for row in rows] for case_id, rows in by_case.items()},
        case_json={case_id: _filled(cases, "case_id", case_id) for case_id in by_case},
        html=html,
        csv=csv,
        parquet=parquet,
    )
    failed = [row for row in rows if row.status == "failed"]
    named = [{"slide_id": row.slide_id, "stage": row.stage, "reason": row.reason} for row in failed]
    told = {"html": html, "csv": csv, "parquet": parquet, "slides": len(rows), "failed": named}
    answer(told, f"{html}", as_json=as_json)
    for row in failed:
        typer.echo(f"failed: {row.slide_id} ({row.stage}): {row.reason}", err=True)
    if strict and failed:
        raise typer.Exit(FAILED)


def _filled(pattern: str, field: str, name: str) -> Path:
    """Path in which a name stands for ``{field}``; other braces are left alone."""
    place = f"{{{field}}}"
    if place not in pattern:
        raise ConfigError(f"'{pattern}' must hold {place}, or all results come from one place")
    return Path(pattern.replace(place, name))


def _rows_by_case(table: Path) -> dict[str, list[CaseRow]]:
    grouped: dict[str, list[CaseRow]] = {}
    for row in read_cases(table, check_files=False):
        grouped.setdefault(row.declared.case_id, []).append(row)
    return grouped
