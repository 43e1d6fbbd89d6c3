"""One thing wrong with a slide: where it stops, what is said, and what is kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fault_makers import FAULTS, STEPS, Fault, stopped, write_good_slide

MADE = {
    "inspect": {"slide.json"},
    "tile": {"tiles.json", "sections.png"},
}
NOBODY = 65534


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good_slide(tmp_path_factory.mktemp("good") / "slide.tiff")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_stops_its_slide_with_a_reason(fault: Fault, good: Path, tmp_path: Path) -> None:
    end = stopped(fault, folder=tmp_path, good=good)
    assert (end.code, end.step) == (1, fault.step)
    assert re.search(fault.said, end.said, re.DOTALL), end.said
    assert "Traceback" not in end.said
    assert end.noted in end.said.replace("error: ", "")
    before = [MADE[step] for step in STEPS[: STEPS.index(fault.step)]]
    assert set().union(*before) <= set(end.kept)
    assert "segmentation.ome.zarr" not in end.kept


def test_without_a_fault_all_steps_pass(good: Path, tmp_path: Path) -> None:
    """The table above would be worth nothing if the slide itself were at fault."""
    sound = Fault("none", lambda path: None, step="", said="")
    end = stopped(sound, folder=tmp_path, good=good)
    assert (end.code, end.step, end.noted) == (0, "segment", "")
    assert {"segmentation.ome.zarr", "tiles.json", "slide.json"} <= set(end.kept)


def inspect(path: Path, *before: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Start ``inspect`` in a process of its own."""
    code = "from wsi_pipeline.cli import main; main()"
    return subprocess.run(
        [*before, sys.executable, "-c", code, "inspect", str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **more},
    )


def test_a_file_that_may_not_be_read_is_named(good: Path, tmp_path: Path) -> None:
    """The superuser may read everything, so another user tries."""
    path = shutil.copy2(good, tmp_path / "secret.tiff")
    path.chmod(0o000)
    other = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    before = other if os.geteuid() == 0 else []
    if before and not shutil.which("setpriv"):
        pytest.skip("no setpriv to become another user with")
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):  # noqa: S108
            folder.chmod(0o755)
    done = inspect(path, *before)
    if "No module named" in done.stderr:
        pytest.skip("another user cannot read this installation")
    assert done.returncode == 1
    assert "'secret.tiff' cannot be opened: it may not be read (Permission denied)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_decoder_that_crashes_leaves_a_note(good: Path, tmp_path: Path) -> None:
    """A segmentation fault in a library gives Python no chance to write one."""
    note = tmp_path / "failure.json"
    (tmp_path / "sitecustomize.py").write_text(
        "import openslide, os, signal\n"
        "openslide.OpenSlide.read_region = lambda *_: os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = inspect(
        good, PYTHONPATH=path, WSI_FAILURE_NOTE=str(note), WSI_FAILURE_LOG="logs/inspect/s.log"
    )
    assert done.returncode < 0
    assert '"stage": "inspect"' in note.read_text()
    assert "crashed its decoder" in note.read_text()
    assert "logs/inspect/s.log" in note.read_text()
