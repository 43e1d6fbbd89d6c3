"""How far is a position of the deepest plane from what the network was trained on?

The channels of the deepest plane at one position make a vector x.  Over the tissue of training
phantoms they have a mean m and a (shrunk) covariance S; the score is the Mahalanobis distance
√((x - m)ᵀ S⁻¹ (x - m)), here as the length of W (x - m) with S⁻¹ = Wᵀ W, scaled such that the
median over held-out phantom tissue is 1.  No class is asked for: what is to be noticed is tissue
of no class the network knows.

It is computed in the pass that segments, position by position, so that it depends on the
receptive field alone and a plane scored tile by tile equals the plane scored at once.

References
----------
Lee et al. 2018, arXiv:1807.03888 (Mahalanobis distance of deep features).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.geometry import Box
from wsi_pipeline.segment.network import PixelNetwork


class ScoredNetwork(nn.Module):
    """RGB (N, 3, Y, X) in, logits (N, C, Y, X) and scores (N, Y / stride, X / stride) out.

    Parameters
    ----------
    network
        Segments.
    mean : (K,) float32
        Of the K channels of its deepest plane, over tissue.
    whitening : (K, K) float32
        Takes their deviation from the mean to uncorrelated numbers of equal spread.

    Raises
    ------
    ValueError
        If the statistics do not have the network's number of channels, or are not finite.
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self, network: PixelNetwork, *, mean: Tensor, whitening: Tensor) -> None:
        super().__init__()
        channels = network.deepest_channels
        if mean.shape != (channels,) or whitening.shape != (channels, channels):
            raise ValueError(
                f"statistics of {tuple(mean.shape)} and {tuple(whitening.shape)} do not fit a "
                f"deepest plane of {channels} channels"
            )
        if not (mean.isfinite().all() and whitening.isfinite().all()):
            raise ValueError("statistics of novelty are not finite")
        self.network = network
        self.register_buffer("mean", mean.view(1, channels, 1, 1))
        self.register_buffer("whitening", whitening.view(channels, channels, 1, 1))

    def forward(self, rgb: Tensor, *, keep: Box | None = None) -> tuple[Tensor, Tensor]:
        """Logits and scores, of the pixels in ``keep``."""
        logits, deepest = self.network.with_deepest(rgb, keep=keep)
        return logits, self.score(deepest)

    def score(self, deepest: Tensor) -> Tensor:
        """Distances (N, Y, X) of a deepest plane (N, K, Y, X), in float32 whatever its numbers."""
        with torch.autocast(deepest.device.type, enabled=False):
            deviation = deepest.float() - self.mean
            distances: Tensor = nn.functional.conv2d(deviation, self.whitening).norm(dim=1)
        return distances


def load_scored(network: PixelNetwork, path: Path, *, model: str) -> ScoredNetwork:
    """Put the statistics of novelty beside their network.

    Raises
    ------
    ModelMismatchError
        If the file does not hold statistics for this network.
    """
    try:
        found = load_file(path)
        return ScoredNetwork(network, mean=found["mean"], whitening=found["whitening"])
    except (SafetensorError, KeyError, ValueError) as fault:
        raise ModelMismatchError(
            f"model '{model}': {path.name} does not hold statistics of its network's deepest "
            f"plane: {fault}"
        ) from fault
