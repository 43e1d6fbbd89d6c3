"""``slide.json`` + ``tiles.json`` → ``segmentation.ome.zarr``: which class is each pixel?

One Dask task per tile reads its box, runs the model, and writes image, probabilities and
labels.  Slides, models and stores are opened inside the task, once per process.  A few more tasks
run than may compute at a time, so that some read and write meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.blockwise import Progress, cover_plane
from wsi_pipeline.config import Config
from wsi_pipeline.errors import ModelMismatchError, TilePlanError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.labels import label_map, quantise, tissue_within
from wsi_pipeline.segment import (
    ModelCard,
    Segmenter,
    keep_memory,
    limit_threads,
    load_segmenter,
    read_card,
    settle_precision,
)
from wsi_pipeline.segment.novelty import novelty_of_tissue, summarise_novelty
from wsi_pipeline.slide import Slide, open_slide
from wsi_pipeline.stages.artefacts import provenance, used_settings, whole
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.tile import COARSEST_SHARE, TiledSlide, read_tiled
from wsi_pipeline.store import (
    Segmentation,
    StoreLayout,
    create_segmentation,
    plan_pyramid_level,
    write_pyramid_tile,
)
from wsi_pipeline.tiling import Tile, TilePlan, TileShape


@dataclass(frozen=True, slots=True)
class SegmentTile:
    """Tile function: read → model → probabilities → write, for one tile.

    It carries paths only, so that it travels to other processes in a few hundred bytes.

    Parameters
    ----------
    slide_path, slide_mpp, backend
        How the slide is opened.
    tiles_path
        ``tiles.json``, for the tissue mask.
    model_folder, model_sha256, device, precision
        Which model is loaded, where it runs and in which numbers.
    store_path
        Where to write.
    grid
        The working plane.
    computing
        How many tiles may be in the network at a time, in one process.
    """

    slide_path: Path
    slide_mpp: float
    backend: str
    tiles_path: Path
    model_folder: Path
    model_sha256: str
    device: str
    precision: str
    store_path: Path
    grid: Grid
    computing: int

    def __call__(self, tile: Tile) -> NDArray[np.float32]:
        """Segment one tile; return how unlike training its tissue is, position by position.

        One number per stride of the network; none from a model that does not score.
        """
        slide = _slide(self.slide_path, self.slide_mpp, self.backend, _stamp(self.slide_path))
        segmenter = _segmenter(self.model_folder, self.device, self.precision, self.model_sha256)
        tiled = _tiled(self.tiles_path, _stamp(self.tiles_path))
        # Tiles run side by side; sums split over threads would depend on how many there are.
        limit_threads(1)
        rgb = slide.read_region(tile.read, self.grid.mpp)
        with _turn(self.computing):
            result = segmenter.infer(rgb, keep=tile.keep)
        probabilities = quantise(result.probabilities)
        tissue = tissue_within(
            tile.write,
            grid=self.grid,
            sections=tiled.sections,
            sections_grid=tiled.sections_grid,
        )
        Segmentation(self.store_path, mode="r+").write_tile(
            tile.write,
            rgb=rgb[tile.keep],
            probabilities=probabilities,
            labels=label_map(probabilities, tissue=tissue),
        )
        if result.novelty is None:
            return np.empty(0, np.float32)
        return novelty_of_tissue(result.novelty, read=tile.read, write=tile.write, tissue=tissue)


def segment_slide(
    record: SlideRecord,
    *,
    tiles: Path,
    config: Config,
    out: Path,
    on_progress: Progress | None = None,
) -> None:
    """Segment the planned tiles of a slide and write an OME-Zarr.

    Parameters
    ----------
    record
        An inspected slide.
    tiles
        ``tiles.json`` of the same slide, planned for the same model.
    config
        Settings.
    out
        Where to write ``segmentation.ome.zarr``.
    on_progress
        Called after each tile.

    Raises
    ------
    ModelMismatchError
        If the plan was made for another model.
    StoreError
        If the plan was made for another slide.
    TilePlanError
        If its tiles do not fit the chunks of the store.
    SlideReadError
        If a region of the slide cannot be decoded; the error's note names the tile.
    """
    start = time.perf_counter()
    keep_memory()  # before the store starts threads, whose arenas others would share
    folder = find_model(config.segment.model)
    tiled, card = read_tiled(tiles), read_card(folder)
    plan = tiled.plan
    record.check_same(tiled.source, what=f"the tile plan {tiles.name}")
    check_plan(plan, card)
    config = _settled(config, card)
    run = config.segment
    workers = run.workers or available_cores()
    if run.scheduler in ("threads", "sync"):
        _segmenter(folder, run.device, run.precision, card.sha256)  # a bad model shows at once
        _turn(workers)  # made before there are threads that could each make one
    with whole(out) as partial:
        create_segmentation(
            partial,
            grid=plan.grid,
            layout=_layout(plan, config),
            attributes=_attributes(record, card, config),
        )
        job = SegmentTile(
            slide_path=record.path,
            slide_mpp=record.info["mpp"],
            backend=record.info["backend"],
            tiles_path=tiles.resolve(),
            model_folder=folder,
            model_sha256=card.sha256,
            device=run.device,
            precision=run.precision,
            store_path=partial.resolve(),
            grid=plan.grid,
            computing=workers,
        )
        scores = cover_plane(
            job,
            plan,
            scheduler=run.scheduler,
            workers=workers + (run.look_ahead if run.scheduler == "threads" else 0),
            prepare=keep_memory,
            on_progress=on_progress,
        )
        _write_pyramid(partial, workers)
        Segmentation(partial, mode="r+").annotate(
            {
                "tiles": len(plan),
                "pixels": {"decided": plan.needed_px, "computed": plan.computed_px},
                "novelty": _novelty(scores, card),
                "run_seconds": round(time.perf_counter() - start, 2),
            }
        )


def segment_whole(record: SlideRecord, plan: TilePlan, segmenter: Segmenter) -> NDArray[np.float32]:
    """Probabilities of the whole plane in one pass: what tiling must reproduce.

    The plane is read with the plan's halo around it, so that padding looks the same to the
    network as it does to tiles at the border.

    Returns
    -------
    (C, Y, X) float32
        Probabilities on ``plan.grid``; needs memory for the whole plane.
    """
    everything = TilePlan(
        plan.grid,
        TileShape(max(plan.grid.shape), plan.shape.halo_px, plan.shape.stride_px),
        ((0, 0),),
    )
    tile = everything.tile(0, 0)
    rgb = open_cached(record).read_region(tile.read, plan.grid.mpp)
    return segmenter(rgb)[(slice(None), *tile.keep)]


def check_plan(plan: TilePlan, card: ModelCard) -> None:
    """Refuse a plan that was made for a model with other needs.

    Raises
    ------
    ModelMismatchError
        Naming what differs.
    """
    faults = []
    if plan.shape.halo_px < card.halo_px:
        faults.append(f"halo {plan.shape.halo_px} px, the model needs {card.halo_px}")
    if plan.shape.stride_px % card.stride_px:
        faults.append(f"stride {plan.shape.stride_px} px, the model needs {card.stride_px}")
    if not 1.0 <= plan.grid.mpp / card.mpp <= COARSEST_SHARE:
        faults.append(f"{plan.grid.mpp} µm/px, the model needs {card.mpp}")
    if faults:
        raise ModelMismatchError(
            f"the tile plan does not fit model '{card.id}' ({'; '.join(faults)}); run "
            f"'wsi-pipeline tile' with this model"
        )


def available_cores() -> int:
    """Cores this process may use, which on a cluster is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_cached(record: SlideRecord) -> Slide:
    """Slide of a record, opened once per process."""
    return _slide(record.path, record.info["mpp"], record.info["backend"], _stamp(record.path))


