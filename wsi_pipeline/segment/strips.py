"""How is a wide plane never made whole?

Layers that widen a plane and narrow it again need most memory in between: six times the channels at
full size.  They see a few rows only, so a strip of rows goes through all of them before the next
one does.  Neighbouring strips compute the rows between them twice; the result is the same, bit
for bit, and takes as long.
"""

from __future__ import annotations

from torch import Tensor, nn

_STRIP_BYTES = 8 << 20
"""Of a wide plane at a time; smaller strips cost time for the rows they share."""


class Striped(nn.Module):
    """Layers that work strip by strip of rows.

    Parameters
    ----------
    layers
        Convolutions that divide rows and columns by ``stride``.
    channels
        Of what they give.
    wide
        Of their widest plane, counted on the size of what they are given.
    reach
        Rows of the result, above and below, that share a row of what they are given.
    """

    def __init__(
        self, layers: nn.Module, *, channels: int, wide: int, stride: int, reach: int
    ) -> None:
        super().__init__()
        self.layers = layers
        self.channels, self.wide, self.stride, self.reach = channels, wide, stride, reach

    def forward(self, plane: Tensor) -> Tensor:
        """What the layers give."""
        count, _, rows, columns = (int(size) for size in plane.shape)
        rows, stride, reach = rows // self.stride, self.stride, self.reach
        row_bytes = plane.element_size() * self.wide * columns * stride
        height = max(_STRIP_BYTES // row_bytes, 4 * reach)
        if 2 * height > rows:
            whole: Tensor = self.layers(plane)
            return whole
        result = plane.new_empty((count, rows, columns // stride, self.channels))
        result = result.permute(0, 3, 1, 2)  # channels last in memory
        for top in range(0, rows, height):
            bottom = min(rows, top + height)
            first, last = max(0, top - reach), min(rows, bottom + reach)
            strip = self.layers(plane[:, :, first * stride : last * stride])
            result[:, :, top:bottom] = strip[:, :, top - first : bottom - first]
        return result
