"""The verb ``run``: all cases of a table, through Snakemake.

1. Table and settings are checked first; nothing runs if either is at fault.
2. Snakemake computes whatever can be computed; a failed slide does not stop the others.
3. If something failed, Snakemake is asked once more, for the reports only; the slides
   without results are then named in them with their reasons.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import yaml

from wsi_pipeline.cli.guard import FAILED
from wsi_pipeline.cli.inputs import merge_overrides, read_cases, read_settings, read_yaml
from wsi_pipeline.cli.options import Model, Overrides, SettingsFile
from wsi_pipeline.errors import ConfigError, StoreError
from wsi_pipeline.stages.artefacts import write_text
from wsi_pipeline.stages.resources import share_folder


@dataclass(frozen=True, slots=True)
class Workflow:
    """One Snakemake run, as it is called again and again with other targets.

    Parameters
    ----------
    out
        Folder of the results; Snakemake keeps its own notes there too.
    config
        Configuration file of the workflow.
    options
        Options for Snakemake, as on its command line.
    """

    out: Path
    config: Path
    options: tuple[str, ...]

    def run(self, *extra: str) -> int:
        """Start Snakemake and wait for it; give its exit code."""
        command = [
            *(sys.executable, "-m", "snakemake"),
            *("--snakefile", str(share_folder() / "Snakefile")),
            *("--directory", str(self.out)),
            *("--configfile", str(self.config)),
            *self.options,
            *extra,
        ]
        # Its own tools come from the same environment, also where that is not activated.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return subprocess.run(command, check=False, env={**os.environ, "PATH": path}).returncode


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
    config: SettingsFile = None,
    overrides: Overrides = None,
) -> None:
    """Segment, measure and report all slides of a case table."""
    changes = [*(overrides or ()), *([f"segment.model={json.dumps(model)}"] if model else [])]
    settings = merge_overrides(read_yaml(config) if config else {}, changes)
    read_settings(config, changes)
    read_cases(table)
    out = out.absolute()
    with _only_run(out):
        workflow = Workflow(
            out,
            _write_config(out, table, settings),
            ("--workflow-profile", str(_find_profile(profile)), *_cores(cores)),
        )
        code = _run_all(workflow, dry_run=dry_run)
    raise typer.Exit(code)


def _run_all(workflow: Workflow, *, dry_run: bool) -> int:
    """Compute, then report; give the exit code of the whole run."""
    if dry_run:
        return workflow.run("--dry-run")
    if workflow.run() == 0:
        return _summarise(workflow.out)
    typer.echo("Some slides failed; writing the reports without them.", err=True)
    if workflow.run("--config", "report_failures=True") != 0:
        typer.echo(
            f"The reports could not be written; see the logs in {workflow.out}/logs", err=True
        )
    _summarise(workflow.out)
    return FAILED


def _summarise(out: Path) -> int:
    """Say where the results are and name what failed."""
    table = out / "cohort.csv"
    if not table.is_file():
        return FAILED
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    failed = [row for row in rows if row["status"] != "done"]
    typer.echo(f"{len(rows) - len(failed)} of {len(rows)} slides done")
    for page in sorted(out.glob("cases/*/report.html")):
        typer.echo(f"report: {page}")
    typer.echo(f"cohort: {out / 'cohort.html'}")
    for row in failed:
        typer.echo(f"failed: {row['slide_id']} ({row['stage']}): {row['reason']}", err=True)
    return FAILED if failed else 0


@contextmanager
def _only_run(out: Path) -> Iterator[None]:
    """Hold the output folder; the lock goes with the process, however it ends."""
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
        yield


def _drop_stale_locks(out: Path) -> None:
    """Remove the lock files of a Snakemake that was killed: ours shows that none is running."""
    for lock in out.glob(".snakemake/locks/*"):
        lock.unlink()


def _write_config(out: Path, table: Path, settings: dict[str, object]) -> Path:
    """Resolved configuration of this run, kept with the results."""
    path = out / "run.yaml"
    content = {"cases": str(table.absolute()), "out": str(out), "settings": settings}
    write_text(path, yaml.safe_dump(content, sort_keys=False))
    return path


def _find_profile(name: str) -> Path:
    shipped = share_folder() / "workflows" / "profiles"
    for folder in (shipped / name, Path(name)):
        if list(folder.glob("config*.yaml")):
            return folder.absolute()
    known = sorted(folder.parent.name for folder in shipped.glob("*/config.yaml"))
    raise ConfigError(f"no profile '{name}' (there are: {', '.join(known)}; or give a folder)")


def _cores(cores: int | None) -> Sequence[str]:
    return ("--cores", str(cores) if cores else "all")
