from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stage_makers import settings

from wsi_pipeline.annotate import NOT_ANNOTATED, fill_regions, parse_regions
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import StoreError
from wsi_pipeline.stages.annotated import read_annotation_text
from wsi_pipeline.stages.export import export_annotations, viewer_frame
from wsi_pipeline.stages.inspect import SlideRecord, write_record
from wsi_pipeline.store import Segmentation


@pytest.fixture(scope="module")
def exported(segmentation: Path, config: Config) -> Path:
    return export_annotations(segmentation.parent, config=config)


def test_the_outlines_lie_beside_the_segmentation(exported: Path, segmentation: Path) -> None:
    assert exported == segmentation.with_name("annotations.geojson.gz")
    assert not exported.with_name(exported.name + ".partial").exists()


def test_nearly_every_pixel_comes_back(
    exported: Path, segmentation: Path, record: SlideRecord
) -> None:
    """Away from borders, which may move by the tolerance, and specks, which are joined."""
    store = Segmentation(segmentation)
    labels = store.read_labels()
    text = read_annotation_text(exported)
    parsed = parse_regions(text, name="a", frame=viewer_frame(record.info))
    back = fill_regions(parsed.regions, grid=store.grid)
    wanted = np.where(labels == 0, NOT_ANNOTATED, labels)
    assert (back == wanted).mean() > 0.99


def test_the_file_says_where_it_comes_from(exported: Path, record: SlideRecord) -> None:
    about = json.loads(gzip.decompress(exported.read_bytes()))["wsi_pipeline"]
    assert about["slide_id"] == "p1"
    assert about["input"] == dict(record.input)
    assert about["model"]["id"] == "colour-baseline"
    assert about["provenance"]["settings"]["annotate"]["tolerance_um"] == 4.0
    assert record.path.name not in json.dumps(about)


def test_the_same_segmentation_gives_the_same_bytes(exported: Path, config: Config) -> None:
    before = exported.read_bytes()
    export_annotations(exported.parent, config=config)
    assert exported.read_bytes() == before


def test_coarser_settings_give_a_smaller_file(exported: Path, config: Config) -> None:
    before = exported.read_bytes()
    coarse = parse_config({"annotate": {"tolerance_um": 20.0, "min_piece_um2": 5000.0}})
    export_annotations(exported.parent, config=coarse)
    assert exported.stat().st_size < len(before) / 2
    export_annotations(exported.parent, config=config)


def test_the_segmentation_of_another_slide_is_refused(
    segmentation: Path, record: SlideRecord, tmp_path: Path
) -> None:
    other = replace(record, input={"bytes": 1, "sha256": "0"})
    write_record(other, tmp_path / "slide.json", config=settings())
    (tmp_path / "segmentation.ome.zarr").symlink_to(segmentation)
    with pytest.raises(StoreError, match="belongs to slide 'p1' as it was"):
        export_annotations(tmp_path, config=settings())


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"slide\.json cannot be read"):
        export_annotations(tmp_path, config=settings())
