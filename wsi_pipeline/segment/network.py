"""What must a built-in network be able to say of itself?

Stride and reach let tiles be cut so that tiled equals whole; the deepest plane tells what is
unlike the training data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from wsi_pipeline.geometry import Box


class PixelNetwork(nn.Module, ABC):
    """RGB (N, 3, Y, X) in, logits (N, C, Y, X) out; Y and X multiples of its stride.

    Its receptive field is finite and nothing in it depends on the whole image.
    """

    up: nn.ModuleList
    """Blocks of the decoder, deepest first."""
    small_channels: list[int]
    """Channels of the plane each of them enlarges."""
    deepest_channels: int
    """Channels of the deepest plane."""

    @property
    @abstractmethod
    def stride_px(self) -> int:
        """Edge of the square that shares one position of the deepest plane."""

    @property
    @abstractmethod
    def receptive_px(self) -> int:
        """Pixels of context on each side that decide an output pixel."""

    @abstractmethod
    def with_deepest(self, rgb: Tensor, *, keep: Box | None = None) -> tuple[Tensor, Tensor]:
        """Logits of normalised RGB, and the deepest plane on the way (one position per stride).

        Both of the pixels in ``keep`` only, whose sides lie on multiples of the stride; what is
        computed beyond it is what these need.
        """

    def forward(self, rgb: Tensor) -> Tensor:
        """Logits of normalised RGB."""
        return self.with_deepest(rgb)[0]

    def save_memory(self) -> None:
        """Compute piece by piece what would take most memory, in place; for inference."""
