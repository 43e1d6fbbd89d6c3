"""What can be said about a tile from its colours alone?

1. Optical density is split into haematoxylin and eosin (Ruifrok & Johnston 2001).
2. Their averages over tens of micrometres, the share of glass nearby and whether glass is
   surrounded by tissue make a handful of maps.
3. Each class gets a score from these maps by a fixed rule; a softmax makes probabilities.

Nothing here is learnt.  Colour cannot tell tumour from other cell-rich epithelium, so glands
and follicles are called tumour or epidermis, and ``adnexa`` is never called at all.  It is a
yardstick, and a way to run the whole pipeline without weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_OD_OF_STAIN = ((0.650, 0.704, 0.286), (0.072, 0.990, 0.105), (0.268, 0.570, 0.776))
"""Haematoxylin, eosin, and the usual third vector that completes the triple."""
_NEVER = -20.0
_COARSE_PX = 4
"""Edge of a coarse pixel: 8 µm at the working 2 µm/px, the scale of a cell."""
_ARM = 6
"""Coarse pixels, 48 µm: beyond the wall of an adipocyte."""
_WALL = 7
"""Coarse pixels, 56 µm: edge of the square in which a wall is looked for."""


def _gaussian(sigma_px: float) -> Tensor:
    """Normalised kernel, cut off at three standard deviations."""
    radius = math.ceil(3 * sigma_px)
    place = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (place / sigma_px) ** 2)
    return (kernel / kernel.sum()).to(torch.float32)


def _blur(plane: Tensor, kernel: Tensor) -> Tensor:
    """Separable blur of (N, C, Y, X); what lies beyond the border repeats the edge."""
    radius = kernel.numel() // 2
    channels = plane.shape[1]
    column = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    row = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    padded = functional.pad(plane, (radius, radius, radius, radius), mode="replicate")
    return functional.conv2d(
        functional.conv2d(padded, column, groups=channels), row, groups=channels
    )


def _rise(value: Tensor, middle: float, softness: float) -> Tensor:
    """Soft step: 0 well below ``middle``, 1 well above."""
    return torch.sigmoid((value - middle) / softness)


class ColourDeconvolution(nn.Module):
    """RGB in [0, 1] (N, 3, Y, X) in, eight class logits out; Y and X multiples of four.

    Context is computed at a quarter of the resolution, so the stride is 4.
    """

    unmix: Tensor
    cell: Tensor
    nest: Tensor
    fat: Tensor
    layer: Tensor

    def __init__(self) -> None:
        super().__init__()
        unmix = torch.linalg.inv(torch.tensor(_OD_OF_STAIN, dtype=torch.float64))
        self.register_buffer("unmix", unmix.T.to(torch.float32).reshape(3, 3, 1, 1))
        # Standard deviations in coarse pixels of 8 µm at the working 2 µm/px.
        self.register_buffer("cell", _gaussian(1.0))  # about one cell
        self.register_buffer("nest", _gaussian(1.5))  # a cord
        self.register_buffer("fat", _gaussian(3.0))  # half an adipocyte
        self.register_buffer("layer", _gaussian(8.0))  # an epidermis and its horny layer

    @property
    def stride_px(self) -> int:
        """Edge of a coarse pixel."""
        return _COARSE_PX

    @property
    def receptive_px(self) -> int:
        """Pixels of context on each side that decide an output pixel.

        The longest way from a pixel to a score: walls on all sides, how much open glass there
        is around them, and horn beside an epidermis beside that.  It is the sum of their
        reaches on the coarse plane, and the rest of one coarse pixel.
        """
        blurs = sum(kernel.numel() // 2 for kernel in (self.layer, self.fat))
        return (_ARM + _WALL // 2 + blurs) * _COARSE_PX + _COARSE_PX - 1

    def forward(self, rgb: Tensor) -> Tensor:
        """Logits."""
        density = -torch.log10(rgb.clamp(min=1.0 / 255.0))
        stains = functional.conv2d(density, self.unmix).clamp(min=0.0)
        maps = torch.cat((stains[:, :2], density.mean(dim=1, keepdim=True)), dim=1)
        coarse = functional.avg_pool2d(maps, _COARSE_PX)
        peak = functional.max_pool2d(maps[:, 2:], _COARSE_PX)
        scores = self._scores(coarse, wall=_rise(peak, 0.12, 0.02))
        fine = functional.interpolate(scores, scale_factor=_COARSE_PX, mode="nearest")
        return fine + self._detail(maps, fine)

    def _scores(self, coarse: Tensor, *, wall: Tensor) -> Tensor:
        """Class scores on the coarse plane; ``wall`` is 1 where anything stained is met."""
        near, wide = _blur(coarse, self.cell), _blur(coarse, self.nest)
        glass = 1.0 - _rise(coarse[:, 2:], 0.07, 0.015)
        walled = self._walled(wall)
        open_glass = _blur(glass * (1.0 - walled), self.layer)
        white = _blur(glass, self.fat)
        nuclei = _rise(wide[:, :1], 0.24, 0.04)
        pink = _rise(near[:, 1:2], 0.10, 0.03)
        bare = 1.0 - _rise(near[:, :1], 0.16, 0.03)
        surface = _rise(open_glass, 0.07, 0.02)
        # Lymphocytes are nearly all nucleus: much haematoxylin, hardly any cytoplasm.
        small_cells = _rise(wide[:, :1] - 0.5 * wide[:, 1:2], 0.45, 0.05)
        epidermis = nuclei * surface
        horn = (
            pink
            * bare
            * _rise(open_glass, 0.12, 0.03)
            * _rise(_blur(epidermis, self.fat), 0.08, 0.02)
        )
        return torch.cat(
            (
                6.0 * glass * (1.0 - walled) + 2.0 * white * (1.0 - walled) - 1.0,
                4.0 * epidermis,
                2.0 * torch.ones_like(nuclei),
                torch.full_like(nuclei, _NEVER),
                5.0 * _rise(white, 0.45, 0.08) * walled,
                3.4 * nuclei * (1.0 - 0.5 * surface),
                4.2 * nuclei * small_cells,
                5.0 * horn,
            ),
            dim=1,
        )

    def _walled(self, wall: Tensor) -> Tensor:
        """Whether something stained lies on all four sides within an adipocyte's width: 0 to 1."""
        arm = _ARM
        around = functional.avg_pool2d(
            functional.pad(wall, (arm + _WALL // 2,) * 4, mode="replicate"), _WALL, stride=1
        )
        rows, columns = wall.shape[2:]
        sides = [
            around[:, :, arm + down : arm + down + rows, arm + right : arm + right + columns]
            for down, right in ((-arm, 0), (arm, 0), (0, -arm), (0, arm))
        ]
        return _rise(torch.stack(sides).amin(dim=0), 0.08, 0.02)

    def _detail(self, maps: Tensor, coarse: Tensor) -> Tensor:
        """Push glass pixels away from the solid classes at full resolution."""
        solid = _rise(maps[:, 2:], 0.05, 0.01) - 1.0
        weight = coarse.new_tensor([0.0, 2.0, 0.0, 0.0, 0.0, 2.0, 2.0, 0.0]).view(1, -1, 1, 1)
        return solid * weight
