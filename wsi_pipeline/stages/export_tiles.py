"""``tiles.json`` → RGB tiles: the plan's write boxes as pictures, for other tools to train on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from wsi_pipeline.blockwise import Progress, cover_plane
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.stages.artefacts import whole
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.segment import open_cached
from wsi_pipeline.store import create_rgb, write_rgb
from wsi_pipeline.tiling import Tile, TilePlan


@dataclass(frozen=True, slots=True)
class _WritePng:
    """Tile function: one PNG per write box, named by its place in pixels at the working mpp."""

    record: SlideRecord
    folder: Path
    mpp: float

    def __call__(self, tile: Tile) -> None:
        rgb = open_cached(self.record).read_region(tile.write, self.mpp)
        name = f"y{tile.write.top:07d}_x{tile.write.left:07d}.png"
        Image.fromarray(rgb).save(self.folder / name)


@dataclass(frozen=True, slots=True)
class _WriteZarr:
    """Tile function: one shard of a (Y, X, 3) array per write box."""

    record: SlideRecord
    path: Path
    mpp: float

    def __call__(self, tile: Tile) -> None:
        rgb = open_cached(self.record).read_region(tile.write, self.mpp)
        write_rgb(self.path, tile.write, rgb)


def export_tiles(
    record: SlideRecord,
    plan: TilePlan,
    *,
    out: Path,
    workers: int = 1,
    on_progress: Progress | None = None,
) -> int:
    """Write the tiles of a plan as RGB.

    Parameters
    ----------
    record
        An inspected slide.
    plan
        Tiles to write; each as its whole square.
    out
        A path ending in ``.zarr`` for one (Y, X, 3) array whose chunks are the tiles, any
        other for a folder of PNG files.
    workers
        Threads.
    on_progress
        Called after each tile.

    Returns
    -------
    int
        Number of tiles written.

    Raises
    ------
    ConfigError
        If ``out`` is an existing file.
    """
    if out.is_file():
        raise ConfigError(f"{out} is a file; give a folder or a path ending in .zarr")
    with whole(out) as partial:
        write = _prepare(record, plan, partial, as_zarr=out.suffix == ".zarr")
        notes = cover_plane(write, plan.squares, workers=workers, on_progress=on_progress)
    return len(notes)


def _prepare(
    record: SlideRecord, plan: TilePlan, path: Path, *, as_zarr: bool
) -> _WritePng | _WriteZarr:
    if not as_zarr:
        path.mkdir()
        return _WritePng(record, path, plan.grid.mpp)
    create_rgb(path, grid=plan.grid, tile_px=plan.shape.tile_px)
    return _WriteZarr(record, path, plan.grid.mpp)
