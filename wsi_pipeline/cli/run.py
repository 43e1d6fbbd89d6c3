"""The verb ``run``: all cases of a table, through Snakemake.

1. Table, settings and model are checked first; nothing runs if any is at fault.
2. Snakemake computes whatever can be computed; a failed slide does not stop the others.
3. If something failed, Snakemake is asked once more, for the reports only; the slides
   without results are then named in them with their reasons.
4. ``--retry-failed`` asks for the slides that have no results yet and leaves the others alone;
   ``--fresh`` forgets what stopped segmentations had finished.
"""

from __future__ import annotations

import csv
import fcntl
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, replace
from pathlib import Path
from typing import IO, Annotated, Any

import typer
import yaml

from wsi_pipeline.cli.forkserver import open_forks
from wsi_pipeline.cli.guard import FAILED
from wsi_pipeline.cli.inputs import (
    CaseRow,
    merge_overrides,
    read_cases,
    read_settings,
    read_yaml,
)
from wsi_pipeline.cli.options import AsJson, Model, Overrides, Precision, Runtime, SettingsFile
from wsi_pipeline.cli.output import answer
from wsi_pipeline.cli.snakemake import INTERRUPTED, Workflow
from wsi_pipeline.errors import ConfigError, StoreError, WsiPipelineError
from wsi_pipeline.stages.artefacts import write_text
from wsi_pipeline.stages.resources import is_shipped, model_card, nuclei_card, share_folder