# Workers outlive a run: what they keep is kept for one state of a file, not for its name.


def _stamp(path: Path) -> int:
    """When a file was last changed, ns; opening it says it better if there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=2)
def _slide(path: Path, mpp: float, backend: str, stamp: int) -> Slide:
    del stamp
    return open_slide(path, mpp=mpp, backend=backend)


@lru_cache(maxsize=1)
def _segmenter(folder: Path, device: str, precision: str, sha256: str) -> Segmenter:
    segmenter = load_segmenter(folder, device=device, precision=precision)
    if segmenter.card.sha256 != sha256:
        raise ModelMismatchError(
            f"the model in {folder} is not the one this run began with; give all workers the "
            "same files and leave them alone while it runs"
        )
    return segmenter


@cache
def _turn(computing: int) -> BoundedSemaphore:
    """What a tile waits for before it computes; one for all threads of a process."""
    return BoundedSemaphore(computing)


@lru_cache(maxsize=2)
def _tiled(path: Path, stamp: int) -> TiledSlide:
    del stamp
    return read_tiled(path)


def _settled(config: Config, card: ModelCard) -> Config:
    """Settings with the precision that ``auto`` means here: what provenance records."""
    wish, device = config.segment.precision, config.segment.device
    precision = settle_precision(wish, card=card, device=device)
    return replace(config, segment=replace(config.segment, precision=precision))


def _layout(plan: TilePlan, config: Config) -> StoreLayout:
    tile_px, chunk_px = plan.shape.tile_px, config.store.chunk_px
    if tile_px % chunk_px:
        raise TilePlanError(
            f"the plan's tiles of {tile_px} px are no multiple of 'store.chunk_px' ({chunk_px}); "
            "run 'wsi-pipeline tile' with these settings"
        )
    return StoreLayout(tile_px, chunk_px, config.store.compression)


def _attributes(record: SlideRecord, card: ModelCard, config: Config) -> dict[str, Any]:
    return {
        "slide_id": record.declared.slide_id,
        "model": card.to_json(),
        "input": dict(record.input),
        "mpp": {"level_0": record.info["mpp"], "source": record.info["mpp_source"]},
        "backend": record.info["backend"],
        "provenance": provenance(
            "segment", settings=used_settings(config, "slide", "tiling", "segment", "store")
        ),
    }


def _novelty(scores: Sequence[NDArray[np.float32]], card: ModelCard) -> dict[str, Any] | None:
    """How unlike training the slide is; None where the model cannot tell."""
    if card.novelty is None:
        return None
    return summarise_novelty(np.concatenate(scores), card=card.novelty).to_json()


def _write_pyramid(path: Path, workers: int) -> None:
    for level in range(1, Segmentation(path).levels):
        cover_plane(write_pyramid_tile, list(plan_pyramid_level(path, level)), workers=workers)
