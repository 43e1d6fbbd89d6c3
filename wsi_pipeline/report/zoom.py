"""What does the script of the zoomable view need to know?

1. `Zoom` is the picture in tiles and what can be laid over it.
2. `zoom_data` writes both, with junctions and sections, as JSON that cannot end its element.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from wsi_pipeline.report.planes import ValuePlane, encode_values, hex_of, paint_still
from wsi_pipeline.report.pyramid import TILE_PX, Pyramid

_HIDDEN = ("relative",)  # only told, not shown: it has the order of the depth


@dataclass(frozen=True, slots=True, eq=False)
class Zoom:
    """A slide as it can be looked into.

    Parameters
    ----------
    pyramid
        The picture.
    planes
        What can be laid over it and asked for at a place.
    """

    pyramid: Pyramid
    planes: tuple[ValuePlane, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """What the colours of one plane mean: names, or the ends of a scale with its stops."""

    name: str
    title: str
    entries: tuple[tuple[str, str], ...]
    stops: tuple[str, ...]
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Still:
    """A plane as a picture, and where it lies in the drawn slide, as shares of it."""

    name: str
    title: str
    uri: str
    left: float
    top: float
    width: float
    height: float


def zoom_data(zoom: Zoom, *, curves: Sequence[Any], sections: Sequence[Any]) -> Markup:
    """Write what the script reads.

    Parameters
    ----------
    curves
        Junctions: ``kind`` and ``points_um``, a list of (right, down).
    sections
        ``number`` and ``box_um``, (top, left, bottom, right).
    """
    pyramid = zoom.pyramid
    data = {
        "image": {
            "grid": pyramid.grid.to_json(),
            "shapes": [list(shape) for shape in pyramid.shapes],
            "tile": TILE_PX,
            "glass": hex_of([pyramid.glass])[0],
            "tiles": dict(pyramid.tiles),
        },
        "planes": [encode_values(plane) for plane in zoom.planes],
        "curves": list(curves),
        "sections": list(sections),
    }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704


def keys_of(zoom: Zoom) -> tuple[Key, ...]:
    """Legends of the planes that can be shown."""
    return tuple(_key_of(plane) for plane in zoom.planes if plane.name not in _HIDDEN)


def _key_of(plane: ValuePlane) -> Key:
    colours = hex_of(plane.colours)
    entries = tuple(zip(plane.names[1:], colours, strict=True)) if plane.is_named else ()
    most = plane.top * plane.step
    high = f"{most:.0%}" if not plane.unit else f"{most:,.0f}\u202f{plane.unit}"
    least = plane.bottom * plane.step
    low = f"0\u202f{plane.unit}" if plane.unit else f"0% (coloured from {least:.0%} on)"
    low = low if plane.bottom or plane.unit else "0%"
    return Key(plane.name, plane.title, entries, () if plane.is_named else colours, low, high)


def stills_of(zoom: Zoom) -> Iterator[Still]:
    """Pictures of the planes besides the classes, which the page draws anyway."""
    whole = zoom.pyramid.grid
    height_um, width_um = whole.extent_um
    for plane in zoom.planes:
        if plane.name in ("classes", *_HIDDEN):
            continue
        top_um, left_um = (
            own - its for own, its in zip(plane.grid.origin_um, whole.origin_um, strict=True)
        )
        tall_um, wide_um = plane.grid.extent_um
        yield Still(
            plane.name,
            plane.title,
            paint_still(plane),
            left=left_um / width_um,
            top=top_um / height_um,
            width=wide_um / width_um,
            height=tall_um / height_um,
        )
