"""Which nuclei does one tile hold?

The tile function of the second pass: read → outlines → rows.  Outlines come from a network's
probabilities, or from the density of haematoxylin where no network is wanted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.config import Config
from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.labels import quantise
from wsi_pipeline.nuclei import (
    NUCLEAR_CLASSES,
    TILE_REACH_UM,
    Nuclei,
    Stain,
    blurred,
    cell_px,
    describe_nuclei,
    haematoxylin_od,
    nuclei_of,
    owned_by,
    segment_nuclei,
)
from wsi_pipeline.segment import (
    Segmenter,
    limit_threads,
    load_segmenter,
    settle_precision,
)
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import nuclei_card
from wsi_pipeline.stages.segment import open_cached
from wsi_pipeline.store import LABELS, Segmentation
from wsi_pipeline.tiling import Tile, TileShape

_LEARNT_REACH_UM = 48.0
"""Context of an outline beyond that of the network's pixels, µm: the nucleus, and half of one
that lies across it."""


@dataclass(frozen=True, slots=True)
class NucleiModel:
    """Which network outlines nuclei, and how it is run.

    Parameters
    ----------
    folder, sha256
        Where it lies, and its fingerprint.
    id, version, training_data, limits
        Its name, and what its card says to the reader of a report.
    mpp
        Pixel width it was taught at, µm; slides that are coarser are read as they are.
    stride_px, halo_px
        As in its card.
    device, precision
        As for the segmenter; ``precision`` is settled, not ``auto``.
    """

    folder: Path
    sha256: str
    id: str
    version: str
    training_data: str
    limits: str
    mpp: float
    stride_px: int
    halo_px: int
    device: str
    precision: str

    def to_json(self) -> dict[str, Any]:
        """What a table of nuclei says about it; no path."""
        left_out = ("folder", "device", "stride_px", "halo_px")
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def settle_model(config: Config) -> NucleiModel | None:
    """Network of the settings; None where nuclei shall be found without one.

    Raises
    ------
    ConfigError, ModelMismatchError
        If there is no such model, or it does not tell nuclei.
    """
    card, run = nuclei_card(config.nuclei.model), config.segment
    if card is None:
        return None
    # Eight bits are quantised for one network; this one has none.
    wish = "auto" if run.precision == "int8" else run.precision
    precision = settle_precision(wish, card=card, device=run.device)
    return NucleiModel(
        card.folder,
        card.sha256,
        card.id,
        card.version,
        card.training_data,
        card.limits,
        card.mpp,
        card.stride_px,
        card.halo_px,
        run.device,
        precision,
    )


@dataclass(frozen=True, slots=True)
class Gate:
    """Where nuclei are looked for.

    Parameters
    ----------
    segmentation
        Its labels name the tissue of each nucleus; None where there is none.
    only_tumour
        Whether nuclei elsewhere than in tumour are left out.
    """

    segmentation: Path | None
    only_tumour: bool


@dataclass(frozen=True, slots=True)
class NucleiTile:
    """Tile function: read → outlines → rows, for one tile.

    Parameters
    ----------
    record
        The slide; opened once per process.
    grid
        The working plane.
    stain
        That of the whole slide.
    gate
        Where nuclei count.
    config
        Settings.
    map_path
        Array on the working plane to mark nuclei in; None for no map.
    model
        Network that outlines; None for outlines from density.
    """

    record: SlideRecord
    grid: Grid
    stain: Stain
    gate: Gate
    config: Config
    map_path: Path | None
    model: NucleiModel | None

    @property
    def tile_shape(self) -> TileShape:
        """Tiles in which no nucleus depends on where they begin."""
        mpp, model = self.grid.mpp, self.model
        reach_um = TILE_REACH_UM if model is None else _LEARNT_REACH_UM
        halo_px = int(np.ceil(reach_um / mpp)) + (0 if model is None else model.halo_px)
        stride_px = cell_px(mpp) if model is None else model.stride_px
        return TileShape(self.config.nuclei.tile_px, halo_px, stride_px)

    def prepare(self) -> None:
        """Get a worker ready: its network."""
        if self.model is not None:
            _segmenter(self.model)

    def __call__(self, tile: Tile) -> tuple[Nuclei, NDArray[np.uint8]]:
        """Find the nuclei of one tile; return their rows and the classes of their tissue."""
        rgb = open_cached(self.record).read_region(tile.read, self.grid.mpp)
        density = haematoxylin_od(rgb, self.stain)
        labels, smooth = self._outlined(rgb, density)
        _clear_outside(labels, self.grid.box.within(tile.read))
        found = describe_nuclei(labels, smooth, box=tile.read, grid=self.grid)
        tissue = self._tissue_of(found, tile.write)
        keep = owned_by(found, tile.write, grid=self.grid) & (found["area_um2"] > 0)
        if self.gate.only_tumour:
            keep &= tissue == TUMOUR
        if self.map_path is not None:
            _mark(self.map_path, labels, keep, first_px=found["first_px"], box=tile.read)
        return found[keep], tissue[keep]

    def _outlined(
        self, rgb: NDArray[np.uint8], density: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Label map of a tile, and its density without noise."""
        mpp, settings = self.grid.mpp, self.config.nuclei
        if self.model is None:
            return segment_nuclei(density, mpp=mpp, stain=self.stain, settings=settings)
        # Tiles run side by side; sums split over threads would depend on how many there are.
        limit_threads(1)
        probabilities = quantise(_segmenter(self.model)(rgb))
        return nuclei_of(probabilities, mpp=mpp, settings=settings), blurred(density, mpp=mpp)

    def _tissue_of(self, found: Nuclei, write: Box) -> NDArray[np.uint8]:
        """Class of the label under each centroid; background where nothing was segmented."""
        if self.gate.segmentation is None:
            return np.zeros(len(found), np.uint8)
        store = Segmentation(self.gate.segmentation)
        box = store.grid.covering(write, self.grid) & store.grid.box
        labels = np.asarray(store.array(LABELS)[box.slices], np.uint8)
        row, column = (
            np.floor((found[name] - origin_um) / store.grid.mpp).astype(np.int64) - first
            for name, origin_um, first in (
                ("down_um", store.grid.origin_um[0], box.top),
                ("right_um", store.grid.origin_um[1], box.left),
            )
        )
        inside = (row >= 0) & (row < box.height) & (column >= 0) & (column < box.width)
        tissue = np.zeros(len(found), np.uint8)
        tissue[inside] = labels[row[inside], column[inside]]
        return tissue


