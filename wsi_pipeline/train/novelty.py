"""What does the tissue that a network was trained on look like to it?

The channels of its deepest plane, over all positions of training tissue, are summed up in mean
and covariance.  Neighbouring positions see much the same tissue, so they tell less than their
number suggests: the covariance is shrunk towards a multiple of the unit matrix as if each field
were one sample.

References
----------
Chen et al. 2010, doi:10.1109/TSP.2010.2053029 (oracle approximating shrinkage).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_VARIANCE = 1e-6
"""Added to each channel: one that never fires in training would else be infinitely telling."""


@dataclass(frozen=True, slots=True, eq=False)
class Familiar:
    """Tissue as the network knows it.

    Parameters
    ----------
    mean : (K,) float64
        Of the channels.
    whitening : (K, K) float64
        W with Wᵀ W the inverse of their shrunk covariance.
    """

    mean: Tensor
    whitening: Tensor

    def distance(self, features: Tensor) -> Tensor:
        """Mahalanobis distance (N,) of positions (N, K) from the mean."""
        whitened = (features.double() - self.mean) @ self.whitening.T
        distances: Tensor = torch.linalg.vector_norm(whitened, dim=1)
        return distances


def fit_familiar(features: Tensor, *, samples: int) -> Familiar:
    """Sum up what the network saw.

    Parameters
    ----------
    features : (N, K) float
        Channels of the deepest plane at N positions.
    samples
        How many of them are independent: the number of fields they come from.
    """
    exact = features.double()
    mean = exact.mean(dim=0)
    deviation = exact - mean
    covariance = shrunk_covariance(deviation.T @ deviation / len(exact), samples=samples)
    covariance += _LEAST_VARIANCE * torch.eye(len(mean), dtype=torch.float64)
    lower = torch.linalg.cholesky(covariance)
    unit = torch.eye(len(mean), dtype=torch.float64)
    return Familiar(mean, torch.linalg.solve_triangular(lower, unit, upper=False))


def shrunk_covariance(covariance: Tensor, *, samples: int) -> Tensor:
    """Draw a covariance (K, K) towards its mean variance times the unit matrix.

    The share is that of least expected squared error for Gaussian samples; it falls with the
    number of samples and rises with the number of channels.
    """
    channels = len(covariance)
    trace, of_square = float(covariance.trace()), float((covariance * covariance).sum())
    spread = of_square - trace**2 / channels
    wanted = (1.0 - 2.0 / channels) * of_square + trace**2
    known = (samples + 1.0 - 2.0 / channels) * spread
    share = min(1.0, wanted / known) if known > 0 else 1.0
    target = trace / channels * torch.eye(channels, dtype=covariance.dtype)
    return (1.0 - share) * covariance + share * target
