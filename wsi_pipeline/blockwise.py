"""How does a tile function cover a plane?

1. Every tile becomes one Dask task that reads, computes and writes by itself; only a short
   note of what was done travels back, never pixels.
2. The graph runs on threads, on processes, or on the workers of a `distributed` scheduler.
3. A tile that fails names its box.

Write boxes lie on chunk borders, so tasks need no locks and may run in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, NoReturn, Protocol, TypeVar

import dask
from dask.callbacks import Callback

from wsi_pipeline.errors import BlockError
from wsi_pipeline.geometry import Box

Note = TypeVar("Note")
Progress = Callable[[int, int], None]
"""Called with (tiles done, tiles in all)."""
Prepare = Callable[[], object]
"""Gets a worker ready; called often, so it must be cheap and may be repeated."""

_LOCAL = ("threads", "processes", "sync")


class HasWriteBox(Protocol):
    """Anything that says which pixels it decides."""

    @property
    def write(self) -> Box:
        """Box on the working plane."""


Task = TypeVar("Task", bound=HasWriteBox)


def cover_plane(
    tile_function: Callable[[Task], Note],
    tiles: Iterable[Task],
    *,
    scheduler: str = "threads",
    workers: int = 1,
    prepare: Prepare | None = None,
    on_progress: Progress | None = None,
) -> list[Note]:
    """Run a function over all tiles of a plane.

    Parameters
    ----------
    tile_function
        Reads, computes and writes one tile; returns a small note.  It must pickle for
        ``processes`` and remote schedulers.
    tiles
        Tiles of a plan.
    scheduler
        ``threads``, ``processes``, ``sync`` or the address of a Dask scheduler.
    workers
        Threads or processes to use; a remote scheduler brings its own.
    prepare
        Called in every worker before it computes, if possible before its threads start.
    on_progress
        Called after each tile.

    Returns
    -------
    list
        The notes, in the order of the tiles.

    Raises
    ------
    Exception
        Whatever the first failing tile raised, with a note that names its box.
    BlockError
        If a remote scheduler does not answer, or a tile kills its workers.
    """
    named, todo = _Named(tile_function, prepare), list(tiles)
    if scheduler not in _LOCAL:
        return _run_remote(named, todo, address=scheduler, on_progress=on_progress)
    if prepare and scheduler != "processes":
        prepare()
    run = dask.delayed(named, pure=False, traverse=False)
    tasks = [run(tile) for tile in todo]
    compute = partial(
        dask.compute, *tasks, scheduler=scheduler, num_workers=workers, optimize_graph=False
    )
    with _Count(len(todo), on_progress):
        if scheduler != "threads":
            return list(compute())
        # A pool of our own is waited for: after a failure no tile goes on writing to a store that
        # the caller believes to be at rest.
        with ThreadPoolExecutor(workers) as pool:
            return list(compute(pool=pool))


def _run_remote(
    tile_function: _Named[Task, Note],
    tiles: list[Task],
    *,
    address: str,
    on_progress: Progress | None,
) -> list[Note]:
    from distributed import Client, KilledWorker, as_completed  # noqa: PLC0415 - slow to import

    try:
        client = Client(address, set_as_default=False)
    except OSError as fault:
        raise BlockError(f"no Dask scheduler answers at {address}: {fault}") from fault
    with client:
        if tile_function.prepare:
            client.run(tile_function.prepare)
        futures = client.map(tile_function, tiles, pure=False, retries=1)
        for done, future in enumerate(as_completed(futures, loop=client.loop), start=1):
            failure = future.exception()
            if failure is not None:
                client.cancel(futures)
                _raise_remote(failure, KilledWorker)
            if on_progress:
                on_progress(done, len(tiles))
        notes: list[Note] = client.gather(futures)
    return notes


def _raise_remote(failure: BaseException, killed: type[BaseException]) -> NoReturn:
    """Raise what a tile raised elsewhere; say plainly if it took its workers with it."""
    if isinstance(failure, killed):
        raise BlockError(f"a tile killed every worker it was given to: {failure}") from failure
    raise failure


@dataclass(frozen=True, slots=True)
class _Named(Generic[Task, Note]):
    """Tile function that prepares its worker, and whose errors name the tile's box."""

    tile_function: Callable[[Task], Note]
    prepare: Prepare | None

    def __call__(self, tile: Task) -> Note:
        if self.prepare:
            self.prepare()
        try:
            return self.tile_function(tile)
        except Exception as fault:
            fault.add_note(f"in the tile that writes {tile.write}")
            raise


class _Count(Callback):  # type: ignore[misc]
    """Dask callback that reports how many tiles are done."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        super().__init__(posttask=self._count)
        self.done, self.total, self.on_progress = 0, total, on_progress

    def _count(self, *_: object) -> None:
        self.done += 1
        if self.on_progress and self.done <= self.total:
            self.on_progress(self.done, self.total)
