"""A segmentation in a process of its own, killed or out of space, goes on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import FAST, Call

from wsi_pipeline.stages.resume import read_run_note

NAME = "segmentation.ome.zarr"
SMALL = (*FAST, "--set", "tiling.tile_px=64")


def content_of(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="session")
def planned(slides: Path) -> Path:
    """Record of a slide; its plan of small tiles lies in ``small``."""
    return next(slides.glob("*/slide.json"))


@pytest.fixture
def words(call: Call, planned: Path, tmp_path: Path) -> Callable[[Path], list[str]]:
    """Command that segments into a folder."""
    tiles = tmp_path / "tiles.json"
    assert call("tile", planned, "--out", tiles, *SMALL).code == 0

    def give(folder: Path) -> list[str]:
        words = ("segment", planned, "--tiles", tiles, "--out", folder / NAME, "--workers", 1)
        return [str(word) for word in (*words, *SMALL)]

    return give


def start(words: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from wsi_pipeline.cli import main; main()", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_lines(ledger: Path, count: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        if ledger.exists() and ledger.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.002)


def test_a_slide_killed_again_and_again_ends_like_any_other(
    call: Call, words: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    assert call(*words(tmp_path / "undisturbed")).code == 0
    out = tmp_path / "out"
    ledger, lines = out / (NAME + ".ledger"), [1]
    for more in (0, 5, 9, 20):
        with start(words(out)) as process:
            wait_for_lines(ledger, lines[-1] + more, process)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        lines.append(ledger.read_bytes().count(b"\n"))
    assert lines == sorted(lines), "what was recorded stays recorded"
    last = call(*words(out))
    assert last.code == 0
    note = read_run_note(out / NAME)
    assert note is not None
    assert note.kept == lines[-1] - 1 >= 20
    assert f"{note.kept} of them kept" in last.out
    assert content_of(out / NAME) == content_of(tmp_path / "undisturbed" / NAME)


NEEDS_UNSHARE = pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare (Linux)")
SCRIPT = """
mount -t tmpfs -o size=$1 tmpfs "$2" || exit 77
shift_disk=$2; copy=$3; shift 3
"$@"; echo "first: $?"
mount -o remount,size=1g "$shift_disk"
"$@"; echo "second: $?"
cp -r "$shift_disk"/. "$copy"
"""


@NEEDS_UNSHARE
def test_a_disk_that_fills_up_is_said_and_keeps_what_was_done(
    call: Call, words: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    """A file system in memory that exists for this test alone; it grows when it was full."""
    undisturbed = tmp_path / "undisturbed"
    assert call(*words(undisturbed)).code == 0
    expected = content_of(undisturbed / NAME)
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    copy.mkdir()
    # Every file takes whole pages there.
    pages = sum(-(-len(content) // 4096) for content in expected.values())
    command = [sys.executable, "-c", "from wsi_pipeline.cli import main; main()", *words(disk)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", SCRIPT, "sh", f"{pages * 2}k", disk, copy, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode in (1, 77) and "first:" not in done.stdout:
        pytest.skip("no file system can be mounted here")
    assert "the disk is full; make room and run the same again" in done.stdout
    assert "Traceback" not in done.stdout
    assert "first: 1" in done.stdout
    assert "second: 0" in done.stdout
    assert "kept from a run that was stopped" in done.stdout
    assert content_of(copy / NAME) == expected
