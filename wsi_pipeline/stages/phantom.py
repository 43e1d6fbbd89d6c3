"""Specification → a phantom slide and, beside it, the truth about it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wsi_pipeline.geometry import Grid
from wsi_pipeline.phantom import (
    Cell,
    Phantom,
    PhantomSpec,
    paint_phantom,
    sample_spec,
    truth_to_json,
    write_slide_tiff,
)
from wsi_pipeline.stages.artefacts import provenance, whole, write_json
from wsi_pipeline.store import write_arrays

__all__ = ["paint_slide", "sample_spec"]
SCHEMA = "wsi_pipeline/phantom/1"
TABLES = ("nuclei", "nests", "follicles", "columns")


def paint_slide(spec: PhantomSpec, *, folder: Path, name: str) -> Path:
    """Paint a phantom and write slide and truth.

    Parameters
    ----------
    spec
        What to paint.
    folder
        Where to write ``<name>.tiff``, ``<name>.truth.json`` (specification and true values)
        and ``<name>.truth.zarr`` (label map, junctions, codes of artefacts, and one row for
        each nucleus, nest, follicle and column of the dermis).
    name
        File name without ending.

    Returns
    -------
    Path
        The slide.
    """
    phantom = paint_phantom(spec)
    folder.mkdir(parents=True, exist_ok=True)
    slide = folder / f"{name}.tiff"
    write_slide_tiff(slide, phantom.image, mpp=spec.mpp, jpeg_quality=spec.jpeg_quality)
    _write_truth(phantom, folder=folder, name=name)
    return slide


def _write_truth(phantom: Phantom, *, folder: Path, name: str) -> None:
    about = {
        "schema": SCHEMA,
        "spec": asdict(phantom.spec),
        "grid": Grid(phantom.labels.shape, phantom.spec.mpp).to_json(),
        "truth": truth_to_json(phantom.truth),
        "cells": {cell.name.lower(): cell.value for cell in Cell},
        "provenance": provenance("phantom", settings={}),
    }
    tables = {name: getattr(phantom, name) for name in TABLES}
    arrays: dict[str, NDArray[Any]] = {
        "labels": phantom.labels,
        "dej_um": phantom.dej_um,
        "dsj_um": phantom.dsj_um,
        "artefacts": phantom.artefacts,
        "dej_envelope_um": phantom.envelope_um,
        **{
            f"{name}/{key}": table[key]
            for name, table in tables.items()
            for key in table.dtype.names
        },
    }
    with whole(folder / f"{name}.truth.zarr") as partial:
        write_arrays(partial, arrays, attributes=about)
    write_json(folder / f"{name}.truth.json", about)
