"""A DICOM whole-slide image of one level, uncompressed, of nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage, generate_uid

TILE_PX = 256
# Columns of the image run down the slide, rows to the left: the usual turn of a scanner.
ORIENTATION = [0.0, -1.0, 0.0, -1.0, 0.0, 0.0]
ORIGIN_MM = (20.0, 40.0)


def item(**values: object) -> Dataset:
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def code(value: str, scheme: str, meaning: str) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def write_dicom_slide(path: Path, rgb: NDArray[np.uint8], *, mpp: float) -> Path:
    rows, columns = rgb.shape[:2]
    down, across = -(-rows // TILE_PX), -(-columns // TILE_PX)
    padded = np.full((down * TILE_PX, across * TILE_PX, 3), 244, np.uint8)
    padded[:rows, :columns] = rgb
    tiles = padded.reshape(down, TILE_PX, across, TILE_PX, 3).swapaxes(1, 2)
    spacing_mm = [mpp / 1000, mpp / 1000]
    dataset = item(
        SOPClassUID=VLWholeSlideMicroscopyImageStorage,
        SOPInstanceUID=generate_uid(),
        StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(),
        FrameOfReferenceUID=generate_uid(),
        PositionReferenceIndicator="SLIDE_CORNER",
        ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        Modality="SM",
        PatientID="nobody",
        PatientName="Nobody^",
        PatientBirthDate="",
        PatientSex="",
        StudyID="1",
        StudyDate="20200101",
        StudyTime="120000",
        AccessionNumber="",
        ReferringPhysicianName="",
        SeriesNumber=1,
        InstanceNumber=1,
        Manufacturer="tests",
        ManufacturerModelName="tests",
        DeviceSerialNumber="1",
        SoftwareVersions="1",
        ContentDate="20200101",
        ContentTime="120000",
        AcquisitionDateTime="20200101120000",
        ContainerIdentifier="c1",
        IssuerOfTheContainerIdentifierSequence=[],
        ContainerTypeCodeSequence=[code("433466003", "SCT", "Microscope slide")],
        AcquisitionContextSequence=[],
        SpecimenDescriptionSequence=[
            item(
                SpecimenIdentifier="s1",
                SpecimenUID=generate_uid(),
                IssuerOfTheSpecimenIdentifierSequence=[],
                SpecimenPreparationSequence=[],
            )
        ],
        VolumetricProperties="VOLUME",
        SpecimenLabelInImage="NO",
        BurnedInAnnotation="NO",
        FocusMethod="AUTO",
        ExtendedDepthOfField="NO",
        LossyImageCompression="00",
        DimensionOrganizationType="TILED_FULL",
        TotalPixelMatrixRows=rows,
        TotalPixelMatrixColumns=columns,
        TotalPixelMatrixFocalPlanes=1,
        TotalPixelMatrixOriginSequence=[
            item(
                XOffsetInSlideCoordinateSystem=ORIGIN_MM[0],
                YOffsetInSlideCoordinateSystem=ORIGIN_MM[1],
            )
        ],
        ImageOrientationSlide=ORIENTATION,
        ImagedVolumeWidth=columns * mpp / 1000,
        ImagedVolumeHeight=rows * mpp / 1000,
        ImagedVolumeDepth=1.0,
        SharedFunctionalGroupsSequence=[
            item(
                PixelMeasuresSequence=[item(PixelSpacing=spacing_mm, SliceThickness=0.001)],
                OpticalPathIdentificationSequence=[item(OpticalPathIdentifier="1")],
            )
        ],
        NumberOfOpticalPaths=1,
        OpticalPathSequence=[
            item(
                OpticalPathIdentifier="1",
                IlluminationTypeCodeSequence=[code("111744", "DCM", "Brightfield illumination")],
                IlluminationColorCodeSequence=[code("414298005", "SCT", "Full Spectrum")],
            )
        ],
        NumberOfFrames=down * across,
        Rows=TILE_PX,
        Columns=TILE_PX,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        PixelData=np.ascontiguousarray(tiles).tobytes(),
    )
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
    return path
