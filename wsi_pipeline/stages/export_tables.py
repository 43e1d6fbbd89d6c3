"""Labels → ``nests.parquet``, and ``measurements.json`` with its schema: tables for other programs.

``nuclei.parquet`` is GeoParquet as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from wsi_pipeline.annotate import outline_objects
from wsi_pipeline.config import Config
from wsi_pipeline.errors import StoreError
from wsi_pipeline.measure import NestMap, map_nests
from wsi_pipeline.stages.artefacts import read_json, used_settings, whole, write_text
from wsi_pipeline.stages.export import NUCLEI, SlideResults
from wsi_pipeline.stages.tile import read_tiled
from wsi_pipeline.store import read_attributes, write_areas

SCHEMA = "wsi_pipeline/nests/1"
NESTS, MEASUREMENTS = "nests.parquet", "measurements.json"
MEASUREMENTS_SCHEMA = "measurements.schema.json"


def export_nests(folder: Path, *, config: Config) -> Path:
    """Write the nests of a slide, one row each, as GeoParquet.

    Parameters
    ----------
    folder
        Holds ``slide.json``, ``tiles.json`` and ``segmentation.ome.zarr`` of one slide.
    config
        Settings; ``measure`` as for the measurements, ``export.tolerance_um`` for the outlines.

    Returns
    -------
    Path
        ``nests.parquet`` in the same folder.

    Raises
    ------
    StoreError
        If an input is missing or not of the same slide.
    """
    results = SlideResults.open(folder)
    tiled = read_tiled(folder / "tiles.json")
    results.record.check_same(tiled.source, what=f"the tile plan in {folder}")
    found = list(
        map_nests(
            results.store.read_labels(),
            grid=results.store.grid,
            sections=tiled.sections,
            sections_grid=tiled.sections_grid,
            settings=config.measure,
        )
    )
    about = results.about(SCHEMA, settings=used_settings(config, "measure", "export"))
    about["frame"] = "x right, y down, µm from the top-left corner of level 0"
    columns = {name: np.concatenate([_NO_NESTS[name], *parts]) for name, parts in _columns(found)}
    about["count"] = len(columns["nest_id"])
    columns["nest_id"] = np.arange(1, about["count"] + 1, dtype=np.uint32)
    areas = [area for nests in found for area in _outlines(nests, config.export.tolerance_um)]
    with whole(folder / NESTS) as partial:
        write_areas(partial, columns, areas_um=areas, attributes=about)
    return folder / NESTS


_NO_NESTS: dict[str, NDArray[Any]] = {
    "nest_id": np.zeros(0, np.uint32),
    "section_id": np.zeros(0, np.int64),
    "area_um2": np.zeros(0, np.float64),
    "lumen_um2": np.zeros(0, np.float64),
    "touches_edge": np.zeros(0, np.bool_),
}


def _columns(found: list[NestMap]) -> Iterator[tuple[str, list[NDArray[Any]]]]:
    """Each column of the table, section by section."""
    yield "nest_id", [np.zeros(len(nests.areas_um2), np.uint32) for nests in found]
    yield "section_id", [np.full(len(nests.areas_um2), nests.section_id) for nests in found]
    yield "area_um2", [nests.areas_um2 for nests in found]
    yield "lumen_um2", [nests.lumen_um2 for nests in found]
    yield "touches_edge", [nests.is_cut for nests in found]


def _outlines(nests: NestMap, tolerance_um: float) -> Iterator[Any]:
    outlines = outline_objects(nests.ids, grid=nests.grid, tolerance_um=tolerance_um)
    return (outlines[number] for number in range(1, len(nests.areas_um2) + 1))


def filled_tables(results: SlideResults) -> dict[str, Path]:
    """Tables of places that a slide has and that have rows, for forms that hold no empty ones.

    Parameters
    ----------
    results
        The slide.

    Returns
    -------
    dict
        ``nuclei`` and ``nests``, as far as they are there, to their files.

    Raises
    ------
    StoreError
        If a table is of another slide, or does not say how many rows it has.
    """
    return {
        name: results.folder / file
        for name, (file, again) in _TABLES.items()
        if (results.folder / file).is_file() and _rows(results, file, again=again)
    }


_TABLES = {
    "nuclei": (NUCLEI, "nuclei"),
    "nests": (NESTS, "export --format geoparquet"),
}
"""File of each table, and the verb that writes it."""


def _rows(results: SlideResults, file: str, *, again: str) -> int:
    """Number of rows, as the table says."""
    path = results.folder / file
    about = read_attributes(path)
    results.record.check_same(about, what=f"the table {file}")
    if not isinstance(about.get("count"), int):
        raise StoreError(
            f"{path} has no field 'count' (its number of rows), so an earlier version wrote it; "
            f"run 'wsi-pipeline {again}' on this slide again"
        )
    return int(about["count"])


def export_schema(folder: Path) -> Path:
    """Check the measurements of a slide against their schema and write that beside them.

    Parameters
    ----------
    folder
        Holds ``measurements.json`` of one slide.

    Returns
    -------
    Path
        ``measurements.schema.json`` in the same folder (JSON Schema, draft 2020-12).

    Raises
    ------
    StoreError
        If there are no measurements, or they are not as the schema says.
    """
    content = read_json(folder / MEASUREMENTS, made_by="wsi-pipeline measure")
    check_measurements(content, name=str(folder / MEASUREMENTS))
    write_text(folder / MEASUREMENTS_SCHEMA, schema_text())
    return folder / MEASUREMENTS_SCHEMA


def schema_text() -> str:
    """JSON Schema of ``measurements.json``, as it is published with the package."""
    return (files("wsi_pipeline.measure") / MEASUREMENTS_SCHEMA).read_text(encoding="utf-8")


def check_measurements(content: dict[str, Any], *, name: str) -> None:
    """Refuse measurements that are not as the schema says, naming the first place."""
    faults = Draft202012Validator(json.loads(schema_text())).iter_errors(content)
    first = next(iter(sorted(faults, key=lambda fault: fault.json_path)), None)
    if first is not None:
        raise StoreError(
            f"{name}: {first.json_path}: {first.message[:200]}; it was written by another version: "
            "run 'wsi-pipeline measure' again"
        )
