"""Is this TIFF all there?

1. A TIFF is a chain of directories (and directories below them) that say where the tiles
   and the description lie.
2. `tiff_reach` follows it and gives the byte up to which it points.  A file that ends before
   that was cut short: libraries would miss its last levels, its description, and with that
   its pixel size, and say so in other words.

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

_DESCRIPTION, _SUB_DIRECTORIES = 270, 330
_DATA = ((273, 279), (324, 325))  # offsets and byte counts of strips and of tiles
_FOLLOWED = (_DESCRIPTION, _SUB_DIRECTORIES, *_DATA[0], *_DATA[1])
_INTEGER_TYPES = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_TYPE_BYTES = {2: 1} | {code: np.dtype(kind).itemsize for code, kind in _INTEGER_TYPES.items()}

# A classic TIFF cannot point beyond this; where one is larger its writer (Hamamatsu's NDPI)
# has put the upper half of each pointer elsewhere.
_CLASSIC_LIMIT = 2**32


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


def tiff_reach(path: Path) -> int:
    """Byte up to which the directories of a TIFF point; 0 for what is not a TIFF.

    Parameters
    ----------
    path
        File that exists and is not empty.
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
    following = _number(data, layout.order + layout.pointer, at=end)
    ends = [tail, *(_end_of_value(entry) for entry in entries if entry["tag"] in _FOLLOWED)]
    ends += [_end_of_data(data, layout, entries=entries, tags=tags) for tags in _DATA]
    below = _values(data, layout, entries=entries, tag=_SUB_DIRECTORIES)
    return max(ends), [following, *below.tolist()]


def _end_of_value(entry: np.void) -> int:
    """Byte up to which a value reaches that stands outside of its directory."""
    length = int(entry["count"]) * _TYPE_BYTES.get(int(entry["type"]), 0)
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
    return np.frombuffer(raw[: len(raw) // kind.itemsize * kind.itemsize], kind).astype(np.int64)


def _number(data: mmap.mmap, code: str, *, at: int) -> int:
    """One number of the file."""
    return int(struct.unpack_from(code, data, at)[0])
