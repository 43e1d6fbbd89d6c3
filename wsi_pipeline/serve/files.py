"""Which files of the folder may be read?

1. Only what the pipeline writes for others to read: zarr stores, outlines, tables, measurements
   and pages.  Never ``slide.json``, ``failure.json`` or logs, which hold the names of slide files
   and with them, often, of patients.
2. A path is matched as a whole against what is allowed, in characters that mean nothing to a
   file system but ``/``; what does not match does not exist.
3. What it then points to must lie in the folder, links followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_NAME = r"[^\x00-\x1f\x7f/\\%:.][^\x00-\x1f\x7f/\\%:]*"
_NODE = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
# What a store consists of: its documents (zarr v3 and v2), chunks, and tables of SpatialData.
_IN_STORE = (
    rf"(?:{_NODE}/)*"
    r"(?:zarr\.json|\.zattrs|\.zgroup|\.zarray|\.zmetadata|c|[0-9]+(?:\.[0-9]+)*|[A-Za-z0-9_-]+\.parquet)"
)
_ALLOWED: tuple[tuple[str, str], ...] = (
    (rf"slides/{_NAME}/{_NODE}\.zarr/{_IN_STORE}", "store"),
    (rf"slides/{_NAME}/{_NODE}\.(?:geojson|geojson\.gz|parquet)", "table"),
    (rf"slides/{_NAME}/measurements\.json", "table"),
    (rf"cases/{_NAME}/report\.html", "page"),
    (r"cohort\.html", "page"),
    (r"cohort\.(?:csv|parquet)", "table"),
)
_MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".csv": "text/csv; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file that may be read.

    Parameters
    ----------
    path
        Where it lies, links followed.
    kind
        ``store`` (part of a zarr store), ``table`` or ``page``.
    """

    path: Path
    kind: str

    @property
    def media_type(self) -> str:
        """What it is, for a browser."""
        return _MEDIA.get(self.path.suffix, "application/octet-stream")


def kind_of(address: str) -> str | None:
    """Kind of what lies at a relative address, if that may be asked for at all.

    Examples
    --------
    >>> kind_of("slides/a/depth.zarr/zarr.json"), kind_of("slides/a/slide.json")
    ('store', None)
    """
    return next((kind for rule, kind in _ALLOWED if re.fullmatch(rule, address)), None)


def find_artefact(root: Path, address: str) -> Artefact | None:
    """File at a relative address below the results; None where there is none to be read."""
    kind = kind_of(address)
    if kind is None:
        return None
    place = place_in(root, address)
    return Artefact(place, kind) if place is not None and place.is_file() else None


def is_plain_name(name: str) -> bool:
    """Whether a name can be one part of an address."""
    return re.fullmatch(_NAME, name) is not None


def place_in(root: Path, address: str) -> Path | None:
    """Follow an address of checked names; None where it leads out of ``root`` or nowhere."""
    try:
        base = root.resolve(strict=True)
        place = (base / address).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return None  # absent, a loop of links, or too long a name
    return place if place.is_relative_to(base) else None
