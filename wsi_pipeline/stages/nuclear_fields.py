"""Seeds → painted fields with the number of each nucleus, and tiles of them.

A network of nuclei is taught at the width at which it works, where a nucleus is 10 to 40 px
across.  Unlike fields for tissue (`fields`) these show glands and trabeculae too: what is tested on
those is architecture, of which it knows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from wsi_pipeline.phantom import (
    Architecture,
    PhantomSpec,
    Section,
    number_nuclei,
    paint_phantom,
    sample_spec,
    vary_lesion,
)
from wsi_pipeline.stages.artefacts import whole
from wsi_pipeline.store import read_arrays, write_arrays
from wsi_pipeline.train import augment, roughen, window_px

OUTSIDE, INSIDE, RIM = range(3)
"""Labels, in the order of `nuclei.NUCLEAR_CLASSES`."""
_PATTERNS: tuple[Architecture, ...] = (
    "solid",
    "cord",
    "solid-cord",
    "trabecular",
    "glandular",
    "single-file",
)
_SECTIONS: tuple[Section, ...] = ("stroma", "stroma", "horizontal", "vertical")
_SIZES = (0.7, 1.7)
"""Nuclei are drawn smaller and larger by these factors: other organs, and other pixels."""
_STRETCH = 0.3
"""And longer one way than the other by up to e to this, either way: squeezed and spindle cells."""
_ROUGH, _RECOLOURED = 0.7, 0.8
_GRID_PX, _SHIFT_PX = 16, 60


@dataclass(frozen=True, slots=True, eq=False)
class NuclearField:
    """Part of a slide: RGB (Y, X, 3), tissue (Y, X) and numbers of nuclei (Y, X), 0 for none."""

    rgb: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    nuclei: NDArray[np.int32]


def nuclear_spec(seed: int, *, mpp: float) -> PhantomSpec:
    """What the phantom of a seed shows: any section, pattern and grade, sharper or less sharp."""
    rng = np.random.default_rng([seed, 77])
    section = _SECTIONS[seed % len(_SECTIONS)]
    upright = section == "vertical"
    spec = sample_spec(
        seed,
        section=section,
        architecture=_PATTERNS[seed // len(_SECTIONS) % len(_PATTERNS)],
        grade=(1, 2, 3)[seed % 3],
        width_mm=1.4 if upright else 0.8,
        height_mm=1.2 if upright else 0.8,
        artefacts=float(rng.choice([0.0, 0.3])),
    )
    spec = vary_lesion(spec) if seed % 3 else spec
    spec = replace(spec, mpp=mpp, psf_um=float(rng.uniform(0.25, 0.6)))
    return spec if upright else replace(spec, margin_mm=0.03, lateral_span=0.95)


def paint_nuclear_fields(
    seeds: Sequence[int], *, mpp: float, folder: Path, workers: int
) -> list[NuclearField]:
    """Paint what is not in the folder yet, side by side; read it all."""
    paths = [folder / f"nuclei-{seed}-{mpp:g}.zarr" for seed in seeds]
    missing = [(seed, path) for seed, path in zip(seeds, paths, strict=True) if not path.exists()]
    paint: Callable[[tuple[int, Path]], None] = partial(_paint, mpp=mpp)
    # Spawned, because threads of torch and forked processes do not mix.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(paint, missing))
    arrays = [read_arrays(path)[0] for path in paths]
    return [NuclearField(found["rgb"], found["tissue"], found["nuclei"]) for found in arrays]


def _paint(what: tuple[int, Path], *, mpp: float) -> None:
    seed, path = what
    phantom = paint_phantom(nuclear_spec(seed, mpp=mpp))
    numbers = number_nuclei(phantom.nuclei, phantom.labels, mpp=mpp).astype(np.int32)
    arrays: dict[str, NDArray[Any]] = {
        "rgb": phantom.image,
        "tissue": phantom.labels,
        "nuclei": numbers,
    }
    with whole(path) as unfinished:
        write_arrays(unfinished, arrays, attributes={"seed": seed})


def rims_of(nuclei: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Outside, inside or rim: a pixel of a nucleus next to one that is not of it is its rim."""
    alone = ndimage.minimum_filter(nuclei, 3) == ndimage.maximum_filter(nuclei, 3)
    return np.where(nuclei > 0, np.where(alone, INSIDE, RIM), OUTSIDE).astype(np.uint8)


def draw_tile(
    field: NuclearField, *, edge_px: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Varied tile around some nucleus: RGB (edge_px, edge_px, 3) and its labels."""
    edge = window_px(edge_px)
    stretch = rng.uniform(-_STRETCH, _STRETCH) * np.array([0.5, -0.5])
    spans = np.ceil(edge / np.exp(rng.uniform(*np.log(_SIZES)) + stretch)).astype(np.int64)
    places = np.argwhere(field.nuclei[::_GRID_PX, ::_GRID_PX] > 0) * _GRID_PX
    corner = places[rng.integers(len(places))] + rng.integers(-_SHIFT_PX, _SHIFT_PX, 2) - spans // 2
    rows, columns = (
        _mirrored(np.arange(first, first + span), count)
        for first, span, count in zip(corner, spans, field.nuclei.shape, strict=True)
    )
    rgb, tissue, nuclei = (
        _resized(plane[np.ix_(rows, columns)], edge)
        for plane in (field.rgb, field.tissue, field.nuclei)
    )
    rims = rims_of(nuclei)
    if rng.random() < _ROUGH:
        rgb = roughen(rgb, rims != OUTSIDE, rng)
    # Every tissue and its nuclei take dye of their own.
    both = (tissue * len((OUTSIDE, INSIDE, RIM)) + rims).astype(np.uint8)
    rgb, both = augment(rgb, both, edge_px=edge_px, rng=rng, recoloured=_RECOLOURED, roughened=0.0)
    return rgb, both % len((OUTSIDE, INSIDE, RIM))


def _mirrored(places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Places beyond either end of an axis, mirrored into it."""
    places = np.mod(places, 2 * count)
    return np.where(places < count, places, 2 * count - 1 - places)


def _resized(plane: NDArray[Any], edge: int) -> NDArray[Any]:
    smooth = Image.Resampling.BICUBIC if plane.ndim == 3 else Image.Resampling.NEAREST
    return np.array(Image.fromarray(plane).resize((edge, edge), smooth))
