"""How does the engine scale: with threads, with processes, with the number of tiles?

    python benchmarks/scaling.py FOLDER [--rounds 5]

FOLDER was prepared by `benchmarks/run.py`.  Each row is timed in a process of its own, in
interleaved rounds (`benchmarks/floor.py`):

forward, engine      on one thread, and on one per core: a machine's own scaling stands beside ours
engine, distributed  on a Dask scheduler with a worker process of one thread per core; these have
                     imported and loaded everything in a first run, which is not timed
graph                100,000 tiles that do nothing: until the first begins, and until all are done
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from floor import Job, engine, most_memory_mib
from run import measure

from wsi_pipeline.blockwise import cover_plane
from wsi_pipeline.geometry import Grid
from wsi_pipeline.tiling import Tile, TileShape, plan_whole

CORES = len(os.sched_getaffinity(0))
TILE_PX, EDGE_TILES = 1024, 317  # 317² is the first square above 100,000


def distributed(folder: Path) -> dict[str, float]:
    """The engine on worker processes that have done it once."""
    from distributed import LocalCluster  # noqa: PLC0415 - only here

    os.environ["MALLOC_ARENA_MAX"] = "1"  # as `segment --dask slurm` starts its workers
    with LocalCluster(
        n_workers=CORES, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        job = Job(folder, "bfloat16", workers=CORES, scheduler=cluster.scheduler_address)
        engine(job)
        return engine(job)


def graph() -> dict[str, float]:
    """What 100,000 tiles cost before and while they run."""
    grid = Grid((EDGE_TILES * TILE_PX,) * 2, 2.0)
    tiles = list(plan_whole(grid, shape=TileShape(TILE_PX, 224, 16)))
    before_mib, start = most_memory_mib(), time.perf_counter()
    begun: list[float] = []

    def nothing(tile: Tile) -> None:
        del tile
        if not begun:
            begun.append(time.perf_counter() - start)

    cover_plane(nothing, tiles, workers=CORES)
    return {
        "tiles": len(tiles),
        "build_s": begun[0],
        "wall_s": time.perf_counter() - start,
        "peak_mib": most_memory_mib(),
        "more_mib": most_memory_mib() - before_mib,
    }


def apart(part: str, folder: Path) -> dict[str, Any]:
    """One of the above in a process of its own."""
    words = [sys.executable, __file__, str(folder), "--only", part]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("distributed", "graph"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        found = graph() if options.only == "graph" else distributed(options.folder)
        json.dump(found, sys.stdout)
        return
    rows: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for part in ("forward", "engine"):
            for workers in (1, CORES):
                words = (part, "--precision", "bfloat16")
                seconds = measure(options.folder, words, workers=workers)["wall_s"]
                rows.setdefault(f"{part}, {workers} thread(s)", []).append(seconds)
        seconds = apart("distributed", options.folder)["wall_s"]
        rows.setdefault(f"engine, {CORES} processes", []).append(seconds)
    middle = {name: statistics.median(seconds) for name, seconds in rows.items()}
    for name, seconds in middle.items():
        print(f"{name:24}{seconds:8.2f} s   ({min(rows[name]):.2f}-{max(rows[name]):.2f})")
    for part in ("forward", "engine"):
        gain = middle[f"{part}, 1 thread(s)"] / middle[f"{part}, {CORES} thread(s)"]
        print(f"{part}: {gain:.2f} times as fast on {CORES} threads")
    more = middle[f"engine, {CORES} processes"] / middle[f"engine, {CORES} thread(s)"]
    print(f"engine: processes take {more:.2f} times as long as threads")
    cost = apart("graph", options.folder)
    print(
        f"graph of {cost['tiles']:.0f} tiles: {cost['build_s']:.1f} s until the first begins, "
        f"{cost['wall_s']:.1f} s until all are done; {cost['more_mib']:.0f} MiB more, "
        f"{cost['peak_mib']:.0f} MiB in all"
    )


if __name__ == "__main__":
    main()
