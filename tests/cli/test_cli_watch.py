"""Bars of a run: from what Snakemake and the logs of its steps say."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from wsi_pipeline.cli.progress import bars
from wsi_pipeline.cli.snakemake import Workflow
from wsi_pipeline.cli.watch import RunBars, Step, parse_step, parse_steps, read_steps, show_run


def write_log(out: Path, step: str, text: str) -> Path:
    log = out / "logs" / step / "K-1.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    return log


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("3 of 14 steps (21%) done", (3, 14)),
        ("Finished jobid: 3 (Rule: tile)", None),
        ("", None),
    ],
)
def test_snakemake_says_how_many_jobs_are_done(line: str, steps: tuple[int, int] | None) -> None:
    assert parse_steps(line) == steps


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("K-1: 2/9 tiles, 3.1 tiles/s, 2 s left\n", Step("segment K-1", 2, 9, "tiles")),
        ("K-1: 2/9 tiles, 3.1 tiles/s\nout.zarr\n", None),
        ("", None),
    ],
)
def test_a_log_says_how_far_its_step_is(text: str, step: Step | None) -> None:
    assert parse_step(text, log=Path("logs/segment/K-1.log")) == step


def test_only_logs_that_are_written_count(tmp_path: Path) -> None:
    write_log(tmp_path, "segment", "K-1: 9/9 tiles, 3.1 tiles/s\n")
    write_log(tmp_path, "nuclei", "a longer line\n" * 200 + "K-1: 4/9 tiles, 3.1 tiles/s\n")
    old = write_log(tmp_path, "export", "K-1: 4/9 tiles, 3.1 tiles/s\n")
    os.utime(old, (1, 1))
    found = list(read_steps(tmp_path / "logs", since=time.time() - 60))
    assert found == [Step("nuclei K-1", 4, 9, "tiles")]


def test_bars_come_move_and_go(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    with bars("steps", console=console) as bar:
        shown = RunBars(bar, tmp_path)
        log = write_log(tmp_path, "segment", "K-1: 2/9 tiles, 3.1 tiles/s\n")
        shown.hear("3 of 14 steps (21%) done\n")
        shown.look()
        assert [(task.completed, task.total) for task in bar.tasks] == [(3, 14), (2, 9)]
        assert bar.tasks[1].fields["unit"] == "tiles"
        log.write_text("K-1: 9/9 tiles, 3.1 tiles/s\nsegmentation.ome.zarr\n")
        shown.look()
        assert len(bar.tasks) == 1
        shown.hear("Finished jobid: 3 (Rule: tile)\n")
        shown.hear("Error in rule tile [red]\n")
    text = screen.getvalue()
    assert "Error in rule tile [red]" in text
    assert "jobid" not in text


def test_a_log_file_gets_no_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    with show_run(tmp_path) as shown:
        assert shown is None


def test_snakemake_is_heard_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program stands for Snakemake: what it says moves the bar, its code is handed on."""
    says = "import sys; sys.stderr.write('5 of 5 steps (100%)\\nMissingInput!\\n'); sys.exit(3)"
    real = subprocess.Popen

    def start(command: list[str], **options: int) -> subprocess.Popen[bytes]:
        assert command[1:3] == ["-m", "snakemake"]
        streams = {name: options[name] for name in ("stdout", "stderr")}
        return real([sys.executable, "-c", says], **streams)

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with (tmp_path / "lock").open("w") as lock:
        code = Workflow(tmp_path, lock.fileno(), ()).run(tmp_path / "run.yaml")
    assert code == 3
    err = capsys.readouterr().err
    assert "5/5" in err
    assert "MissingInput!" in err
