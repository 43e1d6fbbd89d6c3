"""What does the shell see when something goes wrong?

1. An error raised on purpose becomes one plain message and an exit code: 1 if a slide
   failed, 2 if the input or the settings are wrong.
2. A workflow names a file in the environment (``WSI_FAILURE_NOTE``, and the log it keeps in
   ``WSI_FAILURE_LOG``); the reason is left there for the reports.  What a decoder that crashes or
   a scheduler that kills would keep us from writing is written beforehand, and taken back.
3. Anything else is a defect: the traceback goes to the log, a short note to the reports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from wsi_pipeline.errors import CaseTableError, ConfigError, WsiPipelineError
from wsi_pipeline.stages.failure import FailureNote, ended_without_message, write_failure

FAILED, BAD_INPUT = 1, 2
_NO_MEMORY = (
    "memory ran out; give the job more of it or fewer workers (segment.workers), and run again"
)


def run_guarded(app: Callable[[], object], *, stage: str) -> int:
    """Run the command line; turn errors into messages, notes and an exit code.

    Parameters
    ----------
    app
        Parses the arguments and runs a verb; leaves by `SystemExit` on usage errors.
    stage
        Name of the verb, for the note.

    Returns
    -------
    int
        Exit code.
    """
    note, log = os.environ.get("WSI_FAILURE_NOTE", ""), os.environ.get("WSI_FAILURE_LOG", "")
    job = os.environ.get("SLURM_JOB_ID", "")
    _leave_note(note, ended_without_message(stage, log, job=job))
    try:
        app()
    except WsiPipelineError as fault:
        sys.stderr.write(f"error: {explain(fault)}\n")
        _leave_note(note, FailureNote(stage, explain(fault), log))
        return BAD_INPUT if isinstance(fault, ConfigError | CaseTableError) else FAILED
    except SystemExit as leave:
        if leave.code in (0, None):
            _take_note_back(note)
        else:
            _leave_note(note, FailureNote(stage, f"'{stage}' ended with code {leave.code}", log))
        raise
    except MemoryError:
        sys.stderr.write(f"error: {_NO_MEMORY}\n")
        _leave_note(note, FailureNote(stage, _NO_MEMORY, log))
        return FAILED
    except Exception as fault:
        reason = f"unexpected {type(fault).__name__}: {explain(fault)}; the log has the details"
        _leave_note(note, FailureNote(stage, reason, log))
        raise
    _take_note_back(note)
    return 0


def explain(fault: BaseException) -> str:
    """Message of an error with its notes, as one sentence."""
    return " ".join([str(fault), *getattr(fault, "__notes__", ())])


def _leave_note(path: str, note: FailureNote) -> None:
    """Leave the note; where even that cannot be written (a full disk), say so."""
    if not path:
        return
    try:
        write_failure(Path(path), note)
    except OSError as fault:
        sys.stderr.write(f"error: {fault}\n")


def _take_note_back(path: str) -> None:
    if path:
        Path(path).unlink(missing_ok=True)
