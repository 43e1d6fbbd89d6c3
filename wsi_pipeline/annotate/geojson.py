"""How does QuPath write outlines down?

1. `format_regions` gives one annotation per region, with names and colours of the classes;
   `format_collection` the text of a ``FeatureCollection`` of features, piece by piece.
2. `parse_regions` reads what QuPath exports (from 0.2 on): a ``FeatureCollection``, a list of
   features or one feature.  The file is not trusted: sizes are limited, and whatever cannot be
   meant is refused with its place.

QuPath counts x to the right and y downwards in pixels of level 0, from the corner of the scanned
part where a file states one (``openslide.bounds-x``, ``-y``), to which it crops by default
(https://github.com/qupath/qupath/issues/1278).

References
----------
RFC 7946 (GeoJSON), https://www.rfc-editor.org/rfc/rfc7946
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsi_pipeline.annotate.regions import NOT_ANNOTATED, Polygon, Region, Ring
from wsi_pipeline.classes import CLASS_NAMES, EPITHELIUM, TISSUE_CLASSES, TUMOUR, TissueClass
from wsi_pipeline.errors import ConfigError

MOST_FEATURES, MOST_CORNERS = 1_000_000, 20_000_000
"""More than a person corrects on a slide; a file beyond has another origin."""
_FARTHEST_PX0 = 1e8
# QuPath's own list of classes has one for "leave out" and spells one of ours the American way.
_CLASSES = {
    **dict(enumerate(TISSUE_CLASSES)),
    EPITHELIUM: TissueClass("epithelium", (0, 136, 147)),
    NOT_ANNOTATED: TissueClass("Ignore*", (180, 180, 180)),
}
_VALUES = {
    **{tissue.name.casefold(): value for value, tissue in _CLASSES.items()},
    "tumor": TUMOUR,
}
_KNOWN = (
    f"{', '.join(CLASS_NAMES)}; epithelium for epidermis or adnexa; or Ignore* for what is to be "
    "left out"
)
_PLAIN_TYPES = ("annotation", "PathAnnotationObject", "unknown")


@dataclass(frozen=True, slots=True)
class ViewerFrame:
    """How a viewer counts pixels.

    Parameters
    ----------
    mpp
        Width of a level-0 pixel, µm.
    origin_px0
        ``(top, left)`` of what the viewer shows, in level 0.
    """

    mpp: float
    origin_px0: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file holds.

    Parameters
    ----------
    regions
        Annotations with a class, in the order of the file.
    unclassified
        Number of annotations without a class; they say nothing and are left out.
    not_annotations
        Number of detections, cells and the like, left out too.
    """

    regions: tuple[Region, ...]
    unclassified: int = 0
    not_annotations: int = 0


def format_collection(features: Iterable[str], *, about: Mapping[str, Any]) -> Iterator[str]:
    """Text of a GeoJSON file, in pieces of one feature each.

    Parameters
    ----------
    features
        Features as text, from `format_regions` or `format_cells`.
    about
        Provenance, kept under the key ``wsi_pipeline``, which viewers pass over.
    """
    yield f'{{"type": "FeatureCollection", "wsi_pipeline": {_json(about)}, "features": ['
    for number, feature in enumerate(features):
        yield (",\n" if number else "\n") + feature
    yield "\n]}\n"


def format_regions(regions: Iterable[Region], *, frame: ViewerFrame) -> Iterator[str]:
    """Text of one annotation per region.

    Parameters
    ----------
    regions
        Regions.
    frame
        How the viewer counts.

    Yields
    ------
    str
        Coordinates are rounded to a hundredth of a level-0 pixel.
    """
    for region in regions:
        yield _json(_feature(region, frame))


def _json(content: Any) -> str:
    return json.dumps(content, allow_nan=False, ensure_ascii=False)


def _feature(region: Region, frame: ViewerFrame) -> dict[str, Any]:
    polygons = [[_to_xy(ring, frame) for ring in polygon] for polygon in region.polygons]
    tissue = _CLASSES[region.value]
    one = len(polygons) == 1
    return {
        "type": "Feature",
        "geometry": {
            "type": "Polygon" if one else "MultiPolygon",
            "coordinates": polygons[0] if one else polygons,
        },
        "properties": {
            "objectType": "annotation",
            "classification": {"name": tissue.name, "color": list(tissue.rgb)},
        },
    }


def _to_xy(ring_um: Ring, frame: ViewerFrame) -> list[list[float]]:
    places = np.round(ring_um / frame.mpp - frame.origin_px0, 2) + 0.0  # no "-0.0"
    corners: list[list[float]] = places[:, ::-1].tolist()
    return corners


