"""``segmentation.ome.zarr`` → ``annotations.geojson.gz``: outlines to be corrected in QuPath."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wsi_pipeline.annotate import ViewerFrame, format_regions, outline_regions
from wsi_pipeline.config import Config
from wsi_pipeline.stages.artefacts import provenance, used_settings, whole
from wsi_pipeline.stages.inspect import SlideRecord, read_record
from wsi_pipeline.store import Segmentation

SCHEMA = "wsi_pipeline/annotations/1"
ANNOTATIONS = "annotations.geojson.gz"


def export_annotations(folder: Path, *, config: Config) -> Path:
    """Write the outlines of a segmented slide beside its segmentation.

    Parameters
    ----------
    folder
        Holds ``slide.json`` and ``segmentation.ome.zarr`` of one slide.
    config
        Settings; ``annotate`` decides how fine the outlines are.

    Returns
    -------
    Path
        ``annotations.geojson.gz`` in the same folder; the same input gives the same bytes.

    Raises
    ------
    StoreError
        If slide record or segmentation are missing or not of the same slide.
    """
    record = read_record(folder / "slide.json")
    store = Segmentation(folder / "segmentation.ome.zarr")
    record.check_same(store.attributes, what=f"the segmentation in {folder}")
    regions = outline_regions(
        store.read_labels(),
        grid=store.grid,
        tolerance_um=config.annotate.tolerance_um,
        min_piece_um2=config.annotate.min_piece_um2,
    )
    out = folder / ANNOTATIONS
    about = _about(record, store, config)
    _write_compressed(out, format_regions(regions, frame=viewer_frame(record.info), about=about))
    return out


def viewer_frame(info: Mapping[str, Any]) -> ViewerFrame:
    """How QuPath counts the pixels of a slide, from what was found out about its file."""
    top, left = info["bounds_px0"]
    return ViewerFrame(float(info["mpp"]), (int(top), int(left)))


def _about(record: SlideRecord, store: Segmentation, config: Config) -> dict[str, Any]:
    model = store.attributes["model"]
    return {
        "schema": SCHEMA,
        "slide_id": record.declared.slide_id,
        "input": dict(record.input),
        "model": {name: model[name] for name in ("id", "version", "sha256")},
        "provenance": provenance("export", settings=used_settings(config, "annotate")),
    }


def _write_compressed(out: Path, texts: Iterable[str]) -> None:
    """Write texts as they come; neither name nor time get into the file."""
    with (
        whole(out) as partial,
        partial.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as file,
    ):
        for text in texts:
            file.write(text.encode("utf-8"))
