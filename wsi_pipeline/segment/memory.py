"""How is memory kept between the layers of a network?

glibc hands large blocks back to the kernel as soon as they are freed and asks for them again at the
next layer; the kernel then clears every page anew.  Of a small network on a tile of 512 px that was
a quarter of the time (20,000 page faults a tile, none afterwards).  `keep_memory` tells glibc to
keep what it has:

1. Blocks come from the heap (``M_MMAP_THRESHOLD``), not from mappings of their own.
2. The heap's end is not given back (``M_TRIM_THRESHOLD``) and grows in large steps (``M_TOP_PAD``).
3. All threads share that heap (``M_ARENA_MAX``): the arena a thread gets of its own cannot hold
   a block above 64 MiB, so that each would be a mapping again.

What is kept is about what was needed at one time.  Elsewhere than on glibc (macOS, musl) none of
these is done.

4. oneDNN remembers a thousand operations, each for planes of one size.  What it remembers lies
   scattered over the heap, and with tiles of many sizes leaves gaps that fit nothing: memory grew
   to twice of what was needed.  It remembers those of two or three sizes of tile (each takes
   about a hundred; with fewer than that remembered, all are prepared anew for every tile), which
   is enough, since tiles of one size follow each other (`tiling.largest_first`).
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -3, -4, -8
_NEVER = 2**31 - 1
_LARGEST_HEAP_BLOCK = 1 << 30
_STEP = 64 << 20
_REMEMBERED = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256", "LRU_CACHE_CAPACITY": "256"}
"""Read when the first convolution runs; the second is that of torch's layer around oneDNN."""


def keep_memory() -> bool:
    """Tell the allocator of this process to keep what it frees; before its threads start.

    What oneDNN shall remember is said in the environment, which children inherit.

    Returns
    -------
    bool
        Whether the allocator is one that can be told, and did as it was told.
    """
    # Again each time: a fork that takes over another's environment has not got it.
    for name, count in _REMEMBERED.items():
        os.environ.setdefault(name, count)
    return _tell_allocator()


@cache
def _tell_allocator() -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # Before 2.35, glibc refused a threshold above 32 MiB, but not to map no block at all.
    on_heap = mallopt(_M_MMAP_THRESHOLD, _LARGEST_HEAP_BLOCK) or mallopt(_M_MMAP_MAX, 0)
    rest = [
        mallopt(_M_TRIM_THRESHOLD, _NEVER),
        mallopt(_M_TOP_PAD, _STEP),
        mallopt(_M_ARENA_MAX, 1),
    ]
    return bool(on_heap and all(rest))
