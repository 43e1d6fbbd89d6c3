"""``segmentation.ome.zarr`` → GeoJSON for QuPath.

``annotations.geojson.gz`` are outlines to be corrected, ``overlay.geojson.gz`` the labels as they
are, with nuclei where they are wanted.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsi_pipeline.annotate import (
    CELL_COLUMNS,
    ViewerFrame,
    format_cells,
    format_collection,
    format_regions,
    outline_regions,
)
from wsi_pipeline.config import Config
from wsi_pipeline.errors import StoreError
from wsi_pipeline.stages.artefacts import provenance, used_settings, whole
from wsi_pipeline.stages.inspect import SlideRecord, read_record
from wsi_pipeline.store import Segmentation, read_attributes, read_rows

SCHEMA = "wsi_pipeline/annotations/1"
ANNOTATIONS, OVERLAY = "annotations.geojson.gz", "overlay.geojson.gz"
NUCLEI = "nuclei.parquet"


@dataclass(frozen=True, slots=True)
class SlideResults:
    """Results of one slide, opened to be written in another form.

    Parameters
    ----------
    folder
        Holds ``slide.json``, ``segmentation.ome.zarr`` and what else the slide has.
    record
        The slide.
    store
        Its segmentation.
    """

    folder: Path
    record: SlideRecord
    store: Segmentation

    @classmethod
    def open(cls, folder: Path) -> SlideResults:
        """Open the results in a folder.

        Raises
        ------
        StoreError
            If slide record or segmentation are missing or not of the same slide.
        """
        record = read_record(folder / "slide.json")
        store = Segmentation(folder / "segmentation.ome.zarr")
        record.check_same(store.attributes, what=f"the segmentation in {folder}")
        return cls(folder, record, store)

    def about(self, schema: str, *, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What an exported file says of itself; it names no file."""
        model = self.store.attributes["model"]
        return {
            "schema": schema,
            "slide_id": self.record.declared.slide_id,
            "input": dict(self.record.input),
            "model": {name: model[name] for name in ("id", "version", "sha256")},
            "provenance": provenance("export", settings=settings),
        }

    def nuclei(self) -> Path:
        """Table of nuclei of this slide.

        Raises
        ------
        StoreError
            If there is none, or it is of another slide.
        """
        path = self.folder / NUCLEI
        if not path.is_file():
            raise StoreError(f"{path} is missing; run 'wsi-pipeline nuclei' first")
        self.record.check_same(read_attributes(path), what=f"the table of nuclei in {self.folder}")
        return path


def export_annotations(folder: Path, *, config: Config) -> Path:
    """Write the outlines of a segmented slide beside its segmentation, to be corrected.

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
    results = SlideResults.open(folder)
    annotate = config.annotate
    features = _regions(
        results, tolerance_um=annotate.tolerance_um, min_piece_um2=annotate.min_piece_um2
    )
    about = results.about(SCHEMA, settings=used_settings(config, "annotate"))
    _write_compressed(folder / ANNOTATIONS, format_collection(features, about=about))
    return folder / ANNOTATIONS


def export_overlay(folder: Path, *, config: Config, nuclei: bool = False) -> Path:
    """Write the labels of a slide as they are, for QuPath and other readers of GeoJSON.

    Parameters
    ----------
    folder
        Holds ``slide.json`` and ``segmentation.ome.zarr`` of one slide.
    config
        Settings; ``export.tolerance_um`` decides how fine the outlines are.  No piece is left out.
    nuclei
        Whether the rows of ``nuclei.parquet`` are written too, as cells, a few at a time.

    Returns
    -------
    Path
        ``overlay.geojson.gz`` in the same folder; the same input gives the same bytes.

    Raises
    ------
    StoreError
        If an input is missing or not of the same slide.
    """
    results = SlideResults.open(folder)
    about = results.about(SCHEMA, settings=used_settings(config, "export"))
    texts = [_regions(results, tolerance_um=config.export.tolerance_um, min_piece_um2=0.0)]
    if nuclei:
        about["nuclei"] = _about_nuclei(results.nuclei())
        texts.append(_cells(results))
    features = (feature for part in texts for feature in part)
    _write_compressed(folder / OVERLAY, format_collection(features, about=about))
    return folder / OVERLAY


def viewer_frame(info: Mapping[str, Any]) -> ViewerFrame:
    """How QuPath counts the pixels of a slide, from what was found out about its file."""
    top, left = info["bounds_px0"]
    return ViewerFrame(float(info["mpp"]), (int(top), int(left)))


def _regions(results: SlideResults, *, tolerance_um: float, min_piece_um2: float) -> Iterator[str]:
    regions = outline_regions(
        results.store.read_labels(),
        grid=results.store.grid,
        tolerance_um=tolerance_um,
        min_piece_um2=min_piece_um2,
    )
    return format_regions(regions, frame=viewer_frame(results.record.info))


def _cells(results: SlideResults) -> Iterator[str]:
    frame = viewer_frame(results.record.info)
    for columns in read_rows(results.nuclei(), (*CELL_COLUMNS, "tissue")):
        yield from format_cells(columns, frame=frame)


def _about_nuclei(path: Path) -> dict[str, Any]:
    """What is to be known of the cells: how many, where they were looked for, or why none."""
    about = read_attributes(path)
    return {name: about[name] for name in ("count", "where", "status", "reason")}


def _write_compressed(out: Path, texts: Iterable[str]) -> None:
    """Write texts as they come; neither name nor time get into the file."""
    with (
        whole(out) as partial,
        partial.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as file,
    ):
        for text in texts:
            file.write(text.encode("utf-8"))
