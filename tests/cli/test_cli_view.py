"""The verb ``view``, as a shell sees it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from calling import Call

from wsi_pipeline.cli.guard import BAD_INPUT


def test_a_folder_without_results_is_bad_input(call: Call, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        called = call("view", folder)
        assert called.code == BAD_INPUT
        assert "holds no results" in called.err
        assert "name the folder that 'wsi-pipeline run' was given" in called.err


@pytest.mark.parametrize("token", ["short", "with/a/slash/in/its/middle", "a" * 129, "ä" * 20])
def test_a_token_that_can_be_guessed_is_refused(call: Call, tmp_path: Path, token: str) -> None:
    called = call("view", tmp_path, "--token", token)
    assert called.code == BAD_INPUT
    assert "--token must be" in called.err


def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    root = tmp_path / "results"
    report = root / "cases" / "c" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<!doctype html><title>case</title>")
    process = subprocess.Popen(
        [sys.executable, "-c", "from wsi_pipeline.cli import main; main()", "view", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    found = re.search(r"http://127\.0\.0\.1:\d+/[A-Za-z0-9_-]{32}/", lines[1])
    assert found, lines
    text = httpx.get(found[0], timeout=20).text
    assert "Case reports" in text
    assert "No slide was inspected" in text
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    assert time.monotonic() - started < 20
