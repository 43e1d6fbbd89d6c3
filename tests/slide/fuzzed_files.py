"""How is a slide file damaged on purpose?

1. A `Damage` is a kind, a seed and the file it starts from; the same three give the same bytes.
2. Bytes are flipped, the file is cut, blocks are wiped, doubled or swapped, and numbers in the
   directories of a TIFF (or the first bytes of anything else) become those that break readers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

_HEAD_BYTES = 1024
_EDGES = (0, 1, 2, 255, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1)
"""Numbers at which sizes overflow, vanish or explode."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One way to damage one file."""

    source: Path
    kind: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the damaged file; keeps the ending, which some readers believe."""
        return f"{self.kind}-{self.seed}-{self.source.name}"

    def bytes(self) -> bytes:
        """Content of the damaged file."""
        rng = np.random.default_rng((self.seed, len(self.kind)))
        return bytes(KINDS[self.kind](bytearray(self.source.read_bytes()), rng))

    def write(self, folder: Path) -> Path:
        """Write the damaged file."""
        path = folder / self.name
        path.write_bytes(self.bytes())
        return path


def plan_damage(sources: list[Path], *, count: int, first_seed: int = 0) -> list[Damage]:
    """``count`` damaged files: every kind of damage to every source in turn."""
    pairs = cycle([(source, kind) for kind in KINDS for source in sources])
    return [
        Damage(source, kind, first_seed + number)
        for number, (source, kind) in enumerate(islice(pairs, count))
    ]


def _flipped(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Single bits anywhere; in small files they reach the header too."""
    for at in rng.integers(0, len(data), size=int(rng.choice([1, 8, 64]))):
        data[at] ^= 1 << int(rng.integers(8))
    return data


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Copying that stopped early."""
    return data[: int(rng.integers(1, len(data)))]


def _wiped(data: bytearray, rng: np.random.Generator) -> bytearray:
    """A bad sector: one block of zeros or of noise."""
    length = min(len(data), int(rng.choice([64, 512, 4096])))
    start = int(rng.integers(0, len(data) - length + 1))
    noise = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    data[start : start + length] = noise if rng.random() < 0.5 else bytes(length)
    return data


def _moved(data: bytearray, rng: np.random.Generator) -> bytearray:
    """A block inserted or lost: everything behind it is elsewhere than the directories say."""
    start, length = int(rng.integers(0, len(data))), int(rng.choice([1, 16, 512]))
    if rng.random() < 0.5:
        return data[:start] + data[start : start + length] + data[start:]
    return data[:start] + data[start + length :]


def _bad_number(data: bytearray, rng: np.random.Generator) -> bytearray:
    """One to three numbers of the directories, or of the first bytes of what is no TIFF."""
    places = _entries(bytes(data)) or [
        (at, "<I") for at in range(0, min(_HEAD_BYTES, len(data)) - 4, 2)
    ]
    for index in rng.integers(0, len(places), size=int(rng.integers(1, 4))):
        at, code = places[index]
        most = 2 ** (8 * struct.calcsize(code)) - 1
        number = int(rng.choice(_EDGES)) if rng.random() < 0.7 else int(rng.integers(0, 2**31))
        struct.pack_into(code, data, at, number & most)
    return data


def _bad_text(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Digits and signs of the text in the file: sizes and pixel widths that cannot be."""
    head = np.frombuffer(bytes(data), np.uint8)
    places = np.flatnonzero((head >= ord("0")) & (head <= ord("=")))
    for at in rng.choice(places, size=min(16, len(places)), replace=False):
        data[at] = int(rng.choice(np.frombuffer(b"0159.-eE|=\0\xff", np.uint8)))
    return data


def _entries(data: bytes) -> list[tuple[int, str]]:
    """Where tag, type, count and value of each entry of each directory of a TIFF stand."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        return []
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    count_code, wide, size = (
        (order + "Q", order + "Q", 20) if big else (order + "H", order + "I", 12)
    )
    places: list[tuple[int, str]] = []
    start, seen = struct.unpack_from(wide, data, 8 if big else 4)[0], set[int]()
    while start and start not in seen and start + 8 < len(data):
        seen.add(start)
        count = min(struct.unpack_from(count_code, data, start)[0], 200)
        first = start + struct.calcsize(count_code)
        for at in range(first, min(first + count * size, len(data) - size), size):
            middle = 4 + struct.calcsize(wide)
            places += [
                (at, order + "H"),
                (at + 2, order + "H"),
                (at + 4, wide),
                (at + middle, wide),
            ]
        after = first + count * size
        start = struct.unpack_from(wide, data, after)[0] if after + 8 <= len(data) else 0
    return places


KINDS: dict[str, Callable[[bytearray, np.random.Generator], bytearray]] = {
    "number": _bad_number,
    "flip": _flipped,
    "cut": _cut,
    "text": _bad_text,
    "wipe": _wiped,
    "move": _moved,
}
