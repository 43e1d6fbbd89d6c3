"""Phantoms, annotated slides → a model folder: learn a segmenter from what is known of them."""

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
from wsi_pipeline.stages.annotated import (
    AnnotatedSlides,
    draw_annotated,
    validate_annotated,
)
from wsi_pipeline.stages.artefacts import whole, write_text
from wsi_pipeline.stages.start import Start, new_start
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
    config: Config,
    *,
    out: Path,
    workers: int,
    start: Start | None = None,
    annotated: AnnotatedSlides | None = None,
    on_progress: Progress | None = None,
) -> Fit:
    """Paint phantoms, fit a U-Net to them and to annotated slides, and write a model folder.

    Parameters
    ----------
    config
        Settings; ``train`` decides everything about the result.
    out
        Model folder to write; the model's id is its name.  Phantoms, checkpoints and the log
        lie in ``<out>.training`` and let a killed run go on.
    workers
        Processes that paint.
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
    train = _fields(settings, range(settings.phantoms), work=work, workers=workers)
    held_out = range(VALIDATION_SEED, VALIDATION_SEED + settings.validation_phantoms)
    held_out_fields = _fields(settings, held_out, work=work, workers=workers)
    judge = partial(_validate_both, held_out_fields, annotated, settings=settings)
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
    result = replace(result, before=before)
    _write_model(out, result, start, annotated=annotated)
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
    tiles = [draw(rng=rng, edge=settings.tile_px) for _ in range(settings.batch)]
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


def _validate_both(
    fields: Sequence[Field],
    annotated: AnnotatedSlides | None,
    network: torch.nn.Module,
    *,
    settings: TrainSettings,
) -> float:
    """Score on held-out phantoms and held-out slides, weighted as in training."""
    stride_px = 1 << settings.depth
    score = validate(fields, network, stride_px=stride_px)
    if annotated is None or not annotated.held_out:
        return score
    share = settings.annotated_share
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
    """Tile of an annotated slide, as often as is wanted, or of a phantom."""
    if annotated is not None and rng.random() < share:
        return Field(*draw_annotated(annotated, rng, edge_px=edge))
    return _draw_tile(fields, rng, edge=edge)


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


def _write_model(
    out: Path, result: Fit, start: Start, *, annotated: AnnotatedSlides | None
) -> None:
    """Write the weights, the card that names them, and its text for people."""
    weights = result.weights.read_bytes()
    settings, network = start.settings, start.network
    data = _training_data(start, annotated)
    card = _CARD.format(
        id=json.dumps(out.name),
        classes=json.dumps(CLASS_NAMES),
        mpp=settings.mpp,
        stride_px=network.stride_px,
        halo_px=-(-network.receptive_px // network.stride_px) * network.stride_px,
        data=json.dumps(data),
        limits=json.dumps(_limits(start, annotated)),
        architecture="\n".join(f"{name} = {value}" for name, value in start.architecture.items()),
        sha256=hashlib.sha256(weights).hexdigest(),
    )
    with whole(out / "weights.safetensors") as unfinished:
        unfinished.write_bytes(weights)
    write_text(out / CARD_NAME, card)
    text = _CARD_TEXT.format(
        id=out.name,
        data=data,
        steps=result.steps,
        score=result.score,
        before="" if result.before is None else f" (before training: {result.before:.3f})",
        judges=_judges(annotated),
        settings=json.dumps(asdict(settings), indent=1),
    )
    write_text(out / "CARD.md", text)


def _training_data(start: Start, annotated: AnnotatedSlides | None) -> str:
    """What was learnt from, in plain words; slides are counted, never named."""
    settings, base = start.settings, start.base
    parts = [
        f"{settings.phantoms} painted phantoms, seeds 0 to {settings.phantoms - 1}; stopped on "
        f"{settings.validation_phantoms} further ones."
    ]
    if annotated is None:
        parts.append("No patient's tissue." if base is None else "No patient's tissue was added.")
    else:
        parts.append(
            f"{annotated.slides} annotated slides, {len(annotated.held_out)} of them held out; "
            f"they gave {settings.annotated_share:.0%} of the tiles."
        )
    if base is not None:
        parts.append(
            f"Started from model '{base.id}' {base.version} (sha256 {base.sha256}), learnt from: "
            f"{base.training_data}"
        )
    return " ".join(parts)


def _limits(start: Start, annotated: AnnotatedSlides | None) -> str:
    slides = f" and {annotated.slides} annotated slides" if annotated else ""
    base = f", starting from model '{start.base.id}'" if start.base else ""
    only = "" if slides or base else " only"
    return f"Learnt on painted phantoms{slides}{base}{only}; not validated on human tissue."


def _judges(annotated: AnnotatedSlides | None) -> str:
    if annotated is None or not annotated.held_out:
        return "held-out phantoms"
    return f"held-out phantoms and {len(annotated.held_out)} held-out slides"


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
limits = {limits}

[architecture]
name = "unet"
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

{data}

After {steps} steps the mean Dice over the classes of the {judges} was
{score:.3f}{before}.
Phantoms prove software and geometry, not accuracy on patients' slides; `benchmarks/accuracy.py`
judges a model on phantoms kept for testing and on real images.

Settings, from which, with the same data, `wsi-pipeline train` makes the same weights again on
the same machine:

```json
{settings}
```
"""
