"""Is this TIFF all there, and can it be decoded within bounds?

1. A TIFF is a chain of directories (and directories below them) that say where the tiles
   and the description lie.
2. `check_tiff` follows it and adds up the byte to which it points.  A file that ends before
   that was cut short: libraries would miss its last levels, its description, and with that
   its pixel size, and say so in other words.
3. On the way it refuses what libraries believe until memory or patience ends: directories
   without end, texts and tiles of gigabytes, pictures of more tiles than are stored.

References
----------
TIFF 6.0 and BigTIFF, as documented at https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.errors import SlideReadError

MAX_DIRECTORIES = 4096
"""Most pictures in one file; scanners write tens, a stack of focal planes hundreds."""
MAX_VALUE_BYTES = 32 << 20
"""Longest text or table in a directory: the offsets of four million tiles.  What parses a
description needs about thirty times its length in memory."""
MAX_TILE_PX = 8192**2
"""Most pixels of a tile or strip, which is decoded whole for any part of it: 192 MiB as RGB."""

_DESCRIPTION, _SUB_DIRECTORIES = 270, 330
_DATA = ((273, 279), (324, 325))  # offsets and byte counts of strips and of tiles
# Hamamatsu's NDPI, where a level is one strip with marks in it from which OpenSlide decodes.
_NDPI = 65420
_WIDTH, _HEIGHT, _STRIP_ROWS, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 278, 322, 323
_FOLLOWED = (_DESCRIPTION, _SUB_DIRECTORIES, *_DATA[0], *_DATA[1])
_INTEGER_TYPES = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_TYPE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
"""Bytes of one number of each TIFF type, by its code."""

# A classic TIFF cannot point beyond this; where one is larger its writer (Hamamatsu's NDPI)
# has put the upper half of each pointer elsewhere.
_CLASSIC_LIMIT = 2**32
# Numbers that no file reaches are cut here: sums of two still fit into 64 bits.
_FARTHEST = 2**61
_AGAIN = "the file is damaged or no slide: copy it again from the scanner, or export it again"


@dataclass(frozen=True, slots=True)
class _Layout:
    """How wide the numbers of a file are: ``struct`` codes and the byte order."""

    order: str
    entries: str
    pointer: str

    @property
    def entry(self) -> np.dtype[np.void]:
        """One entry of a directory."""
        wide = f"{self.order}u{struct.calcsize('=' + self.pointer)}"
        kinds = (f"{self.order}u2", f"{self.order}u2", wide, wide)
        return np.dtype(list(zip(("tag", "type", "count", "value"), kinds, strict=True)))


def check_tiff(path: Path) -> None:
    """Refuse a TIFF that was cut short or that would be decoded without bounds.

    Parameters
    ----------
    path
        File that exists and is not empty; what is not a TIFF passes.

    Raises
    ------
    SlideReadError
        With the reason and the remedy alone; the caller knows which slide.
    """
    reach, length = tiff_reach(path), path.stat().st_size
    if reach > length:
        raise SlideReadError(
            f"it is cut short (it points to byte {reach:,} and ends at {length:,}); copying has "
            "stopped early or still goes on: copy it again"
        )


def tiff_reach(path: Path) -> int:
    """Byte up to which the directories of a TIFF point; 0 for what is not a TIFF.

    Parameters
    ----------
    path
        File that exists and is not empty.

    Raises
    ------
    SlideReadError
        If a directory asks for more than is decoded.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        layout = _layout(data)
        if layout is None or (layout.pointer == "I" and len(data) >= _CLASSIC_LIMIT):
            return 0
        first = 4 if layout.pointer == "I" else 8
        return _reach(data, layout, at=first)


