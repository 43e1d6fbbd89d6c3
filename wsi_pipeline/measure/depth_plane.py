"""How do the depths of all sections lie on one plane?

1. The sections are measured on planes of one pixel width whose pixels fall together.
2. Each is laid on the plane of the slide; where margins overlap, a depth stands before none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.measure.results import DepthPlane


def join_depths(parts: Sequence[DepthPlane], *, plane: Grid) -> DepthPlane | None:
    """Lay the depths of sections over a plane; None where no section has any.

    Parameters
    ----------
    parts
        Depths by section.
    plane
        The label map: what the joint plane covers.
    """
    if not parts:
        return None
    mpp = parts[0].grid.mpp
    rows, columns = (math.ceil(extent_um / mpp - 1e-6) for extent_um in plane.extent_um)
    grid = Grid((rows, columns), mpp, plane.origin_um)
    joint = DepthPlane(grid, *(np.full(grid.shape, np.nan, np.float32) for _ in range(2)))
    for part in parts:
        top, left = (round(place) for place in grid.from_um(*part.grid.origin_um))
        own = Box.of_shape(part.grid.shape).shifted(top, left)
        inside = own & grid.box
        _lay(joint.depth_um, part.depth_um, inside=inside, own=own)
        _lay(joint.relative, part.relative, inside=inside, own=own)
    return joint


def _lay(joint: NDArray[np.float32], part: NDArray[np.float32], *, inside: Box, own: Box) -> None:
    """Write what is known of one part into the joint plane."""
    target = joint[inside.slices]
    np.fmax(target, part[inside.within(own).slices], out=target)
