"""How does a U-Net get back to fine planes without computing what nobody keeps?

1. A tile is read with a halo for the sake of the encoder, whose deep planes see far.  The decoder
   sees a few positions only, so `decode` computes each of its planes for the pixels that are kept
   and what these need, and leaves the rest of the halo out.  The kept pixels do not change.
2. A block is a `DoubleConv`, or what `fold_enlarging` made of one: the same function.

References
----------
Ronneberger, Fischer & Brox 2015, doi:10.1007/978-3-319-24574-4_28 (U-Net).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wsi_pipeline.geometry import Box
from wsi_pipeline.segment.folding import FoldedDoubleConv

_REACH_PX = 2
"""Two convolutions of 3 × 3."""


class DoubleConv(nn.Sequential):
    """Two 3 × 3 convolutions, each followed by batch normalisation and ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        layers: list[nn.Module] = []
        for source in (channels_in, channels_out):
            layers += [
                nn.Conv2d(source, channels_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels_out),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


def decode(
    blocks: nn.ModuleList, deepest: Tensor, skips: Sequence[Tensor], *, keep: Box | None
) -> list[Tensor]:
    """Planes of a decoder, deepest first.

    Parameters
    ----------
    blocks
        `DoubleConv` or their folded forms; each takes the plane before it beside one of the
        encoder of twice its size.
    deepest : (N, K, Y, X)
        The encoder's last plane.
    skips
        Planes of the encoder, deepest first.
    keep
        What is wanted of the last plane, in its own pixels, on multiples of a position of the
        first; None for everything.

    Returns
    -------
    list of Tensor
        Of each plane the part below ``keep``.
    """
    if keep is None:
        planes = [] if len(skips) else [deepest]
        for block, skip in zip(blocks, skips, strict=True):
            deepest = _joined(block, deepest, skip)
            planes.append(deepest)
        return planes
    if not skips:
        return [cut(deepest, keep)]
    steps = _steps(keep, skips)
    plane, planes = cut(deepest, steps[0].small), []
    for number, (block, skip, step) in enumerate(zip(blocks, skips, steps, strict=True)):
        source = step.small.refined(2)
        plane = cut(_joined(block, plane, cut(skip, source)), step.given.within(source))
        below = keep.coarsened(1 << (len(steps) - 1 - number))
        planes.append(cut(plane, below.within(step.given)))
    return planes


def cut(plane: Tensor, box: Box) -> Tensor:
    """Part of a plane (N, K, Y, X)."""
    return plane[:, :, *box.slices]


@dataclass(frozen=True, slots=True)
class _Step:
    """What one block takes of the plane before it, and gives of its own."""

    small: Box
    given: Box


def _steps(keep: Box, skips: Sequence[Tensor]) -> list[_Step]:
    """Backwards from what is kept: what of each plane has a say in it."""
    steps, given = [], keep
    for skip in reversed(skips):
        rows, columns = skip.shape[2:]
        small = (given.expanded(_REACH_PX) & Box(0, 0, rows, columns)).coarsened(2)
        steps.append(_Step(small, given))
        given = small
    return steps[::-1]


def _joined(block: nn.Module, small: Tensor, fine: Tensor) -> Tensor:
    """What a block gives for a small plane, enlarged, beside a fine one."""
    joined: Tensor
    if isinstance(block, FoldedDoubleConv):
        joined = block(small, fine)
    else:
        enlarged = nn.functional.interpolate(small, scale_factor=2.0, mode="nearest")
        joined = block(torch.cat((enlarged, fine), dim=1))
    return joined
