"""How does the server listen, and how does it end?

1. `listen` takes the port before anything is said about it, so that the address that is
   printed works at once; port 0 takes any free one.
2. `make_server` makes what answers there, `run_until_interrupted` runs it until Ctrl-C.
"""

from __future__ import annotations

import socket

import uvicorn
from starlette.types import ASGIApp

from wsi_pipeline.errors import ConfigError

_GRACE_SECONDS = 2


def listen(host: str, port: int) -> socket.socket:
    """Take an address.

    Parameters
    ----------
    host
        Name or address of this computer.
    port
        0 for any that is free.

    Raises
    ------
    ConfigError
        If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as fault:
        raise ConfigError(
            f"cannot listen on {host}, port {port} ({fault.strerror or fault}); choose another "
            "--port (0 takes any free one), and as --host an address of this computer"
        ) from fault


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Make a server that says nothing of itself and writes down no address."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,  # addresses hold the token
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return uvicorn.Server(config)


def run_until_interrupted(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until Ctrl-C; returns then."""
    try:
        make_server(app).run(sockets=[listening])
    except KeyboardInterrupt:
        return  # the server has ended in good order and passes the signal on
