from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import dask
import numpy as np
import pytest
import zarr
from distributed import LocalCluster

from wsi_pipeline.blockwise import cover_plane
from wsi_pipeline.errors import BlockError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.tiling import Tile, TileShape, plan_whole

PLAN = plan_whole(Grid((70, 100), 2.0), shape=TileShape(16, 4, 2))


def kill_on_one(tile: Tile) -> int:
    if (tile.row, tile.column) == (1, 2):
        os._exit(1)
    return 1


@dataclass(frozen=True)
class WriteSquares:
    """Writes row² + column of every pixel of a tile."""

    path: Path
    pause_s: float = 0.0

    def __call__(self, tile: Tile) -> int:
        time.sleep(self.pause_s)
        rows, columns = np.ogrid[tile.write.slices]
        zarr.open_array(self.path, mode="r+")[tile.write.slices] = rows**2 + columns
        return tile.write.area_px


def fail_on_one(tile: Tile) -> int:
    if (tile.row, tile.column) == (1, 2):
        raise OSError("the disk is on fire")
    return 1


def square(tile: Tile) -> tuple[int, int]:
    return tile.row, tile.column


def write_plane(path: Path, scheduler: str, workers: int) -> np.ndarray:
    zarr.create_array(path, shape=PLAN.grid.shape, chunks=(16, 16), dtype="int64")
    notes = cover_plane(WriteSquares(path), PLAN, scheduler=scheduler, workers=workers)
    assert sum(notes) == PLAN.grid.box.area_px
    return np.asarray(zarr.open_array(path, mode="r")[:])


@pytest.mark.parametrize(("scheduler", "workers"), [("sync", 1), ("threads", 4), ("processes", 2)])
def test_every_scheduler_writes_the_same_plane(
    tmp_path: Path, scheduler: str, workers: int
) -> None:
    rows, columns = np.ogrid[PLAN.grid.box.slices]
    plane = write_plane(tmp_path / "plane.zarr", scheduler, workers)
    np.testing.assert_array_equal(plane, rows**2 + columns)


def test_a_distributed_scheduler_writes_the_same_plane(tmp_path: Path, dask_address: str) -> None:
    rows, columns = np.ogrid[PLAN.grid.box.slices]
    plane = write_plane(tmp_path / "plane.zarr", dask_address, 0)
    np.testing.assert_array_equal(plane, rows**2 + columns)


def test_a_remote_failure_names_its_box(dask_address: str) -> None:
    with pytest.raises(OSError, match="on fire") as fault:
        cover_plane(fail_on_one, PLAN, scheduler=dask_address)
    assert "in the tile that writes Box(top=16, left=32" in fault.value.__notes__[0]


def test_a_remote_failure_leaves_the_other_tiles_done(dask_address: str) -> None:
    done: list[Tile] = []
    with pytest.raises(OSError, match="on fire"):
        cover_plane(
            fail_on_one,
            PLAN,
            scheduler=dask_address,
            on_note=lambda tile, _: done.append(tile),
        )
    assert sorted(tile.cell for tile in done) == sorted(set(PLAN.cells) - {(1, 2)})


def fail_on_all(tile: Tile) -> int:
    raise ValueError("too dark")


def test_many_remote_failures_end_the_run_and_name_their_boxes(dask_address: str) -> None:
    with pytest.raises(ValueError, match="too dark") as fault:
        cover_plane(fail_on_all, PLAN, scheduler=dask_address)
    assert " ".join(fault.value.__notes__).count("in the tile that writes") == 3


def test_a_tile_that_kills_its_workers_is_said(dask_address: str) -> None:
    with pytest.raises(BlockError, match="killed every worker") as fault:
        cover_plane(kill_on_one, PLAN, scheduler=dask_address)
    assert "in the tile that writes Box(top=16, left=32" in " ".join(fault.value.__notes__)


