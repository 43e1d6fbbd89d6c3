"""How does a plane rest on disk?

Segmentations as OME-Zarr 0.5 (`create_segmentation`, `Segmentation`), their pyramids
(`plan_pyramid_level`, `write_pyramid_tile`), plain arrays, and tables of places
as GeoParquet (`write_points`, `read_points`).
"""

from wsi_pipeline.store.arrays import create_rgb, read_arrays, write_arrays, write_rgb
from wsi_pipeline.store.metadata import IMAGE, LABELS, PROBABILITIES
from wsi_pipeline.store.parquet import read_points, write_points
from wsi_pipeline.store.pyramid import (
    PyramidTile,
    halve_image,
    halve_labels,
    plan_pyramid_level,
    write_pyramid_tile,
)
from wsi_pipeline.store.segmentation import Segmentation, StoreLayout, create_segmentation

__all__ = [
    "IMAGE",
    "LABELS",
    "PROBABILITIES",
    "PyramidTile",
    "Segmentation",
    "StoreLayout",
    "create_rgb",
    "create_segmentation",
    "halve_image",
    "halve_labels",
    "plan_pyramid_level",
    "read_arrays",
    "read_points",
    "write_arrays",
    "write_points",
    "write_pyramid_tile",
    "write_rgb",
]
