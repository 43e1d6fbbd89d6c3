"""What is in this tile?

A model is a folder with a card (`read_card`); `load_segmenter` turns it into a function from
an RGB tile to class probabilities.
"""

from wsi_pipeline.segment.card import ModelCard, read_card
from wsi_pipeline.segment.loading import Segmenter, limit_threads, load_segmenter

__all__ = ["ModelCard", "Segmenter", "limit_threads", "load_segmenter", "read_card"]
