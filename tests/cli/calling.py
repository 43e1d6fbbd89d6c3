"""How the command line is called in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from wsi_pipeline.cli import main

FAST = tuple(
    word
    for text in ("tiling.tile_px=256", "store.chunk_px=64", "segment.model=colour-baseline")
    for word in ("--set", text)
)
"""Small tiles, small chunks, and a model that costs nothing."""


@dataclass(frozen=True, slots=True)
class Called:
    """What the shell sees."""

    code: int
    out: str
    err: str


Call = Callable[..., Called]


def run_main(monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...]) -> int:
    """Exit code of the entry point, as if it had been started with these words."""
    monkeypatch.setattr(sys, "argv", ["wsi-pipeline", *map(str, words)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("the entry point must leave with an exit code")
