from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from wsi_pipeline.cli import progress
from wsi_pipeline.cli.progress import show_progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which every look takes three seconds."""
    ticks: Iterator[float] = itertools.count(0.0, 3.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))


def test_a_log_gets_a_line_now_and_then(
    clock: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with show_progress("A1") as tell:
        for done in range(1, 11):
            tell(done, 10)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "A1: 4/10 tiles, 0.3 tiles/s, 18 s left",
        "A1: 8/10 tiles, 0.3 tiles/s, 6 s left",
        "A1: 10/10 tiles, 0.3 tiles/s",
    ]


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with show_progress("A1") as tell:
        for done in range(1, 4):
            tell(done, 3)
    err = capsys.readouterr().err
    for part in ("A1", "3/3", "tiles/s"):
        assert part in err
