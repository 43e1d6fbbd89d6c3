"""What does a U-Net on a light encoder look like, one that has learnt to see before?

The encoder is the first five stages of EfficientNet-Lite0: inverted residual blocks without
attention over the whole image, so that the receptive field stays finite.  Weights learnt from
photographs carry over painted phantoms to real tissue far better than random ones do.

References
----------
Tan & Le 2019, arXiv:1905.11946 (EfficientNet); Sandler et al. 2018, doi:10.1109/CVPR.2018.00474
(inverted residuals); Ronneberger, Fischer & Brox 2015, doi:10.1007/978-3-319-24574-4_28 (U-Net).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from wsi_pipeline.geometry import Box
from wsi_pipeline.segment.decoder import DoubleConv, decode
from wsi_pipeline.segment.network import PixelNetwork
from wsi_pipeline.segment.strips import Striped


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one size; the first of them changes stride and channels."""

    expansion: int
    kernel_px: int
    stride: int
    channels: int
    blocks: int


STEM_CHANNELS = 32
STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
)
_SKIPS = (0, 1, 2)
"""Stages whose planes the decoder sees, at strides of 2, 4 and 8 px."""


def _normalised(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the constants the encoder's weights were learnt with."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """Widen by 1 × 1, filter each channel, narrow by 1 × 1; added to the input where it fits."""

    def __init__(self, source: int, stage: Stage, *, stride: int) -> None:
        super().__init__()
        wide, kernel_px = source * stage.expansion, stage.kernel_px
        self.wide, self.channels = wide, stage.channels
        self.radius_px, self.stride = kernel_px // 2, stride
        layers: list[nn.Module] = []
        if wide != source:
            layers += [nn.Conv2d(source, wide, 1, bias=False), _normalised(wide), nn.ReLU6(True)]
        layers += [
            nn.Conv2d(
                wide, wide, kernel_px, stride, padding=kernel_px // 2, groups=wide, bias=False
            ),
            _normalised(wide),
            nn.ReLU6(True),
            nn.Conv2d(wide, stage.channels, 1, bias=False),
            _normalised(stage.channels),
        ]
        self.layers = nn.Sequential(*layers)
        self.is_residual = stride == 1 and source == stage.channels

    def forward(self, plane: Tensor) -> Tensor:
        """Filtered plane."""
        filtered: Tensor = self.layers(plane)
        return plane + filtered if self.is_residual else filtered

    def striped(self) -> Striped:
        """The same block, strip by strip."""
        reach = -(-self.radius_px // self.stride)
        return Striped(
            self, channels=self.channels, wide=self.wide, stride=self.stride, reach=reach
        )


class LiteEncoder(nn.Module):
    """Normalised RGB in, the planes of all stages out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM_CHANNELS, 3, 2, padding=1, bias=False),
            _normalised(STEM_CHANNELS),
            nn.ReLU6(True),
        )
        sources = (STEM_CHANNELS, *(stage.channels for stage in STAGES))
        self.stages = nn.ModuleList(
            nn.Sequential(
                InvertedResidual(source, stage, stride=stage.stride),
                *(
                    InvertedResidual(stage.channels, stage, stride=1)
                    for _ in range(stage.blocks - 1)
                ),
            )
            for source, stage in zip(sources, STAGES, strict=False)
        )

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """Planes of the stages, finest first."""
        plane, planes = self.stem(rgb), []
        for stage in self.stages:
            plane = stage(plane)
            planes.append(plane)
        return planes


class LiteUNet(PixelNetwork):
    """RGB (N, 3, Y, X) in, logits (N, C, Y, X) out; Y and X multiples of 16.

    Parameters
    ----------
    width
        Channels of the decoder's finest plane, at a stride of 2 px; the next have two and three
        times as many.
    classes
        Number of output channels.
    """

    def __init__(self, *, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = LiteEncoder()
        widths = (STAGES[-1].channels, 3 * width, 2 * width, width)
        self.deepest_channels = widths[1]
        self.small_channels = list(widths[:-1])
        self.up = nn.ModuleList(
            DoubleConv(deep + STAGES[skip].channels, shallow)
            for (deep, shallow), skip in zip(pairwise(widths), _SKIPS[::-1], strict=True)
        )
        self.head = nn.Conv2d(width, 4 * classes, 1)
        self.unfolded = nn.PixelShuffle(2)

    @property
    def stride_px(self) -> int:
        """Edge of the square that shares one position of the encoder's deepest plane: 16."""
        stride = 2
        for stage in STAGES:
            stride *= stage.stride
        return stride

    @property
    def receptive_px(self) -> int:
        """Pixels of context on each side that decide an output pixel.

        Each k × k convolution at a stride of s px adds s (k - 1) / 2 px, on the way down and on
        the way up; a pixel lies up to one deepest stride less one away from its position there.
        """
        reach, stride = 1, 2
        for stage in STAGES:
            radius = stage.kernel_px // 2
            reach += radius * stride
            stride *= stage.stride
            reach += radius * stride * (stage.blocks - 1)
        up = sum(2 * (stride >> step) for step in range(1, 1 + len(self.up)))
        return reach + up + stride - 1

    def with_deepest(self, rgb: Tensor, *, keep: Box | None = None) -> tuple[Tensor, Tensor]:
        """Logits of normalised RGB, and the decoder's deepest plane (one position per stride).

        It is the decoder's because photographs have shaped the encoder's planes, too: there empty
        glass lies no further from tissue than tissue does.
        """
        planes = self.encoder(rgb)
        skips = [planes[skip] for skip in _SKIPS[::-1]]
        fine = None if keep is None else keep.coarsened(2)
        decoded = decode(self.up, planes[-1], skips, keep=fine)
        logits: Tensor = self.unfolded(self.head(decoded[-1]))
        return logits, nn.functional.avg_pool2d(decoded[0], 2)

    def save_memory(self) -> None:
        """Compute strip by strip what would take most memory, in place; for inference."""
        encoder = self.encoder
        entrance = nn.Sequential(encoder.stem, *encoder.stages[0].children())
        encoder.stem = nn.Sequential()
        # Half as many rows and columns: its wide plane is a quarter of so many channels.
        encoder.stages[0] = Striped(
            entrance, channels=STAGES[0].channels, wide=STEM_CHANNELS // 4, stride=2, reach=2
        )
        for stage in encoder.stages[1:]:
            for number, block in enumerate(stage.children()):
                if isinstance(block, InvertedResidual):
                    stage.register_module(str(number), block.striped())
