"""Who compresses the chunks of a segmentation?

zarrs, a library in Rust: a shard has hundreds of chunks, and zarr-python's own way with each of
them takes three to seven times as long as compressing it.  One thread each, so that the chunks of a
shard lie in the same order whoever writes it; tiles are written side by side.

zarr-python asks its global settings, which are not ours to change for good, when an array is
opened: `fast_codecs` changes them for that moment.  What zarrs says of a disk is an error of its
own, and half a file may stay behind: `disk_faults` makes it what a disk's errors are everywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import zarr

_SETTINGS = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "threading.max_workers": 1}
_TURN = Lock()
"""Settings are restored in the order they were changed, by one thread at a time."""


@contextmanager
def fast_codecs() -> Iterator[None]:
    """Let arrays that are opened inside read and write their chunks fast, and always alike."""
    with _TURN, zarr.config.set(_SETTINGS):
        yield


@contextmanager
def disk_faults(written: Iterable[Path] = ()) -> Iterator[None]:
    """Turn what zarrs says of the disk into the system's own error.

    Parameters
    ----------
    written
        Files being written, which are removed then: half of one could not be read again.

    Raises
    ------
    OSError
        With the number the system gave; any other error passes.
    """
    try:
        yield
    except RuntimeError as fault:
        number = re.search(r"os error (\d+)", str(fault))
        if number is None:
            raise
        for file in written:
            file.unlink(missing_ok=True)
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(fault)) from fault