def run(
    table: Annotated[Path, typer.Argument(metavar="CASES.tsv", help="Case table.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    cores: Annotated[
        int | None,
        typer.Option(help="Cores to use; on a cluster, at most so many a job.", show_default="all"),
    ] = None,
    profile: Annotated[
        str, typer.Option(help="Workflow profile: a name under workflows/profiles or a folder.")
    ] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Only slides that the last run did not finish.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute also what a stopped segmentation had finished.")
    ] = False,
    model: Model = None,
    precision: Precision = None,
    runtime: Runtime = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Segment, measure and report all slides of a case table."""
    named = {"model": model, "precision": precision, "runtime": runtime}
    options = [f"segment.{name}={json.dumps(value)}" for name, value in named.items() if value]
    changes = [*(overrides or ()), *options]
    rows, settings = _check_inputs(table, config=config, changes=changes)
    content = {"cases": str(table.absolute()), "out": ".", "settings": settings}
    folder = _find_profile(profile)
    asked = _read_profile(folder)
    flags = _profile_flags(folder, asked, cores)
    out = out.absolute()
    with _only_run(out) as lock:
        workflow = Workflow(out, lock.fileno(), flags)
        if dry_run:
            raise typer.Exit(_try_run(workflow, content))
        again = _unfinished(out, rows) if retry_failed else None
        if again is not None and not again:
            raise typer.Exit(_summarise(out, rows, as_json=as_json))
        if fresh:
            _forget_ledgers(out)
        path = out / "run.yaml"
        write_text(path, yaml.safe_dump(content, sort_keys=False))
        with open_forks() if _is_local(asked) else nullcontext() as forks:
            code = _run_all(replace(workflow, forks=forks), config=path, again=again)
        raise typer.Exit(code or _summarise(out, rows, as_json=as_json))


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
        chosen = read_settings(config, changes)
        cards = {
            "segment": model_card(chosen.segment.model),
            "nuclei": nuclei_card(chosen.nuclei.model),
        }
        for section, card in cards.items():
            if card is not None and not is_shipped(card):
                # Snakemake works in the folder of the results, where a relative path means nothing.
                settings[section]["model"] = str(card.folder)
    except WsiPipelineError as fault:
        faults.append(str(fault))
    if faults:
        raise ConfigError("\n".join(faults))
    return rows, settings


def _run_all(workflow: Workflow, *, config: Path, again: list[str] | None) -> int:
    """Compute, then report; 0 where the reports are written, whatever failed before."""
    code = workflow.run(config, *(("--config", f"only={json.dumps(again)}") if again else ()))
    if code not in (0, INTERRUPTED):
        typer.echo("Some slides failed; writing the reports without them.", err=True)
    if code != INTERRUPTED and (code != 0 or again):
        alone = ("--allowed-rules", "all", "report_case", "report_cohort") if again else ()
        code = workflow.run(config, "--config", "report_failures=True", *alone)
    if code == INTERRUPTED:
        typer.echo("Interrupted; run the same command again to go on.", err=True)
        return code
    if code != 0:
        typer.echo(f"Not everything could be written; see {workflow.out}/logs", err=True)
        return FAILED
    return 0


def _try_run(workflow: Workflow, content: dict[str, Any]) -> int:
    """Show what would be done, leaving the configuration of finished results alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.yaml"
        write_text(path, yaml.safe_dump(content, sort_keys=False))
        return workflow.run(path, "--dry-run")


def _summarise(out: Path, rows: tuple[CaseRow, ...], *, as_json: bool) -> int:
    """Say where the results are and name what failed."""
    slides = _read_cohort(out)
    failed = [slide for slide in slides if slide["status"] != "done"]
    case_ids = dict.fromkeys(row.declared.case_id for row in rows)
    reports = {case_id: out / "cases" / case_id / "report.html" for case_id in case_ids}
    effort = _write_effort(out, slides)
    done = len(slides) - len(failed)
    answer(
        {
            "slides": len(slides),
            "done": done,
            "failed": [
                {name: slide[name] for name in ("slide_id", "stage", "reason", "log")}
                for slide in failed
            ],
            "reports": reports,
            "cohort": out / "cohort.html",
            "effort": effort,
        },
        f"{done} of {len(slides)} slides done",
        *(f"report: {path}" for path in reports.values()),
        f"cohort: {out / 'cohort.html'}",
        f"effort: {effort}",
        as_json=as_json,
    )
    for slide in failed:
        log = f"; log: {out / slide['log']}" if slide["log"] else ""
        typer.echo(
            f"failed: {slide['slide_id']} ({slide['stage']}): {slide['reason']}{log}", err=True
        )
    return FAILED if failed else 0


def _read_cohort(out: Path) -> list[dict[str, str]]:
    """Rows of the table that the last run left."""
    with (out / "cohort.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _unfinished(out: Path, rows: tuple[CaseRow, ...]) -> list[str]:
    """Slides of the table that the last run did not finish."""
    if not (out / "cohort.csv").is_file():
        raise ConfigError(f"no run has ended in {out} yet; run without --retry-failed")
    done = {slide["slide_id"] for slide in _read_cohort(out) if slide["status"] == "done"}
    return [row.declared.slide_id for row in rows if row.declared.slide_id not in done]


def _forget_ledgers(out: Path) -> None:
    """Without its ledger, an unfinished segmentation counts for nothing."""
    for ledger in out.glob("slides/*/*.ledger"):
        ledger.unlink()


def _write_effort(out: Path, slides: list[dict[str, str]]) -> Path:
    """Write what the segmentation of each slide took; empty where it is not known."""
    from wsi_pipeline.stages.resume import read_run_note  # noqa: PLC0415 - slow to import

    lines = ["slide_id\tstatus\ttiles\tkept\tseconds\tpeak_memory_mb"]
    for slide in slides:
        note = read_run_note(out / "slides" / slide["slide_id"] / "segmentation.ome.zarr")
        took = ("",) * 4 if note is None else astuple(note)
        lines.append("\t".join(map(str, (slide["slide_id"], slide["status"], *took))))
    path = out / "effort.tsv"
    write_text(path, "\n".join(lines) + "\n")
    return path


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


def _profile_flags(folder: Path, content: dict[str, Any], cores: int | None) -> tuple[str, ...]:
    """Options that follow from a profile; the cores of this machine do not bound jobs elsewhere."""
    takes_all = _is_local(content) and "cores" not in content
    count = str(cores) if cores else "all" if takes_all else ""
    return ("--workflow-profile", str(folder), *(("--cores", count) if count else ()))


def _read_profile(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for path in sorted(folder.glob("config*.yaml")):
        content |= read_yaml(path)
    return content


def _is_local(content: dict[str, Any]) -> bool:
    """Whether a profile runs the steps on this machine."""
    return bool(content.get("executor", "local") == "local")


def _find_profile(name: str) -> Path:
    shipped = share_folder() / "workflows" / "profiles"
    for folder in (shipped / name, Path(name)):
        if list(folder.glob("config*.yaml")):
            return folder.absolute()
    known = sorted(folder.parent.name for folder in shipped.glob("*/config.yaml"))
    raise ConfigError(f"no profile '{name}' (there are: {', '.join(known)}; or give a folder)")
