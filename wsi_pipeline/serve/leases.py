"""How do many readers share a few open slides?

1. `Leases` opens what is asked for once and lends it to as many as want it.
2. When more are open than the limit, the one unused for longest is closed; what is in use
   stays.
3. `Remembered` keeps the tiles that were painted last, up to a number of bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wsi_pipeline.serve.contents import Specimen


@dataclass(slots=True)
class _Held:
    """An open slide and how many read from it now."""

    specimen: Specimen
    readers: int = 0


class Leases:
    """Open slides, lent to several threads at once.

    Parameters
    ----------
    limit
        How many stay open while nobody reads from them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, _Held] = OrderedDict()

    @contextmanager
    def lent(self, key: Hashable, open_specimen: Callable[[], Specimen]) -> Iterator[Specimen]:
        """Lend what is open under a key, opened now if it is not.

        Parameters
        ----------
        key
            Which slide, in which state.
        open_specimen : callable
            Opens it; what it raises is passed on, and the next reader tries again.
        """
        held = self._taken(key, open_specimen)
        try:
            yield held.specimen
        finally:
            self._give_back(held)

    def close(self) -> None:
        """Close all that is open."""
        with self._lock:
            while self._held:
                self._held.popitem()[1].specimen.close()

    def __len__(self) -> int:
        return len(self._held)

    def _taken(self, key: Hashable, open_specimen: Callable[[], Specimen]) -> _Held:
        # One at a time: two readers of the same new slide must not open it twice.
        with self._lock:
            if key not in self._held:
                self._held[key] = _Held(open_specimen())
            self._held.move_to_end(key)
            held = self._held[key]
            held.readers += 1
            return held

    def _give_back(self, held: _Held) -> None:
        with self._lock:
            held.readers -= 1
            idle = [key for key, other in self._held.items() if not other.readers]
            for key in idle[: max(0, len(self._held) - self._limit)]:
                self._held.pop(key).specimen.close()


class Remembered:
    """Bytes by key, the least recently used forgotten first.

    Parameters
    ----------
    limit_bytes
        How much is kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._room = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()

    def recall(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """What was made under a key, made now if it is not there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._room += len(self._kept.pop(key, b"")) - len(made)
            self._kept[key] = made
            while self._room < 0:
                self._room += len(self._kept.popitem(last=False)[1])
        return made
