"""``segmentation.ome.zarr`` + ``depth.zarr`` + ``nuclei.parquet`` → what a page can look into."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from wsi_pipeline.classes import CLASS_NAMES, TUMOUR
from wsi_pipeline.config import GradeSettings
from wsi_pipeline.geometry import Box
from wsi_pipeline.measure import AREA_STEP_UM2, GradeMap, map_grades
from wsi_pipeline.report import (
    ImageLevel,
    NuclearAreas,
    ValuePlane,
    Zoom,
    encode_pyramid,
    plane_of_classes,
    plane_of_grades,
    plane_of_probability,
    planes_of_depth,
)
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.measure import DEPTH, read_depth
from wsi_pipeline.store import IMAGE, PROBABILITIES, Segmentation, read_points

_PLANE_PX = 3072


def read_zoom(
    folder: Path,
    record: SlideRecord,
    *,
    store: Segmentation,
    glass: tuple[int, int, int],
    grades: GradeMap | None,
) -> Zoom:
    """Gather the picture in tiles and the planes that lie over it.

    Parameters
    ----------
    folder
        Folder of the slide, for its depth maps.
    glass
        Colour of the glass beside the tissue.
    grades
        Nuclear grade by squares; None where there are no nuclei.
    """
    levels = [
        ImageLevel(store.level_grid(level), _Reader(store.array(IMAGE, level)))
        for level in reversed(range(store.levels))
    ]
    return Zoom(
        encode_pyramid(levels, glass=glass),
        (*_label_planes(store), *_planes(folder, record, grades)),
    )


def read_grades(
    path: Path, record: SlideRecord, *, store: Segmentation, settings: GradeSettings
) -> GradeMap | None:
    """Grade map of the nuclei in tumour; None where none were looked for or there are none."""
    if not path.exists():
        return None
    columns, about = read_points(path)
    record.check_same(about, what=f"the table of nuclei {path.name}")
    if about["status"] != "measured":
        return None
    in_tumour = columns["tissue"] == CLASS_NAMES[TUMOUR]
    tumour: Mapping[str, NDArray[Any]] = {
        name: column[in_tumour] for name, column in columns.items()
    }
    found = map_grades(tumour, plane=store.grid, settings=settings)
    return found if found.histogram.any() else None


def nuclear_areas(grades: GradeMap | None, settings: GradeSettings) -> NuclearAreas | None:
    """Histogram of the areas with the limits of the grade."""
    if grades is None:
        return None
    limits = (
        ("grade 1 up to", settings.small_um2),
        ("3, if varied, from", settings.varied_um2),
        ("3 from", settings.large_um2),
    )
    return NuclearAreas(tuple(grades.histogram.tolist()), AREA_STEP_UM2, limits)


class _Reader:
    """Reads boxes (Y, X, 3) of a level that is stored (3, Y, X)."""

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array = array

    def __call__(self, box: Box) -> NDArray[np.uint8]:
        return np.moveaxis(np.asarray(self._array[(slice(None), *box.slices)], np.uint8), 0, -1)


def _label_planes(store: Segmentation) -> tuple[ValuePlane, ...]:
    """Classes and probability of tumour, on the finest level that a page can hold."""
    level = next(
        (level for level in range(store.levels) if max(store.level_grid(level).shape) <= _PLANE_PX),
        store.levels - 1,
    )
    grid = store.level_grid(level)
    probability = np.asarray(store.array(PROBABILITIES, level)[TUMOUR], np.uint8)
    return plane_of_classes(store.read_labels(level), grid), plane_of_probability(probability, grid)


def _planes(folder: Path, record: SlideRecord, grades: GradeMap | None) -> tuple[ValuePlane, ...]:
    """Depths and grades, where there are any."""
    depth = read_depth(folder / DEPTH, record)
    deep = () if depth is None else planes_of_depth(depth.depth_um, depth.relative, depth.grid)
    return deep if grades is None else (*deep, plane_of_grades(grades.grade, grades.grid))
