"""Does a DICOM segmentation say the same as the labels, of the right image, in its place?"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from stage_makers import blob_picture, open_record

highdicom = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
pydicom = pytest.importorskip("pydicom", reason="the extra 'dicom' is not installed")

from dicom_writer import ORIGIN_MM, write_dicom_slide  # noqa: E402

from wsi_pipeline.classes import CLASS_NAMES  # noqa: E402
from wsi_pipeline.config import Config  # noqa: E402
from wsi_pipeline.dicom_seg import Algorithm, find_source, write_dicom_seg  # noqa: E402
from wsi_pipeline.errors import SlideReadError  # noqa: E402
from wsi_pipeline.geometry import Grid  # noqa: E402
from wsi_pipeline.stages.export_dicom import export  # noqa: E402
from wsi_pipeline.stages.inspect import write_record  # noqa: E402
from wsi_pipeline.stages.segment import segment_slide  # noqa: E402
from wsi_pipeline.stages.tile import tile_slide  # noqa: E402
from wsi_pipeline.store import Segmentation  # noqa: E402

ALGORITHM = Algorithm("m", "1", "0" * 64, "0.1")


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rgb = np.repeat(np.repeat(blob_picture(), 2, 0), 2, 1)[:790, :930]
    return write_dicom_slide(tmp_path_factory.mktemp("dicom") / "s.dcm", rgb, mpp=0.5)


@pytest.fixture(scope="module")
def results(slide_path: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    record = open_record(slide_path)
    write_record(record, folder / "slide.json", config=config)
    tile_slide(record, config=config, out=folder / "tiles.json", picture=folder / "tiles.png")
    out = folder / "segmentation.ome.zarr"
    segment_slide(record, tiles=folder / "tiles.json", config=config, out=out)
    return folder


@pytest.fixture(scope="module")
def exported(results: Path) -> Path:
    return export(results)


def test_highdicom_reads_the_labels_back(exported: Path, results: Path) -> None:
    labels = Segmentation(results / "segmentation.ome.zarr").read_labels()
    assert set(np.unique(labels)) > {0}
    read = highdicom.seg.segread(exported)
    np.testing.assert_array_equal(read.get_total_pixel_matrix(combine_segments=True), labels)
    assert [read.get_segment_description(n).segment_label for n in read.segment_numbers] == list(
        CLASS_NAMES[1:]
    )
    assert read.get_segment_description(5).segmented_property_type.value == "108369006"


def test_it_refers_to_the_image_it_was_made_from(exported: Path, slide_path: Path) -> None:
    read, source = pydicom.dcmread(exported), pydicom.dcmread(slide_path, stop_before_pixels=True)
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "ContainerIdentifier"):
        assert read[name].value == source[name].value
    series = read.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    named = series.ReferencedInstanceSequence[0]
    assert named.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert read.SeriesInstanceUID != source.SeriesInstanceUID


def test_it_lies_where_the_image_lies(exported: Path, slide_path: Path) -> None:
    """The corner of the plane is that of level 0, through highdicom's own transformers."""
    read, source = pydicom.dcmread(exported), pydicom.dcmread(slide_path, stop_before_pixels=True)
    corners = []
    for image in (read, source):
        measures = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        origin = image.TotalPixelMatrixOriginSequence[0]
        place = (origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem, 0.0)
        # Coordinates count from the outer corner of the first pixel, whose centre is the origin.
        transform = highdicom.spatial.ImageToReferenceTransformer(
            [float(x) for x in place],
            [float(x) for x in image.ImageOrientationSlide],
            [float(x) for x in measures.PixelSpacing],
        )
        corners.append(transform(np.array([[0.0, 0.0]]))[0])
    np.testing.assert_allclose(*corners, atol=1e-9)
    assert corners[1][0] == pytest.approx(ORIGIN_MM[0] + 0.00025)
    assert read.TotalPixelMatrixRows == -(-790 // 4)


def test_writing_it_again_makes_no_second_object(exported: Path, results: Path) -> None:
    before = pydicom.dcmread(exported)
    after = pydicom.dcmread(export(results))
    assert before.SOPInstanceUID == after.SOPInstanceUID
    assert before.SeriesInstanceUID == after.SeriesInstanceUID
    assert before.PixelData == after.PixelData


def test_other_slides_are_refused_with_a_way_out(segmentation: Path) -> None:
    with pytest.raises(SlideReadError, match=r"not a DICOM file.*--format qupath"):
        export(segmentation.parent)
    assert not segmentation.with_name("segmentation.dcm").exists()


def test_the_level_that_was_measured_is_found(slide_path: Path, tmp_path: Path) -> None:
    """Any file of a series may be named; the one with the pixels of level 0 is the source."""
    shutil.copy(slide_path, tmp_path / "b.dcm")
    coarse = pydicom.dcmread(slide_path)
    coarse.TotalPixelMatrixRows, coarse.TotalPixelMatrixColumns = 395, 465
    coarse.SOPInstanceUID = "1.2.3"
    coarse.save_as(tmp_path / "a.dcm")
    (tmp_path / "notes.txt").write_text("none of the series")
    found = find_source(tmp_path / "a.dcm", shape=(790, 930))
    assert found.SOPInstanceUID == pydicom.dcmread(slide_path).SOPInstanceUID
    with pytest.raises(SlideReadError, match="put all instances"):
        find_source(tmp_path / "a.dcm", shape=(1, 2))


def test_the_image_of_another_writer_is_referred_to(shared_data: Path, tmp_path: Path) -> None:
    source = find_source(shared_data / "slides/highdicom_sm_image.dcm", shape=(50, 50))
    labels = np.random.default_rng(0).integers(0, 8, (13, 13)).astype(np.uint8)
    out, grid = tmp_path / "s.dcm", Grid((13, 13), 1.996)
    write_dicom_seg(out, labels, grid=grid, source=source, source_mpp=0.499, algorithm=ALGORITHM)
    read = highdicom.seg.segread(out)
    np.testing.assert_array_equal(read.get_total_pixel_matrix(combine_segments=True), labels)
    assert read.FrameOfReferenceUID == source.FrameOfReferenceUID
