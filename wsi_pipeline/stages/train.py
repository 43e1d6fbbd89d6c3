"""Phantoms → a model folder: learn a segmenter from slides whose truth is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND, CLASS_NAMES
from wsi_pipeline.config import Config, TrainSettings
from wsi_pipeline.phantom import paint_phantom, sample_spec
from wsi_pipeline.segment.card import CARD_NAME
from wsi_pipeline.segment.unet import UNet
from wsi_pipeline.stages.artefacts import whole, write_text
from wsi_pipeline.store import halve_image, halve_labels, read_arrays, write_arrays
from wsi_pipeline.train import Fit, Progress, augment, fit, mean_dice
from wsi_pipeline.train.loop import Batch, normalised

VALIDATION_SEED, FIRST_TEST_SEED = 500_000, 900_000
"""Phantoms below the first are for training, below the second for validation; from there on they
are kept for testing and never painted here."""
_ARCHITECTURES: tuple[Literal["none", "solid", "cord", "solid-cord"], ...] = (
    "none",
    "solid",
    "cord",
    "solid-cord",
)
_SIZE_MM = (2.4, 2.2)
_GLASS = 243


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A painted field at the working mpp: RGB (Y, X, 3) and labels (Y, X), both uint8."""

    rgb: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def train_model(
    config: Config, *, out: Path, workers: int, on_progress: Progress | None = None
) -> Fit:
    """Paint phantoms, fit a U-Net to them, and write a model folder.

    Parameters
    ----------
    config
        Settings; ``train`` decides everything about the result.
    out
        Model folder to write; the model's id is its name.  Phantoms, checkpoints and the log
        lie in ``<out>.training`` and let a killed run go on.
    workers
        Processes that paint.
    on_progress
        Called after each step.

    Returns
    -------
    Fit
        Validation score and steps.
    """
    settings = config.train
    work = out.with_name(out.name + ".training")
    train = _fields(settings, range(settings.phantoms), work=work, workers=workers)
    held_out = range(VALIDATION_SEED, VALIDATION_SEED + settings.validation_phantoms)
    held_out_fields = _fields(settings, held_out, work=work, workers=workers)
    torch.manual_seed(settings.seed)
    network = UNet(width=settings.width, depth=settings.depth, classes=len(CLASS_NAMES))
    result = fit(
        network,
        draw_batch=partial(draw_batch, train, settings=settings),
        validate=partial(validate, held_out_fields, stride_px=network.stride_px),
        settings=settings,
        folder=work / "run",
        on_progress=on_progress,
    )
    _write_model(out, result, network, settings=settings)
    return result


def draw_batch(fields: Sequence[Field], step: int, *, settings: TrainSettings) -> Batch:
    """Tiles of one step; they depend on the step and the settings alone."""
    rng = np.random.default_rng([settings.seed, step])
    tiles = [_draw_tile(fields, rng, edge=settings.tile_px) for _ in range(settings.batch)]
    varied = [augment(tile.rgb, tile.labels, rng=rng) for tile in tiles]
    return np.stack([rgb for rgb, _ in varied]), np.stack([labels for _, labels in varied])


