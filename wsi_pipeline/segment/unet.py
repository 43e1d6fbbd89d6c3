"""What does a small U-Net look like?

A fully convolutional encoder-decoder without global context: its receptive field is finite,
so a halo of `receptive_halo_px` makes tiled inference equal to inference at once.

References
----------
Ronneberger, Fischer & Brox 2015, doi:10.1007/978-3-319-24574-4_28 (U-Net); Shi et al. 2016,
doi:10.1109/CVPR.2016.207 (folding pixels into channels).
"""

from __future__ import annotations

from torch import Tensor, nn

from wsi_pipeline.geometry import Box
from wsi_pipeline.segment.decoder import DoubleConv, cut, decode
from wsi_pipeline.segment.network import PixelNetwork


class UNet(PixelNetwork):
    """RGB (N, 3, Y, X) in, logits (N, C, Y, X) out; Y and X multiples of ``fold << depth``.

    Parameters
    ----------
    width
        Channels of the finest plane; each step down doubles them, up to ``most``.
    depth
        Number of steps down.
    classes
        Number of output channels.
    most
        Channels at most: deep planes are small, but their weights are what fills a file.
    fold
        Edge of the square of pixels that become channels at the entrance and pixels again at
        the exit: 2 computes on a quarter of the positions and still draws borders to the pixel.
    """

    def __init__(
        self, *, width: int, depth: int, classes: int, most: int = 1024, fold: int = 1
    ) -> None:
        super().__init__()
        widths = [min(width << step, most) for step in range(depth + 1)]
        self.down = nn.ModuleList(
            DoubleConv(source, target)
            for source, target in zip([3 * fold**2, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(
            DoubleConv(deep + skip, skip)
            for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.small_channels = widths[:0:-1]
        self.depth, self.fold = depth, fold
        self.folded = nn.PixelUnshuffle(fold) if fold > 1 else nn.Identity()
        self.unfolded = nn.PixelShuffle(fold) if fold > 1 else nn.Identity()
        self.deepest_channels = widths[-1]
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(widths[0], classes * fold**2, 1)

    @property
    def stride_px(self) -> int:
        """Edge of the square that shares one position of the deepest plane."""
        return self.fold << self.depth

    @property
    def receptive_px(self) -> int:
        """Pixels of context on each side that decide an output pixel."""
        return receptive_halo_px(self.depth, fold=self.fold)

    def with_deepest(self, rgb: Tensor, *, keep: Box | None = None) -> tuple[Tensor, Tensor]:
        """Logits of normalised RGB, and the deepest plane on the way (one position per stride)."""
        skips: list[Tensor] = []
        plane = self.down[0](self.folded(rgb))
        for block in self.down[1:]:
            skips.append(plane)
            plane = block(self.pool(plane))
        deepest = plane
        fine = None if keep is None else keep.coarsened(self.fold)
        plane = decode(self.up, deepest, skips[::-1], keep=fine)[-1]
        logits: Tensor = self.unfolded(self.head(plane))
        return logits, deepest if keep is None else cut(deepest, keep.coarsened(self.stride_px))


def receptive_halo_px(depth: int, *, fold: int = 1) -> int:
    """Pixels of context on each side that decide an output pixel of `UNet`.

    Every level adds two 3 × 3 convolutions on the way down and two on the way up, each one
    pixel of that level wide; pooling and nearest enlarging reach at most one stride further.
    Folding multiplies all that and reaches to the far edge of its square.
    """
    strides = [1 << step for step in range(depth + 1)]
    convolutions = sum(4 * stride for stride in strides[:-1]) + 2 * strides[-1]
    return fold * (convolutions + strides[-1] - 1) + fold - 1
