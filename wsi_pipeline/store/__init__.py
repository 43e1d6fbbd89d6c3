"""How does a plane rest on disk?

Segmentations as OME-Zarr 0.5 (`create_segmentation`, `Segmentation`) or 0.4 (`copy_as_ngff04`),
their pyramids (`plan_pyramid_level`, `write_pyramid_tile`), what of an unfinished one counts
(`open_ledger`), plain arrays, and tables of places as GeoParquet (`write_points`, `write_areas`,
`read_points`, `read_rows`).
"""

from wsi_pipeline.store.arrays import (
    check_confined,
    create_rgb,
    read_arrays,
    write_arrays,
    write_rgb,
)
from wsi_pipeline.store.ledger import Ledger, checksum, open_ledger, sync_file
from wsi_pipeline.store.metadata import IMAGE, LABELS, PROBABILITIES
from wsi_pipeline.store.ngff04 import copy_as_ngff04
from wsi_pipeline.store.parquet import (
    read_attributes,
    read_points,
    read_rows,
    write_areas,
    write_points,
)
from wsi_pipeline.store.pyramid import (
    PyramidTile,
    halve_image,
    halve_labels,
    plan_pyramid_level,
    write_pyramid_tile,
)
from wsi_pipeline.store.segmentation import Segmentation, StoreLayout, create_segmentation
from wsi_pipeline.store.table import TableColumn, write_table

__all__ = [
    "IMAGE",
    "LABELS",
    "PROBABILITIES",
    "Ledger",
    "PyramidTile",
    "Segmentation",
    "StoreLayout",
    "TableColumn",
    "check_confined",
    "checksum",
    "copy_as_ngff04",
    "create_rgb",
    "create_segmentation",
    "halve_image",
    "halve_labels",
    "open_ledger",
    "plan_pyramid_level",
    "read_arrays",
    "read_attributes",
    "read_points",
    "read_rows",
    "sync_file",
    "write_areas",
    "write_arrays",
    "write_points",
    "write_pyramid_tile",
    "write_rgb",
    "write_table",
]
