"""The verb ``run``: all cases of a table, through Snakemake.

1. Table, settings and model are checked first; nothing runs if any is at fault.
2. Snakemake computes whatever can be computed; a failed slide does not stop the others.
3. If something failed, Snakemake is asked once more, for the reports only; the slides
   without results are then named in them with their reasons.
"""

from __future__ import annotations

import csv
import fcntl
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer
import yaml

from wsi_pipeline.cli.guard import FAILED
from wsi_pipeline.cli.inputs import (
    CaseRow,
    merge_overrides,
    read_cases,
    read_settings,
    read_yaml,
)
from wsi_pipeline.cli.options import Model, Overrides, Precision, SettingsFile
from wsi_pipeline.cli.snakemake import INTERRUPTED, Workflow
from wsi_pipeline.errors import ConfigError, StoreError, WsiPipelineError
from wsi_pipeline.stages.artefacts import write_text
from wsi_pipeline.stages.resources import is_shipped, model_card, share_folder


def run(
    table: Annotated[Path, typer.Argument(metavar="CASES.tsv", help="Case table.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    cores: Annotated[int | None, typer.Option(help="Cores to use.", show_default="all")] = None,
    profile: Annotated[
        str, typer.Option(help="Workflow profile: a name under workflows/profiles or a folder.")
    ] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")
    ] = False,
    model: Model = None,
    precision: Precision = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
) -> None:
    """Segment, measure and report all slides of a case table."""
    named = {"model": model, "precision": precision}
    options = [f"segment.{name}={json.dumps(value)}" for name, value in named.items() if value]
    changes = [*(overrides or ()), *options]
    rows, settings = _check_inputs(table, config=config, changes=changes)
    content = {"cases": str(table.absolute()), "out": ".", "settings": settings}
    flags = (
        *("--workflow-profile", str(_find_profile(profile))),
        *("--cores", str(cores) if cores else "all"),
    )
    out = out.absolute()
    with _only_run(out) as lock:
        workflow = Workflow(out, lock.fileno(), flags)
        if dry_run:
            raise typer.Exit(_try_run(workflow, content))
        path = out / "run.yaml"
        write_text(path, yaml.safe_dump(content, sort_keys=False))
        raise typer.Exit(_run_all(workflow, config=path, rows=rows))


def _check_inputs(
    table: Path, *, config: Path | None, changes: list[str]
) -> tuple[tuple[CaseRow, ...], dict[str, Any]]:
    """Rows of the table and settings tree; every fault of both is named at once."""
    faults: list[str] = []
    rows: tuple[CaseRow, ...] = ()
    settings: dict[str, Any] = {}
    try:
        rows = read_cases(table)
    except WsiPipelineError as fault:
        faults.append(str(fault))
    try:
        settings = merge_overrides(read_yaml(config) if config else {}, changes)
        card = model_card(read_settings(config, changes).segment.model)
        if not is_shipped(card):
            # Snakemake works in the folder of the results, where a relative path means nothing.
            settings["segment"]["model"] = str(card.folder)
    except WsiPipelineError as fault:
        faults.append(str(fault))
    if faults:
        raise ConfigError("\n".join(faults))
    return rows, settings


def _run_all(workflow: Workflow, *, config: Path, rows: tuple[CaseRow, ...]) -> int:
    """Compute, then report; give the exit code of the whole run."""
    code = workflow.run(config)
    if code not in (0, INTERRUPTED):
        typer.echo("Some slides failed; writing the reports without them.", err=True)
        code = workflow.run(config, "--config", "report_failures=True")
    if code == INTERRUPTED:
        typer.echo("Interrupted; run the same command again to go on.", err=True)
        return code
    if code != 0:
        typer.echo(f"Not everything could be written; see {workflow.out}/logs", err=True)
        return FAILED
    return _summarise(workflow.out, rows)


def _try_run(workflow: Workflow, content: dict[str, Any]) -> int:
    """Show what would be done, leaving the configuration of finished results alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.yaml"
        write_text(path, yaml.safe_dump(content, sort_keys=False))
        return workflow.run(path, "--dry-run")


def _summarise(out: Path, rows: tuple[CaseRow, ...]) -> int:
    """Say where the results are and name what failed."""
    with (out / "cohort.csv").open(newline="", encoding="utf-8") as file:
        slides = list(csv.DictReader(file))
    failed = [slide for slide in slides if slide["status"] != "done"]
    typer.echo(f"{len(slides) - len(failed)} of {len(slides)} slides done")
    for case_id in dict.fromkeys(row.declared.case_id for row in rows):
        typer.echo(f"report: {out / 'cases' / case_id / 'report.html'}")
    typer.echo(f"cohort: {out / 'cohort.html'}")
    for slide in failed:
        typer.echo(f"failed: {slide['slide_id']} ({slide['stage']}): {slide['reason']}", err=True)
    return FAILED if failed else 0


@contextmanager
def _only_run(out: Path) -> Iterator[IO[str]]:
    """Hold the output folder: the lock lasts as long as this process or its Snakemake lives."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".run.lock").open("w")
    except OSError as fault:
        raise StoreError(f"{out} cannot be written: {fault.strerror}") from fault
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise ConfigError(f"another run is writing to {out}; wait for it") from fault
        _drop_stale_locks(out)
        yield lock


def _drop_stale_locks(out: Path) -> None:
    """Remove what a Snakemake that was killed left locked; none of ours is alive here."""
    for lock in out.glob(".snakemake/locks/*"):
        lock.unlink()


def _find_profile(name: str) -> Path:
    shipped = share_folder() / "workflows" / "profiles"
    for folder in (shipped / name, Path(name)):
        if list(folder.glob("config*.yaml")):
            return folder.absolute()
    known = sorted(folder.parent.name for folder in shipped.glob("*/config.yaml"))
    raise ConfigError(f"no profile '{name}' (there are: {', '.join(known)}; or give a folder)")
