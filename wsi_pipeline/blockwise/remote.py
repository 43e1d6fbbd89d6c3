"""How do the workers of a Dask scheduler cover a plane?

1. Each worker is prepared once, also one that joins later: a model is loaded then, not by tasks.
2. A worker that is lost costs the tiles it was at; the others take them over.
3. A tile that fails twice, or kills four workers, is given up and named; the others go on, so that
   what they finish is kept.  After a few such tiles the fault is not theirs: everything stops.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from uuid import uuid4

from distributed import (
    CancelledError,
    Client,
    Future,
    KilledWorker,
    Worker,
    WorkerPlugin,
    as_completed,
)

from wsi_pipeline.blockwise.tasks import NamedTile, Note, Prepare, Task, Told
from wsi_pipeline.errors import BlockError, WsiPipelineError

_TOO_MANY = 3
"""So many failed tiles end a run: one may be damaged, all of them are not."""


class _PreparedWorker(WorkerPlugin):  # type: ignore[misc]
    """Gets each worker of a scheduler ready."""

    def __init__(self, prepare: Prepare) -> None:
        self.prepare, self.name = prepare, f"prepare-{uuid4()}"

    def setup(self, worker: Worker) -> None:
        """Prepare; the first tile says what is wrong, where a worker could only end."""
        del worker
        with suppress(OSError, WsiPipelineError):
            self.prepare()


def run_remote(
    tile_function: NamedTile[Task, Note], tiles: list[Task], *, address: str, told: Told[Task, Note]
) -> list[Note]:
    """Run a function over tiles on the workers of a scheduler.

    Raises
    ------
    Exception
        What the first failed tile raised; notes name its box and the others'.
    BlockError
        If the scheduler does not answer or goes away, or a tile kills its workers.
    """
    with ExitStack() as stack:
        try:
            client = stack.enter_context(Client(address, set_as_default=False))
        except OSError as silence:
            raise BlockError(f"no Dask scheduler answers at {address}: {silence}") from silence
        if tile_function.prepare:
            plugin = _PreparedWorker(tile_function.prepare)
            client.register_plugin(plugin)
            stack.callback(client.unregister_worker_plugin, plugin.name)
        futures = client.map(tile_function, tiles, pure=False, retries=1)
        tile_of = {future.key: tile for future, tile in zip(futures, tiles, strict=True)}
        waiting = as_completed(futures, loop=client.loop)
        del futures  # a note we have need not be made again when the worker that holds it dies
        notes: dict[str, Note] = {}
        failed: dict[str, BaseException] = {}
        for future in waiting:
            fault = _fault(future, address)
            if fault is None:
                notes[future.key] = future.result()
                told(tile_of[future.key], notes[future.key])
            else:
                failed[future.key] = fault
            if len(failed) == _TOO_MANY:
                break
        if failed:
            client.cancel(list(waiting.futures))
            places = [tile_function.place(tile_of[key]) for key in failed]
            _raise_first(list(failed.values()), places)
        return [notes[key] for key in tile_of]


def _fault(future: Future, address: str) -> BaseException | None:
    """What a tile raised; None if it is done."""
    try:
        fault: BaseException | None = future.exception()
    except CancelledError as gone:
        raise BlockError(f"the Dask scheduler at {address} went away; run again to go on") from gone
    return fault


def _raise_first(faults: list[BaseException], places: list[str]) -> None:
    """Raise what the first tile raised; name the others."""
    fault = faults[0]
    if isinstance(fault, KilledWorker):
        fault = BlockError(
            "a tile killed every worker it was given to (out of memory, or a crash): this one or "
            "one that was computed beside it,"
        )
        fault.add_note(places[0])
    if len(places) > 1:
        fault.add_note(f"and likewise {', '.join(places[1:])}")
    raise fault
