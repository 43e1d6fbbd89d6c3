"""What do irregular things look like?

1. `Lattice` noise: smooth random fields of one wavelength, for everything that undulates.
2. `paint_cells`: distance to the borders of a random tessellation, for everything that is
   packed (collagen bundles, fat cells, nests).
3. `Tile`: a periodic texture read by position, so that neighbouring blocks match.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def smooth_noise(
    rng: np.random.Generator,
    places_um: tuple[Floats, Floats],
    *,
    wavelength_um: tuple[float, float],
) -> Floats:
    """Evaluate a smooth random field of mean 0 and standard deviation about 1.

    Parameters
    ----------
    rng
        Stream that decides the field.
    places_um : float32 (Y, X), twice
        Places x and y at which to evaluate it, µm.
    wavelength_um
        Typical distance of neighbouring crests along x and y, µm.

    Returns
    -------
    float32 (Y, X)
    """
    x_um, y_um = places_um
    # Knots at half a wavelength; cubic refinement by four, then bilinear reading.
    knots_um = np.array([wavelength_um[1], wavelength_um[0]]) / 2.0
    low = np.array([y_um.min(), x_um.min()]) - 2 * knots_um
    high = np.array([y_um.max(), x_um.max()]) + 2 * knots_um
    count = np.ceil((high - low) / knots_um).astype(int) + 2
    coarse = rng.standard_normal((count[0], count[1]))
    fine = ndimage.zoom(coarse, 4, order=3, mode="nearest", grid_mode=False).astype(np.float32)
    pace = (np.array(fine.shape) - 1) / ((count - 1) * knots_um)
    places = [(y_um - low[0]) * pace[0], (x_um - low[1]) * pace[1]]
    field = ndimage.map_coordinates(fine, places, order=1, mode="nearest")
    return np.asarray(field / max(float(fine.std()), 1e-6), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Cells:
    """Random tessellation evaluated at places.

    Parameters
    ----------
    border_um : float32
        Distance to the border of the cell the place lies in, µm.
    identity : int32
        Number of that cell.
    """

    border_um: Floats
    identity: NDArray[np.int32]


def paint_cells(
    rng: np.random.Generator, places: tuple[Floats, Floats], *, shape: tuple[int, int]
) -> Cells:
    """Evaluate a periodic Voronoi tessellation of jittered seeds.

    Parameters
    ----------
    rng
        Stream that decides the seeds.
    places : float32, twice
        Places x and y in units of the cell spacing; the period is ``shape[1]`` along x
        and ``shape[0]`` along y.
    shape
        Seeds per period along y and x.

    Returns
    -------
    Cells
        With distances in units of the cell spacing.

    Notes
    -----
    One seed per unit square, so the nearest seeds lie among nine candidates.  The border
    distance ``(F2² - F1²) / 2|p2 - p1|`` is exact for the two nearest seeds (Worley,
    10.1145/237170.237267).
    """
    (x, y), (rows, columns) = places, shape
    jitter = rng.uniform(0.08, 0.92, (2, rows, columns)).astype(np.float32)
    home_y, home_x = np.floor(y).astype(np.int32), np.floor(x).astype(np.int32)
    far = np.full(x.shape, 99.0, np.float32)
    first, second = far, far
    best = [np.zeros(x.shape, np.float32) for _ in range(4)]
    identity = np.zeros(x.shape, np.int32)
    for step_y in (-1, 0, 1):
        for step_x in (-1, 0, 1):
            seed = (home_y + step_y) % rows * columns + (home_x + step_x) % columns
            delta_y = home_y + step_y + jitter[0].ravel()[seed] - y
            delta_x = home_x + step_x + jitter[1].ravel()[seed] - x
            square = delta_y * delta_y + delta_x * delta_x
            nearer, next_nearer = square < first, square < second
            best = _rank(best, (delta_y, delta_x), nearer=nearer, next_nearer=next_nearer)
            second = np.where(nearer, first, np.where(next_nearer, square, second))
            first = np.where(nearer, square, first)
            identity = np.where(nearer, seed, identity)
    apart = np.hypot(best[0] - best[2], best[1] - best[3])
    return Cells((second - first) / (2 * np.maximum(apart, 1e-3)), identity)


def _rank(
    best: list[Floats],
    delta: tuple[Floats, Floats],
    *,
    nearer: NDArray[np.bool_],
    next_nearer: NDArray[np.bool_],
) -> list[Floats]:
    """Keep the offsets of the nearest and second nearest seed."""
    first, second = best[:2], best[2:]
    moved = [
        np.where(nearer, old, np.where(next_nearer, new, kept))
        for old, new, kept in zip(first, delta, second, strict=True)
    ]
    return [np.where(nearer, new, old) for new, old in zip(delta, first, strict=True)] + moved


@dataclass(frozen=True, slots=True)
class Tile:
    """Periodic texture.

    Parameters
    ----------
    texels : uint8 (N, N)
        Values; N is a power of two, so that wrapping is a bit mask.
    step_um
        Width of a texel, µm.
    """

    texels: Bytes
    step_um: float

    def at(self, index: NDArray[np.int32]) -> Bytes:
        """Read the texture at places found with `tile_index`."""
        return self.texels.ravel().take(index)


def tile_index(
    down_um: Floats, right_um: Floats, *, step_um: float, edge_px: int
) -> NDArray[np.int32]:
    """Flat index of the texel at each place; the texture repeats in both directions."""
    row = (down_um * np.float32(1 / step_um)).astype(np.int32)
    column = (right_um * np.float32(1 / step_um)).astype(np.int32)
    row &= edge_px - 1
    column &= edge_px - 1
    row *= edge_px
    row += column
    return row


def periodic_noise(
    rng: np.random.Generator, *, edge_px: int, sigma_px: tuple[float, float]
) -> Floats:
    """Smooth periodic noise of mean 0 and standard deviation 1, shape (N, N)."""
    white = rng.standard_normal((edge_px, edge_px), dtype=np.float32)
    field = ndimage.gaussian_filter(white, sigma_px, mode="wrap", truncate=3.0)
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def twice_finer(field: Floats) -> Floats:
    """Double the resolution of a periodic field by linear interpolation."""
    fine = ndimage.zoom(field, 2, order=1, mode="grid-wrap", grid_mode=True)
    return np.asarray(fine, dtype=np.float32)


def as_bytes(field: Floats, *, low: float, high: float) -> Bytes:
    """Quantise to 0..255 between two values."""
    return np.asarray(np.clip((field - low) * (255.0 / (high - low)), 0, 255), dtype=np.uint8)
