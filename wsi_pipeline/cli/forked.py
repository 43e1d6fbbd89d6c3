"""Who runs this verb: this process, or a fork of one that has loaded everything already?

A step of a small slide computes for a tenth of a second, after it has loaded for three.  So `run`
keeps a process ready (`forkserver`), whose address its workflow finds in the environment:

1. The words, the folder, the environment and the three streams are handed over.
2. Signals are handed on; and whoever kills this process kills the fork.
3. The exit code, or the signal that ended it, becomes ours.

Where there is no such process, or one of another installation (as seen from a container), the verb
is run here.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

VARIABLE = "WSI_PIPELINE_FORKS"
"""Names the installation and the address, with a colon between them."""
HEAD_BYTES = 8
"""Length of the number that says how long a request is."""
_LOST = 1


def ask_fork() -> int | None:
    """Have this process's verb run by a fork; its exit code, or None where there is none."""
    prefix, _, address = os.environ.pop(VARIABLE, "").rpartition(os.pathsep)
    if not address or prefix != sys.prefix:
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        if not _hand_over(connection, address):
            return None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: _pass_on(connection, number))
        answer = b"".join(iter(lambda: connection.recv(64), b""))
    code = int(answer) if answer else _LOST
    if code < 0:
        _die_of(-code)
    return code


def _hand_over(connection: socket.socket, address: str) -> bool:
    """Send who we are; False where nobody listens."""
    request = {"words": sys.argv, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    content = json.dumps(request).encode()
    try:
        connection.connect(address)
        socket.send_fds(connection, [len(content).to_bytes(HEAD_BYTES, "big")], [0, 1, 2])
        connection.sendall(content)
    except OSError:
        return False
    return True


def _pass_on(connection: socket.socket, number: int) -> None:
    connection.send(bytes([number]))


def _die_of(number: int) -> None:
    """End as the fork did, so that who waits for us sees it."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
