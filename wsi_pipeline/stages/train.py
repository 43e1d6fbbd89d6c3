"""Phantoms → a model folder: learn a segmenter from slides whose truth is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.config import Config, TrainSettings
from wsi_pipeline.segment.card import CARD_NAME
from wsi_pipeline.segment.unet import UNet
from wsi_pipeline.stages.artefacts import file_sha256, whole, write_text
from wsi_pipeline.stages.calibrate import LIMIT_QUANTILE, Calibration, Sample, calibrate, reach_px
from wsi_pipeline.stages.fields import VALIDATION_SEED, Field, paint_fields
from wsi_pipeline.train import Fit, Progress, augment, fit, mean_dice, window_px
from wsi_pipeline.train.calibrate import BINS
from wsi_pipeline.train.checkpoint import write_tensors
from wsi_pipeline.train.loop import Batch, normalised

_FAMILIAR_WINDOWS, _FAMILIAR_PX = 64, 512
"""Windows (not more than phantoms), and their edge within the margin, from which it is learnt what
is familiar: some 10,000 positions of tissue at a stride of 32 px."""


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
        Cores to use: processes that paint, threads that learn.
    on_progress
        Called after each step.

    Returns
    -------
    Fit
        Validation score and steps.
    """
    settings = config.train
    work = out.with_name(out.name + ".training")
    paint = partial(paint_fields, mpp=settings.mpp, folder=work / "phantoms", workers=workers)
    train = paint(range(settings.phantoms))
    held_out = paint(range(VALIDATION_SEED, VALIDATION_SEED + settings.validation_phantoms))
    # Sums over threads round differently; the same number of them gives the same weights.
    torch.set_num_threads(workers)
    torch.manual_seed(settings.seed)
    network = UNet(
        width=settings.width,
        depth=settings.depth,
        classes=len(CLASS_NAMES),
        most=settings.most,
        fold=settings.fold,
    )
    result = fit(
        network,
        draw_batch=partial(draw_batch, train, settings=settings),
        validate=partial(validate, held_out, stride_px=network.stride_px),
        settings=settings,
        folder=work / "run",
        on_progress=on_progress,
    )
    network.load_state_dict(load_file(result.weights))
    calibration = calibrate(
        network,
        training=familiar_windows(train, network, settings=settings),
        held_out=[(field.rgb, field.labels) for field in held_out],
    )
    _write_model(out, result, network, settings=settings, calibration=calibration)
    return result


def draw_batch(fields: Sequence[Field], step: int, *, settings: TrainSettings) -> Batch:
    """Tiles of one step; they depend on the step and the settings alone."""
    rng = np.random.default_rng([settings.seed, step])
    edge = window_px(settings.tile_px)
    windows = [_draw_window(fields, rng, edge=edge) for _ in range(settings.batch)]
    varied = [
        augment(window.rgb, window.labels, edge_px=settings.tile_px, rng=rng) for window in windows
    ]
    return np.stack([rgb for rgb, _ in varied]), np.stack([labels for _, labels in varied])


def familiar_windows(
    fields: Sequence[Field], network: UNet, *, settings: TrainSettings
) -> Iterator[Sample]:
    """Windows drawn and varied as in training, with room for the margin that is left out."""
    edge_px = 2 * reach_px(network) + _FAMILIAR_PX // network.stride_px * network.stride_px
    wide = replace(settings, tile_px=edge_px, batch=1)
    for step in range(min(_FAMILIAR_WINDOWS, len(fields))):
        rgb, labels = draw_batch(fields, step, settings=wide)
        yield rgb[0], labels[0]


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


