"""How far is it?

A bar with rate and remaining time on a terminal; a plain line now and then in a log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_EVERY_S = 10.0


@contextmanager
def show_progress(title: str, *, unit: str = "tiles") -> Iterator[Callable[[int, int], None]]:
    """Give a function to call with (done, in all)."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines(title, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Rate(ProgressColumn):
    """How many per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """Text of the column."""
        return Text(f"{'–' if task.speed is None else f'{task.speed:.1f}'} {self.unit}/s")


def _plain_lines(title: str, unit: str) -> Callable[[int, int], None]:
    """Say something at the end and every ten seconds, not for every tile."""
    start = time.monotonic()
    last = [start]

    def tell(done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - last[0] >= _LINE_EVERY_S:
            last[0] = now
            rate = done / max(now - start, 1e-9)
            sys.stderr.write(f"{title}: {done}/{total} {unit}, {rate:.1f} {unit}/s\n")
            sys.stderr.flush()

    return tell
