"""How is Snakemake started, waited for and stopped?

1. It runs in the folder of the results, so that these can be moved and go on elsewhere.
2. It inherits the lock on that folder: while it lives, no other run gets in.
3. It gets exactly one interrupt for each that reaches us, and is waited for, so that it can
   cancel its jobs (also those on a cluster) and leave a state from which it resumes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from wsi_pipeline.stages.resources import share_folder

INTERRUPTED = 130
"""Exit code of a command that was told to stop, as shells have it."""


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
    """

    out: Path
    lock: int
    options: tuple[str, ...]

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
        # A session of its own: a Ctrl-C of the terminal reaches Snakemake through us, once.
        process = subprocess.Popen(
            command, env=_environment(), pass_fds=(self.lock,), start_new_session=True
        )
        with _forwarding_to(process) as received:
            code = process.wait()
        return INTERRUPTED if received else code


def _environment() -> dict[str, str]:
    """Environment in which jobs find the tools of this installation, activated or not."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path}


@contextmanager
def _forwarding_to(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Pass interrupts and requests to end on as interrupts; give the list of those received."""
    received: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        received.append(number)
        process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, action in before.items():
            signal.signal(number, action)
