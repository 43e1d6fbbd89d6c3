"""How does the section lie on the glass?

1. The *slide frame* is ``(down, right)`` in µm from the top-left corner of the image.
2. The *section frame* is ``(x, y)`` in µm from the centre of the glass, x along the skin and
   y into it; it is the slide frame turned by the section's rotation.
3. `Nodes` is the coarse mesh on which the geometry is computed, and `refine` reads it at
   the pixels of a block by bilinear interpolation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom.noise import Floats
from wsi_pipeline.phantom.spec import PhantomSpec

# Distance of mesh nodes, µm: under half the radius of the thinnest cord, so that a bilinear
# signed distance keeps its zero line.
NODE_STEP_UM = 4.0

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """Turn and place of the section on the glass.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    mpp
        Width of a pixel, µm.
    turn_rad
        Clockwise rotation of the section.
    """

    shape: tuple[int, int]
    mpp: float
    turn_rad: float

    @classmethod
    def of(cls, spec: PhantomSpec) -> Frame:
        """Frame of the slide a spec describes."""
        rows, columns = (round(1000 * edge / spec.mpp) for edge in (spec.height_mm, spec.width_mm))
        return cls((rows, columns), spec.mpp, math.radians(spec.rotation_deg))

    @property
    def centre_um(self) -> tuple[float, float]:
        """Slide coordinates ``(down, right)`` of the section frame's origin, µm."""
        return self.shape[0] * self.mpp / 2, self.shape[1] * self.mpp / 2

    def to_section[F: np.floating](
        self, down_um: NDArray[F], right_um: NDArray[F]
    ) -> tuple[NDArray[F], NDArray[F]]:
        """Section coordinates ``(x, y)`` of places on the slide."""
        down, right = down_um - self.centre_um[0], right_um - self.centre_um[1]
        cos, sin = math.cos(self.turn_rad), math.sin(self.turn_rad)
        return cos * right + sin * down, cos * down - sin * right