def parse_regions(text: str, *, name: str, frame: ViewerFrame) -> Parsed:
    """Read the text of a GeoJSON file.

    Parameters
    ----------
    text
        What the file holds.
    name
        Its name, for messages.
    frame
        How the viewer counts.

    Raises
    ------
    ConfigError
        Naming file, feature and field, if it is not what QuPath exports, or of unknown classes.
    """
    features = _features(text, name=name)
    regions, unclassified, others, corners = [], 0, 0, 0
    for number, feature in enumerate(features, start=1):
        where = f"{name}: feature {number} of {len(features)}"
        properties = _properties(feature, where=where)
        if _is_other(feature, properties):
            others += 1
        elif not properties.get("classification"):
            unclassified += 1
        else:
            value = _value(properties["classification"], where=where)
            region = Region(value, _polygons(feature, where=where, frame=frame))
            corners += sum(len(ring) for polygon in region.polygons for ring in polygon)
            if corners > MOST_CORNERS:
                raise ConfigError(f"{where}: more than {MOST_CORNERS} corners; simplify in QuPath")
            regions.append(region)
    return Parsed(tuple(regions), unclassified, others)


def _features(text: str, *, name: str) -> list[Any]:
    """List of features of a file in any of its three forms."""
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as fault:
        raise ConfigError(
            f"{name} is not valid JSON ({fault}); export it from QuPath again (File, Export "
            "objects as GeoJSON)"
        ) from fault
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "Feature":
        content = [content]
    elif kind == "FeatureCollection":
        content = content.get("features")
    if not isinstance(content, list):
        raise ConfigError(
            f"{name} holds no features: it must be a FeatureCollection, a Feature or a list of "
            "features, as QuPath exports them"
        )
    if len(content) > MOST_FEATURES:
        raise ConfigError(
            f"{name} holds {len(content)} features, more than {MOST_FEATURES}; export the "
            "annotations alone, without detections"
        )
    return content


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is no coordinate")


def _properties(feature: Any, *, where: str) -> dict[str, Any]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise ConfigError(f"{where}: 'type' must be 'Feature'; export it from QuPath again")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise ConfigError(f"{where}: 'properties' must be an object; export it from QuPath again")
    return properties


def _is_other(feature: Mapping[str, Any], properties: Mapping[str, Any]) -> bool:
    """Whether a feature is a detection or the like; until 0.2 its id said so."""
    old_type = feature.get("id", "unknown")
    if not str(old_type).startswith("Path") and old_type != "TMACoreObject":
        old_type = "unknown"
    kind = properties.get("objectType", properties.get("object_type", old_type))
    return kind not in _PLAIN_TYPES


def _value(classification: Any, *, where: str) -> int:
    """Label of QuPath's class: an object with name and colour of any age, or just the name."""
    name = classification
    if isinstance(classification, dict):
        names = classification.get("names", [None])
        name = classification.get("name", names[0] if names and len(names) == 1 else names)
    if not isinstance(name, str):
        raise ConfigError(
            f"{where}: 'classification' must hold one 'name', not {str(name)[:60]!r}; give the "
            f"annotation one class ({_KNOWN})"
        )
    value = _VALUES.get(name.strip().casefold())
    if value is None:
        raise ConfigError(
            f"{where}: unknown class {name[:60]!r} in 'classification'; give the annotation one "
            f"of {_KNOWN}"
        )
    return value


def _polygons(feature: Mapping[str, Any], *, where: str, frame: ViewerFrame) -> tuple[Polygon, ...]:
    geometry = feature.get("geometry")
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(geometry, dict) or kind not in ("Polygon", "MultiPolygon"):
        raise ConfigError(
            f"{where}: 'geometry' is of type {str(kind)[:40]!r} and covers no area; it must be a "
            "Polygon or MultiPolygon: draw it as an area, or take its class away"
        )
    coordinates = geometry.get("coordinates")
    parts = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(parts, list) or not all(isinstance(part, list) and part for part in parts):
        raise ConfigError(f"{where}: 'coordinates' must be lists of rings; draw it again")
    return tuple(tuple(_from_xy(ring, where=where, frame=frame) for ring in part) for part in parts)


def _from_xy(corners: Any, *, where: str, frame: ViewerFrame) -> Ring:
    try:
        places = np.asarray(corners)
    except ValueError:
        places = np.empty(0)
    if places.dtype.kind not in "iuf" or places.ndim != 2 or places.shape[1] not in (2, 3):
        raise ConfigError(f"{where}: a ring must be a list of [x, y] numbers; draw it again")
    xy = places[:, :2].astype(np.float64)
    if len(xy) < 4 or not (np.abs(xy) < _FARTHEST_PX0).all():
        raise ConfigError(
            f"{where}: a ring must have four corners or more, the last like the first, within "
            f"{_FARTHEST_PX0:g} pixels of the slide; draw it again"
        )
    if (xy[0] != xy[-1]).any():
        raise ConfigError(f"{where}: a ring must end where it began; draw it again")
    ring: Ring = (xy[:, ::-1] + frame.origin_px0) * frame.mpp
    return ring
