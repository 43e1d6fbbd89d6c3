"""What does the shell see when something goes wrong?

1. An error raised on purpose becomes one plain message and an exit code: 1 if a slide
   failed, 2 if the input or the settings are wrong.
2. Inside a workflow the reason is also left as a note for the reports.
3. Anything else is a defect: the traceback goes to the log, a short note to the reports.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import typer
from typer.core import TyperGroup

from wsi_pipeline.errors import CaseTableError, ConfigError, WsiPipelineError
from wsi_pipeline.stages.failure import FailureNote, write_failure

FAILED, BAD_INPUT = 1, 2


class GuardedGroup(TyperGroup):
    """Group of verbs whose errors are told plainly."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; turn errors into messages, notes and exit codes."""
        note = ctx.params.get("failure")
        if note:
            Path(note).unlink(missing_ok=True)
        try:
            return super().invoke(ctx)
        except WsiPipelineError as fault:
            reason = explain(fault)
            sys.stderr.write(f"error: {reason}\n")
            _leave_note(ctx, reason)
            code = BAD_INPUT if isinstance(fault, ConfigError | CaseTableError) else FAILED
            raise typer.Exit(code) from fault
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as fault:
            _leave_note(ctx, f"unexpected {type(fault).__name__}: {fault}; the log has the details")
            raise


def explain(fault: BaseException) -> str:
    """Message of an error with its notes, as one sentence."""
    return " ".join([str(fault), *getattr(fault, "__notes__", ())])


def _leave_note(ctx: click.Context, reason: str) -> None:
    note, log = ctx.params.get("failure"), ctx.params.get("failure_log")
    if note:
        stage = ctx.invoked_subcommand or "start"
        write_failure(Path(note), FailureNote(stage, reason, str(log or "")))