def _clear_outside(labels: NDArray[np.int32], plane: Box) -> None:
    """Cut off what blur has drawn out over the edge of the plane, which lies there in the tile."""
    inside = np.zeros(labels.shape, np.bool_)
    inside[max(plane.top, 0) : plane.bottom, max(plane.left, 0) : plane.right] = True
    labels[~inside] = 0


@lru_cache(maxsize=1)
def _segmenter(model: NucleiModel) -> Segmenter:
    segmenter = load_segmenter(
        model.folder, classes=NUCLEAR_CLASSES, device=model.device, precision=model.precision
    )
    if segmenter.card.sha256 != model.sha256:
        raise ModelMismatchError(
            f"the model in {model.folder} is not the one this run began with; give all workers the "
            "same files and leave them alone while it runs"
        )
    return segmenter


def _mark(
    path: Path,
    labels: NDArray[np.int32],
    keep: NDArray[np.bool_],
    *,
    first_px: NDArray[np.int64],
    box: Box,
) -> None:
    """Mark the pixels of nuclei with the index of their first pixel plus one.

    Tiles mark different pixels, though in shared rows; each writes its own and no others.
    """
    values = np.concatenate([[0], np.where(keep, first_px + 1, 0)]).astype(np.uint32)
    row, column = np.nonzero(values[labels])
    plane = np.load(path, mmap_mode="r+")
    plane[row + box.top, column + box.left] = values[labels[row, column]]
    plane.flush()
