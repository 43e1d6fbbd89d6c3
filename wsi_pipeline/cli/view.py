"""The verb ``view``: slides of a run at full resolution, in a browser on this computer."""

from __future__ import annotations

import re
import secrets
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from wsi_pipeline.errors import ConfigError

_FORM_OF_TOKENS = r"[A-Za-z0-9_-]{16,128}"


def view(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run's results.")],
    *,
    host: Annotated[str, typer.Option(help="Address or name to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes any free one.", min=0, max=65535)] = 0,
    token: Annotated[
        str | None,
        typer.Option(
            help="First part of every address: 16 to 128 letters, digits, - and _.",
            show_default="drawn anew",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Web page elsewhere that may read the zarr stores, e.g. "
            "https://hms-dbmi.github.io; may be repeated.",
            show_default=False,
        ),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the first page in a browser.")
    ] = False,
) -> None:
    """Show slides at full resolution with their overlays, until Ctrl-C."""
    if token is not None and re.fullmatch(_FORM_OF_TOKENS, token) is None:
        raise ConfigError("--token must be 16 to 128 letters, digits, - and _; or leave it out")
    from wsi_pipeline.stages.view import Address, view_results  # noqa: PLC0415

    def say(url: str) -> None:
        typer.echo(f"{folder} is shown at\n  {url}\nuntil Ctrl-C.")
        if open_browser:
            webbrowser.open(url)

    address = Address(
        host, port, token or secrets.token_urlsafe(24), origins=tuple(allow_origin or ())
    )
    view_results(
        folder, address, on_ready=say, tell=lambda line: typer.echo(f"note: {line}", err=True)
    )
