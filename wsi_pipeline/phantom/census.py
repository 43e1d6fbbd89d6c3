"""Which single things are on the slide, where, and how large?

1. `number_nests` numbers the nests of a label plane, `list_nests` tabulates them.
2. `list_follicles` tabulates the follicles that the section shows.
3. `number_nuclei` numbers every pixel by the nucleus that covers it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.classes import BACKGROUND, TUMOUR
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom.adnexa import Patch
from wsi_pipeline.phantom.frame import Nodes
from wsi_pipeline.phantom.noise import Bytes, Floats
from wsi_pipeline.phantom.nuclei import Nuclei
from wsi_pipeline.phantom.stamp import stamp_numbers

NEST_DTYPE = np.dtype([("down_um", "f4"), ("right_um", "f4"), ("area_um2", "f4")])
FOLLICLE_DTYPE = np.dtype(
    [("down_um", "f4"), ("right_um", "f4"), ("radius_um", "f4"), ("unit", "u2"), ("phase", "u1")]
)
Table = NDArray[np.void]
# Neighbours that share a corner belong together.
EIGHT = np.ones((3, 3), np.bool_)


def number_nests(labels: Bytes) -> NDArray[np.uint32]:
    """Number the pieces of tumour.

    Parameters
    ----------
    labels : uint8 (Y, X)

    Returns
    -------
    uint32 (Y, X)
        0 outside tumour, else 1 plus the row of the nest in `list_nests`.  Pieces that touch at
        a corner are one.  A section through a branching tumour shows more pieces than it has.
    """
    numbers = np.zeros(labels.shape, np.uint32)
    window = _tumour_window(labels)
    ndimage.label(labels[window] == TUMOUR, EIGHT, output=numbers[window])
    return numbers


def _tumour_window(labels: Bytes) -> tuple[slice, slice]:
    """Bounding box of the tumour."""
    tumour = labels == TUMOUR
    spans = [np.flatnonzero(tumour.any(axis=axis)) for axis in (1, 0)]
    if not spans[0].size:
        return slice(0, 0), slice(0, 0)
    return slice(spans[0][0], spans[0][-1] + 1), slice(spans[1][0], spans[1][-1] + 1)


def list_nests(labels: Bytes, *, mpp: float) -> Table:
    """Tabulate the pieces of tumour.

    Returns
    -------
    structured array (N,)
        ``down_um``, ``right_um``: centroid on the slide; ``area_um2``: its pixels.
    """
    window = _tumour_window(labels)
    numbers, count = ndimage.label(labels[window] == TUMOUR, EIGHT)
    rows, columns = np.nonzero(numbers)
    own = numbers[rows, columns] - 1
    size = np.bincount(own, minlength=count)
    table = np.zeros(count, NEST_DTYPE)
    for name, index, side in (("down_um", rows, 0), ("right_um", columns, 1)):
        mean = np.bincount(own, weights=index, minlength=count) / np.maximum(size, 1)
        table[name] = (mean + window[side].start + 0.5) * mpp
    table["area_um2"] = size * mpp**2
    return table


def list_follicles(groups: list[list[Patch]], nodes: Nodes, *, shown_um: Floats) -> Table:
    """Tabulate the follicles of a section: profiles with their centre on it, others in part.

    Parameters
    ----------
    groups
        Structures in groups; the follicles of a group are one follicular unit.
    nodes
        Mesh of their planes.
    shown_um : float32 (Y, X)
        Signed distance to the edge of what the section shows, positive inside.

    Returns
    -------
    structured array (N,)
        ``down_um``, ``right_um``: where a follicle cut lengthwise meets the surface, else the
        centre of its profile; ``radius_um``; ``unit``: number of the follicular unit;
        ``phase``: 0 anagen, 1 telogen.
    """
    rows = []
    for unit, patches in enumerate(groups):
        for patch in patches:
            own = patch.follicle
            if own is None:
                continue
            place = nodes.frame.to_slide(np.array([own.x_um]), np.array([own.y_um]))
            if own.tip_um is not None:
                part = np.minimum(patch.inside_um, shown_um[patch.window])
                shown = bool((part > 0).any())
            else:
                shown = bool(nodes.read(shown_um, place)[0] > 0)
            if shown:
                rows.append((*place[0], own.radius_um, unit, own.telogen))
    return np.array(rows, FOLLICLE_DTYPE)


def number_nuclei(nuclei: Nuclei, labels: Bytes, *, mpp: float) -> NDArray[np.uint32]:
    """Number every pixel by the nucleus that covers it.

    Parameters
    ----------
    nuclei
        Table of nuclei.
    labels : uint8 (Y, X)
        Labels of the plane wanted; nuclei do not reach onto glass.
    mpp
        Width of its pixels, µm.

    Returns
    -------
    uint32 (Y, X)
        0 outside nuclei, else 1 plus the row of the nucleus in the table; of two that overlap,
        the later one, as in the picture.  A pixel belongs to a nucleus that covers half of it.
    """
    numbers = stamp_numbers(nuclei, Box.of_shape(labels.shape), mpp=mpp)
    numbers[labels == BACKGROUND] = 0
    return numbers
