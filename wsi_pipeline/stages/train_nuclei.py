"""Phantoms → a model folder: learn a network that outlines nuclei."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from wsi_pipeline.config import Config, TrainSettings
from wsi_pipeline.nuclei import NUCLEAR_CLASSES
from wsi_pipeline.segment.card import CARD_NAME
from wsi_pipeline.segment.network import PixelNetwork
from wsi_pipeline.stages.artefacts import whole, write_text
from wsi_pipeline.stages.fields import VALIDATION_SEED
from wsi_pipeline.stages.nuclear_fields import NuclearField, draw_tile, paint_nuclear_fields
from wsi_pipeline.stages.start import Start, new_start
from wsi_pipeline.train import Fit, Progress, fit, mean_dice
from wsi_pipeline.train.loop import Batch, normalised

NUCLEAR_TRAINING = {
    "mpp": 0.5,
    "phantoms": 144,
    "tile_px": 256,
    "margin_px": 16,
    "batch": 6,
    "steps": 2400,
    "validate_every": 400,
}
"""Settings of ``train`` that are other for nuclei than for tissue, unless the user says so: smaller
phantoms and tiles, of finer pixels."""
_JUDGED_TILES = 48


def train_nuclei(
    config: Config, *, out: Path, workers: int, on_progress: Progress | None = None
) -> Fit:
    """Paint phantoms, fit a network to their nuclei, and write a model folder.

    Parameters
    ----------
    config
        Settings; ``train`` decides everything about the result.
    out
        Model folder to write; the model's id is its name.  Phantoms, checkpoints and the log
        lie in ``<out>.training`` and let a killed run go on.
    workers
        Cores to use: processes that paint, threads that learn.
    on_progress
        Called after each step.
    """
    settings, start = config.train, new_start(config.train, classes=len(NUCLEAR_CLASSES))
    work = out.with_name(out.name + ".training")
    paint = partial(
        paint_nuclear_fields, mpp=settings.mpp, folder=work / "phantoms", workers=workers
    )
    train = paint(range(settings.phantoms))
    held_out = paint(range(VALIDATION_SEED, VALIDATION_SEED + settings.validation_phantoms))
    # Sums over threads round differently; the same number of them gives the same weights.
    torch.set_num_threads(workers)
    result = fit(
        start.network,
        draw_batch=partial(_draw_batch, train, settings=settings),
        validate=partial(_validate, _judged_tiles(held_out, settings=settings)),
        settings=settings,
        folder=work / "run",
        data="nuclei",
        on_progress=on_progress,
    )
    _write_model(out, start, result)
    return result


def _draw_batch(fields: Sequence[NuclearField], step: int, *, settings: TrainSettings) -> Batch:
    """Tiles of one step; they depend on the step and the settings alone."""
    rng = np.random.default_rng([settings.seed, step])
    tiles = [
        draw_tile(fields[int(rng.integers(len(fields)))], edge_px=settings.tile_px, rng=rng)
        for _ in range(settings.batch)
    ]
    rgb, labels = (np.stack(planes) for planes in zip(*tiles, strict=True))
    return rgb, labels


def _judged_tiles(fields: Sequence[NuclearField], *, settings: TrainSettings) -> list[Batch]:
    """Tiles that decide when to stop, varied as those of training are: paint alone is too easy."""
    rng = np.random.default_rng([settings.seed, VALIDATION_SEED])
    return [
        draw_tile(fields[index % len(fields)], edge_px=settings.tile_px, rng=rng)
        for index in range(_JUDGED_TILES)
    ]


def _validate(tiles: Sequence[Batch], network: nn.Module) -> float:
    """Mean Dice over the classes of each tile, averaged over tiles."""
    device = next(network.parameters()).device
    scores = []
    with torch.inference_mode():
        for rgb, labels in tiles:
            logits = network(normalised(torch.from_numpy(rgb[None]).to(device)))
            found = logits[0].argmax(dim=0).cpu()
            scores.append(mean_dice(found, torch.from_numpy(labels), classes=len(NUCLEAR_CLASSES)))
    return float(np.mean(scores))


def _write_model(out: Path, start: Start, result: Fit) -> None:
    """Write a model folder; the card comes last but one, so that what has a card is complete."""
    settings, network = start.settings, start.network
    weights = result.weights.read_bytes()
    with whole(out / "weights.safetensors") as unfinished:
        unfinished.write_bytes(weights)
    told = {"id": out.name, "score": result.score, "steps": result.steps} | {
        name: getattr(settings, name) for name in ("mpp", "phantoms", "validation_phantoms")
    }
    numbers = {
        "stride_px": network.stride_px,
        "halo_px": _whole_strides(network),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    lines = (f"{name} = {json.dumps(value)}" for name, value in start.architecture.items())
    card = _CARD.format(
        classes=json.dumps(NUCLEAR_CLASSES), architecture="\n".join(lines), **told, **numbers
    )
    write_text(out / CARD_NAME, card)
    written = json.dumps(asdict(settings), indent=1)
    write_text(out / "CARD.md", _CARD_TEXT.format(settings=written, **told))


def _whole_strides(network: PixelNetwork) -> int:
    return -(-network.receptive_px // network.stride_px) * network.stride_px


_CARD = """\
id = "{id}"
version = "1.0.0"
licence = "BSD-3-Clause"
loader = "builtin"
classes = {classes}
mpp = {mpp}
stride_px = {stride_px}
halo_px = {halo_px}
training_data = "{phantoms} painted phantoms; stopped on {validation_phantoms} further ones. No \
patient's tissue. The encoder started from EfficientNet-Lite0, learnt from the photographs of \
ImageNet."
intended_use = "Research on the size and shape of nuclei in H&E slides of skin."
limits = "Learnt on painted phantoms only; not validated on human tissue."

[architecture]
{architecture}

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

Tells pixels outside nuclei, inside them and on their rim apart, at {mpp} µm/px. Learnt from
{phantoms} painted phantoms, stopped on {validation_phantoms} further ones; the encoder started from
EfficientNet-Lite0, learnt from the photographs of ImageNet.

After {steps} steps the mean Dice over the three classes was {score:.3f} on tiles of the phantoms
held out, varied as those of training. Phantoms prove software and geometry, not accuracy on
patients' slides; `benchmarks/nuclei.py` judges it on phantoms kept for testing and on real fields.

Settings, from which `wsi-pipeline train --nuclei` makes the same weights again on the same kind of
machine with the same number of `--workers`:

```json
{settings}
```
"""
