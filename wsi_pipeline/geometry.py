"""Where on the glass is this pixel?

1. A `Box` is a half-open rectangle of whole pixels, rows first.
2. A `Grid` says how large a plane is, how wide its pixels are and where it lies.
3. Converting between planes is a method of `Grid` and nothing else.

The slide frame has its origin at the top-left *corner* of level 0; micrometres grow
downwards (row axis) and rightwards (column axis).  Pixel ``i`` covers the interval
``[i, i + 1)``, so its centre lies at ``i + 0.5``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Two grids whose edges differ by less than this share of a pixel are taken to coincide;
# it absorbs the rounding of mpp values such as 0.2498 / 2.0, never a real offset.
_SNAP_PX = 1e-6


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """Half-open rectangle ``[top, bottom) × [left, right)`` in pixels of one plane.

    Examples
    --------
    >>> Box(0, 0, 4, 6) & Box(2, 2, 9, 9)
    Box(top=2, left=2, bottom=4, right=6)
    """

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def of_shape(cls, shape: tuple[int, int]) -> Box:
        """Box that covers a whole plane of ``shape`` (rows, columns)."""
        return cls(0, 0, shape[0], shape[1])

    @property
    def height(self) -> int:
        """Rows covered; zero for an empty box."""
        return max(0, self.bottom - self.top)

    @property
    def width(self) -> int:
        """Columns covered; zero for an empty box."""
        return max(0, self.right - self.left)

    @property
    def shape(self) -> tuple[int, int]:
        """``(rows, columns)``."""
        return self.height, self.width

    @property
    def area_px(self) -> int:
        """Number of pixels covered."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this box into an array whose first two axes are (Y, X)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def __and__(self, other: Box) -> Box:
        """Overlap of two boxes; empty (``area_px == 0``) where they do not meet."""
        return Box(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def expanded(self, margin_px: int) -> Box:
        """Grow by ``margin_px`` on all four sides."""
        return Box(
            self.top - margin_px,
            self.left - margin_px,
            self.bottom + margin_px,
            self.right + margin_px,
        )

    def shifted(self, rows: int, columns: int) -> Box:
        """Move by whole pixels."""
        return Box(self.top + rows, self.left + columns, self.bottom + rows, self.right + columns)

    def coarsened(self, factor: int) -> Box:
        """Box that covers this one on a plane with pixels ``factor`` times as wide.

        Examples
        --------
        >>> Box(-1, 3, 9, 16).coarsened(8)
        Box(top=-1, left=0, bottom=2, right=2)
        """
        return Box(
            self.top // factor,
            self.left // factor,
            -(-self.bottom // factor),
            -(-self.right // factor),
        )

    def refined(self, factor: int) -> Box:
        """This box on a plane with ``factor`` pixels in place of one."""
        return Box(*(factor * side for side in (self.top, self.left, self.bottom, self.right)))

    def within(self, outer: Box) -> Box:
        """This box in the coordinates of ``outer``, whose top-left corner becomes (0, 0)."""
        return self.shifted(-outer.top, -outer.left)


@dataclass(frozen=True, slots=True)
class Grid:
    """Size, pixel width and place of a plane on the glass.

    Parameters
    ----------
    shape
        ``(rows, columns)``.
    mpp
        Width of a pixel in µm; pixels are square.
    origin_um
        ``(down, right)`` of the plane's top-left corner from that of level 0, in µm.
    """

    shape: tuple[int, int]
    mpp: float
    origin_um: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mpp) and self.mpp > 0):
            raise ValueError(f"mpp must be a positive number of µm per pixel, not {self.mpp}")
        if min(self.shape) < 0:
            raise ValueError(f"shape must not be negative, not {self.shape}")

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Grid:
        """Make the grid again that `to_json` described.

        Raises
        ------
        KeyError, TypeError, ValueError
            If a field is missing or not a number.
        """
        rows, columns = (int(count) for count in raw["shape"])
        down, right = (float(place) for place in raw["origin_um"])
        return cls((rows, columns), float(raw["mpp"]), (down, right))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return {"shape": list(self.shape), "mpp": self.mpp, "origin_um": list(self.origin_um)}

    @property
    def box(self) -> Box:
        """Box that covers the whole plane."""
        return Box.of_shape(self.shape)

    @property
    def extent_um(self) -> tuple[float, float]:
        """``(height, width)`` of the plane in µm."""
        return self.shape[0] * self.mpp, self.shape[1] * self.mpp

    @property
    def pixel_area_um2(self) -> float:
        """Area of one pixel in µm²."""
        return self.mpp * self.mpp

    def at_mpp(self, mpp: float) -> Grid:
        """Plane over the same place with pixels of another width.

        The last row and column are kept where they are only partly covered, so nothing on
        the glass is lost; the plane may therefore reach up to one pixel further.

        Examples
        --------
        >>> Grid((2967, 2220), 0.499).at_mpp(2.0).shape
        (741, 554)
        """
        rows, columns = (math.ceil(n * self.mpp / mpp - _SNAP_PX) for n in self.shape)
        return Grid((max(rows, 1), max(columns, 1)), mpp, self.origin_um)

    def to_um(self, row: float, column: float) -> tuple[float, float]:
        """Slide coordinates in µm of a continuous position (pixel corners are whole numbers)."""
        return self.origin_um[0] + row * self.mpp, self.origin_um[1] + column * self.mpp

    def from_um(self, down_um: float, right_um: float) -> tuple[float, float]:
        """Continuous position ``(row, column)`` on this plane of a place in µm."""
        return (down_um - self.origin_um[0]) / self.mpp, (right_um - self.origin_um[1]) / self.mpp

    def covering(self, box: Box, other: Grid) -> Box:
        """Smallest box on *this* plane that covers ``box`` of ``other``; not clipped.

        Examples
        --------
        >>> Grid((10, 10), 8.0).covering(Box(0, 0, 512, 512), Grid((2000, 2000), 2.0))
        Box(top=0, left=0, bottom=128, right=128)
        """
        top, left = self.from_um(*other.to_um(box.top, box.left))
        bottom, right = self.from_um(*other.to_um(box.bottom, box.right))
        return Box(
            math.floor(top + _SNAP_PX),
            math.floor(left + _SNAP_PX),
            math.ceil(bottom - _SNAP_PX),
            math.ceil(right - _SNAP_PX),
        )

    def cropped(self, box: Box) -> Grid:
        """Plane that covers only ``box`` of this one."""
        return Grid(box.shape, self.mpp, self.to_um(box.top, box.left))
