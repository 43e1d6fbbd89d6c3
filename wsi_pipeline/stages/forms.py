"""In which forms are results written for other programs?

A module of its own, so that the command line can list them without loading what writes them.
"""

from __future__ import annotations

from typing import Literal

ExportForm = Literal[
    "annotations",
    "qupath",
    "geoparquet",
    "measurements",
    "ome-zarr-0.4",
    "dicom-seg",
    "spatialdata",
]
