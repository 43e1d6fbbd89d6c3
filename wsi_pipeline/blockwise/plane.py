"""How does a tile function cover a plane?

1. Every tile becomes one Dask task that reads, computes and writes by itself; only a short
   note of what was done travels back, never pixels.
2. The graph runs on threads, on processes, or on the workers of a `distributed` scheduler.
3. A tile that cannot be read or written is tried again twice; one that fails names its box.
   Remote workers go on with the others, since each may have its own trouble (`remote`).
4. Each note is told as soon as it is there, so that a caller can write down what is done.

Write boxes lie on chunk borders, so tasks need no locks and may run in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import dask
import dask.multiprocessing
import dask.threaded
from dask.callbacks import Callback

from wsi_pipeline.blockwise.tasks import (
    NamedTile,
    Note,
    Prepare,
    Progress,
    Task,
    Told,
    name_box,
)

LOCAL = ("threads", "processes", "sync")
"""Schedulers that run on this machine."""


def cover_plane(
    tile_function: Callable[[Task], Note],
    tiles: Iterable[Task],
    *,
    scheduler: str = "threads",
    workers: int = 1,
    prepare: Prepare | None = None,
    on_progress: Progress | None = None,
    on_note: Callable[[Task, Note], None] | None = None,
    place: Callable[[Task], str] = name_box,
) -> list[Note]:
    """Run a function over all tiles of a plane.

    Parameters
    ----------
    tile_function
        Reads, computes and writes one tile; returns a small note.  It must pickle for
        ``processes`` and remote schedulers.
    tiles
        Tiles of a plan; they are begun in this order.
    scheduler
        ``threads``, ``processes``, ``sync`` or the address of a Dask scheduler.
    workers
        Threads or processes to use; a remote scheduler brings its own.
    prepare
        Called in every worker before it computes, if possible before its threads start.
    on_progress
        Called after each tile.
    on_note
        Called in this thread with each tile and its note, as they come.
    place
        Says where a tile is, for the error of one that fails.

    Returns
    -------
    list
        The notes, in the order of the tiles.

    Raises
    ------
    Exception
        Whatever the first failing tile raised, with a note that names its box.
    BlockError
        If a remote scheduler does not answer or goes away, or a tile kills its workers.
    """
    named, todo = NamedTile(tile_function, prepare, place), list(tiles)
    told = Told(len(todo), on_note, on_progress)
    if scheduler not in LOCAL:
        from wsi_pipeline.blockwise.remote import run_remote  # noqa: PLC0415 - slow to import

        return run_remote(named, todo, address=scheduler, told=told)
    if prepare and scheduler != "processes":
        prepare()
    # A graph by hand: `dask.delayed` takes 25 s for 100,000 tiles, this three.  Of tasks that
    # wait for nothing, Dask begins with the one whose name comes last.
    last, name = len(todo), uuid4().hex
    tile_of = {f"{name}-{last - number:09}": tile for number, tile in enumerate(todo)}
    graph = {key: (named, tile) for key, tile in tile_of.items()}
    keys = list(graph)
    with _Watch(tile_of, told):
        if scheduler == "sync":
            return list(dask.get(graph, keys))
        if scheduler == "processes":
            # In one chunk each: six tiles would be told of at a time.
            return list(
                dask.multiprocessing.get(
                    graph, keys, num_workers=workers, chunksize=1, optimize_graph=False
                )
            )
        # A pool of our own is waited for: after a failure no tile goes on writing to a store that
        # the caller believes to be at rest.
        with ThreadPoolExecutor(workers) as pool:
            return list(dask.threaded.get(graph, keys, pool=pool, num_workers=workers))


class _Watch(Callback):  # type: ignore[misc]
    """Dask callback that tells of each tile."""

    def __init__(self, tile_of: Mapping[str, Task], told: Told[Task, Note]) -> None:
        super().__init__(posttask=self._tell)
        self.tile_of, self.told = tile_of, told

    def _tell(self, key: str, note: Any, *_: object) -> None:
        self.told(self.tile_of[key], note)
