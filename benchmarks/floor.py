"""What is the least time a slide can take: its forward passes, its decoding, its writing?

    python benchmarks/floor.py FOLDER PART [--precision bfloat16] [--runtime torch] [--workers 1]
        [--plain]

FOLDER was prepared by `benchmarks/run.py`.  PART is one of

forward   the network alone, over the tiles' read boxes, which are in memory before the clock starts
decode    reading all read boxes, with the engine's reader
write     storing image, probabilities and labels of all tiles, and their pyramid
engine    all of it: what `wsi-pipeline segment` does after start-up

and one line of JSON comes out: seconds of wall clock and of processor time, page faults, pixels.
``--plain`` takes the network as it was trained (NCHW, nothing folded, the whole read box decoded);
``--squares`` the tiles that are not trimmed to their tissue.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wsi_pipeline.blockwise import cover_plane
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.segment import load_segmenter, read_card
from wsi_pipeline.segment.loading import load_trainable
from wsi_pipeline.stages.inspect import read_record
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.segment import open_cached, segment_slide
from wsi_pipeline.stages.tile import read_tiled
from wsi_pipeline.store import (
    PROBABILITIES,
    Segmentation,
    StoreLayout,
    create_segmentation,
    plan_pyramid_level,
    write_pyramid_tile,
)
from wsi_pipeline.tiling import Tile, TilePlan

PARTS = ("forward", "decode", "write", "engine")


@dataclasses.dataclass(frozen=True)
class Job:
    """What is timed, on which prepared folder."""

    folder: Path
    precision: str = "auto"
    runtime: str = "torch"
    workers: int = 1
    scheduler: str = "threads"
    plain: bool = False
    squares: bool = False

    @property
    def config(self) -> Config:
        raw = json.loads((self.folder / "settings.json").read_text(encoding="utf-8"))
        raw["segment"] |= {
            "precision": self.precision, "runtime": self.runtime, "workers": self.workers,
            "scheduler": self.scheduler,
        }  # fmt: skip
        return parse_config(raw)

    @property
    def tiles(self) -> Path:
        return self.folder / ("squares.json" if self.squares else "tiles.json")

    @property
    def plan(self) -> TilePlan:
        return read_tiled(self.tiles).plan


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds of wall clock and processor, and page faults, of this process and its children."""
    before, wall = usage(), time.perf_counter()
    work()
    wall = time.perf_counter() - wall
    seconds, faults = (after - start for after, start in zip(usage(), before, strict=True))
    return {"wall_s": wall, "cpu_s": seconds, "faults": faults}


def usage() -> tuple[float, float]:
    seen = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in seen), sum(u.ru_minflt for u in seen)


def in_threads(function: Callable[[Any], object], items: Iterable[Any], *, workers: int) -> None:
    if workers == 1:
        for item in items:
            function(item)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(function, items))


def read(job: Job, tile: Tile) -> np.ndarray:
    return open_cached(read_record(job.folder / "slide.json")).read_region(
        tile.read, job.plan.grid.mpp
    )


def forward(job: Job) -> dict[str, float]:
    run = plain_network(job) if job.plain else ready_network(job)
    inputs = [(read(job, tile), tile) for tile in job.plan]
    run(inputs[0])
    return timed(lambda: in_threads(run, inputs, workers=job.workers))


def ready_network(job: Job) -> Callable[[tuple[np.ndarray, Tile]], object]:
    """The engine's network without its last step."""
    segmenter = load_segmenter(
        find_model(job.config.segment.model),
        device="cpu",
        precision=job.precision,
        runtime=job.runtime,
    )

    stride_px = segmenter.card.stride_px

    @torch.inference_mode()
    def run(item: tuple[np.ndarray, Tile]) -> None:
        torch.set_num_threads(1)
        rgb, tile = item
        keep = tile.write.coarsened(stride_px).refined(stride_px).within(tile.read)
        segmenter._run(segmenter.normalised(rgb), keep=keep)

    return run


def plain_network(job: Job) -> Callable[[tuple[np.ndarray, Tile]], object]:
    card = read_card(find_model(job.config.segment.model))
    network: nn.Module = load_trainable(card).eval().to(memory_format=torch.contiguous_format)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))

    @torch.inference_mode()
    def run(item: tuple[np.ndarray, Tile]) -> Tensor:
        torch.set_num_threads(1)
        rgb, _ = item
        scaled = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
        return network(((scaled - mean) / std).contiguous())

    return run


def decode(job: Job) -> dict[str, float]:
    record, plan = read_record(job.folder / "slide.json"), job.plan
    slide = open_cached(record)
    return timed(
        lambda: in_threads(
            lambda tile: slide.read_region(tile.read, plan.grid.mpp), plan, workers=job.workers
        )
    )


def write(job: Job) -> dict[str, float]:
    """Store again what the engine stored: made-up numbers would compress in their own way."""
    done, plan, config = Segmentation(job.folder / "engine.ome.zarr"), job.plan, job.config
    image, labels = done.read_image(), done.read_labels()
    probabilities = np.asarray(done.array(PROBABILITIES)[:])
    out = job.folder / "write.ome.zarr"
    shutil.rmtree(out, ignore_errors=True)

    def write_tile(tile: Tile) -> None:
        Segmentation(out, mode="r+").write_tile(
            tile.write,
            rgb=image[tile.write.slices],
            probabilities=probabilities[(slice(None), *tile.write.slices)],
            labels=labels[tile.write.slices],
        )

    def write_all() -> None:
        layout = StoreLayout(plan.shape.tile_px, config.store.chunk_px, config.store.compression)
        create_segmentation(out, grid=plan.grid, layout=layout, attributes={})
        in_threads(write_tile, plan, workers=job.workers)
        for level in range(1, Segmentation(out).levels):
            cover_plane(
                write_pyramid_tile, list(plan_pyramid_level(out, level)), workers=job.workers
            )

    return timed(write_all)


def engine(job: Job) -> dict[str, float]:
    record = read_record(job.folder / "slide.json")
    out = job.folder / "engine.ome.zarr"
    return timed(lambda: segment_slide(record, tiles=job.tiles, config=job.config, out=out))


def most_memory_mib() -> float:
    """Most memory this process had; what `getrusage` says includes its parent's, before exec."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise SystemExit("this needs Linux: /proc/self/status has no VmHWM")


def measure(part: str, job: Job) -> dict[str, float]:
    plan = job.plan
    found = {"forward": forward, "decode": decode, "write": write, "engine": engine}[part](job)
    return {
        **found,
        "peak_mib": most_memory_mib(),
        "tiles": len(plan),
        "mm2": plan.needed_px * plan.grid.pixel_area_um2 / 1e6,
        "computed_px": plan.computed_px,
        "needed_px": plan.needed_px,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--scheduler", default="threads")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--squares", action="store_true")
    options = vars(parser.parse_args())
    json.dump(measure(options.pop("part"), Job(**options)), sys.stdout)


if __name__ == "__main__":
    main()