def _layout(data: mmap.mmap) -> _Layout | None:
    """Tell byte order and width from the first four bytes."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        return None
    return {42: _Layout(order, "H", "I"), 43: _Layout(order, "Q", "Q")}.get(
        struct.unpack_from(order + "H", data, 2)[0]
    )


def _reach(data: mmap.mmap, layout: _Layout, *, at: int) -> int:
    """Follow all directories from the pointer that stands ``at`` a byte."""
    pending = [_number(data, layout.order + layout.pointer, at=at)]
    seen: set[int] = {0}
    furthest = 0
    while pending:
        start = pending.pop()
        if start in seen:
            continue
        seen.add(start)
        if len(seen) > MAX_DIRECTORIES:
            raise SlideReadError(f"it has more than {MAX_DIRECTORIES} directories; {_AGAIN}")
        end, below = _directory(data, layout, start=start)
        furthest = max(furthest, end)
        pending += below
    return furthest


def _directory(data: mmap.mmap, layout: _Layout, *, start: int) -> tuple[int, list[int]]:
    """Give the byte up to which one directory points, and where the next ones stand."""
    head = struct.calcsize("=" + layout.entries)
    if start + head > len(data):
        return start + head, []
    count = _number(data, layout.order + layout.entries, at=start)
    end = start + head + count * layout.entry.itemsize
    tail = end + struct.calcsize("=" + layout.pointer)
    if tail > len(data):
        return tail, []
    entries = np.frombuffer(data[start + head : end], layout.entry)
    _check_values(entries)
    _check_picture(data, layout, entries=entries)
    following = _number(data, layout.order + layout.pointer, at=end)
    ends = [tail, *(_end_of_value(entry) for entry in entries if entry["tag"] in _FOLLOWED)]
    ends += [_end_of_data(data, layout, entries=entries, tags=tags) for tags in _DATA]
    below = _values(data, layout, entries=entries, tag=_SUB_DIRECTORIES)
    return max(ends), [following, *below.tolist()]


def _check_values(entries: NDArray[np.void]) -> None:
    """Refuse texts and tables of a size that no slide needs."""
    longest = max((_value_bytes(entry) for entry in entries), default=0)
    if longest > MAX_VALUE_BYTES:
        raise SlideReadError(
            f"a text or table in its header has {longest:,} bytes, more than the "
            f"{MAX_VALUE_BYTES:,} that are read; {_AGAIN}"
        )


def _check_picture(data: mmap.mmap, layout: _Layout, *, entries: NDArray[np.void]) -> None:
    """Refuse tiles that are too large, and a picture with fewer of them than its size asks for."""

    def number(tag: int, default: int) -> int:
        values = _values(data, layout, entries=entries, tag=tag)
        return int(values[0]) if len(values) else default

    rows, columns = number(_HEIGHT, 0), number(_WIDTH, 0)
    height = max(1, number(_TILE_HEIGHT, min(number(_STRIP_ROWS, rows), rows)))
    width = max(1, number(_TILE_WIDTH, columns))
    if height * width > MAX_TILE_PX and _NDPI not in entries["tag"]:
        raise SlideReadError(
            f"its pixels are stored in tiles or strips of {height} × {width} px, each of which is "
            f"decoded at once (at most {MAX_TILE_PX:,} px); convert it to a tiled TIFF"
        )
    needed = -(-rows // height) * -(-columns // width)
    for tags in _DATA:
        starts, lengths = (_count(entries, tag) for tag in tags)
        if 0 < starts < needed or (lengths and lengths != starts):
            raise SlideReadError(
                f"a picture of {rows} × {columns} px needs {needed:,} tiles; there are places of "
                f"{starts:,} and lengths of {lengths:,}; {_AGAIN}"
            )


def _count(entries: NDArray[np.void], tag: int) -> int:
    """How many values an entry says it has; 0 where it is absent."""
    return int(entries["count"][entries["tag"] == tag].max(initial=0))


def _value_bytes(entry: np.void) -> int:
    """Length of a value; 0 for types that the standard does not have."""
    kind = int(entry["type"])
    return int(entry["count"]) * (_TYPE_BYTES[kind] if kind < len(_TYPE_BYTES) else 0)


def _end_of_value(entry: np.void) -> int:
    """Byte up to which a value reaches that stands outside of its directory."""
    length = _value_bytes(entry)
    return int(entry["value"]) + length if length > entry["value"].itemsize else 0


def _end_of_data(
    data: mmap.mmap, layout: _Layout, *, entries: NDArray[np.void], tags: tuple[int, int]
) -> int:
    """Byte up to which tiles or strips reach; those of no length are not stored."""
    starts, lengths = (_values(data, layout, entries=entries, tag=tag) for tag in tags)
    if len(starts) != len(lengths):
        return 0
    return int((starts + lengths)[lengths > 0].max(initial=0))


def _values(
    data: mmap.mmap, layout: _Layout, *, entries: NDArray[np.void], tag: int
) -> NDArray[np.int64]:
    """Whole numbers of one entry; none where it is absent or itself beyond the end."""
    found = entries[entries["tag"] == tag]
    if not len(found) or int(found["type"][0]) not in _INTEGER_TYPES:
        return np.zeros(0, np.int64)
    kind = np.dtype(layout.order + _INTEGER_TYPES[int(found["type"][0])])
    length = int(found["count"][0]) * kind.itemsize
    if length <= found["value"].itemsize:
        raw = found["value"][:1].tobytes()[:length]
    else:
        raw = data[int(found["value"][0]) : int(found["value"][0]) + length]
    values = np.frombuffer(raw[: len(raw) // kind.itemsize * kind.itemsize], kind)
    return values.astype(np.uint64).clip(max=_FARTHEST).astype(np.int64)


def _number(data: mmap.mmap, code: str, *, at: int) -> int:
    """One number of the file."""
    return int(struct.unpack_from(code, data, at)[0])
