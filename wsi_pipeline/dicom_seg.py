"""How does a label map rest beside the DICOM image it was made from?

1. `find_source` finds the instance of a DICOM slide whose pixels are level 0.
2. `write_dicom_seg` writes a binary segmentation, one segment per class, that refers to it: same
   patient, study, specimen and frame of reference, pixels of its own width.

Segments are numbered like the classes.  SNOMED CT names a class where DICOM's own context groups
have it; the others have codes of a private scheme.

References
----------
DICOM PS3.3 A.51 (Segmentation IOD).  Bridge et al. 2022, doi:10.1007/s10278-022-00683-y
(highdicom).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.misc import is_dicom
from pydicom.sr.codedict import codes
from pydicom.uid import VLWholeSlideMicroscopyImageStorage, generate_uid

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.errors import SlideReadError
from wsi_pipeline.geometry import Grid

_SCHEME = "99WSIPIPE"
_CODES = {
    "subcutis": codes.SCT.SubcutaneousTissue,
    "tumour": codes.SCT.Neoplasm,
    "inflammation": codes.SCT.Inflammation,
}
_ABNORMAL = ("tumour", "inflammation")
_TILE_PX = 512


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What made the labels.

    Parameters
    ----------
    model_id, model_version, model_sha256
        Of the model.
    pipeline_version
        Of this software.
    """

    model_id: str
    model_version: str
    model_sha256: str
    pipeline_version: str


def find_source(path: Path, *, shape: tuple[int, int]) -> pydicom.Dataset:
    """Header of the instance that holds level 0 of a DICOM slide.

    Parameters
    ----------
    path
        Any file of the slide; the others lie in the same folder.
    shape
        ``(rows, columns)`` of level 0.

    Raises
    ------
    SlideReadError
        If it is not a DICOM slide, or level 0 is not there.
    """
    if not path.is_file() or not is_dicom(path):
        raise SlideReadError(
            f"{path} is not a DICOM file, which a DICOM segmentation must refer to; use '--format "
            "qupath' or 'ome-zarr-0.4', or convert the slide to DICOM and run on that"
        )
    named = pydicom.dcmread(path, stop_before_pixels=True)
    for found in _of_series(path, named):
        if (found.TotalPixelMatrixRows, found.TotalPixelMatrixColumns) == shape:
            return found
    raise SlideReadError(
        f"no instance with {shape[1]} × {shape[0]} px of the series of {path} lies in its folder; "
        "put all instances of the slide there"
    )


def _of_series(path: Path, named: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    """Volume images of one series, the named file first."""
    others = sorted(other for other in path.parent.iterdir() if other != path and other.is_file())
    for file in (path, *others):
        if not is_dicom(file):
            continue
        found = named if file == path else pydicom.dcmread(file, stop_before_pixels=True)
        is_slide = found.get("SOPClassUID") == VLWholeSlideMicroscopyImageStorage
        is_volume = "VOLUME" in found.get("ImageType", ())
        if is_slide and is_volume and found.SeriesInstanceUID == named.get("SeriesInstanceUID"):
            yield found


def write_dicom_seg(
    path: Path,
    labels: NDArray[np.uint8],
    *,
    grid: Grid,
    source: pydicom.Dataset,
    source_mpp: float,
    algorithm: Algorithm,
) -> None:
    """Write a label map as a DICOM segmentation.

    Parameters
    ----------
    path
        File to write.
    labels : (Y, X) uint8
        Classes; background is no segment.
    grid
        Their place on the slide.
    source
        Header of level 0.
    source_mpp
        Width of a pixel of level 0, µm.
    algorithm
        What made the labels.

    Notes
    -----
    The file names the patient as the source does.  Its UIDs follow from the source, the labels and
    the algorithm: writing the same segmentation again makes no second one in an archive.
    """
    digest = hashlib.sha256(labels.tobytes()).hexdigest()
    made_by = (algorithm.model_sha256, algorithm.pipeline_version)
    entropy = [str(source.SOPInstanceUID), *made_by, digest]
    spacing_mm = (grid.mpp / 1000, grid.mpp / 1000)
    segmentation = highdicom.seg.Segmentation(
        source_images=[source],
        pixel_array=labels[None],
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(value, algorithm) for value in range(1, len(CLASS_NAMES))],
        series_instance_uid=generate_uid(entropy_srcs=["series", *entropy]),
        series_number=1000,
        sop_instance_uid=generate_uid(entropy_srcs=["instance", *entropy]),
        instance_number=1,
        manufacturer="wsi_pipeline",
        manufacturer_model_name=algorithm.model_id,
        software_versions=algorithm.pipeline_version,
        device_serial_number="0",
        content_label="TISSUE_CLASSES",
        content_description="Tissue classes; for research use only",
        pixel_measures=highdicom.PixelMeasuresSequence(spacing_mm, _thickness_mm(source)),
        plane_positions=[_position(grid, source, source_mpp=source_mpp)],
        tile_pixel_array=True,
        tile_size=(_TILE_PX, _TILE_PX),
    )
    segmentation.save_as(path)


def _describe(value: int, algorithm: Algorithm) -> highdicom.seg.SegmentDescription:
    name = CLASS_NAMES[value]
    is_abnormal = name in _ABNORMAL
    return highdicom.seg.SegmentDescription(
        value,
        name,
        codes.SCT.MorphologicallyAbnormalStructure if is_abnormal else codes.SCT.Tissue,
        _CODES.get(name, highdicom.sr.CodedConcept(name, _SCHEME, name)),
        highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        highdicom.AlgorithmIdentificationSequence(
            algorithm.model_id, codes.DCM.ArtificialIntelligence, algorithm.model_version
        ),
    )


def _position(
    grid: Grid, source: pydicom.Dataset, *, source_mpp: float
) -> highdicom.PlanePositionSequence:
    """Place of the centre of the first pixel, mm in the slide's coordinate system.

    The plane shares the corner of level 0, not the centre of its first pixel.
    """
    origin = source.TotalPixelMatrixOriginSequence[0]
    along_row, along_column = np.reshape(source.ImageOrientationSlide, (2, 3)).astype(float)
    down_mm, right_mm = (
        (from_corner_um + (grid.mpp - source_mpp) / 2) / 1000 for from_corner_um in grid.origin_um
    )
    shift_mm = right_mm * along_row + down_mm * along_column
    first = (
        float(origin.XOffsetInSlideCoordinateSystem) + shift_mm[0],
        float(origin.YOffsetInSlideCoordinateSystem) + shift_mm[1],
        float(origin.get("ZOffsetInSlideCoordinateSystem", 0.0)) + shift_mm[2],
    )
    return highdicom.PlanePositionSequence("SLIDE", first, (1, 1))


def _thickness_mm(source: pydicom.Dataset) -> float:
    measures: Any = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    return float(measures.get("SliceThickness", 0.001) or 0.001)
