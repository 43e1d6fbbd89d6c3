"""What is in this tile?

A model is a folder with a card (`read_card`); `load_segmenter` turns it into a function from
an RGB tile to class probabilities.  Reading a card does not load torch; what needs torch is
imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from wsi_pipeline.segment.card import ModelCard, read_card
from wsi_pipeline.segment.memory import keep_memory

if TYPE_CHECKING:
    from wsi_pipeline.segment.loading import (
        Segmenter,
        limit_threads,
        load_segmenter,
        settle_device,
        settle_precision,
    )
else:

    def __getattr__(name: str) -> object:
        """Import a name that needs torch, whose threads shall find the allocator told."""
        if name in __all__:
            keep_memory()
            return getattr(import_module("wsi_pipeline.segment.loading"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ModelCard",
    "Segmenter",
    "keep_memory",
    "limit_threads",
    "load_segmenter",
    "read_card",
    "settle_device",
    "settle_precision",
]