def validate(fields: Sequence[Field], network: torch.nn.Module, *, stride_px: int) -> float:
    """Mean Dice over the classes of each held-out phantom, averaged over phantoms."""
    device = next(network.parameters()).device
    scores = []
    with torch.inference_mode():
        for field in fields:
            rows, columns = (count // stride_px * stride_px for count in field.labels.shape)
            rgb = torch.from_numpy(field.rgb[None, :rows, :columns]).to(device)
            found = network(normalised(rgb)).argmax(dim=1)[0].cpu()
            wanted = torch.from_numpy(field.labels[:rows, :columns])
            scores.append(mean_dice(found, wanted, classes=len(CLASS_NAMES)))
    return float(np.mean(scores))


def _draw_tile(fields: Sequence[Field], rng: np.random.Generator, *, edge: int) -> Field:
    """Tile around a pixel of a class drawn first, so that thin layers are seen often enough."""
    field = fields[int(rng.integers(len(fields)))]
    value = rng.choice(np.unique(field.labels))
    places = np.flatnonzero(field.labels == value)
    row, column = divmod(int(places[int(rng.integers(len(places)))]), field.labels.shape[1])
    top, left = row - int(rng.integers(edge)), column - int(rng.integers(edge))
    return Field(_cut(field.rgb, top, left, edge=edge), _cut(field.labels, top, left, edge=edge))


def _cut(plane: NDArray[np.uint8], top: int, left: int, *, edge: int) -> NDArray[np.uint8]:
    """Square of a plane; glass where it reaches beyond."""
    filled = np.full(
        (edge, edge, *plane.shape[2:]), 243 if plane.ndim == 3 else BACKGROUND, np.uint8
    )
    rows = slice(max(top, 0), min(top + edge, plane.shape[0]))
    columns = slice(max(left, 0), min(left + edge, plane.shape[1]))
    inside = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    filled[inside] = plane[rows, columns]
    return filled


def _fields(settings: TrainSettings, seeds: range, *, work: Path, workers: int) -> list[Field]:
    """Paint what is not there yet, side by side; read it all."""
    paths = [work / "phantoms" / f"{seed}-{settings.mpp:g}.zarr" for seed in seeds]
    missing = [(seed, path) for seed, path in zip(seeds, paths, strict=True) if not path.exists()]
    paint: Callable[[tuple[int, Path]], None] = partial(_paint_field, mpp=settings.mpp)
    # Spawned, because threads of torch and forked processes do not mix.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(paint, missing))
    arrays = [read_arrays(path)[0] for path in paths]
    return [Field(found["rgb"], found["labels"]) for found in arrays]


def _paint_field(what: tuple[int, Path], *, mpp: float) -> None:
    """Paint at half the width of a pixel and halve: sharper than painting coarsely."""
    seed, path = what
    spec = sample_spec(
        seed,
        section="horizontal" if seed % 3 == 0 else "vertical",
        architecture=_ARCHITECTURES[seed % len(_ARCHITECTURES)],
        width_mm=_SIZE_MM[0],
        height_mm=_SIZE_MM[1],
        artefacts=(seed % 4) / 3,
    )
    phantom = paint_phantom(replace(spec, mpp=mpp / 2))
    rows, columns = (count // 2 * 2 for count in phantom.labels.shape)
    channels = np.moveaxis(phantom.image[:rows, :columns], -1, 0)
    arrays = {
        "rgb": np.moveaxis(halve_image(channels), 0, -1),
        "labels": halve_labels(phantom.labels[:rows, :columns]),
    }
    with whole(path) as unfinished:
        write_arrays(unfinished, arrays, attributes={"seed": seed})


def _write_model(out: Path, result: Fit, network: UNet, *, settings: TrainSettings) -> None:
    """Write the weights, the card that names them, and its text for people."""
    weights = result.weights.read_bytes()
    card = _CARD.format(
        id=json.dumps(out.name),
        classes=json.dumps(CLASS_NAMES),
        mpp=settings.mpp,
        stride_px=network.stride_px,
        halo_px=-(-network.receptive_px // network.stride_px) * network.stride_px,
        data=json.dumps(_training_data(settings)),
        width=settings.width,
        depth=settings.depth,
        sha256=hashlib.sha256(weights).hexdigest(),
    )
    with whole(out / "weights.safetensors") as unfinished:
        unfinished.write_bytes(weights)
    write_text(out / CARD_NAME, card)
    text = _CARD_TEXT.format(
        id=out.name,
        data=_training_data(settings),
        steps=result.steps,
        score=result.score,
        settings=json.dumps(asdict(settings), indent=1),
    )
    write_text(out / "CARD.md", text)


def _training_data(settings: TrainSettings) -> str:
    return (
        f"{settings.phantoms} painted phantoms, seeds 0 to {settings.phantoms - 1}; stopped on "
        f"{settings.validation_phantoms} further ones. No patient's tissue."
    )


_CARD = """\
id = {id}
version = "1.0.0"
licence = "BSD-3-Clause"
loader = "builtin"
classes = {classes}
mpp = {mpp}
stride_px = {stride_px}
halo_px = {halo_px}
training_data = {data}
intended_use = "Research on dermal infiltration in H&E slides of skin."
limits = "Learnt on painted phantoms only; not validated on human tissue."

[architecture]
name = "unet"
width = {width}
depth = {depth}

[normalisation]
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]

[weights]
file = "weights.safetensors"
sha256 = "{sha256}"
"""
_CARD_TEXT = """\
# {id}

**For research use only. Not validated on human tissue.**

{data}

After {steps} steps the mean Dice over the classes of the held-out phantoms was {score:.3f}.
Phantoms prove software and geometry, not accuracy on patients' slides; `benchmarks/accuracy.py`
judges a model on phantoms kept for testing and on real images.

Settings, from which `wsi-pipeline train` makes the same weights again on the same machine:

```json
{settings}
```
"""
