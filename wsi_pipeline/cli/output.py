"""What does a verb print?

Lines for people, or one JSON document for programs.  Progress, warnings and errors go to
stderr, so that stdout holds the answer and nothing else; after an error it is empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import typer


def answer(document: Mapping[str, Any], *lines: str, as_json: bool) -> None:
    """Print what came of a verb.

    Parameters
    ----------
    document
        The answer for programs; paths become text.
    lines
        The answer for people.
    as_json
        Which of the two is printed.
    """
    if as_json:
        typer.echo(json.dumps(document, indent=1, ensure_ascii=False, default=str))
        return
    for line in lines:
        typer.echo(line)
