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
    with bars(unit, console=console) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def bars(unit: str, *, console: Console) -> Progress:
    """Bars with count, rate, time gone and left; a task may name a ``unit`` of its own."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class _Rate(ProgressColumn):
    """How many per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """Text of the column."""
        return Text(
            "–"
            if task.speed is None
            else format_rate(task.speed, task.fields.get("unit", self.unit))
        )


def format_rate(per_s: float, unit: str) -> str:
    """How many per second, or per minute where that is more telling.

    Examples
    --------
    >>> format_rate(3.21, "tiles"), format_rate(0.05, "slides")
    ('3.2 tiles/s', '3.0 slides/min')
    """
    return f"{per_s:.1f} {unit}/s" if per_s >= 0.1 else f"{per_s * 60:.1f} {unit}/min"


def format_duration(seconds: float) -> str:
    """Seconds as a person says them.

    Examples
    --------
    >>> format_duration(7.4), format_duration(200), format_duration(9000)
    ('7 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _plain_lines(title: str, unit: str) -> Callable[[int, int], None]:
    """Say something at the end and every ten seconds, not for every tile."""
    start = time.monotonic()
    last = [start]

    def tell(done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - last[0] >= _LINE_EVERY_S:
            last[0] = now
            rate = done / max(now - start, 1e-9)
            left = f", {format_duration((total - done) / rate)} left" if 0 < done < total else ""
            sys.stderr.write(f"{title}: {done}/{total} {unit}, {format_rate(rate, unit)}{left}\n")
            sys.stderr.flush()

    return tell
