"""Error → ``failure.json``: which step of a slide failed, and why?

A stage that fails inside a workflow leaves this note in the slide's folder, so that reports
can name the slide and its reason; a stage that starts removes the note of an earlier run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from wsi_pipeline.stages.artefacts import write_json


@dataclass(frozen=True, slots=True)
class FailureNote:
    """Why there are no numbers of a slide.

    Parameters
    ----------
    stage
        Step that stopped.
    reason
        What was wrong and what to do.
    log
        Path of the log, if the step was given one.
    """

    stage: str
    reason: str
    log: str = ""


def write_failure(path: Path, note: FailureNote) -> None:
    """Leave a note of what went wrong."""
    write_json(path, asdict(note))


def read_failure(path: Path) -> FailureNote:
    """Read the note; if there is none, say what that means."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return FailureNote(str(raw["stage"]), str(raw["reason"]), str(raw["log"]))
    except (OSError, ValueError, KeyError, TypeError):
        return FailureNote(
            "unknown",
            "the job ended without a message: it was killed, ran out of memory or time, or never "
            "started; look at the logs of this slide and run again",
        )