def test_workers_that_are_lost_do_not_change_the_plane(tmp_path: Path) -> None:
    """Each tile is written whole, by whoever is left."""
    rows, columns = np.ogrid[PLAN.grid.box.slices]
    zarr.create_array(tmp_path / "p.zarr", shape=PLAN.grid.shape, chunks=(16, 16), dtype="int64")
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:

        def kill_one(done: int, _: int) -> None:
            if done == 3:
                next(iter(cluster.workers.values())).process.process.kill()

        work = WriteSquares(tmp_path / "p.zarr", 0.1)
        address = cluster.scheduler_address
        notes = cover_plane(work, PLAN, scheduler=address, on_progress=kill_one)
    assert sum(notes) == PLAN.grid.box.area_px
    plane = np.asarray(zarr.open_array(tmp_path / "p.zarr", mode="r")[:])
    np.testing.assert_array_equal(plane, rows**2 + columns)


prepared: list[int] = []


def prepare() -> None:
    prepared.append(os.getpid())


def count_prepared(tile: Tile) -> int:
    assert set(prepared) == {os.getpid()}
    return len(prepared)


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_every_worker_is_prepared_before_it_computes(scheduler: str) -> None:
    prepared.clear()
    assert min(cover_plane(count_prepared, PLAN, scheduler=scheduler, prepare=prepare)) >= 1


def test_remote_workers_are_prepared_too(dask_address: str) -> None:
    assert min(cover_plane(count_prepared, PLAN, scheduler=dask_address, prepare=prepare)) >= 1


def test_notes_come_in_the_order_of_the_tiles() -> None:
    assert cover_plane(square, PLAN, workers=4) == list(PLAN.cells)


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_tiles_are_begun_in_their_order(scheduler: str) -> None:
    tiles = list(PLAN)[::-1]
    begun: list[Tile] = []
    cover_plane(begun.append, tiles, scheduler=scheduler, workers=1)
    assert begun == tiles


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_failing_tile_names_its_box(scheduler: str) -> None:
    with pytest.raises(OSError, match="on fire") as fault:
        cover_plane(fail_on_one, PLAN, scheduler=scheduler, workers=2)
    assert fault.value.__notes__ == [
        "in the tile that writes Box(top=16, left=32, bottom=32, right=48)"
    ]


def test_progress_counts_every_tile() -> None:
    seen: list[tuple[int, int]] = []
    cover_plane(square, PLAN, scheduler="sync", on_progress=lambda *done: seen.append(done))
    assert seen == [(number, len(PLAN)) for number in range(1, len(PLAN) + 1)]


def test_only_so_many_tiles_run_at_a_time() -> None:
    running, most, lock = 0, 0, threading.Lock()
    gate = threading.Event()

    def watch(tile: Tile) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(0.002)
        with lock:
            running -= 1

    cover_plane(watch, PLAN, workers=3)
    assert most <= 3


def test_an_empty_plan_is_no_work() -> None:
    assert cover_plane(square, [], workers=2) == []


def test_boxes_are_all_that_a_task_needs() -> None:
    @dataclass(frozen=True)
    class Only:
        write: Box

    assert cover_plane(lambda task: task.write.area_px, [Only(Box(0, 0, 3, 4))]) == [12]


def test_a_scheduler_that_does_not_answer_is_said() -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "200ms"}),
        pytest.raises(BlockError, match="no Dask scheduler answers"),
    ):
        cover_plane(square, PLAN, scheduler="tcp://127.0.0.1:9")


def test_after_a_failure_nothing_goes_on_running() -> None:
    """A store that is cleared away next must be at rest."""
    started, ended = [], []
    both = threading.Barrier(2)

    def one_fails(tile: Tile) -> int:
        started.append(tile)
        if len(started) <= 2:
            first = both.wait(timeout=60) == 0
            if first:
                raise ValueError("too dark")
        time.sleep(0.2)
        ended.append(tile)
        return 1

    with pytest.raises(ValueError, match="too dark"):
        cover_plane(one_fails, list(PLAN), workers=2)
    assert len(ended) == len(started) - 1
    time.sleep(0.3)
    assert len(ended) == len(started) - 1