def _draw_window(fields: Sequence[Field], rng: np.random.Generator, *, edge: int) -> Field:
    """Window around a pixel of a class drawn first, so that thin layers are seen often enough."""
    field = fields[int(rng.integers(len(fields)))]
    value = rng.choice(np.unique(field.labels))
    places = np.flatnonzero(field.labels == value)
    row, column = divmod(int(places[int(rng.integers(len(places)))]), field.labels.shape[1])
    # The pixel lies anywhere in the tile, not always in its middle.
    shift = rng.integers(-edge // 4, edge // 4, 2) - edge // 2
    top, left = row + int(shift[0]), column + int(shift[1])
    return Field(_cut(field.rgb, top, left, edge=edge), _cut(field.labels, top, left, edge=edge))


def _cut(plane: NDArray[np.uint8], top: int, left: int, *, edge: int) -> NDArray[np.uint8]:
    """Square of a plane; beyond its border, which is glass, the border goes on."""
    rows = np.clip(np.arange(top, top + edge), 0, plane.shape[0] - 1)
    columns = np.clip(np.arange(left, left + edge), 0, plane.shape[1] - 1)
    return plane[np.ix_(rows, columns)]


def _write_model(
    out: Path, result: Fit, network: UNet, *, settings: TrainSettings, calibration: Calibration
) -> None:
    """Write the weights, the card that names them, and its text for people."""
    weights = result.weights.read_bytes()
    with whole(out / "weights.safetensors") as unfinished:
        unfinished.write_bytes(weights)
    write_tensors(out / "novelty.safetensors", calibration.statistics, header={})
    card = _CARD.format(
        id=json.dumps(out.name),
        classes=json.dumps(CLASS_NAMES),
        mpp=settings.mpp,
        stride_px=network.stride_px,
        halo_px=-(-network.receptive_px // network.stride_px) * network.stride_px,
        data=json.dumps(_training_data(settings)),
        width=settings.width,
        depth=settings.depth,
        most=settings.most,
        fold=settings.fold,
        sha256=hashlib.sha256(weights).hexdigest(),
        novelty_sha256=file_sha256(out / "novelty.safetensors"),
        **_numbers(calibration),
    )
    write_text(out / CARD_NAME, card)
    text = _CARD_TEXT.format(
        id=out.name,
        data=_training_data(settings),
        steps=result.steps,
        score=result.score,
        settings=json.dumps(asdict(settings), indent=1),
        phantoms=settings.validation_phantoms,
        **_numbers(calibration),
    )
    write_text(out / "CARD.md", text)


def _numbers(calibration: Calibration) -> dict[str, float]:
    """What both cards say of probabilities and novelty."""
    return {
        "temperature": round(calibration.temperature, 4),
        "bins": BINS,
        "ece_before": round(calibration.ece_before, 4),
        "ece": round(calibration.ece, 4),
        "pixels": calibration.pixels,
        "quantile": LIMIT_QUANTILE,
        "limit": round(calibration.limit, 4),
    }


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
most = {most}
fold = {fold}

[normalisation]
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]

[weights]
file = "weights.safetensors"
sha256 = "{sha256}"

[calibration]
temperature = {temperature}
bins = {bins}
ece_before = {ece_before}
ece = {ece}

[novelty]
file = "novelty.safetensors"
sha256 = "{novelty_sha256}"
quantile = {quantile}
limit = {limit}
"""
_CARD_TEXT = """\
# {id}

**For research use only. Not validated on human tissue.**

{data}

After {steps} steps the mean Dice over the classes of the held-out phantoms was {score:.3f}.
Phantoms prove software and geometry, not accuracy on patients' slides; `benchmarks/accuracy.py`
judges a model on phantoms kept for testing and on real images.

**Calibration.** Logits are divided by a temperature of {temperature}, which minimises the
negative log-likelihood of {pixels} pixels in and around the tissue of the {phantoms} phantoms that
also decided when to stop. The expected calibration error (most probable class, {bins} bins of
equal width) is {ece_before} without and {ece} with it. On real tissue probabilities may be far
less reliable.

**Novelty.** The Mahalanobis distance of the deepest plane's channels from those of training
tissue, 1 at the median of held-out phantom tissue. {quantile:.0%} of it stay below {limit}; a
slide of which more than a tenth lies above is flagged `unlike_training`. The limit was not set on
any real image.

Settings, from which `wsi-pipeline train` makes the same weights again on the same machine:

```json
{settings}
```
"""
