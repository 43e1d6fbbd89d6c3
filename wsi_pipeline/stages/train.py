"""Phantoms and annotated slides → a model folder: learn a segmenter from what is known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.config import Config, TrainSettings
from wsi_pipeline.segment.network import PixelNetwork
from wsi_pipeline.stages.annotated import AnnotatedSlides, draw_annotated, validate_annotated
from wsi_pipeline.stages.calibrate import Sample, amid_glass, calibrate, reach_px
from wsi_pipeline.stages.fields import VALIDATION_SEED, Field, cut_window, paint_fields
from wsi_pipeline.stages.model_folder import Learnt, write_model
from wsi_pipeline.stages.start import Start, new_start
from wsi_pipeline.train import Fit, Progress, augment, fit, mean_dice, mix_tiles, window_px
from wsi_pipeline.train.loop import Batch, normalised

_FAMILIAR_WINDOWS, _FAMILIAR_PX = 64, 512
"""Windows (not more than phantoms), and their edge within the margin, from which it is learnt what
is familiar: some 10,000 positions of tissue at a stride of 32 px."""


def train_model(
    config: Config,
    *,
    out: Path,
    workers: int,
    start: Start | None = None,
    annotated: AnnotatedSlides | None = None,
    on_progress: Progress | None = None,
) -> Fit:
    """Paint phantoms, fit a network to them and to annotated slides, and write a model folder.

    Parameters
    ----------
    config
        Settings; ``train`` decides everything about the result.
    out
        Model folder to write; the model's id is its name.  Phantoms, checkpoints and the log
        lie in ``<out>.training`` and let a killed run go on.
    workers
        Cores to use: processes that paint, threads that learn.
    start
        Network to start from; None for random weights.
    annotated
        Slides to learn from besides phantoms.
    on_progress
        Called after each step.

    Returns
    -------
    Fit
        Validation score and steps, and the score of the model that training started from.
    """
    start = start or new_start(config.train)
    settings, network = start.settings, start.network
    work = out.with_name(out.name + ".training")
    paint = partial(paint_fields, mpp=settings.mpp, folder=work / "phantoms", workers=workers)
    train = paint(range(settings.phantoms))
    held_out = paint(range(VALIDATION_SEED, VALIDATION_SEED + settings.validation_phantoms))
    # Sums over threads round differently; the same number of them gives the same weights.
    torch.set_num_threads(workers)
    judge = partial(
        _validate_both,
        held_out,
        annotated,
        share=settings.annotated_share,
        stride_px=network.stride_px,
        margin_px=reach_px(network),
    )
    before = judge(network.eval()) if start.base else None
    result = fit(
        network,
        draw_batch=partial(draw_batch, train, settings=settings, annotated=annotated),
        validate=judge,
        settings=settings,
        folder=work / "run",
        data=_data_used(start, annotated),
        on_progress=on_progress,
    )
    network.load_state_dict(load_file(result.weights))
    calibration = calibrate(
        network,
        training=familiar_windows(train, network, settings=settings),
        held_out=[(field.rgb, field.labels) for field in held_out],
    )
    result = replace(result, before=before)
    write_model(out, Learnt(start, result, calibration, annotated))
    return result


def draw_batch(
    fields: Sequence[Field],
    step: int,
    *,
    settings: TrainSettings,
    annotated: AnnotatedSlides | None = None,
) -> Batch:
    """Tiles of one step; they depend on the step, the settings and the slides alone."""
    rng = np.random.default_rng([settings.seed, step])
    draw = partial(_draw_any, fields, annotated, share=settings.annotated_share)
    edge = window_px(settings.tile_px)
    windows = [draw(rng=rng, edge=edge) for _ in range(settings.batch)]
    varied = [
        augment(window.rgb, window.labels, edge_px=settings.tile_px, rng=rng) for window in windows
    ]
    rgb, labels = (np.stack(planes) for planes in zip(*varied, strict=True))
    return mix_tiles(rgb, labels, share=settings.mix_share, rng=rng)


def familiar_windows(
    fields: Sequence[Field], network: PixelNetwork, *, settings: TrainSettings
) -> Iterator[Sample]:
    """Windows drawn and varied as in training, with room for the margin that is left out."""
    edge_px = 2 * reach_px(network) + _FAMILIAR_PX // network.stride_px * network.stride_px
    wide = replace(settings, tile_px=edge_px, batch=1)
    for step in range(min(_FAMILIAR_WINDOWS, len(fields))):
        rgb, labels = draw_batch(fields, step, settings=wide)
        yield rgb[0], labels[0]


def validate(
    fields: Sequence[Field], network: torch.nn.Module, *, stride_px: int, margin_px: int = 0
) -> float:
    """Mean Dice over the classes of each held-out phantom, averaged over phantoms.

    Parameters
    ----------
    fields
        Phantoms; beyond their border, which is glass, the border goes on for ``margin_px``.
    network
        Judged as it will be used: with all the context it sees, which a slide always gives it.
    stride_px, margin_px
        Its stride and its reach, whole strides; what lies beyond the reach is zeros to it.
    """
    device = next(network.parameters()).device
    scores = []
    with torch.inference_mode():
        for field in fields:
            rows, columns = (count // stride_px * stride_px for count in field.labels.shape)
            labels = field.labels[:rows, :columns]
            wide, _ = amid_glass((field.rgb[:rows, :columns], labels), margin_px)
            logits = network(normalised(torch.from_numpy(wide[None]).to(device)))
            inner = logits[0, :, margin_px : margin_px + rows, margin_px : margin_px + columns]
            found = inner.argmax(dim=0).cpu()
            scores.append(mean_dice(found, torch.from_numpy(labels), classes=len(CLASS_NAMES)))
    return float(np.mean(scores))


def _validate_both(
    fields: Sequence[Field],
    annotated: AnnotatedSlides | None,
    network: torch.nn.Module,
    *,
    share: float,
    stride_px: int,
    margin_px: int,
) -> float:
    """Score on held-out phantoms and held-out slides, weighted as in training."""
    score = validate(fields, network, stride_px=stride_px, margin_px=margin_px)
    if annotated is None or not annotated.held_out:
        return score
    on_slides = validate_annotated(annotated, network, stride_px=stride_px)
    return (1.0 - share) * score + share * on_slides


def _data_used(start: Start, annotated: AnnotatedSlides | None) -> str:
    """What a run depends on besides its settings."""
    return json.dumps(
        {
            "base": start.base.sha256 if start.base else None,
            "annotated": annotated.fingerprint if annotated else None,
        }
    )


def _draw_any(
    fields: Sequence[Field],
    annotated: AnnotatedSlides | None,
    *,
    share: float,
    rng: np.random.Generator,
    edge: int,
) -> Field:
    """Window of an annotated slide, as often as is wanted, or of a phantom."""
    if annotated is not None and rng.random() < share:
        return draw_annotated(annotated, rng, edge=edge)
    field = fields[int(rng.integers(len(fields)))]
    # A class is drawn first, so that thin layers are seen often enough.
    value = int(rng.choice(np.unique(field.labels)))
    return cut_window(field, value, edge=edge, rng=rng)
