"""Inspected slide → what would be done with it, how long that takes, and in how much memory?

1. The tissue is found and the tiles are planned as `tile` would; nothing is written.
2. The network is timed on one tile, here and now; that times the pixels it has to see, times
   what reading and writing add, divided by the workers, is the expected time of `segment`.
3. Memory is what was measured per pixel and tile in flight (``docs/performance.md``).
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wsi_pipeline.config import Config
from wsi_pipeline.cores import available_cores
from wsi_pipeline.segment import Segmenter, limit_threads, load_segmenter
from wsi_pipeline.slide.resample import choose_level
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import find_model, model_card
from wsi_pipeline.stages.tile import plan_slide, read_tissue_plane
from wsi_pipeline.tiling import TilePlan
from wsi_pipeline.tissue import find_tissue

ENGINE_PER_FORWARD = 1.9
"""Processor time of ``segment`` over that of its network alone (9.0 s over 4.8 s in bfloat16,
1.5 in float32): reading and writing come on top, and with all cores busy hide behind nothing."""
_TRIAL_PX = 512
"""Edge of the tile that is timed, px: long enough to be in the rhythm of a large one."""
_START_MB = 450.0
"""Interpreter and libraries, MB."""
_NETWORK_BYTES_PER_PX = {"bfloat16": 70.0, "float32": 140.0}
"""Planes of the default network while torch computes it, per pixel of its input."""
_ELSEWHERE_BYTES_PER_PX = {"int8": 160.0, "bfloat16": 160.0, "float32": 290.0}
"""The same where another runtime does, which makes every plane whole."""
_TILE_BYTES_PER_PX = 40.0
"""RGB, probabilities and what is compressed of a tile in flight, per pixel."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the pipeline would do with a slide.

    Parameters
    ----------
    model, precision, device
        Network, the numbers it computes in, and where.
    working_mpp, level
        Pixel width at which it is segmented, µm, and the stored level that is read for it.
    shape_px
        ``(rows, columns)`` of the working plane.
    sections
        Pieces of tissue.
    tissue_mm2
        Their area.
    tiles, lattice
        Tiles to compute, and rows and columns of all that there could be.
    decided_mpx, computed_mpx
        Million pixels that are labelled, and that the network sees with context.
    workers
        Dask workers.
    network_s_per_mpx
        Seconds of one core (or of the GPU) per million pixels, timed on one tile.
    segment_s
        Expected seconds of `segment`; the other steps come on top.
    memory_mb
        Expected peak of `segment`, MB; without what a GPU holds.
    """

    model: str
    precision: str
    device: str
    working_mpp: float
    level: int
    shape_px: tuple[int, int]
    sections: int
    tissue_mm2: float
    tiles: int
    lattice: tuple[int, int]
    decided_mpx: float
    computed_mpx: float
    workers: int
    network_s_per_mpx: float
    segment_s: float
    memory_mb: float

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def foresee(record: SlideRecord, *, config: Config) -> Forecast:
    """Plan a slide without writing anything, time the network on one tile, and add up.

    Parameters
    ----------
    record
        An inspected slide.
    config
        Settings that it would be segmented with.

    Raises
    ------
    TissueError, ModelMismatchError, ConfigError
        Where `tile` or `segment` would end with the same error.
    """
    run, card = config.segment, model_card(config.segment.model)
    with record.open() as slide:
        rgb, grid = read_tissue_plane(slide, config)
        tissue = find_tissue(rgb, grid=grid, settings=config.tissue)
        plan = plan_slide(slide.grid, tissue, card=card, config=config)
        info = slide.info
        ratio = plan.grid.mpp / slide.grid.mpp
    level, _ = choose_level(ratio, info.level_downsamples, usable=info.levels_read)
    segmenter = load_segmenter(
        find_model(run.model), device=run.device, precision=run.precision, runtime=run.runtime
    )
    rate = time_network(segmenter, kept=math.sqrt(plan.needed_px / plan.computed_px))
    workers = run.workers or available_cores()
    computed_mpx = plan.computed_px / 1e6
    return Forecast(
        model=card.id,
        precision=segmenter.precision,
        device=segmenter.device.type,
        working_mpp=plan.grid.mpp,
        level=level,
        shape_px=plan.grid.shape,
        sections=len(tissue.section_areas_mm2),
        tissue_mm2=sum(tissue.section_areas_mm2),
        tiles=len(plan),
        lattice=plan.lattice,
        decided_mpx=plan.needed_px / 1e6,
        computed_mpx=computed_mpx,
        workers=workers,
        network_s_per_mpx=rate,
        segment_s=computed_mpx * rate * ENGINE_PER_FORWARD / min(workers, len(plan)),
        memory_mb=expected_memory_mb(
            plan,
            precision=segmenter.precision,
            runtime=run.runtime,
            workers=workers,
            look_ahead=run.look_ahead,
        ),
    )


def time_network(segmenter: Segmenter, *, kept: float, edge_px: int = _TRIAL_PX) -> float:
    """Seconds per million pixels on one thread: the faster of two runs after one to warm up.

    Parameters
    ----------
    segmenter
        Model.
    kept
        Share of a tile's edge that is decided; the rest is halo.
    edge_px
        Of the tile that is timed, halo included.
    """
    limit_threads(1)
    edge_px = -(-edge_px // segmenter.card.stride_px) * segmenter.card.stride_px
    rgb = np.random.default_rng(0).integers(120, 255, (edge_px, edge_px, 3), dtype=np.uint8)
    border = round((1.0 - kept) * edge_px / 2)
    keep = (slice(border, edge_px - border),) * 2
    times = []
    for _ in range(3):
        start = time.perf_counter()
        segmenter.infer(rgb, keep=keep)
        times.append(time.perf_counter() - start)
    return min(times[1:]) / (edge_px**2 / 1e6)


def expected_memory_mb(
    plan: TilePlan, *, precision: str, runtime: str, workers: int, look_ahead: int
) -> float:
    """Peak of `segment` on a processor, MB, from the largest tile and the tiles in flight.

    Parameters
    ----------
    plan
        Tiles.
    precision
        ``float32``, ``bfloat16`` or ``int8``.
    runtime
        ``torch`` or another.
    workers, look_ahead
        Tiles in the network at a time, and those that read or write meanwhile.
    """
    largest_mpx = max(tile.read.area_px for tile in plan) / 1e6
    computing = min(workers, len(plan))
    in_flight = min(workers + look_ahead, len(plan))
    bytes_per_px = _NETWORK_BYTES_PER_PX if runtime == "torch" else _ELSEWHERE_BYTES_PER_PX
    tile_mb = computing * bytes_per_px[precision] + in_flight * _TILE_BYTES_PER_PX
    return _START_MB + tile_mb * largest_mpx
