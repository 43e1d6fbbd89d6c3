"""How do the steps of a workflow begin without loading everything anew?

1. `open_forks` starts a process and listens for it; it loads when the first step comes.
2. Each caller (`forked`) gets a fork, which takes over its words, folder, environment and streams,
   runs the verb and ends without ceremony; its exit code goes back.
3. A byte from a caller is a signal for its fork; a caller that is gone takes its fork along.
4. The process ends when everyone who holds the lifeline has, and its forks.

Nothing computes before the fork: no thread of ours runs, no file is open, no GPU is touched.  It
needs Linux; elsewhere every step loads for itself.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from wsi_pipeline.cli.forked import HEAD_BYTES, VARIABLE

_LOADED = (
    *(f"wsi_pipeline.stages.{name}" for name in ("inspect", "forecast", "tile", "export_tiles")),
    *(f"wsi_pipeline.stages.{name}" for name in ("segment", "nuclei", "measure", "workers")),
    *(f"wsi_pipeline.stages.{name}" for name in ("exports", "report")),
    *("wsi_pipeline.cli.app", "wsi_pipeline.segment.loading"),
    *("distributed", "pyarrow.dataset", "pyarrow.parquet", "typer._adapters"),
)
"""What the verbs of a workflow load, also what libraries load late."""
_WAITING = 512


@dataclass(frozen=True, slots=True)
class Forks:
    """A process that is ready to fork.

    Parameters
    ----------
    environment
        What its callers must find in theirs.
    lifeline
        File descriptor to hold as long as there may be callers.
    """

    environment: dict[str, str]
    lifeline: int


@contextmanager
def open_forks() -> Iterator[Forks | None]:
    """Keep a process ready that forks for each step; None where the system has no such thing."""
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="wsi-pipeline-") as folder:
        address = str(Path(folder) / "forks")
        ours, theirs = os.pipe()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(_WAITING)
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listener.fileno()), str(ours)],
                pass_fds=(listener.fileno(), ours),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        os.close(ours)
        try:
            yield Forks({VARIABLE: os.pathsep.join([sys.prefix, address])}, theirs)
        finally:
            os.close(theirs)
            process.wait()


@dataclass(frozen=True, slots=True)
class _Fork:
    """A running step and who asked for it."""

    pid: int
    ended: int
    caller: socket.socket


def serve(listener: socket.socket, lifeline: int) -> bool:
    """Fork for each caller; True in a fork, False when nobody will call any more."""
    forks: set[_Fork] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(lifeline, selectors.EVENT_READ)
        while forks or lifeline in selector.get_map():
            for key, _ in selector.select():
                if key.fileobj == lifeline:
                    selector.unregister(lifeline)
                elif key.fileobj != listener:
                    _attend(key, forks, selector)
                elif (fork := _fork_for(listener.accept()[0], selector)) is None:
                    return True
                else:
                    forks.add(fork)
    return False


def _fork_for(caller: socket.socket, selector: selectors.BaseSelector) -> _Fork | None:
    """Fork; None in the fork, which then is what its caller was."""
    request, streams = _read_request(caller)
    _load()
    pid = os.fork()
    if pid == 0:
        for key in list(selector.get_map().values()):
            os.close(key.fd)
        caller.close()
        _become(request, streams)
        return None
    for stream in streams:
        os.close(stream)
    fork = _Fork(pid, os.pidfd_open(pid), caller)
    selector.register(fork.ended, selectors.EVENT_READ, fork)
    selector.register(caller, selectors.EVENT_READ, fork)
    return fork


def _read_request(caller: socket.socket) -> tuple[bytes, list[int]]:
    """What a caller sends at once: its request and its three streams."""
    head, streams, _, _ = socket.recv_fds(caller, HEAD_BYTES, 3)
    content = bytearray()
    while missing := int.from_bytes(head, "big") - len(content):
        part = caller.recv(missing)
        if not part:
            break
        content += part
    return bytes(content), streams


def _attend(
    key: selectors.SelectorKey, forks: set[_Fork], selector: selectors.BaseSelector
) -> None:
    """A fork has ended, or its caller wants something."""
    fork: _Fork = key.data
    if key.fileobj == fork.ended:
        _, status = os.waitpid(fork.pid, 0)
        selector.unregister(fork.ended)
        os.close(fork.ended)
        if fork.caller in selector.get_map():
            selector.unregister(fork.caller)
            with suppress(OSError):
                fork.caller.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        fork.caller.close()
        forks.remove(fork)
    elif fork in forks:
        wish = fork.caller.recv(1)
        if not wish:
            selector.unregister(fork.caller)
        signal.pidfd_send_signal(fork.ended, wish[0] if wish else signal.SIGKILL)


def _load() -> None:
    """Load what the steps need, and keep it from being looked through and copied in the forks."""
    if _LOADED[0] not in sys.modules:
        for name in _LOADED:
            # What is missing, the verb that needs it says better.
            with suppress(ImportError):
                importlib.import_module(name)
        gc.collect()
        gc.freeze()


def _become(request: bytes, streams: list[int]) -> None:
    """Take over a caller's words, folder, environment and streams."""
    try:
        wanted = json.loads(request)
    except ValueError:
        # It was killed while it spoke.
        os._exit(1)
    for number, copy in enumerate(streams):
        os.dup2(copy, number)
        os.close(copy)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.argv[:] = wanted["words"]


def _run_verb() -> NoReturn:
    """Run the verb and end at once: to tidy up all that was loaded takes longer than a step."""
    from wsi_pipeline.cli.app import main  # noqa: PLC0415 - slow to import

    code: str | int | None = 1
    try:
        main()
    except SystemExit as leave:
        code = leave.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__" and serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])):
    _run_verb()
