"""Which fine texture does each tissue have?

Textures are painted once per phantom as periodic tiles of about a millimetre and then read
through wavering coordinates, which hides the period and costs a few nanoseconds a pixel.

1. Collagen: bundles (an anisotropic tessellation) parted by clefts, each with its fibrils.
2. Fat: a tessellation of about 70 µm; read more finely it gives sebaceous foam and the
   borders of epithelial cells.
3. Grain: chromatin and cytoplasm.
4. Streaks: lamellae of horn, fibrils of sheaths and muscle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsi_pipeline.phantom.noise import (
    Floats,
    Tile,
    as_bytes,
    paint_cells,
    periodic_noise,
    twice_finer,
)

EDGE_PX = 2048
STEP_UM = 0.5
PERIOD_UM = EDGE_PX * STEP_UM
# Border distances are stored in steps of 1/12 µm, up to 21 µm.
BORDER_SCALE = 12.0


@dataclass(frozen=True, slots=True)
class Wallpapers:
    """Periodic textures, uint8, `EDGE_PX` square, `STEP_UM` µm per texel.

    Parameters
    ----------
    cleft
        Distance of collagen to the border of its bundle, in 1/`BORDER_SCALE` µm.
    fibril
        Density of collagen inside its bundle, 128 on average.
    fat
        Distance to the membrane of the fat cell, in 1/`BORDER_SCALE` µm.
    grain
        Isotropic grain of about 1.5 µm, mean 128.
    streak
        Streaks along the second axis, about 1 µm wide and 20 µm long, mean 128.
    sensor : float32 (`EDGE_PX`, `EDGE_PX`)
        White noise of standard deviation 1.
    """

    cleft: Tile
    fibril: Tile
    fat: Tile
    grain: Tile
    streak: Tile
    sensor: Floats


def paint_wallpapers(seed: int) -> Wallpapers:
    """Paint all textures of a phantom."""
    rng = np.random.default_rng([seed, 8])
    grain = _standardise(
        periodic_noise(rng, edge_px=EDGE_PX // 2, sigma_px=(1.6, 1.6))
        + 0.6 * periodic_noise(rng, edge_px=EDGE_PX // 2, sigma_px=(5.0, 5.0))
    )
    streak = _standardise(
        periodic_noise(rng, edge_px=EDGE_PX // 2, sigma_px=(0.9, 9.0))
        + 0.7 * periodic_noise(rng, edge_px=EDGE_PX // 2, sigma_px=(2.2, 26.0))
    )
    cleft, fibril = _collagen(rng, streak)
    return Wallpapers(
        cleft,
        fibril,
        _fat(rng),
        _tile_of(as_bytes(grain, low=-3.2, high=3.2)),
        _tile_of(as_bytes(streak, low=-3.2, high=3.2)),
        rng.standard_normal((EDGE_PX, EDGE_PX), dtype=np.float32),
    )


def _tile_of(texels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tile:
    """Texture of `STEP_UM` texels."""
    return Tile(np.ascontiguousarray(texels), STEP_UM)


def _standardise(field: Floats) -> Floats:
    """Shift and stretch to mean 0 and standard deviation 1."""
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _mesh(rng: np.random.Generator, *, sway_px: float) -> tuple[Floats, Floats]:
    """Rows and columns of a tile at half its resolution, each wavering periodically, 0..1."""
    edge_px = EDGE_PX // 2
    axis = np.arange(edge_px, dtype=np.float32)
    sway = [sway_px * _slow_noise(rng) for _ in range(2)]
    rows, columns = axis[:, None] + sway[0], axis[None, :] + sway[1]
    return np.asarray(rows / edge_px, np.float32), np.asarray(columns / edge_px, np.float32)


def _slow_noise(rng: np.random.Generator) -> Floats:
    """Periodic noise of about 100 µm at half the tile's resolution, refined from an eighth."""
    field = periodic_noise(rng, edge_px=EDGE_PX // 16, sigma_px=(2.5, 2.5))
    for _ in range(3):
        field = twice_finer(field)
    return field


def _collagen(rng: np.random.Generator, streak: Floats) -> tuple[Tile, Tile]:
    """Clefts between bundles, and fibrils that run differently in each bundle."""
    rows, columns = _mesh(rng, sway_px=5.0)
    across, along = 64, 20
    cells = paint_cells(rng, (columns * along, rows * across), shape=(across, along))
    # Fibrils stick out into the cleft, so its edge is ragged.
    border = twice_finer(cells.border_um * (PERIOD_UM / across)) + 0.8 * np.tile(streak, (2, 2))
    identity = np.repeat(np.repeat(cells.identity, 2, axis=0), 2, axis=1)
    angle = rng.normal(0.0, 0.5, across * along).astype(np.float32)[identity]
    depth = rng.normal(1.0, 0.13, across * along).astype(np.float32)[identity]
    fibril = depth + 0.17 * _turned(streak, angle)
    return _tile_of(as_bytes(border, low=0.0, high=255 / BORDER_SCALE)), _tile_of(
        as_bytes(fibril, low=0.0, high=2.0)
    )


def _turned(streak: Floats, angle_rad: Floats) -> Floats:
    """Streaks that run at a given angle in each place of a tile."""
    edge_px = len(streak)
    axis = np.arange(len(angle_rad), dtype=np.float32)
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    row = (cos * axis[:, None] - sin * axis).astype(np.int32) & (edge_px - 1)
    column = (cos * axis + sin * axis[:, None]).astype(np.int32) & (edge_px - 1)
    return streak.ravel().take(row * edge_px + column)


def _fat(rng: np.random.Generator) -> Tile:
    """Membranes of fat cells."""
    rows, columns = _mesh(rng, sway_px=4.0)
    count = 14
    cells = paint_cells(rng, (columns * count, rows * count), shape=(count, count))
    border = twice_finer(cells.border_um * (PERIOD_UM / count))
    return _tile_of(as_bytes(border, low=0.0, high=255 / BORDER_SCALE))
