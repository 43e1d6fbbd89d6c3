"""What does the shell see when something goes wrong?

1. An error raised on purpose becomes one plain message and an exit code: 1 if a slide
   failed, 2 if the input or the settings are wrong.
2. A workflow names a file in the environment (``WSI_FAILURE_NOTE``, and the log it keeps in
   ``WSI_FAILURE_LOG``); the reason is left there for the reports.
3. Anything else is a defect: the traceback goes to the log, a short note to the reports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from wsi_pipeline.errors import CaseTableError, ConfigError, WsiPipelineError
from wsi_pipeline.stages.failure import FailureNote, write_failure

FAILED, BAD_INPUT = 1, 2


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
    if note:
        Path(note).unlink(missing_ok=True)
    try:
        app()
    except WsiPipelineError as fault:
        sys.stderr.write(f"error: {explain(fault)}\n")
        _leave_note(note, FailureNote(stage, explain(fault), log))
        return BAD_INPUT if isinstance(fault, ConfigError | CaseTableError) else FAILED
    except SystemExit as leave:
        if leave.code not in (0, None):
            _leave_note(note, FailureNote(stage, f"'{stage}' ended with code {leave.code}", log))
        raise
    except Exception as fault:
        reason = f"unexpected {type(fault).__name__}: {explain(fault)}; the log has the details"
        _leave_note(note, FailureNote(stage, reason, log))
        raise
    return 0


def explain(fault: BaseException) -> str:
    """Message of an error with its notes, as one sentence."""
    return " ".join([str(fault), *getattr(fault, "__notes__", ())])


def _leave_note(path: str, note: FailureNote) -> None:
    if path:
        write_failure(Path(path), note)
