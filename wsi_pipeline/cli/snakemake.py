"""How is Snakemake started, waited for and stopped?

1. It runs in the folder of the results, so that these can be moved and go on elsewhere.
2. It inherits the lock on that folder: while it lives, no other run gets in.
3. It gets exactly one interrupt for each that reaches us, and is waited for, so that it can
   cancel its jobs (also those on a cluster) and leave a state from which it resumes.
4. Its steps are forks of one process that has loaded what they need (`forkserver`).
5. On a terminal, bars show how far it is (`watch`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from wsi_pipeline.cli.forkserver import Forks
from wsi_pipeline.cli.watch import RunBars, show_run
from wsi_pipeline.stages.resources import share_folder

INTERRUPTED = 130
"""Exit code of a command that was told to stop, as shells have it."""
_STDERR = 2
"""Where Snakemake writes: stdout holds the answer of `run` and nothing else."""
_LOOK_EVERY_S = 0.5
_LAST_WORDS_S = 5.0


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow, as it is called again with other targets.

    Parameters
    ----------
    out
        Folder of the results; Snakemake keeps its own notes there too.
    lock
        File descriptor that holds the lock on that folder.
    options
        Options for Snakemake, as on its command line.
    forks
        Process that its steps are forks of; None where each is a process of its own.
    """

    out: Path
    lock: int
    options: tuple[str, ...]
    forks: Forks | None = None

    def run(self, config: Path, *extra: str) -> int:
        """Start Snakemake and wait for it; give its exit code, or `INTERRUPTED`."""
        command = [
            *(sys.executable, "-m", "snakemake"),
            *("--snakefile", str(share_folder() / "Snakefile")),
            *("--directory", str(self.out)),
            *("--configfile", str(config)),
            *self.options,
            *extra,
        ]
        with show_run(self.out) as shown, _forwarding() as (received, started):
            # A session of its own: a Ctrl-C of the terminal reaches Snakemake through us, once.
            process = subprocess.Popen(
                command,
                env=_environment() | (self.forks.environment if self.forks else {}),
                pass_fds=(self.lock, *([self.forks.lifeline] if self.forks else [])),
                start_new_session=True,
                stdout=_STDERR,
                stderr=subprocess.PIPE if shown else None,
            )
            started(process)
            code = process.wait() if shown is None else _wait_watching(process, shown)
        return INTERRUPTED if received else code


def _wait_watching(process: subprocess.Popen[bytes], shown: RunBars) -> int:
    """Wait for Snakemake while the bars follow what it and the logs of its steps say."""
    listener = threading.Thread(target=_listen, args=(process.stderr, shown), daemon=True)
    listener.start()
    while process.poll() is None:
        shown.look()
        time.sleep(_LOOK_EVERY_S)
    # A job that outlives Snakemake may hold the other end of the pipe; it is not waited for.
    listener.join(_LAST_WORDS_S)
    shown.show(())
    return process.returncode


def _listen(stream: IO[bytes], shown: RunBars) -> None:
    with stream:
        for line in stream:
            shown.hear(line.decode("utf-8", errors="replace"))


def _environment() -> dict[str, str]:
    """Environment in which jobs find the tools of this installation, activated or not."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path}


@contextmanager
def _forwarding() -> Iterator[tuple[list[int], Callable[[subprocess.Popen[bytes]], None]]]:
    """Pass interrupts and requests to end on as interrupts.

    Give the list of those received, and what to call with the process once it is started.  That is
    not before, for a background command may be deaf to interrupts (``nohup … &``), and what it
    starts would be as deaf, had we not begun to listen.
    """
    received: list[int] = []
    processes: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _: FrameType | None) -> None:
        received.append(number)
        for process in processes:
            process.send_signal(signal.SIGINT)

    def started(process: subprocess.Popen[bytes]) -> None:
        processes.append(process)
        if received:
            process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received, started
    finally:
        for number, action in before.items():
            signal.signal(number, action)
