"""How wrong is a label map?

Cross-entropy keeps probabilities honest; soft Dice keeps thin classes from being forgotten
(Milletari et al. 2016, doi:10.1109/3DV.2016.79).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of cross-entropy and one minus the mean soft Dice of the classes present.

    Parameters
    ----------
    logits : (N, C, Y, X) float
        Output of the network.
    labels : (N, Y, X) int64
        True classes.
    """
    wanted = functional.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2).to(logits.dtype)
    probabilities = logits.softmax(dim=1)
    both = (probabilities * wanted).sum(dim=(0, 2, 3))
    size = (probabilities + wanted).sum(dim=(0, 2, 3))
    present = wanted.sum(dim=(0, 2, 3)) > 0
    dice = (2.0 * both[present] / size[present]).mean()
    return 0.5 * (functional.cross_entropy(logits, labels) + 1.0 - dice)


def mean_dice(found: Tensor, wanted: Tensor, *, classes: int) -> float:
    """Mean Dice of the classes that occur in either of two label maps."""
    scores = []
    for value in range(classes):
        one, two = found == value, wanted == value
        total = int(one.sum() + two.sum())
        if total:
            scores.append(2.0 * int((one & two).sum()) / total)
    return float(torch.tensor(scores).mean())
