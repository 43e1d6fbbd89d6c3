"""Do probabilities mean what they say?

1. A network trained to be right is also trained to be sure, and ends up surer than it is right.
   `fit_temperature` finds the number by which its logits are to be divided.
2. `calibration_error` says how far probabilities are from the share of pixels they are right for.

Dividing logits by one number changes no order among classes, hence no label.

References
----------
Guo et al. 2017, arXiv:1706.04599.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURES = (0.05, 20.0)
"""Lowest and highest temperature that is looked for."""
BINS = 15
"""Bins of confidence, as in Guo et al."""
_HALVINGS = 40
"""Of an interval of ln 400; what is left of it is far below any statistical error."""


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Temperature with the least negative log-likelihood.

    The likelihood is convex in β = 1 / T: its slope, the mean over samples of the expected logit
    less the logit of the true class, rises with β.  Its zero is found by bisection of ln β, the
    same on every machine up to rounding.

    Parameters
    ----------
    logits : (N, C) float
        Of samples that the network was not fitted to.
    labels : (N,) int64
        Their true classes.

    Returns
    -------
    float
        From 0.05 to 20; an end of this range where the zero lies beyond it, as for samples that
        are all right or for a network that knows nothing.
    """
    exact = logits.double()
    true = exact.gather(1, labels[:, None]).mean()
    low, high = (math.log(1.0 / temperature) for temperature in reversed(TEMPERATURES))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        expected = ((exact * math.exp(middle)).softmax(dim=1) * exact).sum(dim=1).mean()
        if float(expected) > float(true):
            high = middle
        else:
            low = middle
    return math.exp(-0.5 * (low + high))


def calibration_error(logits: Tensor, labels: Tensor, *, temperature: float = 1.0) -> float:
    """Expected calibration error of the most probable class.

    Samples are put into 15 bins of equal width by their largest probability (confidence); the
    error is the mean over samples of the difference between mean confidence and share of right
    samples in the bin: Σ n_b / N · |right_b - confidence_b|.

    Parameters
    ----------
    logits : (N, C) float
        Of samples that the network was not fitted to.
    labels : (N,) int64
        Their true classes.
    temperature
        By which the logits are divided.

    Returns
    -------
    float
        From 0 to 1.  It says nothing of classes other than the most probable one, and is a mean:
        0 over all tissue may hide errors of opposite sign in parts of it.
    """
    confidence, found = (logits.double() / temperature).softmax(dim=1).max(dim=1)
    number = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    surplus = confidence - (found == labels).double()
    gaps = torch.zeros(BINS, dtype=torch.float64).index_add_(0, number.cpu(), surplus.cpu())
    return float(gaps.abs().sum() / len(labels))
