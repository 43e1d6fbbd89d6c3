"""How do labels become outlines that a person corrects, and outlines labels?

1. `outline_regions` turns a label map into one region per connected piece; `fill_regions` turns
   regions into a label map again (`regions`).
2. `format_regions` writes regions as QuPath's GeoJSON, `parse_regions` reads what comes back
   (`geojson`).

Regions are in µm of the slide frame, rows first; a viewer's (x, y) never leaves `geojson`.
"""

from wsi_pipeline.annotate.geojson import Parsed, ViewerFrame, format_regions, parse_regions
from wsi_pipeline.annotate.regions import NOT_ANNOTATED, Region, fill_regions, outline_regions

__all__ = [
    "NOT_ANNOTATED",
    "Parsed",
    "Region",
    "ViewerFrame",
    "fill_regions",
    "format_regions",
    "outline_regions",
    "parse_regions",
]
