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

    def to_section(self, down_um: Floats, right_um: Floats) -> tuple[Floats, Floats]:
        """Section coordinates ``(x, y)`` of places on the slide, µm."""
        down, right = down_um - self.centre_um[0], right_um - self.centre_um[1]
        cos, sin = math.cos(self.turn_rad), math.sin(self.turn_rad)
        return (
            np.asarray(cos * right + sin * down, np.float32),
            np.asarray(cos * down - sin * right, np.float32),
        )

    def to_slide(self, x_um: Points, y_um: Points) -> Points:
        """Slide coordinates ``(down, right)`` of places in the section, shape (N, 2), µm."""
        cos, sin = math.cos(self.turn_rad), math.sin(self.turn_rad)
        down = self.centre_um[0] + cos * y_um + sin * x_um
        right = self.centre_um[1] + cos * x_um - sin * y_um
        return np.stack([down, right], axis=-1)


@dataclass(frozen=True, slots=True)
class Nodes:
    """Coarse mesh over the glass.

    Parameters
    ----------
    frame
        Frame of the slide.
    factor
        Pixels per node distance; node ``(i, j)`` lies on the pixel corner ``factor * (i, j)``.
    x_um, y_um : float32 (Y, X)
        Section coordinates of the nodes.
    """

    frame: Frame
    factor: int
    x_um: Floats
    y_um: Floats

    @classmethod
    def over(cls, frame: Frame) -> Nodes:
        """Mesh that covers a frame, with one node beyond its far edges."""
        factor = max(1, round(NODE_STEP_UM / frame.mpp))
        rows, columns = (np.arange(-(-n // factor) + 2) * factor * frame.mpp for n in frame.shape)
        down, right = np.meshgrid(rows, columns, indexing="ij")
        x_um, y_um = frame.to_section(down.astype(np.float32), right.astype(np.float32))
        return cls(frame, factor, x_um, y_um)

    @property
    def step_um(self) -> float:
        """Distance of neighbouring nodes, µm."""
        return self.factor * self.frame.mpp

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of nodes."""
        return self.x_um.shape[0], self.x_um.shape[1]

    @property
    def places_um(self) -> tuple[Floats, Floats]:
        """Section coordinates x and y of all nodes, µm."""
        return self.x_um, self.y_um

    def window(self, x_um: Points, y_um: Points, *, reach_um: float) -> tuple[slice, slice]:
        """Index of the nodes within ``reach_um`` of the bounding box of some places."""
        places = self.frame.to_slide(np.atleast_1d(x_um), np.atleast_1d(y_um)) / self.step_um
        reach = reach_um / self.step_um
        low = np.maximum(np.floor(places.min(axis=0) - reach), 0).astype(int)
        high = np.maximum(np.ceil(places.max(axis=0) + reach) + 1, 0).astype(int)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    def read(self, plane: Floats, slide_um: Points) -> Floats:
        """Bilinear value of a node plane at places ``(down, right)`` on the slide, µm."""
        nodes = slide_um.T / self.step_um
        return np.asarray(
            ndimage.map_coordinates(plane, nodes, order=1, mode="nearest"), np.float32
        )

    def under(self, box: Box) -> Box:
        """Nodes needed to interpolate the pixels of a box."""
        size = self.factor
        return Box(
            max(0, (box.top - size) // size),
            max(0, (box.left - size) // size),
            min(self.shape[0], box.bottom // size + 2),
            min(self.shape[1], box.right // size + 2),
        )


def refine(nodes: Nodes, plane: Floats, *, box: Box) -> Floats:
    """Interpolate a node plane at the pixel centres of a box.

    Parameters
    ----------
    nodes
        Mesh of the plane.
    plane : float32 (Y, X)
        Values on the mesh.
    box
        Pixels wanted; may reach beyond the image.

    Returns
    -------
    float32 (Y, X)
        Bilinear values; the error is at most ``h²/8`` times the second derivative, which is
        0.5 µm for a rete ridge of 40 µm amplitude and 80 µm wavelength.
    """
    row, row_share = _brackets(box.top, box.bottom, factor=nodes.factor, count=nodes.shape[0])
    column, column_share = _brackets(box.left, box.right, factor=nodes.factor, count=nodes.shape[1])
    lines = plane[row] + (plane[row + 1] - plane[row]) * row_share[:, None]
    rise = np.diff(lines, axis=1)
    fine = rise[:, column]
    fine *= column_share
    fine += lines[:, column]
    return fine


def _brackets(
    start_px: int, stop_px: int, *, factor: int, count: int
) -> tuple[NDArray[np.intp], Floats]:
    """Node before each pixel centre, and how far beyond it the centre lies."""
    places = np.clip((np.arange(start_px, stop_px) + 0.5) / factor, 0, count - 1.001)
    before = np.floor(places).astype(np.intp)
    return before, (places - before).astype(np.float32)
