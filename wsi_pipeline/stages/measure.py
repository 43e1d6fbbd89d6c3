"""``segmentation.ome.zarr`` + ``tiles.json`` → ``measurements.json``: what do the labels say?

With ``nuclei.parquet``, also what the nuclei of the tumour say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsi_pipeline.classes import CLASS_NAMES, TUMOUR
from wsi_pipeline.config import Config
from wsi_pipeline.errors import StoreError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure import (
    DepthPlane,
    absent_nuclei,
    join_depths,
    measure_nuclei,
    measure_slide,
)
from wsi_pipeline.segment.novelty import Novelty, flag_novelty
from wsi_pipeline.stages.artefacts import provenance, used_settings, whole, write_json
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.tile import read_tiled
from wsi_pipeline.store import PROBABILITIES, Segmentation, read_arrays, read_points, write_arrays

SCHEMA = "wsi_pipeline/measurements/1"
DEPTH = "depth.zarr"
"""Name of the depth maps, beside the numbers."""


def measure_segmentation(
    record: SlideRecord,
    *,
    tiles: Path,
    segmentation: Path,
    config: Config,
    out: Path,
    nuclei: Path | None = None,
) -> None:
    """Measure a segmented slide and write the numbers.

    Parameters
    ----------
    record
        An inspected slide.
    tiles
        ``tiles.json``, for the sections and the flags of the tissue.
    segmentation
        ``segmentation.ome.zarr``.
    config
        Settings.
    out
        Where to write ``measurements.json``; ``depth.zarr``, the depth maps, lies beside it.
    nuclei
        ``nuclei.parquet``; without it no nuclear value is given.

    Raises
    ------
    StoreError, MeasurementError
        If tile plan or segmentation are missing or of another slide.
    """
    tiled, store = read_tiled(tiles), Segmentation(segmentation)
    record.check_same(tiled.source, what=f"the tile plan {tiles.name}")
    record.check_same(store.attributes, what=f"the segmentation {segmentation.name}")
    measured = measure_slide(
        store.read_labels(),
        grid=store.grid,
        sections=tiled.sections,
        sections_grid=tiled.sections_grid,
        declared_section=record.declared.section,
        settings=config.measure,
        never_called=tuple(store.attributes["model"]["never_called"]),
        tumour_probability=np.asarray(store.array(PROBABILITIES)[TUMOUR]),
    )
    found = [section.depth for section in measured.sections if section.depth is not None]
    _write_depth(record, join_depths(found, plane=store.grid), out=out.with_name(DEPTH))
    sections = ("measure",) if nuclei is None else ("measure", "grade")
    # Segmentations of earlier versions do not say how novel their slide is.
    numbers, novelty = measured.to_json(), store.attributes.get("novelty")
    outlined_by = None
    if nuclei is not None:
        values, outlined_by = _nuclear_values(record, nuclei, config=config)
        numbers["values"] |= values
    write_json(
        out,
        {
            "schema": SCHEMA,
            "slide_id": record.declared.slide_id,
            "declared": {"section": record.declared.section},
            "values": numbers["values"],
            "sections": numbers["sections"],
            "novelty": novelty,
            "flags": _joined(tiled.flags, [*_novelty_flags(novelty), *numbers["flags"]]),
            "model": store.attributes["model"],
            "provenance": {
                **provenance("measure", settings=used_settings(config, *sections)),
                "input": dict(record.input),
                "mpp": record.info["mpp"],
                "mpp_source": record.info["mpp_source"],
                "backend": record.info["backend"],
                "segmented": store.attributes["provenance"],
                "nuclei_outlined_by": outlined_by,
            },
        },
    )


def _write_depth(record: SlideRecord, depth: DepthPlane | None, *, out: Path) -> None:
    """Write the depth maps; of a slide without depths, that there are none."""
    arrays = {} if depth is None else {"depth_um": depth.depth_um, "relative": depth.relative}
    about = {
        "slide_id": record.declared.slide_id,
        "input": dict(record.input),
        "grid": None if depth is None else depth.grid.to_json(),
    }
    with whole(out) as partial:
        write_arrays(partial, arrays, attributes=about)


def read_depth(path: Path, record: SlideRecord) -> DepthPlane | None:
    """Depth maps of a slide; None where depth has no meaning on it."""
    if not (path / "zarr.json").is_file():
        raise StoreError(f"{path} holds no depth maps; run 'wsi-pipeline measure' again")
    arrays, about = read_arrays(path)
    record.check_same(about, what=f"the depth maps {path.name}")
    if about["grid"] is None:
        return None
    return DepthPlane(Grid.from_json(about["grid"]), arrays["depth_um"], arrays["relative"])


def _novelty_flags(novelty: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Flag of a slide that is unlike what the model was trained on."""
    return [flag.to_json() for flag in flag_novelty(Novelty(**novelty))] if novelty else []


def _nuclear_values(
    record: SlideRecord, path: Path, *, config: Config
) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """Values of the nuclei in tumour, as plain data, and the network that outlined them, if any."""
    columns, about = read_points(path)
    record.check_same(about, what=f"the table of nuclei {path.name}")
    if about["status"] != "measured":
        values = absent_nuclei(about["status"], about["reason"])
    else:
        in_tumour = columns["tissue"] == CLASS_NAMES[TUMOUR]
        tumour = {name: column[in_tumour] for name, column in columns.items()}
        values = measure_nuclei(tumour, settings=config.grade)
    # Tables of earlier versions were made without a network, and do not say so.
    plain = {name: value.to_json() for name, value in values.items()}
    return plain, about.get("outlined_by")


def _joined(
    tissue: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Flags of both rooms; what the tissue already said is not said again by the labels."""
    said = {flag["code"] for flag in tissue}
    return [*tissue, *(flag for flag in measured if flag["code"] not in said)]
