"""What was learnt → a model folder: weights, statistics, the card that names them, and words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.segment.card import CARD_NAME
from wsi_pipeline.stages.annotated import AnnotatedSlides
from wsi_pipeline.stages.artefacts import file_sha256, whole, write_text
from wsi_pipeline.stages.calibrate import LIMIT_QUANTILE, Calibration
from wsi_pipeline.stages.start import Start
from wsi_pipeline.train import Fit
from wsi_pipeline.train.calibrate import BINS
from wsi_pipeline.train.checkpoint import write_tensors


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """Everything a model folder tells of how the model came about.

    Parameters
    ----------
    start
        Where training started.
    result
        Where it ended.
    calibration
        What its numbers mean.
    annotated
        Slides it learnt from besides phantoms.
    """

    start: Start
    result: Fit
    calibration: Calibration
    annotated: AnnotatedSlides | None


def write_model(out: Path, learnt: Learnt) -> None:
    """Write a model folder; the card comes last but one, so that what has a card is complete."""
    start, result, annotated = learnt.start, learnt.result, learnt.annotated
    weights, data = result.weights.read_bytes(), _training_data(start, annotated)
    network, numbers = start.network, _numbers(learnt.calibration)
    with whole(out / "weights.safetensors") as unfinished:
        unfinished.write_bytes(weights)
    write_tensors(out / "novelty.safetensors", learnt.calibration.statistics, header={})
    card = _CARD.format(
        id=json.dumps(out.name),
        classes=json.dumps(CLASS_NAMES),
        mpp=start.settings.mpp,
        stride_px=network.stride_px,
        halo_px=-(-network.receptive_px // network.stride_px) * network.stride_px,
        data=json.dumps(data),
        limits=json.dumps(_limits(start, annotated)),
        architecture="\n".join(
            f"{name} = {json.dumps(value)}" for name, value in start.architecture.items()
        ),
        sha256=hashlib.sha256(weights).hexdigest(),
        novelty_sha256=file_sha256(out / "novelty.safetensors"),
        **numbers,
    )
    write_text(out / CARD_NAME, card)
    text = _CARD_TEXT.format(
        id=out.name,
        data=data,
        steps=result.steps,
        score=result.score,
        before="" if result.before is None else f" (before training: {result.before:.3f})",
        judges=_judges(annotated),
        settings=json.dumps(asdict(start.settings), indent=1),
        phantoms=start.settings.validation_phantoms,
        **numbers,
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
        "false_tumour": round(calibration.false_tumour, 5),
        "quantile": LIMIT_QUANTILE,
        "limit": round(calibration.limit, 4),
    }


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
    if base is None and settings.network == "lite-unet":
        parts.append(
            "The encoder started from EfficientNet-Lite0, learnt from the photographs of ImageNet."
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
{architecture}

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
false_tumour = {false_tumour}

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

After {steps} steps the mean Dice over the classes of the {judges} was {score:.3f}{before}.
Phantoms prove software and geometry, not accuracy on patients' slides; `benchmarks/accuracy.py`
judges a model on phantoms kept for testing and on real images.

**Calibration.** Logits are divided by a temperature of {temperature}, which minimises the
negative log-likelihood of {pixels} pixels in and around the tissue of the {phantoms} phantoms that
also decided when to stop. The expected calibration error (most probable class, {bins} bins of
equal width) is {ece_before} without and {ece} with it. On real tissue probabilities may be far
less reliable. Of the tissue without tumour {false_tumour:.2%} was called tumour; where a slide has
no more than that, a report speaks of traces and says nothing of depth, structure and grade.

**Novelty.** The Mahalanobis distance of the deepest plane's channels from those of training
tissue, 1 at the median of held-out phantom tissue. {quantile:.0%} of it stay below {limit}; a
slide of which more than a tenth lies above is flagged `unlike_training`. The limit was not set on
any real image.

Settings, from which, with the same data, `wsi-pipeline train` makes the same weights again on the
same kind of machine with the same number of `--workers`:

```json
{settings}
```
"""
