"""``segmentation.ome.zarr`` of a DICOM slide → ``segmentation.dcm``, which refers to it."""

from __future__ import annotations

from pathlib import Path

import wsi_pipeline
from wsi_pipeline.dicom_seg import Algorithm, find_source, write_dicom_seg
from wsi_pipeline.stages.artefacts import whole
from wsi_pipeline.stages.export import SlideResults

DICOM_SEG = "segmentation.dcm"


def export(folder: Path) -> Path:
    """Write the labels of a DICOM slide as a DICOM segmentation.

    Parameters
    ----------
    folder
        Holds ``slide.json`` and ``segmentation.ome.zarr`` of one slide.

    Returns
    -------
    Path
        ``segmentation.dcm`` in the same folder.

    Raises
    ------
    SlideReadError
        If the slide is not DICOM, or is not where it was.
    StoreError
        If slide record or segmentation are missing or not of the same slide.
    """
    results = SlideResults.open(folder)
    info, model = results.record.info, results.store.attributes["model"]
    rows, columns = info["level_shapes"][0]
    source = find_source(results.record.path, shape=(rows, columns))
    algorithm = Algorithm(model["id"], model["version"], model["sha256"], wsi_pipeline.__version__)
    with whole(folder / DICOM_SEG) as partial:
        write_dicom_seg(
            partial,
            results.store.read_labels(),
            grid=results.store.grid,
            source=source,
            source_mpp=float(info["mpp"]),
            algorithm=algorithm,
        )
    return folder / DICOM_SEG
