"""What does OME-NGFF want to know about a plane?

1. `Plane` says what differs between the three multiscales of a segmentation.
2. `plane_metadata` is the value of the attribute ``ome`` of one of them.

References
----------
OME-NGFF 0.5, https://ngff.openmicroscopy.org/0.5/
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from wsi_pipeline.classes import CLASS_NAMES, TISSUE_CLASSES
from wsi_pipeline.geometry import Grid

IMAGE, LABELS, PROBABILITIES = "", "labels/tissue", "probabilities"
"""Paths of the three multiscales inside the group."""
NGFF_VERSION = "0.5"
_SMALLEST_LEVEL_PX = 256


@dataclass(frozen=True, slots=True)
class Plane:
    """What differs between the three multiscales."""

    path: str
    channels: int
    fill: int
    chunk_channels: int


PLANES = (
    Plane(IMAGE, 3, 255, 3),
    Plane(LABELS, 0, 0, 0),
    Plane(PROBABILITIES, len(CLASS_NAMES), 0, 1),
)


def level_shapes(grid: Grid) -> list[tuple[int, int]]:
    """``(rows, columns)`` of each pyramid level, down to about 256 px."""
    count = 1 + max(0, math.ceil(math.log2(max(grid.shape) / _SMALLEST_LEVEL_PX)))
    rows, columns = grid.shape
    return [(-(-rows // 2**level), -(-columns // 2**level)) for level in range(count)]


def plane_metadata(plane: Plane, grid: Grid) -> dict[str, Any]:
    """Value of the attribute ``ome`` of one multiscale."""
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] if plane.channels else []
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in ("y", "x")]
    metadata: dict[str, Any] = {
        "version": NGFF_VERSION,
        "multiscales": [
            {
                "name": plane.path or "image",
                "axes": axes,
                "type": "majority" if plane.path == LABELS else "mean",
                "metadata": {"description": "2 × 2 blocks of the level below"},
                "datasets": [
                    _dataset(level, grid, has_channels=plane.channels > 0)
                    for level in range(len(level_shapes(grid)))
                ],
            }
        ],
    }
    if plane.path == LABELS:
        metadata["image-label"] = _image_label()
    else:
        metadata["omero"] = {"channels": _channels(plane)}
    return metadata


def _dataset(level: int, grid: Grid, *, has_channels: bool) -> dict[str, Any]:
    """Scale and place of one level; translations point at the centre of the first pixel."""
    scale = grid.mpp * 2**level
    middle = 0.5 * (scale - grid.mpp)
    first = [1.0] if has_channels else []
    return {
        "path": str(level),
        "coordinateTransformations": [
            {"type": "scale", "scale": [*first, scale, scale]},
            {
                "type": "translation",
                "translation": [
                    *([0.0] if has_channels else []),
                    *(origin + middle for origin in grid.origin_um),
                ],
            },
        ],
    }


def _image_label() -> dict[str, Any]:
    return {
        "version": NGFF_VERSION,
        "colors": [
            {"label-value": value, "rgba": [*tissue.rgb, 0 if value == 0 else 255]}
            for value, tissue in enumerate(TISSUE_CLASSES)
        ],
        "properties": [
            {"label-value": value, "class": tissue.name}
            for value, tissue in enumerate(TISSUE_CLASSES)
        ],
        "source": {"image": "../../"},
    }


def _channels(plane: Plane) -> list[dict[str, Any]]:
    if plane.path == IMAGE:
        named = [("red", (255, 0, 0)), ("green", (0, 255, 0)), ("blue", (0, 0, 255))]
    else:
        named = [(tissue.name, tissue.rgb) for tissue in TISSUE_CLASSES]
    return [
        {
            "label": name,
            "color": "{:02X}{:02X}{:02X}".format(*rgb),
            "active": True,
            "window": {"min": 0, "max": 255, "start": 0, "end": 255},
        }
        for name, rgb in named
    ]
