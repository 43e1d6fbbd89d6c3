"""How does QuPath draw nuclei?

1. A nucleus is known by its centre, area and axes: `outline_nuclei` draws the ellipse with the
   direction and proportions of its axes and with exactly its area.
2. `format_cells` writes each as one of QuPath's cells, with its measurements.  The border of the
   cell is not known; QuPath wants one, and is given that of the nucleus.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.annotate.geojson import ViewerFrame
from wsi_pipeline.classes import TISSUE_CLASSES

CELL_COLUMNS = (
    *("nucleus_id", "down_um", "right_um", "area_um2", "major_um", "minor_um", "angle_rad"),
    *("solidity", "haematoxylin_od_mean"),
)
"""What `format_cells` reads of a table of nuclei, besides ``tissue`` where that is known."""

_CORNERS = 20
# QuPath's own names, so that its tables and scripts find them.
_MEASUREMENTS = {
    "nucleus_id": "Nucleus: ID",
    "area_um2": "Nucleus: Area µm^2",
    "major_um": "Nucleus: Max diameter µm",
    "minor_um": "Nucleus: Min diameter µm",
    "solidity": "Nucleus: Solidity",
    "haematoxylin_od_mean": "Nucleus: Hematoxylin OD mean",
}
_CLASSIFICATIONS = {
    tissue.name: json.dumps({"name": tissue.name, "color": list(tissue.rgb)})
    for tissue in TISSUE_CLASSES
}


def outline_nuclei(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Closed outlines (N, 21, 2), ``(down, right)`` in µm of the slide frame.

    Parameters
    ----------
    columns
        Those of `CELL_COLUMNS`, one value per nucleus.
    """
    turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    turn = np.append(turn, 0.0)  # closed exactly
    along = columns["major_um"][:, None] * np.cos(turn) / 2
    across = columns["minor_um"][:, None] * np.sin(turn) / 2
    drawn_um2 = _CORNERS / 8 * np.sin(2 * np.pi / _CORNERS)
    drawn_um2 = drawn_um2 * columns["major_um"] * columns["minor_um"]
    growth = np.sqrt(columns["area_um2"] / np.maximum(drawn_um2, 1e-9))[:, None]
    cos, sin = (f(columns["angle_rad"])[:, None] for f in (np.cos, np.sin))
    down = columns["down_um"][:, None] + growth * (along * cos - across * sin)
    right = columns["right_um"][:, None] + growth * (along * sin + across * cos)
    return np.stack((down, right), axis=-1)


def format_cells(columns: Mapping[str, NDArray[Any]], *, frame: ViewerFrame) -> Iterator[str]:
    """Text of one cell per nucleus.

    Parameters
    ----------
    columns
        Those of `CELL_COLUMNS`, one value per nucleus; with ``tissue`` cells have that class.
    frame
        How the viewer counts.

    Yields
    ------
    str
        Coordinates are rounded to a hundredth of a level-0 pixel.
    """
    places = np.round(outline_nuclei(columns) / frame.mpp - frame.origin_px0, 2) + 0.0
    rings = places[:, :, ::-1].tolist()
    tissues = columns["tissue"].tolist() if "tissue" in columns else [""] * len(rings)
    values = zip(*(np.round(columns[name], 4).tolist() for name in _MEASUREMENTS), strict=True)
    for ring, tissue, row in zip(rings, tissues, values, strict=True):
        shape = f'{{"type": "Polygon", "coordinates": [{json.dumps(ring)}]}}'
        classification = f'"classification": {_CLASSIFICATIONS[tissue]}, ' if tissue else ""
        measured = json.dumps(dict(zip(_MEASUREMENTS.values(), row, strict=True)))
        yield (
            f'{{"type": "Feature", "geometry": {shape}, "nucleusGeometry": {shape}, '
            f'"properties": {{"objectType": "cell", {classification}"measurements": {measured}}}}}'
        )
