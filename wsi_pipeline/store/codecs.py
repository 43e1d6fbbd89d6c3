"""Who compresses the chunks of a segmentation?

zarrs, a library in Rust: a shard has hundreds of chunks, and zarr-python's own way with each of
them takes three to seven times as long as compressing it.  One thread each, so that the chunks of a
shard lie in the same order whoever writes it; tiles are written side by side.

zarr-python asks its global settings, which are not ours to change for good, when an array is
opened: `fast_codecs` changes them for that moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
