"""``slide.json`` + ``tiles.json`` → ``segmentation.ome.zarr``: which class is each pixel?

One Dask task per tile reads its box, runs the model, and writes image, probabilities and
labels.  Slides, models and stores are opened inside the task, once per process.  A few more tasks
run than may compute at a time: some read and write meanwhile.  A ledger beside the store holds
what is done, so that a run that was stopped goes on where it was (`resume`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.blockwise import LOCAL, Progress, cover_plane
from wsi_pipeline.config import Config, SegmentSettings
from wsi_pipeline.cores import available_cores
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
    settle_device,
    settle_precision,
)
from wsi_pipeline.segment.novelty import novelty_of_tissue, summarise_novelty
from wsi_pipeline.segment.runtime import describe_runtime
from wsi_pipeline.slide import Slide, open_slide
from wsi_pipeline.stages.artefacts import provenance, used_settings, whole
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.resume import (
    RunNote,
    TileNote,
    describe_place,
    fingerprint_work,
    peak_memory_mb,
    settle_store,
    settle_tile,
    take_up,
    write_run_note,
)
from wsi_pipeline.stages.tile import COARSEST_SHARE, TiledSlide, read_tiled
from wsi_pipeline.store import (
    Segmentation,
    StoreLayout,
    create_segmentation,
    open_ledger,
    plan_pyramid_level,
    write_pyramid_tile,
)
from wsi_pipeline.tiling import Tile, TilePlan, TileShape, largest_first


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
    model_folder, model_sha256, run
        Which model is loaded, and how it is run.
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
    run: SegmentSettings
    store_path: Path
    grid: Grid
    computing: int

    def prepare(self) -> None:
        """Get a worker ready: its memory, then its model."""
        keep_memory()
        _segmenter(self.model_folder, self.run, self.model_sha256)

    def __call__(self, tile: Tile) -> TileNote:
        """Segment one tile; return, once it is on the disk, what it wrote and its novelty.

        Novelty is one number per stride of the network; none from a model that does not score.
        """
        slide = _slide(self.slide_path, self.slide_mpp, self.backend, _stamp(self.slide_path))
        segmenter = _segmenter(self.model_folder, self.run, self.model_sha256)
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
        store = Segmentation(self.store_path, mode="r+")
        store.write_tile(
            tile.write,
            rgb=rgb[tile.keep],
            probabilities=probabilities,
            labels=label_map(probabilities, tissue=tissue),
        )
        files = settle_tile(store, tile.write)
        if result.novelty is None:
            return TileNote(files, np.empty(0, np.float32))
        stride_px = segmenter.card.stride_px
        scored = tile.write.coarsened(stride_px).refined(stride_px)
        novelty = novelty_of_tissue(result.novelty, scored=scored, write=tile.write, tissue=tissue)
        return TileNote(files, novelty)


def segment_slide(
    record: SlideRecord,
    *,
    tiles: Path,
    config: Config,
    out: Path,
    fresh: bool = False,
    on_progress: Progress | None = None,
) -> RunNote:
    """Segment the planned tiles of a slide and write an OME-Zarr.

    What a run that was stopped had finished is not computed again.

    Parameters
    ----------
    record
        An inspected slide.
    tiles
        ``tiles.json`` of the same slide, planned for the same model.
    config
        Settings.
    out
        Where to write ``segmentation.ome.zarr``; what is unfinished lies beside it as ``….partial``
        and ``….ledger``, and what the run came to as ``….run.json``.
    fresh
        Whether to compute also what such a run had finished.
    on_progress
        Called after each tile.

    Returns
    -------
    RunNote
        What it took.

    Raises
    ------
    ModelMismatchError
        If the plan was made for another model.
    StoreError
        If the plan was made for another slide, another process is writing to ``out``, or the
        disk is full.
    TilePlanError
        If its tiles do not fit the chunks of the store.
    SlideReadError
        If a region of the slide cannot be decoded; the error's note names the tile.
    """
    start = time.perf_counter()
    keep_memory()  # before the store starts threads, whose arenas others would share
    folder = find_model(config.segment.model)
    tiles = tiles.resolve()
    tiled, card = _tiled(tiles, _stamp(tiles)), read_card(folder)  # tiles here find it read
    plan = tiled.plan
    record.check_same(tiled.source, what=f"the tile plan {tiles.name}")
    record.check_unchanged()
    check_plan(plan, card)
    config = _settled(config, card)
    run = config.segment
    workers = run.workers or available_cores()
    if run.scheduler in ("threads", "sync"):
        _segmenter(folder, run, card.sha256)  # a bad model shows at once
        _turn(workers)  # made before there are threads that could each make one
    create, work = _planned_store(record, tiled, card=card, config=config)
    with (
        open_ledger(out.with_name(out.name + ".ledger"), work=work, fresh=fresh) as ledger,
        whole(out, keep=bool(ledger.records)) as unfinished,
    ):
        notes = take_up(unfinished, create=create, plan=plan, records=ledger.records)
        missing = largest_first(tile for tile in plan if tile.cell not in notes)
        job = SegmentTile(
            slide_path=record.path,
            slide_mpp=record.info["mpp"],
            backend=record.info["backend"],
            tiles_path=tiles,
            model_folder=folder,
            model_sha256=card.sha256,
            run=run,
            store_path=unfinished.resolve(),
            grid=plan.grid,
            # Threads of workers elsewhere are not ours to count.
            computing=workers if run.scheduler in LOCAL else sys.maxsize,
        )
        new = cover_plane(
            job,
            missing,
            scheduler=run.scheduler,
            workers=workers + (run.look_ahead if run.scheduler == "threads" else 0),
            prepare=job.prepare,
            on_progress=on_progress,
            on_note=lambda tile, note: ledger.append(note.to_record(tile)),
            place=partial(describe_place, grid=plan.grid, level_0=_level_0(record)),
        )
        notes |= {tile.cell: note for tile, note in zip(missing, new, strict=True)}
        _write_pyramid(unfinished, workers)
        _complete(unfinished, [notes[cell] for cell in plan.cells], plan=plan, card=card)
    seconds = round(time.perf_counter() - start, 2)
    note = RunNote(len(plan), len(plan) - len(missing), seconds, peak_memory_mb())
    write_run_note(out, note)
    return note


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


def open_cached(record: SlideRecord) -> Slide:
    """Slide of a record, opened once per process."""
    return _slide(record.path, record.info["mpp"], record.info["backend"], _stamp(record.path))


def _stamp(path: Path) -> int:
    """When a file was last changed, ns: workers outlive a run, and keep one state of a file."""
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=2)
def _slide(path: Path, mpp: float, backend: str, stamp: int) -> Slide:
    del stamp
    return open_slide(path, mpp=mpp, backend=backend)


@lru_cache(maxsize=1)
def _segmenter(folder: Path, run: SegmentSettings, sha256: str) -> Segmenter:
    segmenter = load_segmenter(
        folder, device=run.device, precision=run.precision, runtime=run.runtime
    )
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
    run = config.segment
    precision = settle_precision(run.precision, card=card, device=run.device, runtime=run.runtime)
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
        "runtime": describe_runtime(config.segment.runtime),
        "provenance": provenance(
            "segment", settings=used_settings(config, "slide", "tiling", "segment", "store")
        ),
    }


def _level_0(record: SlideRecord) -> Grid:
    rows, columns = record.info["level_shapes"][0]
    return Grid((rows, columns), record.info["mpp"])


def _planned_store(
    record: SlideRecord, tiled: TiledSlide, *, card: ModelCard, config: Config
) -> tuple[Callable[[Path], None], str]:
    """What makes the empty store, and the fingerprint of the work."""
    attributes = _attributes(record, card, config)
    create = partial(
        create_segmentation,
        grid=tiled.plan.grid,
        layout=_layout(tiled.plan, config),
        attributes=attributes,
    )
    device = settle_device(config.segment.device)
    return create, fingerprint_work(attributes, tiled=tiled, device=device)


def _complete(path: Path, notes: Sequence[TileNote], *, plan: TilePlan, card: ModelCard) -> None:
    """Add what is known at the end; see everything on the disk."""
    Segmentation(path, mode="r+").annotate(
        {
            "tiles": len(plan),
            "pixels": {"decided": plan.needed_px, "computed": plan.computed_px},
            "novelty": _novelty([note.novelty for note in notes], card),
        }
    )
    settle_store(path)


def _novelty(scores: Sequence[NDArray[np.float32]], card: ModelCard) -> dict[str, Any] | None:
    """How unlike training the slide is; None where the model cannot tell."""
    if card.novelty is None:
        return None
    return summarise_novelty(np.concatenate(scores), card=card.novelty).to_json()


def _write_pyramid(path: Path, workers: int) -> None:
    for level in range(1, Segmentation(path).levels):
        cover_plane(write_pyramid_tile, list(plan_pyramid_level(path, level)), workers=workers)
