"""What of a segmentation that was stopped is kept?

1. Each finished tile is a record of the ledger: its place, the checksums of the files it wrote,
   and what else came of it (`TileNote`).
2. A run that finds records goes on in the store they speak of: tiles whose files are what their
   record says are kept, every other file is removed and the metadata are written anew.  The result
   is that of a run that was never stopped.
3. The ledger belongs to one work (`fingerprint_work`): slide, plan, model, settings, libraries.
4. `RunNote` says what a run came to; no result depends on it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.stages.artefacts import remove, write_json
from wsi_pipeline.stages.tile import TiledSlide
from wsi_pipeline.store import Segmentation, check_confined, checksum, sync_file
from wsi_pipeline.tiling import Cell, Tile, TilePlan

_LIBRARIES = ("numpy", "openslide-bin", "tifffile", "imagecodecs", "torch", "zarr", "zarrs")
"""What decides bytes besides this package: decoding, inference, compression."""


@dataclass(frozen=True, slots=True, eq=False)
class TileNote:
    """What a tile leaves besides its pixels.

    Parameters
    ----------
    files
        CRC-32 of each file it wrote, in the order of `Segmentation.tile_files`; None for none.
    novelty : (N,) float32
        Scores of the positions it decides.
    """

    files: tuple[int | None, ...]
    novelty: NDArray[np.float32]

    def to_record(self, tile: Tile) -> dict[str, Any]:
        """Record for the ledger."""
        scores = base64.b64encode(self.novelty.astype("<f4").tobytes()).decode()
        return {"tile": list(tile.cell), "files": list(self.files), "novelty": scores}


@dataclass(frozen=True, slots=True)
class RunNote:
    """What it took to segment a slide, this time.

    Parameters
    ----------
    tiles
        Tiles of the plan.
    kept
        Of these, tiles that an earlier run had finished.
    seconds
        How long this run took.
    peak_memory_mb
        Most memory this process, or a worker process it started, had at a time; 10⁶ bytes.
    """

    tiles: int
    kept: int
    seconds: float
    peak_memory_mb: int


def fingerprint_work(attributes: Mapping[str, Any], *, tiled: TiledSlide, device: str) -> str:
    """Checksum of everything that a segmentation depends on.

    Parameters
    ----------
    attributes
        Of the segmentation: input, model, settings and their like.
    tiled
        Plan and sections.
    device
        ``cpu`` or ``cuda``, which do not round alike.
    """
    work = {
        "attributes": attributes,
        "plan": tiled.plan.to_json(),
        "sections": hashlib.sha256(tiled.sections.tobytes()).hexdigest(),
        "sections_grid": tiled.sections_grid.to_json(),
        "device": device,
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()


def settle_tile(store: Segmentation, box: Box) -> tuple[int | None, ...]:
    """Wait until the files of a tile are on the disk; give their checksums."""
    files = store.tile_files(box)
    for file in files:
        sync_file(file)
    return tuple(checksum(file) for file in files)


def settle_store(path: Path) -> None:
    """Wait until every file of a store, and every name in it, is on the disk."""
    for item in (path, *path.rglob("*")):
        sync_file(item)


def take_up(
    path: Path,
    *,
    create: Callable[[Path], None],
    plan: TilePlan,
    records: Iterable[Mapping[str, Any]],
) -> dict[Cell, TileNote]:
    """Make a store ready to be written to, with what an earlier run finished in it.

    Parameters
    ----------
    path
        Store, there or not.
    create
        Writes the metadata of an empty store.
    plan
        Tiles to be computed.
    records
        Of the ledger.

    Returns
    -------
    dict
        Notes of the tiles that need not be computed again.
    """
    if path.is_dir():
        check_confined(path)
    _renew_metadata(path, create)
    store = Segmentation(path)
    notes: dict[Cell, TileNote] = {}
    files: set[Path] = set()
    for cell, note in _read_records(records):
        wrote = store.tile_files(plan.tile(*cell).write)
        if note.files == tuple(checksum(file) for file in wrote):
            notes[cell] = note
            files.update(wrote)
    _remove_others(path, files)
    return notes


def describe_place(tile: Tile, *, grid: Grid, level_0: Grid) -> str:
    """Say where on the slide a tile is, as a viewer shows it."""
    box = level_0.covering(tile.write, grid) & level_0.box
    top, left = level_0.to_um(box.top, box.left)
    bottom, right = level_0.to_um(box.bottom, box.right)
    return (
        f"in the tile of rows {box.top} to {box.bottom} and columns {box.left} to {box.right} of "
        f"level 0 ({top:.0f} to {bottom:.0f} µm down, {left:.0f} to {right:.0f} µm right)"
    )


def write_run_note(store: Path, note: RunNote) -> None:
    """Leave beside a store what it took."""
    write_json(_note_path(store), asdict(note))


def read_run_note(store: Path) -> RunNote | None:
    """Read what a store took; None where it is not known."""
    try:
        return RunNote(**json.loads(_note_path(store).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def peak_memory_mb() -> int:
    """Most memory that this process, or the largest of those it waited for, ever had; 10⁶ bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    most = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round(most * unit / 1e6)


def _note_path(store: Path) -> Path:
    return store.with_name(store.name + ".run.json")


def _renew_metadata(path: Path, create: Callable[[Path], None]) -> None:
    """Put metadata in place file by file, each at once: a run may have been killed writing them."""
    fresh = path.with_name(path.name + ".metadata")
    remove(fresh)
    create(fresh)
    for file in sorted(fresh.rglob("zarr.json")):
        place = path / file.relative_to(fresh)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)
    remove(fresh)


def _read_records(records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Cell, TileNote]]:
    for record in records:
        row, column = record["tile"]
        novelty = np.frombuffer(binascii.a2b_base64(record["novelty"]), "<f4")
        yield (row, column), TileNote(tuple(record["files"]), novelty.astype(np.float32))


def _remove_others(path: Path, files: set[Path]) -> None:
    """Remove every file but the metadata and those named, and folders that are then empty."""
    for item in sorted(path.rglob("*"), reverse=True):
        if item.is_dir():
            if not any(item.iterdir()):
                item.rmdir()
        elif item.name != "zarr.json" and item not in files:
            item.unlink()
