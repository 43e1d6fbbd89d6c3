"""Does what QuPath is given lie where the tissue is, and cover what the labels cover?"""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import openslide
import pytest
import shapely
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scn_writer import write_scn
from skimage.draw import polygon2mask
from stage_makers import blob_picture, open_record

from wsi_pipeline.annotate import (
    format_cells,
    format_collection,
    format_regions,
    outline_regions,
)
from wsi_pipeline.annotate.cells import CELL_COLUMNS, outline_nuclei
from wsi_pipeline.annotate.geojson import ViewerFrame
from wsi_pipeline.classes import CLASS_NAMES, TISSUE_CLASSES
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import StoreError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.stages.export import export_overlay
from wsi_pipeline.stages.inspect import SlideRecord, write_record
from wsi_pipeline.stages.segment import segment_slide
from wsi_pipeline.stages.tile import tile_slide
from wsi_pipeline.store import Segmentation, read_points, write_points


@pytest.fixture(scope="module")
def overlay(segmentation: Path, nuclei: Path, config: Config) -> Path:
    return export_overlay(segmentation.parent, config=config, nuclei=True)


def read_frame(path: Path) -> geopandas.GeoDataFrame:
    """As a reader would, who knows nothing of this project."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        features = json.load(file)["features"]
    # Numbers of the slide are no degrees on Earth.
    return geopandas.GeoDataFrame.from_features(features, crs=None)


def areas_px(frame: geopandas.GeoDataFrame) -> dict[str, float]:
    names = [one["name"] for one in frame["classification"]]
    areas: dict[str, float] = frame.geometry.area.groupby(names).sum().to_dict()
    return areas


@pytest.mark.parametrize("tolerance_um", [0.0, 1.0, 2.0])
def test_polygons_are_valid_and_have_the_areas_of_the_labels(
    segmentation: Path, record: SlideRecord, tolerance_um: float
) -> None:
    settings = parse_config({"export": {"tolerance_um": tolerance_um}})
    frame = read_frame(export_overlay(segmentation.parent, config=settings))
    assert frame.geometry.is_valid.all()
    store = Segmentation(segmentation)
    counts = np.bincount(store.read_labels().ravel(), minlength=len(CLASS_NAMES))
    wanted = counts * (store.grid.mpp / record.info["mpp"]) ** 2
    found = areas_px(frame)
    assert set(found) == {CLASS_NAMES[value] for value in np.flatnonzero(counts) if value}
    for name, area_px in found.items():
        assert area_px == pytest.approx(wanted[CLASS_NAMES.index(name)], rel=0.01)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 2.0, 4.0]))
@hypothesis_settings(max_examples=20, deadline=None)
def test_speckled_labels_give_valid_polygons(seed: int, tolerance_um: float) -> None:
    """The worst there is: every pixel of a class of its own."""
    labels = np.random.default_rng(seed).integers(0, 4, (40, 50)).astype(np.uint8)
    regions = outline_regions(
        labels, grid=Grid(labels.shape, 2.0), tolerance_um=tolerance_um, min_piece_um2=0
    )
    text = "".join(format_collection(format_regions(regions, frame=ViewerFrame(0.5)), about={}))
    frame = geopandas.GeoDataFrame.from_features(json.loads(text)["features"], crs=None)
    assert frame.geometry.is_valid.all()
    if tolerance_um == 0:
        wanted = {CLASS_NAMES[value]: 16.0 * (labels == value).sum() for value in (1, 2, 3)}
        assert areas_px(frame) == wanted


def test_nuclei_are_cells_of_their_area_and_tissue(
    overlay: Path, nuclei: Path, record: SlideRecord
) -> None:
    columns, _ = read_points(nuclei)
    frame = read_frame(overlay)
    cells = frame[frame["objectType"] == "cell"]
    assert len(cells) == len(columns["area_um2"]) > 30
    assert cells.geometry.is_valid.all()
    mpp = record.info["mpp"]
    np.testing.assert_allclose(cells.geometry.area * mpp**2, columns["area_um2"], rtol=0.02)
    np.testing.assert_allclose(cells.geometry.centroid.x * mpp, columns["right_um"], atol=0.02)
    np.testing.assert_allclose(cells.geometry.centroid.y * mpp, columns["down_um"], atol=0.02)
    assert [one["name"] for one in cells["classification"]] == columns["tissue"].tolist()
    first = cells["measurements"].iloc[0]
    assert first["Nucleus: Area µm^2"] == pytest.approx(columns["area_um2"][0], abs=1e-3)


def test_a_cell_is_what_qupath_calls_one(overlay: Path) -> None:
    content = json.loads(gzip.decompress(overlay.read_bytes()))
    assert content["wsi_pipeline"]["nuclei"]["status"] == "measured"
    cell = next(f for f in content["features"] if f["properties"]["objectType"] == "cell")
    assert cell["nucleusGeometry"] == cell["geometry"]
    ring = cell["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    colours = {tissue.name: list(tissue.rgb) for tissue in TISSUE_CLASSES}
    named = cell["properties"]["classification"]
    assert named["color"] == colours[named["name"]]


def test_an_ellipse_points_where_the_nucleus_does() -> None:
    columns = {name: np.zeros(1) for name in CELL_COLUMNS}
    columns |= {"major_um": np.array([12.0]), "minor_um": np.array([4.0])}
    columns |= {"area_um2": np.array([40.0]), "angle_rad": np.array([0.0])}
    outline = outline_nuclei(columns)[0]
    assert np.ptp(outline[:, 0]) == pytest.approx(3 * np.ptp(outline[:, 1]), rel=0.03)
    assert shapely.Polygon(outline).area == pytest.approx(40.0)


def test_without_nuclei_none_can_be_written(
    record: SlideRecord, segmentation: Path, config: Config, tmp_path: Path
) -> None:
    write_record(record, tmp_path / "slide.json", config=config)
    (tmp_path / "segmentation.ome.zarr").symlink_to(segmentation)
    with pytest.raises(StoreError, match="run 'wsi-pipeline nuclei' first"):
        export_overlay(tmp_path, config=config, nuclei=True)


def test_the_same_results_give_the_same_bytes(overlay: Path, config: Config) -> None:
    before = overlay.read_bytes()
    export_overlay(overlay.parent, config=config, nuclei=True)
    assert overlay.read_bytes() == before


def test_with_bounds_outlines_count_from_the_scanned_part(tmp_path: Path, config: Config) -> None:
    """QuPath shows a slide from the corner of its bounds; there the outlines must lie."""
    rgb, corner = np.repeat(np.repeat(blob_picture(), 4, 0), 4, 1), (331, 1203)
    path = write_scn(tmp_path / "s.scn", rgb, mpp=0.5, corner_px0=corner, shape=(2400, 3600))
    folder = tmp_path / "results"
    record = open_record(path)
    assert tuple(record.info["bounds_px0"]) == corner
    write_record(record, folder / "slide.json", config=config)
    tile_slide(record, config=config, out=folder / "tiles.json", picture=folder / "tiles.png")
    out = folder / "segmentation.ome.zarr"
    segment_slide(record, tiles=folder / "tiles.json", config=config, out=out)
    tissue = read_frame(export_overlay(folder, config=config)).union_all()
    shown = as_qupath_shows(path)
    assert shown.shape == rgb.shape
    wanted = shown.min(axis=2) < 215
    found = np.zeros(wanted.shape, bool)
    for part in shapely.get_parts(tissue):
        found |= polygon2mask(wanted.shape, np.array(part.exterior.coords)[:, ::-1])
    middles = [np.mean(np.nonzero(mask), axis=1) for mask in (wanted, found)]
    # One working pixel of 2 µm is 4 px here.
    np.testing.assert_allclose(*middles, atol=4)
    assert (found & wanted).sum() > 0.97 * (found | wanted).sum()


def as_qupath_shows(path: Path) -> np.ndarray:
    """Level 0 within the bounds, which QuPath reads through OpenSlide."""
    with openslide.OpenSlide(path) as slide:
        left, top, width, height = (
            int(slide.properties[f"openslide.bounds-{name}"])
            for name in ("x", "y", "width", "height")
        )
        return np.asarray(slide.read_region((left, top), 0, (width, height)).convert("RGB"))


def test_nuclei_stream_in_bounded_memory(
    record: SlideRecord, segmentation: Path, config: Config, tmp_path: Path
) -> None:
    """Three times the nuclei take no more memory, whatever the file weighs."""
    write_record(record, tmp_path / "slide.json", config=config)
    (tmp_path / "segmentation.ome.zarr").symlink_to(segmentation)
    peaks_bytes = []
    for count in (5_000, 15_000):
        columns, about = many_nuclei(count)
        places = np.stack((columns["down_um"], columns["right_um"]), axis=1)
        about |= {"slide_id": record.declared.slide_id, "input": dict(record.input)}
        write_points(tmp_path / "nuclei.parquet", columns, places_um=places, attributes=about)
        del columns, places
        tracemalloc.start()
        out = export_overlay(tmp_path, config=config, nuclei=True)
        peaks_bytes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        with gzip.open(out, "rt") as file:
            assert sum('"cell"' in line for line in file) == count
    assert peaks_bytes[1] < 1.05 * peaks_bytes[0]


def many_nuclei(count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {name: rng.uniform(1, 9, count) for name in CELL_COLUMNS}
    columns["nucleus_id"] = np.arange(1, count + 1, dtype=np.uint32)
    columns["tissue"] = np.full(count, "tumour", object)
    return columns, {"count": count, "where": "tumour", "status": "measured", "reason": ""}


def test_cells_of_unknown_tissue_have_no_class() -> None:
    columns = {name: np.ones(2) for name in CELL_COLUMNS}
    for text in format_cells(columns, frame=ViewerFrame(0.5)):
        assert "classification" not in json.loads(text)["properties"]
