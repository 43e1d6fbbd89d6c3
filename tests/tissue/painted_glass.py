"""Slides painted from optical densities, so that the truth is known.

Colours are densities of haematoxylin and eosin (Ruifrok and Johnston) on top of those of the
glass; every function returns a new plane (3, Y, X) of densities, `exposed` makes the picture.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

MPP = 8.0
SHAPE = (420, 520)
HAEMATOXYLIN = np.float64([0.650, 0.704, 0.286])[:, None, None]
EOSIN = np.float64([0.072, 0.990, 0.105])[:, None, None]

GLASSES = ("white", "grey", "pink", "vignette", "glow")


def exposed(density, *, seed=0, light=1.0):
    """Picture (Y, X, 3) uint8 with half a per cent of camera noise."""
    rng = np.random.default_rng(seed)
    light = 255 * light * 10.0 ** -np.maximum(density, 0)
    noisy = light * (1 + 0.003 * rng.normal(size=density.shape))
    return np.moveaxis(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), 0, -1)


def compressed(rgb, *, quality):
    """The picture after JPEG with halved colour."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as image:
        return np.asarray(image)


def painted_glass(kind="grey", *, shape=SHAPE):
    """Empty glass: (3, Y, X) densities."""
    row, column = (np.linspace(-1, 1, length) for length in shape)
    away = np.square(row)[:, None] + np.square(column)[None]
    plain = np.zeros((3, *shape))
    tint = {"white": (0, 0, 0), "pink": (0.037, 0.068, 0.039)}.get(kind, (0.02, 0.021, 0.022))
    plain += np.float64(tint)[:, None, None]
    if kind == "vignette":
        plain += 0.06 * away
    if kind == "glow":
        plain += 0.08 * EOSIN * np.exp(-8 * np.square(row[:, None] - column[None] - 0.3))
    return plain


def one_over_f(shape, *, seed):
    """Noise of mean 0 and deviation 1 whose amplitude falls with frequency, as in tissue."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    spectrum = np.fft.fft2(rng.normal(size=shape)) / np.maximum(frequency, 1 / max(shape))
    noise = np.real(np.fft.ifft2(spectrum))
    return (noise - noise.mean()) / noise.std()


def blob(*, centre=(0.5, 0.5), radius_um=1000.0, shape=SHAPE, mpp=MPP, seed=1):
    """A disc with a wavy outline, (Y, X) bool; the centre is given in shares of the plane."""
    row, column = np.indices(shape)
    down = row - centre[0] * shape[0]
    right = column - centre[1] * shape[1]
    angle = np.arctan2(down, right)
    waves = np.random.default_rng(seed).uniform(0, 2 * np.pi, 5)
    wavy = 1 + sum(0.03 * np.sin((k + 2) * angle + wave) for k, wave in enumerate(waves))
    return np.hypot(down, right) * mpp < radius_um * wavy


def stained(shape=SHAPE, *, seed=2, strength=1.0):
    """Densities of a textured section, (3, Y, X)."""
    eosin = 0.25 * np.exp(0.4 * one_over_f(shape, seed=seed))
    haematoxylin = 0.2 * np.exp(0.7 * one_over_f(shape, seed=seed + 1))
    return strength * (EOSIN * eosin + HAEMATOXYLIN * haematoxylin)


def fat(shape=SHAPE, *, mpp=MPP, cell_um=90.0, seed=3):
    """Densities of fat: empty cells behind thin pale membranes, some stained cells between."""
    rng = np.random.default_rng(seed)
    count = round(shape[0] * shape[1] * mpp**2 / cell_um**2)
    scale = 4
    nuclei = np.zeros((shape[0] * scale // 2, shape[1] * scale // 2), dtype=np.int32)
    spots = rng.integers(0, nuclei.size, count)
    nuclei.flat[spots] = np.arange(1, count + 1)
    nearest = ndi.distance_transform_edt(nuclei == 0, return_distances=False, return_indices=True)
    cells = nuclei[nearest[0], nearest[1]]
    wall = (cells != np.roll(cells, 1, 0)) | (cells != np.roll(cells, 1, 1))
    membrane = wall.reshape(shape[0], scale // 2, shape[1], scale // 2).mean(axis=(1, 3))
    cell = ndi.gaussian_filter((rng.random(shape) < 0.004).astype(float), 0.7)
    return EOSIN * 0.1 * membrane + HAEMATOXYLIN * 0.8 * cell


def dots(density, *, pitch_um=200.0, across_um=100.0, depth=0.02, mpp=MPP):
    """Add the printed spots of an array."""
    row, column = (
        (np.arange(length) * mpp) % pitch_um - pitch_um / 2 for length in density.shape[1:]
    )
    return density + depth * (np.hypot(row[:, None], column[None]) < across_um / 2)


def stroke(*, start, stop, width_um, shape=SHAPE, mpp=MPP):
    """A straight line with soft ends between two places given in shares of the plane; 0 to 1."""
    row, column = np.indices(shape).astype(float)
    first = np.float64(start) * shape
    along = np.float64(stop) * shape - first
    share = ((row - first[0]) * along[0] + (column - first[1]) * along[1]) / (along @ along)
    share = np.clip(share, 0, 1)
    distance = np.hypot(row - first[0] - share * along[0], column - first[1] - share * along[1])
    return np.clip(width_um / mpp / 2 - distance + 0.5, 0, 1)


def ring(*, centre, radius_um, width_um, shape=SHAPE, mpp=MPP):
    """Outline of a bubble, 0 to 1."""
    row, column = np.indices(shape)
    away = np.hypot(row - centre[0] * shape[0], column - centre[1] * shape[1])
    return np.clip(width_um / mpp / 2 - np.abs(away - radius_um / mpp) + 0.5, 0, 1)


def ink(density, where, rgb):
    """Lay a film of ink, given by its colour on white, over a plane."""
    film = -np.log10((np.float64(rgb) + 1) / 256)[:, None, None]
    return density + film * where


def overlap(found, truth):
    """Intersection over union of two masks."""
    return np.count_nonzero(found & truth) / np.count_nonzero(found | truth)
