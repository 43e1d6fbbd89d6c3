"""What shape has the tumour, and how much stroma lies in it?

1. The *infiltration envelope* is the tumour with the stroma just beside it; holes are filled.
2. Nests less than 200 µm apart are a cluster; its *field* is the convex hull of its envelope.
3. The roughness of the front is the envelope's outline over that of the fields, the solidity
   its area over theirs: 1 is a smooth convex nodule.
4. The tumour-stroma ratio is the tumour in the fields over tumour and stroma together.

None of these needs to know where the surface is: they are taken on any section.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.draw import polygon

from wsi_pipeline.classes import DERMIS, INFLAMMATION, TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.line import Points, arc_length, level_lines
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.values import Measurement

FRONT_UNITS: dict[str, str] = {
    "front_roughness": "1",
    "tumour_solidity": "1",
    "tumour_stroma_ratio": "1",
}
NO_TUMOUR = "the section holds no tumour"
DOUBTFUL = "all that is called tumour lies in specks or is doubtful throughout"
# Half the distance at which nests belong to one cluster.
_CLUSTER_UM = 100.0


def measure_front(
    plane: SectionPlane, tumour: NDArray[np.float32], *, settings: MeasureSettings
) -> dict[str, Measurement]:
    """Measure the outline of the tumour and what it encloses.

    Parameters
    ----------
    tumour
        float32 (Y, X), tumour share of each pixel, without specks.
    settings
        ``envelope_um``.
    """
    whole = tumour >= 0.5
    if not whole.any():
        return {name: lacks_tumour(plane, unit) for name, unit in FRONT_UNITS.items()}
    mpp = plane.grid.mpp
    away_px = ndimage.distance_transform_edt(~whole)
    # The border lies half a pixel before the centre of the first pixel that is tumour.
    reach_px, apart_px = (um / mpp + 0.5 for um in (settings.envelope_um, _CLUSTER_UM))
    filled = ndimage.binary_fill_holes(away_px <= reach_px)
    outlines = level_lines(np.where(filled & (away_px > reach_px), 0.0, away_px), reach_px)
    clusters, _ = ndimage.label(away_px <= apart_px, np.ones((3, 3)))
    hulls = _hulls(outlines, clusters)
    fields = np.zeros(whole.shape, bool)
    for hull in hulls:
        rows, columns = hull.points[hull.vertices].T
        fields[polygon(rows, columns, whole.shape)] = True  # type: ignore[no-untyped-call]
    outline_px, hull_px = (
        sum(lengths)
        for lengths in ((arc_length(line) for line in outlines), (hull.area for hull in hulls))
    )
    values = {
        "front_roughness": outline_px / hull_px,
        "tumour_solidity": float(np.count_nonzero(filled)) / sum(hull.volume for hull in hulls),
        "tumour_stroma_ratio": _tumour_share(plane, fields),
    }
    return {name: Measurement(value, FRONT_UNITS[name]) for name, value in values.items()}


def lacks_tumour(plane: SectionPlane, unit: str) -> Measurement:
    """Null of a section whose tumour, if it has any, is too small or too doubtful to count."""
    if plane.tumour.any():
        return Measurement.not_assessable(unit, DOUBTFUL)
    return Measurement.not_defined(unit, NO_TUMOUR)


def _hulls(outlines: list[Points], clusters: NDArray[np.int32]) -> list[ConvexHull]:
    """Convex hull of the outlines of each cluster; in the plane its ``area`` is its outline."""
    members: dict[int, list[Points]] = {}
    for line in outlines:
        row, column = np.rint(line[0]).astype(np.intp)
        members.setdefault(int(clusters[row, column]), []).append(line)
    return [ConvexHull(np.concatenate(lines)) for lines in members.values()]


def _tumour_share(plane: SectionPlane, fields: NDArray[np.bool_]) -> float:
    """Tumour over tumour and stroma within the fields."""
    tumour = plane.tumour[fields]
    stroma = np.isin(plane.classes[fields], (DERMIS, INFLAMMATION, TUMOUR))
    rest = (plane.tissue[fields] - tumour)[stroma]
    return float(tumour.sum() / (tumour.sum() + rest.sum()))
