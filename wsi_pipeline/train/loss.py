"""How wrong is a label map?

Cross-entropy keeps probabilities honest; soft Dice keeps thin classes from being forgotten
(Milletari et al. 2016, doi:10.1109/3DV.2016.79).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from wsi_pipeline.classes import ADNEXA, EPIDERMIS, EPITHELIUM


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of cross-entropy and one minus the mean soft Dice of the classes present.

    Parameters
    ----------
    logits : (N, C, Y, X) float
        Output of the network.
    labels : (N, Y, X) int64
        True classes.  Where it is `EPITHELIUM`, the surprise is that of epidermis and adnexa
        together; pixels with any other label (255: not annotated) count for nothing, and where
        no pixel counts the loss is zero.
    """
    classes = logits.shape[1]
    known = labels < classes
    # Where nothing is known every class is wanted by zero and found by zero.
    wanted = functional.one_hot(torch.where(known, labels, classes), classes + 1)[..., :classes]
    wanted = wanted.permute(0, 3, 1, 2).to(logits.dtype)
    probabilities = logits.softmax(dim=1) * known[:, None]
    both = (probabilities * wanted).sum(dim=(0, 2, 3))
    size = (probabilities + wanted).sum(dim=(0, 2, 3))
    present = wanted.sum(dim=(0, 2, 3)) > 0
    misses = 1.0 - 2.0 * both[present] / size[present]
    surprise = functional.cross_entropy(
        logits, labels.where(known, -1), ignore_index=-1, reduction="sum"
    )
    either = labels == EPITHELIUM
    if either.any():
        surprise = surprise + _surprise_at_epithelium(logits)[either].sum()
    count = (known | either).sum().clamp(min=1)
    return 0.5 * (surprise / count + misses.sum() / present.sum().clamp(min=1))


def _surprise_at_epithelium(logits: Tensor) -> Tensor:
    """Negative logarithm of the probability of epidermis or adnexa, (N, Y, X).

    Its gradient lifts both alike.  That of the plain sum lifts each by its share, so that whichever
    is the likelier takes all, and what is not told would teach which of the two it is.
    """
    two = logits[:, [EPIDERMIS, ADNEXA]]
    alike = two.mean(dim=1)
    both = alike + (two.logsumexp(dim=1) - alike).detach()
    others = [value for value in range(logits.shape[1]) if value not in (EPIDERMIS, ADNEXA)]
    return torch.cat([logits[:, others], both[:, None]], dim=1).logsumexp(dim=1) - both


def mean_dice(found: Tensor, wanted: Tensor, *, classes: int) -> float:
    """Mean Dice of the classes that occur in either of two label maps."""
    scores = []
    for value in range(classes):
        one, two = found == value, wanted == value
        total = int(one.sum() + two.sum())
        if total:
            scores.append(2.0 * int((one & two).sum()) / total)
    return float(torch.tensor(scores).mean())
