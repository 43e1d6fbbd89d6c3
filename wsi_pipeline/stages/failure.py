"""Error → ``failure.json``: which step of a slide failed, and why?

A stage that fails inside a workflow leaves this note in the slide's folder, so that reports
can name the slide and its reason.  A stage that starts leaves one that says it was killed, and
takes it back when it is done.
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
        return ended_without_message("unknown", "")


def ended_without_message(stage: str, log: str, *, job: str = "") -> FailureNote:
    """Note of a step that could not leave one itself.

    Parameters
    ----------
    stage
        Step that was running, or ``unknown``.
    log
        Path of its log, or "".
    job
        Its number on a cluster, or "".
    """
    where = f" (Slurm job {job})" if job else ""
    return FailureNote(
        stage,
        f"the job{where} ended without a message: it was killed, ran out of memory or time, the "
        "slide crashed its decoder, or it never started; look at its log, give it more memory or "
        "time, copy the slide again if it fails again at the same step, and run again",
        log,
    )
