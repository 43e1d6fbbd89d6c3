"""What the shell and the reports see when something goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import Call

from wsi_pipeline import errors
from wsi_pipeline.cli.guard import explain, run_guarded
from wsi_pipeline.errors import CaseTableError, ConfigError, SlideReadError, WsiPipelineError
from wsi_pipeline.stages.failure import FailureNote, read_failure


@pytest.fixture
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a workflow wants the reason."""
    path = tmp_path / "slides" / "s" / "failure.json"
    monkeypatch.setenv("WSI_FAILURE_NOTE", str(path))
    monkeypatch.setenv("WSI_FAILURE_LOG", "logs/s.log")
    return path


def failing(fault: BaseException) -> object:
    def app() -> None:
        raise fault

    return app


def test_what_goes_well_leaves_no_note(note: Path) -> None:
    assert run_guarded(lambda: None, stage="tile") == 0
    assert not note.exists()


@pytest.mark.parametrize(
    "kind",
    sorted(
        (item for item in vars(errors).values() if isinstance(item, type)),
        key=lambda kind: kind.__name__,
    ),
    ids=lambda kind: kind.__name__,
)
def test_every_error_of_ours_has_an_exit_code_and_a_message(
    kind: type[WsiPipelineError], capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_guarded(failing(kind("it is so; do this")), stage="tile")  # type: ignore[arg-type]
    assert code == (2 if issubclass(kind, ConfigError | CaseTableError) else 1)
    assert capsys.readouterr().err == "error: it is so; do this\n"


def test_the_reason_is_left_for_the_reports(note: Path) -> None:
    fault = SlideReadError("slide 'a.svs' cannot be decoded")
    fault.add_note("in the tile that writes Box(0, 0, 8, 8)")
    assert run_guarded(failing(fault), stage="segment") == 1  # type: ignore[arg-type]
    assert read_failure(note) == FailureNote(
        "segment",
        "slide 'a.svs' cannot be decoded in the tile that writes Box(0, 0, 8, 8)",
        "logs/s.log",
    )


def test_a_step_that_is_killed_has_left_a_note(note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It replaces that of an earlier run, and is taken back when all went well."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    note.parent.mkdir(parents=True)
    note.write_text("old")
    seen = []
    assert run_guarded(lambda: seen.append(read_failure(note)), stage="tile") == 0
    assert (seen[0].stage, seen[0].log) == ("tile", "logs/s.log")
    assert "(Slurm job 17) ended without a message: it was killed" in seen[0].reason
    assert not note.exists()


def test_a_defect_leaves_a_note_and_its_traceback(note: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="by zero"):
        run_guarded(failing(ZeroDivisionError("by zero")), stage="tile")  # type: ignore[arg-type]
    assert read_failure(note) == FailureNote(
        "tile", "unexpected ZeroDivisionError: by zero; the log has the details", "logs/s.log"
    )


def test_without_a_workflow_no_note_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WSI_FAILURE_NOTE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert run_guarded(failing(ConfigError("no")), stage="tile") == 2  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_leaving_on_purpose_is_no_failure(note: Path) -> None:
    with pytest.raises(SystemExit):
        run_guarded(failing(SystemExit(0)), stage="tile")  # type: ignore[arg-type]
    assert not note.exists()


def test_notes_follow_the_message() -> None:
    fault = ValueError("wrong")
    fault.add_note("here")
    fault.add_note("and there")
    assert explain(fault) == "wrong here and there"
    assert explain(ValueError("wrong")) == "wrong"


def test_a_verb_leaves_its_note(
    call: Call, note: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSI_FAILURE_NOTE", str(note))
    (tmp_path / "empty.svs").touch()
    assert call("inspect", tmp_path / "empty.svs").code == 1
    assert json.loads(note.read_text())["stage"] == "inspect"
    assert "it is empty" in read_failure(note).reason


def test_a_slide_error_is_one_line_and_no_traceback(call: Call, tmp_path: Path) -> None:
    called = call("inspect", tmp_path / "none.svs", "--out", tmp_path / "slide.json")
    assert called.code == 1
    assert called.err.startswith("error: slide 'none.svs' cannot be opened")
    assert len(called.err.splitlines()) == 1
    assert not (tmp_path / "slide.json").exists()


def test_memory_that_ran_out_is_told_without_a_traceback(
    note: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(failing(MemoryError()), stage="segment") == 1  # type: ignore[arg-type]
    assert capsys.readouterr().err.startswith("error: memory ran out; give the job more")
    assert read_failure(note).stage == "segment"


def test_the_note_of_a_step_that_is_killed_is_there_beforehand(note: Path) -> None:
    def look() -> None:
        assert read_failure(note).stage == "tile"
        assert "was killed" in read_failure(note).reason
        assert read_failure(note).log == "logs/s.log"

    assert run_guarded(look, stage="tile") == 0
    assert not note.exists()
