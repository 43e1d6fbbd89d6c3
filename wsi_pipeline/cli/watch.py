"""How far is a run?

1. Snakemake says after each job how many are done; that moves one bar over all of them.
2. A step that works through tiles says so in its own log, now and then; the last line of each log
   that is being written moves a bar for that slide, which goes when the step is done.
3. What else Snakemake says, errors above all, is shown above the bars.

Only a terminal gets bars; a log gets what Snakemake writes, as it is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from wsi_pipeline.cli.progress import bars

_STEPS = re.compile(r"(\d+) of (\d+) steps")
_TILES = re.compile(r"(?P<title>.+): (?P<done>\d+)/(?P<total>\d+) (?P<unit>\w+), .*")
_ROUTINE = re.compile(
    r"\[.*\]$|(Finished jobid|Select jobs|Execute \d+ jobs|Complete log|Elapsed time|Building DAG"
    r"|Using (shell|workflow)|Provided cores|Rules claiming|Assuming unrestricted)"
)
"""What Snakemake says of every job or run, which the bars say better."""
_TAIL_BYTES = 512
_QUIET_S = 120.0
"""A log that was silent for so long belongs to no step that still works, s."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far one step of one slide is.

    Parameters
    ----------
    name
        Step and slide.
    done, total, unit
        What of how many.
    """

    name: str
    done: int
    total: int
    unit: str


def parse_steps(line: str) -> tuple[int, int] | None:
    """Jobs done and in all, if a line of Snakemake's says it.

    Examples
    --------
    >>> parse_steps("3 of 14 steps (21%) done")
    (3, 14)
    """
    found = _STEPS.match(line)
    return (int(found[1]), int(found[2])) if found else None


def parse_step(text: str, *, log: Path) -> Step | None:
    """How far a step is, from the end of its log; None if its last line does not say it."""
    lines = text.rstrip().splitlines()
    found = _TILES.fullmatch(lines[-1]) if lines else None
    if found is None:
        return None
    name = f"{log.parent.name} {log.stem}"
    return Step(name, int(found["done"]), int(found["total"]), found["unit"])


def read_steps(logs: Path, *, since: float) -> Iterator[Step]:
    """Steps that are being worked on, by what their logs end with.

    Parameters
    ----------
    logs
        Folder of the logs: ``<step>/<slide>.log``.
    since
        Time (s since the epoch) before which a log's last change is too long ago.
    """
    for log in sorted(logs.glob("*/*.log")):
        step = _read_step(log, since)
        if step is not None and step.done < step.total:
            yield step


def _read_step(log: Path, since: float) -> Step | None:
    try:
        about = log.stat()
        if about.st_mtime < since:
            return None
        with log.open("rb") as file:
            file.seek(max(0, about.st_size - _TAIL_BYTES))
            return parse_step(file.read().decode("utf-8", errors="replace"), log=log)
    except FileNotFoundError:  # Snakemake takes the log of a step away before it starts again
        return None


class RunBars:
    """Bars of one run.

    Parameters
    ----------
    bar
        Where they are drawn.
    out
        Folder of the results, which holds the logs.
    """

    def __init__(self, bar: Progress, out: Path) -> None:
        self._bar = bar
        self._logs = out / "logs"
        self._began = time.time()
        self._all = bar.add_task("all steps", total=None)
        self._steps: dict[str, TaskID] = {}

    def hear(self, line: str) -> None:
        """Take in a line of Snakemake's."""
        steps = parse_steps(line)
        if steps is not None:
            self._bar.update(self._all, completed=steps[0], total=steps[1])
        elif line.strip() and not _ROUTINE.match(line):
            self._bar.console.print(line.rstrip(), markup=False, highlight=False)

    def look(self) -> None:
        """Read the logs once and move the bars of the slides."""
        since = max(self._began, time.time() - _QUIET_S)
        self.show(list(read_steps(self._logs, since=since)))

    def show(self, steps: Iterable[Step]) -> None:
        """Move, make and take away the bars of the slides."""
        current = {step.name: step for step in steps}
        for name in [name for name in self._steps if name not in current]:
            self._bar.remove_task(self._steps.pop(name))
        for name, step in current.items():
            if name not in self._steps:
                self._steps[name] = self._bar.add_task(f"  {name}", total=None, unit=step.unit)
            self._bar.update(self._steps[name], completed=step.done, total=step.total)


@contextmanager
def show_run(out: Path) -> Iterator[RunBars | None]:
    """Give the bars of a run; None where stderr is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with bars("steps", console=console) as bar:
        yield RunBars(bar, out)
