"""What does a worker do with a tile, and what is told of it?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from wsi_pipeline.geometry import Box

Note = TypeVar("Note")
Progress = Callable[[int, int], None]
"""Called with (tiles done, tiles in all)."""
Prepare = Callable[[], object]
"""Gets a worker ready; called often, so it must be cheap and may be repeated."""


_TRY_AGAIN_AFTER_S = (0.2, 1.0)
"""A file server that stumbles is back within a second; what is damaged stays damaged."""


class HasWriteBox(Protocol):
    """Anything that says which pixels it decides."""

    @property
    def write(self) -> Box:
        """Box on the working plane."""


Task = TypeVar("Task", bound=HasWriteBox)


def name_box(tile: HasWriteBox) -> str:
    """Say where a tile is, on its own plane."""
    return f"in the tile that writes {tile.write}"


@dataclass(frozen=True, slots=True)
class NamedTile(Generic[Task, Note]):
    """Tile function that prepares its worker and tries again; its errors say where."""

    tile_function: Callable[[Task], Note]
    prepare: Prepare | None
    place: Callable[[Task], str]

    def __call__(self, tile: Task) -> Note:
        """Compute one tile, here."""
        if self.prepare:
            self.prepare()
        try:
            return self._attempt(tile)
        except Exception as fault:
            fault.add_note(self.place(tile))
            raise

    def _attempt(self, tile: Task) -> Note:
        for pause_s in _TRY_AGAIN_AFTER_S:
            try:
                return self.tile_function(tile)
            except OSError:
                time.sleep(pause_s)
        return self.tile_function(tile)


@dataclass(slots=True)
class Told(Generic[Task, Note]):
    """Tells of each tile that is done."""

    total: int
    on_note: Callable[[Task, Note], None] | None
    on_progress: Progress | None
    done: int = 0

    def __call__(self, tile: Task, note: Note) -> None:
        """Tell of one tile."""
        self.done += 1
        if self.on_note:
            self.on_note(tile, note)
        if self.on_progress:
            self.on_progress(self.done, self.total)
