"""Which tiles is a slide cut into?

1. Level ``n - 1`` is level 0 of the slide; each level before it halves the pixels, down to
   one tile.
2. The plane is enlarged, to the right and downwards, to whole pixels of the coarsest level.
   Otherwise a viewer would squeeze the last, partly covered pixel of each level, and tiles of
   different levels would not lie exactly on each other.  What is added is white glass, less
   than one pixel of the coarsest level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from wsi_pipeline.geometry import Box, Grid

TILE_PX = 512
"""Edge of a tile; one whole slide seen at once is about a dozen of them."""


@dataclass(frozen=True, slots=True)
class TilePyramid:
    """Tiles over the plane of a slide.

    Parameters
    ----------
    plane
        Level 0 of the slide.
    """

    plane: Grid

    @property
    def levels(self) -> int:
        """Number of levels; level 0 is the coarsest and one tile."""
        return 1 + max(0, math.ceil(math.log2(max(*self.plane.shape, 1) / TILE_PX)))

    @property
    def shape(self) -> tuple[int, int]:
        """``(rows, columns)`` of the enlarged plane, in level-0 pixels."""
        coarsest_px = 2 ** (self.levels - 1)
        rows, columns = (max(1, -(-n // coarsest_px)) * coarsest_px for n in self.plane.shape)
        return rows, columns

    def level_plane(self, level: int) -> Grid:
        """Plane of one level."""
        step = 2 ** (self.levels - 1 - level)
        rows, columns = self.shape
        return Grid((rows // step, columns // step), self.plane.mpp * step, self.plane.origin_um)

    def tile_box(self, level: int, *, row: int, column: int) -> Box | None:
        """Box of a tile on the plane of its level; None where there is no such tile.

        Examples
        --------
        >>> TilePyramid(Grid((700, 1100), 0.5)).tile_box(2, row=1, column=2)
        Box(top=512, left=1024, bottom=700, right=1100)
        """
        if not 0 <= level < self.levels or row < 0 or column < 0:
            return None
        top, left = row * TILE_PX, column * TILE_PX
        box = Box(top, left, top + TILE_PX, left + TILE_PX) & self.level_plane(level).box
        return box if box.area_px else None
