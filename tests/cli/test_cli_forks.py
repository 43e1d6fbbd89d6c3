"""Steps as forks of a process that is ready."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from wsi_pipeline import __version__
from wsi_pipeline.cli.forked import VARIABLE
from wsi_pipeline.cli.forkserver import Forks, open_forks

START = (sys.executable, "-c", "from wsi_pipeline.cli import main; main()")
pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks need Linux")


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with open_forks() as opened:
        assert opened is not None
        yield opened


def start(forks: Forks, *words: str, folder: Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*START, *words],
        cwd=folder,
        env={**os.environ, **forks.environment, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def forks_of(name: str) -> list[psutil.Process]:
    """Grandchildren of this process that are forks: they bear the server's command line."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # what has ended, of other tests too, is none
            if "wsi_pipeline.cli.forkserver" in " ".join(child.cmdline()):
                found += [fork for fork in child.children() if is_in(fork, name)]
    return found


def is_in(process: psutil.Process, name: str) -> bool:
    """Whether a process works in a folder of that name."""
    try:
        return Path(process.cwd()).name == name
    except psutil.NoSuchProcess:
        return False


def wait_until(what: str, *, name: str, count: int) -> list[psutil.Process]:
    for _ in range(1200):
        if len(found := forks_of(name)) == count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: {found}")


def test_folder_environment_and_streams_are_the_callers(forks: Forks, tmp_path: Path) -> None:
    note = tmp_path / "failure.json"
    step = start(
        forks, "tile", "no.json", "--out", "x", folder=tmp_path, WSI_FAILURE_NOTE=str(note)
    )
    out, err = step.communicate(timeout=120)
    assert (step.returncode, out) == (1, "")
    assert "no.json" in err
    assert "no.json" in note.read_text()
    step = start(forks, "--version", folder=tmp_path)
    assert step.communicate(timeout=60)[0].startswith("wsi-pipeline ")
    assert step.returncode == 0


def test_usage_errors_keep_their_code(forks: Forks, tmp_path: Path) -> None:
    step = start(forks, "tile", "--no-such-option", folder=tmp_path)
    assert "no-such-option" in step.communicate(timeout=120)[1]
    assert step.returncode == 2


def test_many_at_once(forks: Forks, tmp_path: Path) -> None:
    steps = [start(forks, "--version", folder=tmp_path) for _ in range(12)]
    assert {step.communicate(timeout=120)[0] for step in steps} == {f"wsi-pipeline {__version__}\n"}
    assert {step.returncode for step in steps} == {0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_caller_takes_its_fork_along(
    forks: Forks, tmp_path: Path, number: signal.Signals
) -> None:
    step = start(forks, "phantom", "--out", "a", "--cases", "500", folder=tmp_path)
    (fork,) = wait_until("it runs", name=tmp_path.name, count=1)
    step.send_signal(number)
    step.communicate(timeout=60)
    assert step.returncode == -number
    wait_until("it ends", name=tmp_path.name, count=0)
    assert not fork.is_running()


def test_a_killed_fork_ends_its_caller_in_the_same_way(forks: Forks, tmp_path: Path) -> None:
    step = start(forks, "phantom", "--out", "a", "--cases", "500", folder=tmp_path)
    (fork,) = wait_until("it runs", name=tmp_path.name, count=1)
    fork.send_signal(signal.SIGSEGV)
    step.communicate(timeout=60)
    assert step.returncode == -signal.SIGSEGV


@pytest.mark.parametrize("value", [f"/elsewhere{os.pathsep}/x", f"{sys.prefix}{os.pathsep}/no/x"])
def test_without_a_server_the_verb_runs_here(tmp_path: Path, value: str) -> None:
    step = start(Forks({VARIABLE: value}, -1), "--version", folder=tmp_path)
    assert step.communicate(timeout=60)[0] == f"wsi-pipeline {__version__}\n"
    assert step.returncode == 0


def test_the_server_ends_with_its_context(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    with open_forks() as opened:
        assert opened is not None
        assert set(psutil.Process().children()) - before
        step = start(opened, "--version", folder=tmp_path)
        step.communicate(timeout=120)
        assert step.returncode == 0
    assert not set(psutil.Process().children()) - before
