"""How do labels become outlines that a person corrects, and outlines labels?

1. `outline_regions` turns a label map into one region per connected piece, `outline_objects` a
   map of numbered objects into their polygons; `fill_regions` turns regions into a label map
   again (`regions`).
2. `format_regions` writes regions as QuPath's GeoJSON, `parse_regions` reads what comes back
   (`geojson`); `format_cells` writes nuclei (`cells`).

Regions are in µm of the slide frame, rows first; a viewer's (x, y) never leaves `geojson`.
"""

from wsi_pipeline.annotate.cells import CELL_COLUMNS, format_cells
from wsi_pipeline.annotate.geojson import (
    Parsed,
    ViewerFrame,
    format_collection,
    format_regions,
    parse_regions,
)
from wsi_pipeline.annotate.regions import (
    NOT_ANNOTATED,
    Region,
    fill_regions,
    outline_objects,
    outline_regions,
)

__all__ = [
    "CELL_COLUMNS",
    "NOT_ANNOTATED",
    "Parsed",
    "Region",
    "ViewerFrame",
    "fill_regions",
    "format_cells",
    "format_collection",
    "format_regions",
    "outline_objects",
    "outline_regions",
    "parse_regions",
]
