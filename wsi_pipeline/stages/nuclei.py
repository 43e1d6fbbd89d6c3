"""``slide.json`` + ``segmentation.ome.zarr`` → ``nuclei.parquet``: which nuclei are there?

A second pass over the slide at 0.25 to 0.5 µm/px, one Dask task per tile (`nuclei_tile`).  Each
hands back the rows of the nuclei whose centroid lies in its write box: none is lost at a seam,
none counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.blockwise import Progress, cover_plane
from wsi_pipeline.classes import BACKGROUND, CLASS_NAMES, TUMOUR
from wsi_pipeline.config import Config
from wsi_pipeline.cores import available_cores
from wsi_pipeline.errors import ConfigError, MeasurementError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.nuclei import (
    COARSEST_MPP,
    NUCLEUS_DTYPE,
    Nuclei,
    Stain,
    estimate_stain,
    working_mpp,
)
from wsi_pipeline.stages.artefacts import provenance, remove, used_settings, whole
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.nuclei_tile import Gate, NucleiModel, NucleiTile, settle_model
from wsi_pipeline.store import Segmentation, write_points
from wsi_pipeline.tiling import TilePlan, TileShape, plan_tiles, plan_whole

SCHEMA = "wsi_pipeline/nuclei/1"
MAX_MAP_PX = 10_000
_PATCH_UM, _PATCHES = 64.0, 300
_STRIP_PX = 1024


def find_nuclei(
    record: SlideRecord,
    *,
    gate: Gate,
    config: Config,
    out: Path,
    instances: Path | None = None,
    on_progress: Progress | None = None,
) -> Mapping[str, Any]:
    """Find the nuclei of a slide and write one row for each.

    Parameters
    ----------
    record
        An inspected slide.
    gate
        Where to look.
    config
        Settings; no result depends on tiles, workers or scheduler.
    out
        Where to write ``nuclei.parquet``.
    instances
        Where to write a map of the nuclei on level 0 (``.npy``, uint32: row of the table plus
        one); None for no map.
    on_progress
        Called after each tile.

    Returns
    -------
    dict
        ``count``, ``status`` and ``reason``.  A table may be empty: of a slide without tumour
        (``not_defined``), or of one that is too coarse or unstained (``not_assessable``).

    Raises
    ------
    StoreError
        If the segmentation is missing or of another slide.
    ConfigError
        If a map was asked for of a slide that is too large, or there is no such model.
    ModelMismatchError
        If the model does not tell nuclei.
    """
    if instances is not None:
        _check_map(record)
    store, model = _open_gate(record, gate), settle_model(config)
    found: tuple[Nuclei, NDArray[np.uint8]] = (np.zeros(0, NUCLEUS_DTYPE), np.zeros(0, np.uint8))
    grid, stain, status, reason = _prepare(record, gate=gate, store=store, model=model)
    work = None if instances is None else instances.with_name(instances.name + ".work")
    if stain is not None:
        job = NucleiTile(record, grid, stain, gate, config, work, model)
        found = _sweep(job, store, on_progress=on_progress)
    if instances is not None and work is not None:
        _write_map(instances, work, found[0], grid=grid, record=record)
    about = {"count": len(found[0]), "status": status, "reason": reason}
    attributes = _attributes(record, gate, config=config, store=store) | about
    attributes["outlined_by"] = {"id": "none"} if model is None else model.to_json()
    attributes["stain"] = None if stain is None else stain.to_json()
    attributes["mpp"]["working"] = None if stain is None else grid.mpp
    _write_table(out, *found, has_tissue=store is not None, attributes=attributes)
    return about


def _open_gate(record: SlideRecord, gate: Gate) -> Segmentation | None:
    """Segmentation of the same slide, if there is to be one."""
    if gate.segmentation is None:
        return None
    store = Segmentation(gate.segmentation)
    record.check_same(store.attributes, what=f"the segmentation {gate.segmentation.name}")
    return store


def _prepare(
    record: SlideRecord, *, gate: Gate, store: Segmentation | None, model: NucleiModel | None
) -> tuple[Grid, Stain | None, str, str]:
    """Working plane and stain; without a stain, status and reason why nothing is looked for."""
    with record.open() as slide:
        mpp = working_mpp(slide.grid.mpp)
        if mpp is None:
            reason = (
                f"pixels of {slide.grid.mpp:g} µm are too coarse for nuclei, which need "
                f"{COARSEST_MPP:g} µm or finer"
            )
            return slide.grid, None, "not_assessable", reason
        grid = slide.grid.at_mpp(mpp if model is None else max(mpp, model.mpp))
        if store is not None and gate.only_tumour and not (store.read_labels() == TUMOUR).any():
            return grid, None, "not_defined", "no tumour was segmented"
        sample = [slide.read_region(box, mpp).reshape(-1, 3)[::3] for box in _patches(grid, store)]
    try:
        return grid, estimate_stain(np.concatenate(sample)), "measured", ""
    except MeasurementError as fault:
        return grid, None, "not_assessable", str(fault)


def _patches(grid: Grid, store: Segmentation | None) -> list[Box]:
    """Small boxes spread evenly over the tissue, or over the plane where it is not known.

    They depend on slide and labels alone, not on tiles: every tile is judged by one stain.
    """
    plan = plan_whole(grid, shape=TileShape(max(1, round(_PATCH_UM / grid.mpp)), 0, 1))
    if store is not None:
        plan = _over(plan.grid, store, store.read_labels() != BACKGROUND, shape=plan.shape)
    tiles = list(plan)
    chosen = np.unique(np.linspace(0, len(tiles) - 1, min(len(tiles), _PATCHES)).astype(int))
    return [tiles[index].write for index in chosen]


def _over(
    grid: Grid, store: Segmentation, mask: NDArray[np.bool_], *, shape: TileShape
) -> TilePlan:
    """Tiles of the working plane under which some pixel of the labels is marked."""
    return plan_tiles(grid, shape=shape, tissue=mask, tissue_grid=store.grid)


def _sweep(
    job: NucleiTile, store: Segmentation | None, *, on_progress: Progress | None
) -> tuple[Nuclei, NDArray[np.uint8]]:
    """Run over the tiles; rows in the order of their first pixels, whoever found them."""
    grid, settings = job.grid, job.config.segment
    shape = job.tile_shape
    plan = plan_whole(grid, shape=shape)
    if store is not None and job.gate.only_tumour:
        plan = _over(grid, store, store.read_labels() == TUMOUR, shape=shape)
    if job.map_path is not None:
        _create_map(job.map_path, grid.shape)
    notes = cover_plane(
        job,
        plan,
        scheduler=settings.scheduler,
        workers=settings.workers or available_cores(),
        on_progress=on_progress,
    )
    rows = np.concatenate([rows for rows, _ in notes])
    tissue = np.concatenate([tissue for _, tissue in notes])
    order = np.argsort(rows["first_px"])
    return rows[order], tissue[order]


def _attributes(
    record: SlideRecord, gate: Gate, *, config: Config, store: Segmentation | None
) -> dict[str, Any]:
    """What the table says about itself; names of files are not among it."""
    settings = used_settings(config, "slide", "nuclei")
    del settings["nuclei"]["tile_px"]
    return {
        "schema": SCHEMA,
        "slide_id": record.declared.slide_id,
        "input": dict(record.input),
        "frame": "x right, y down, µm from the top-left corner of level 0",
        "where": "tumour" if gate.only_tumour else "everywhere",
        "mpp": {"level_0": record.info["mpp"], "source": record.info["mpp_source"]},
        "backend": record.info["backend"],
        "model": None if store is None else store.attributes["model"],
        "segmented": None if store is None else store.attributes["provenance"],
        "provenance": provenance("nuclei", settings=settings),
    }


def _write_table(
    out: Path,
    nuclei: Nuclei,
    tissue: NDArray[np.uint8],
    *,
    has_tissue: bool,
    attributes: Mapping[str, Any],
) -> None:
    """Write rows, numbered from one, with the name of the tissue where it is known."""
    columns: dict[str, NDArray[Any]] = {
        "nucleus_id": np.arange(1, len(nuclei) + 1, dtype=np.uint32)
    }
    columns |= {name: nuclei[name] for name in NUCLEUS_DTYPE.names or () if name != "first_px"}
    if has_tissue:
        columns["tissue"] = np.array(CLASS_NAMES, np.str_)[tissue].astype(object)
    places = np.stack([nuclei["down_um"], nuclei["right_um"]], axis=1)
    with whole(out) as partial:
        write_points(partial, columns, places_um=places, attributes=attributes)


def _check_map(record: SlideRecord) -> None:
    rows, columns = record.info["level_shapes"][0]
    if max(rows, columns) > MAX_MAP_PX:
        raise ConfigError(
            f"the slide has {columns} × {rows} px; a map of its nuclei is written up to "
            f"{MAX_MAP_PX:,} px along either edge: leave --instances out"
        )


def _create_map(path: Path, shape: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint32, shape=shape).flush()


def _write_map(path: Path, work: Path, nuclei: Nuclei, *, grid: Grid, record: SlideRecord) -> None:
    """Turn marks on the working plane into row numbers on level 0, strip by strip."""
    rows, columns = record.info["level_shapes"][0]
    level_0 = Grid((rows, columns), record.info["mpp"])
    if not work.exists():
        _create_map(work, grid.shape)
    marks = np.load(work, mmap_mode="r")
    down, right = (
        np.minimum(((np.arange(n) + 0.5) * level_0.mpp / grid.mpp).astype(np.int64), last - 1)
        for n, last in zip(level_0.shape, grid.shape, strict=True)
    )
    with whole(path) as partial:
        numbered = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.uint32, shape=level_0.shape
        )
        for top in range(0, rows, _STRIP_PX):
            strip = np.asarray(marks[down[top : top + _STRIP_PX]])[:, right]
            number = np.searchsorted(nuclei["first_px"] + 1, strip).astype(np.uint32) + 1
            numbered[top : top + _STRIP_PX] = np.where(strip > 0, number, 0)
        numbered.flush()
    del marks
    remove(work)
