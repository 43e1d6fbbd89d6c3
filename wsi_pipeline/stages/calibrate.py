"""A fitted network + held-out phantoms → what its probabilities and its novelty score mean.

1. The temperature is fitted to pixels of held-out fields, see `wsi_pipeline.train.calibrate`, and
   what of their tissue without tumour is called tumour is counted.
2. Mean and covariance of the deepest plane are taken over the tissue of training fields.
3. The score is scaled to a median of 1 over the tissue of held-out fields, and its limit is their
   quantile 0.99.  No real image has a say in either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsi_pipeline.classes import BACKGROUND, TUMOUR
from wsi_pipeline.segment.network import PixelNetwork
from wsi_pipeline.train import calibration_error, fit_familiar, fit_temperature
from wsi_pipeline.train.loop import normalised

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""RGB (Y, X, 3) and labels (Y, X) of a field at the working mpp."""
LIMIT_QUANTILE = 0.99
"""Share of held-out tissue below the limit of novelty."""
_TISSUE_SHARE = 0.5
"""A position is tissue if at least so much of its square is."""
_STEP_PX = 5
"""Every fifth pixel of a row and column is used: neighbours hardly differ, and five shares no
factor with the strides of the network."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What the numbers of a network mean.

    Parameters
    ----------
    temperature
        By which logits are to be divided.
    ece_before, ece
        Expected calibration error without and with it.
    pixels
        Number of pixels that decided.
    false_tumour
        Share of those in tissue without tumour that are called tumour.
    statistics
        ``mean`` (K,) and ``whitening`` (K, K) of `ScoredNetwork`, float32.
    limit
        Score that `LIMIT_QUANTILE` of held-out tissue stays below.
    """

    temperature: float
    ece_before: float
    ece: float
    pixels: int
    false_tumour: float
    statistics: dict[str, Tensor]
    limit: float


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What the network makes of one field: sampled pixels, and tissue positions."""

    logits: Tensor  # (N, C)
    labels: Tensor  # (N,)
    features: Tensor  # (M, K)


def calibrate(
    network: PixelNetwork, *, training: Iterable[Sample], held_out: Iterable[Sample]
) -> Calibration:
    """Find out what the numbers of a network mean.

    Parameters
    ----------
    network
        Fitted.
    training
        Windows as it was trained on, for the statistics of novelty; wider than
        twice `reach_px`, because what is nearer to the border of a window is left out.
    held_out
        Whole fields that it was not trained on; beyond their border, which is glass, the border
        goes on.
    """
    network.eval()
    seen = [_look(network, amid_glass(sample, reach_px(network))) for sample in held_out]
    logits = torch.cat([one.logits for one in seen])
    labels = torch.cat([one.labels for one in seen])
    temperature = fit_temperature(logits, labels)
    familiar = [_look(network, sample).features for sample in training]
    known = fit_familiar(torch.cat(familiar), samples=len(familiar))
    distances = torch.cat([known.distance(one.features) for one in seen])
    middle, limit = (float(distances.quantile(share)) for share in (0.5, LIMIT_QUANTILE))
    return Calibration(
        temperature=temperature,
        ece_before=calibration_error(logits, labels),
        ece=calibration_error(logits, labels, temperature=temperature),
        pixels=len(labels),
        false_tumour=_false_tumour(logits, labels),
        statistics={
            "mean": known.mean.float(),
            "whitening": (known.whitening / middle).float(),
        },
        limit=limit / middle,
    )


def _false_tumour(logits: Tensor, labels: Tensor) -> float:
    """Share of tissue without tumour that is called tumour; 0 where there is none."""
    benign = (labels < logits.shape[1]) & (labels != BACKGROUND) & (labels != TUMOUR)
    return float((logits[benign].argmax(dim=1) == TUMOUR).float().mean()) if benign.any() else 0.0


def reach_px(network: PixelNetwork) -> int:
    """Width of the border from which the network sees beyond a window; whole strides."""
    return -(-network.receptive_px // network.stride_px) * network.stride_px


def amid_glass(sample: Sample, margin: int) -> Sample:
    """Field with its border, which is glass, carried on: what a slide shows around it."""
    rgb, labels = sample
    around = ((margin, margin), (margin, margin))
    return (
        np.pad(rgb, (*around, (0, 0)), mode="edge"),
        np.pad(labels, around, constant_values=BACKGROUND),
    )


@torch.inference_mode()
def _look(network: PixelNetwork, sample: Sample) -> _Seen:
    """Run the network over a window and keep what lies within its margin."""
    stride_px, margin = network.stride_px, reach_px(network)
    rows, columns = (count // stride_px * stride_px for count in sample[1].shape)
    rgb, labels = (torch.from_numpy(plane[:rows, :columns].copy()) for plane in sample)
    device = next(network.parameters()).device
    logits, deepest = (
        plane[0].cpu() for plane in network.with_deepest(normalised(rgb[None].to(device)))
    )
    tissue = (labels != BACKGROUND).float()[None]
    share = functional.avg_pool2d(tissue, stride_px)[0]
    inside = slice(margin // stride_px, -(margin // stride_px))
    familiar = share[inside, inside] >= _TISSUE_SHARE
    # Glass far from tissue is never wrong, and would make any error look small.
    near = (share > 0).repeat_interleave(stride_px, 0).repeat_interleave(stride_px, 1)
    sampled = (slice(margin, -margin, _STEP_PX),) * 2
    chosen = near[sampled]
    return _Seen(
        logits=logits[:, *sampled][:, chosen].T,
        labels=labels[sampled][chosen].long(),
        features=deepest[:, inside, inside][:, familiar].T,
    )
