"""Specification → a phantom slide and, beside it, the truth about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wsi_pipeline.geometry import Grid
from wsi_pipeline.phantom import (
    Cell,
    PhantomSpec,
    Piece,
    compose,
    paint_phantom,
    sample_spec,
    serial_specs,
    truth_to_json,
    write_slide_tiff,
)
from wsi_pipeline.stages.artefacts import provenance, whole, write_json
from wsi_pipeline.store import write_arrays

__all__ = ["paint_slide", "paint_slides", "sample_spec"]
SCHEMA = "wsi_pipeline/phantom/1"
TABLES = ("nuclei", "nests", "follicles", "columns")


def paint_slide(spec: PhantomSpec, *, folder: Path, name: str, sections: int = 1) -> Path:
    """Paint a phantom and write slide and truth.

    Parameters
    ----------
    spec
        What to paint.
    folder
        Where to write ``<name>.tiff``, ``<name>.truth.json`` (specification and true values)
        and ``<name>.truth.zarr`` (label map, junctions, codes of artefacts, and one row for
        each nucleus, nest, follicle and column of the dermis).  Of several sections each has
        its own truth, ``<name>.truth-2.json`` and so on; its places count from its own corner,
        which ``offset_px`` names.
    name
        File name without ending.
    sections
        Serial sections on the slide.

    Returns
    -------
    Path
        The slide.
    """
    slide = compose([paint_phantom(each) for each in serial_specs(spec, count=sections)])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.tiff"
    write_slide_tiff(path, slide.image, mpp=spec.mpp, jpeg_quality=spec.jpeg_quality)
    for number, piece in enumerate(slide.pieces, start=1):
        suffix = "truth" if number == 1 else f"truth-{number}"
        _write_truth(piece, path=folder / f"{name}.{suffix}", sections=sections)
    return path


def paint_slides(
    specs: Mapping[str, PhantomSpec], *, folder: Path, sections: int = 1, workers: int = 1
) -> Iterator[Path]:
    """Paint many phantoms, side by side.

    Parameters
    ----------
    specs
        What to paint, by file name without ending.
    folder, sections
        As for `paint_slide`.
    workers
        Processes; the slides do not depend on how many.

    Yields
    ------
    Path
        Each slide, in the order of the names.
    """
    paint = partial(_paint_named, folder=folder, sections=sections)
    if workers == 1 or len(specs) == 1:
        yield from map(paint, specs.items())
        return
    # Spawned, because forked processes and the threads of other libraries do not mix.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(paint, specs.items())


def _paint_named(what: tuple[str, PhantomSpec], *, folder: Path, sections: int) -> Path:
    """Paint one of many."""
    name, spec = what
    return paint_slide(spec, folder=folder, name=name, sections=sections)


def _write_truth(piece: Piece, *, path: Path, sections: int) -> None:
    phantom = piece.phantom
    about = {
        "schema": SCHEMA,
        "spec": asdict(phantom.spec),
        "grid": Grid(phantom.labels.shape, phantom.spec.mpp).to_json(),
        "sections": sections,
        "offset_px": [piece.top_px, piece.left_px],
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
            f"{name}/{column}": table[column]
            for name, table in tables.items()
            for column in table.dtype.names
        },
    }
    with whole(path.with_name(path.name + ".zarr")) as partial:
        write_arrays(partial, arrays, attributes=about)
    write_json(path.with_name(path.name + ".json"), about)
