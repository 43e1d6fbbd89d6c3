"""Seeds → painted fields at the working mpp, from which a model is taught, and windows of them.

What is painted for training never has trabeculae of tumour, nor cords without nests beside them:
those, and the seeds from `FIRST_TEST_SEED` on, are kept for testing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.phantom import (
    Architecture,
    PhantomSpec,
    Section,
    paint_phantom,
    rough_look,
    sample_spec,
    sample_surface,
    vary_lesion,
)
from wsi_pipeline.stages.artefacts import whole
from wsi_pipeline.store import halve_image, halve_labels, read_arrays, write_arrays

VALIDATION_SEED, FIRST_TEST_SEED = 500_000, 900_000
"""Phantoms below the first are for training, below the second for validation; from there on they
are kept for testing and never painted here."""
TRAINING_PATTERNS: tuple[Architecture, ...] = (
    "none",
    "solid",
    "solid-cord",
    "single-file",
    "glandular",
)
_PATTERN_SHARES = (0.26, 0.2, 0.3, 0.1, 0.14)
_SECTIONS: tuple[Section, ...] = ("vertical", "horizontal", "stroma")
_SECTION_SHARES = (0.5, 0.2, 0.3)
_EDGES_MM = (1.6, 3.0)
_FROZEN_SHARE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Part of a slide at the working mpp: RGB (Y, X, 3) and labels (Y, X), both uint8."""

    rgb: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def training_spec(seed: int) -> PhantomSpec:
    """What the phantom of a seed shows: any section, pattern, size, stain and defect."""
    rng = np.random.default_rng([seed, 60])
    width_mm, height_mm = rng.uniform(*_EDGES_MM, 2)
    spec = sample_spec(
        seed,
        section=_SECTIONS[int(rng.choice(len(_SECTIONS), p=_SECTION_SHARES))],
        architecture=TRAINING_PATTERNS[int(rng.choice(len(TRAINING_PATTERNS), p=_PATTERN_SHARES))],
        width_mm=float(width_mm),
        height_mm=float(height_mm),
        artefacts=float(max(0.0, rng.uniform(-0.6, 1.0))),
    )
    spec, frozen = _vary_surface(vary_lesion(spec)), _frozen(np.random.default_rng([seed, 61]))
    return replace(spec, frozen=frozen, look=rough_look(spec.look, seed=seed))


def _frozen(rng: np.random.Generator) -> float:
    """How much a slide looks frozen: more often than a laboratory of skin would send one."""
    return float(rng.uniform(0.3, 1.0)) if rng.random() < _FROZEN_SHARE else 0.0


def _vary_surface(spec: PhantomSpec) -> PhantomSpec:
    """Damaged and uneven skin, in half of the slides with a thick epidermis, from its own stream.

    The bounds of the epidermis, its ridges and horn are judgement, as wide as pictures show.
    """
    rng = np.random.default_rng([spec.seed, 97])
    thick = bool(rng.random() < 0.5)
    living_um, ridge_um, horn_um = np.exp(rng.uniform(*np.log([(60, 20, 10), (300, 200, 80)])))
    wave_um, margin = rng.uniform(90.0, 340.0), rng.uniform(0.08, 0.13)
    spec = replace(
        spec,
        surface=sample_surface(spec.seed),
        margin_mm=float(margin * min(spec.width_mm, spec.height_mm)),
    )
    if not thick:
        return spec
    # On a low glass some dermis must remain.
    room_um = 100.0 * spec.height_mm
    return replace(
        spec,
        epidermis_um=float(min(living_um, room_um)),
        rete_amplitude_um=float(min(ridge_um, room_um)),
        rete_wavelength_um=float(wave_um),
        corneum_um=float(horn_um),
    )


def paint_fields(seeds: Sequence[int], *, mpp: float, folder: Path, workers: int) -> list[Field]:
    """Paint what is not in the folder yet, side by side; read it all."""
    paths = [folder / f"{seed}-{mpp:g}.zarr" for seed in seeds]
    missing = [(seed, path) for seed, path in zip(seeds, paths, strict=True) if not path.exists()]
    paint: Callable[[tuple[int, Path]], None] = partial(_paint_field, mpp=mpp)
    # Spawned, because threads of torch and forked processes do not mix.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(paint, missing))
    arrays = [read_arrays(path)[0] for path in paths]
    return [Field(found["rgb"], found["labels"]) for found in arrays]


def _paint_field(what: tuple[int, Path], *, mpp: float) -> None:
    """Paint at half the width of a pixel and halve: sharper than painting coarsely."""
    seed, path = what
    phantom = paint_phantom(replace(training_spec(seed), mpp=mpp / 2))
    rows, columns = (count // 2 * 2 for count in phantom.labels.shape)
    channels = np.moveaxis(phantom.image[:rows, :columns], -1, 0)
    arrays = {
        "rgb": np.moveaxis(halve_image(channels), 0, -1),
        "labels": halve_labels(phantom.labels[:rows, :columns]),
    }
    with whole(path) as unfinished:
        write_arrays(unfinished, arrays, attributes={"seed": seed})


def cut_window(field: Field, value: int, *, edge: int, rng: np.random.Generator) -> Field:
    """Square around a pixel of a class; beyond the border of its field, the border goes on.

    Parameters
    ----------
    field
        Field in which the class occurs.
    value
        The class.
    edge
        Edge of the square, px.
    rng
        Decides which pixel, and where in the middle half of the square it lies.
    """
    places = np.flatnonzero(field.labels == value)
    row, column = divmod(int(places[int(rng.integers(len(places)))]), field.labels.shape[1])
    shift = rng.integers(-edge // 4, edge // 4, 2) - edge // 2
    top, left = row + int(shift[0]), column + int(shift[1])
    return Field(_cut(field.rgb, top, left, edge=edge), _cut(field.labels, top, left, edge=edge))


def _cut(plane: NDArray[np.uint8], top: int, left: int, *, edge: int) -> NDArray[np.uint8]:
    rows = np.clip(np.arange(top, top + edge), 0, plane.shape[0] - 1)
    columns = np.clip(np.arange(left, left + edge), 0, plane.shape[1] - 1)
    return plane[np.ix_(rows, columns)]
