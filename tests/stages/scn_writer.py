"""A slide whose scanned part does not begin where the plane does: Leica's SCN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

_XML = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
<collection name="c" sizeX="{width_nm}" sizeY="{height_nm}"><barcode></barcode>
<image name="i"><creationDate>2020-01-01T00:00:00Z</creationDate>
<device model="Leica SCN400" version="1"/>
<pixels sizeX="{columns}" sizeY="{rows}">
<dimension sizeX="{columns}" sizeY="{rows}" r="0" ifd="0"/></pixels>
<view sizeX="{across_nm}" sizeY="{down_nm}" offsetX="{left_nm}" offsetY="{top_nm}" spacingZ="0"/>
<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>
<illuminationSettings><numericalAperture>0.4</numericalAperture>
<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings>
</image></collection></scn>"""


def write_scn(
    path: Path,
    rgb: NDArray[np.uint8],
    *,
    mpp: float,
    corner_px0: tuple[int, int],
    shape: tuple[int, int],
) -> Path:
    """Write a picture whose top-left corner lies at ``corner_px0`` of a plane of ``shape``."""
    nm = round(mpp * 1000)
    text = _XML.format(
        width_nm=shape[1] * nm,
        height_nm=shape[0] * nm,
        rows=rgb.shape[0],
        columns=rgb.shape[1],
        across_nm=rgb.shape[1] * nm,
        down_nm=rgb.shape[0] * nm,
        left_nm=corner_px0[1] * nm,
        top_nm=corner_px0[0] * nm,
    )
    tifffile.imwrite(
        path,
        rgb,
        bigtiff=True,
        photometric="rgb",
        tile=(256, 256),
        description=text,
        metadata=None,
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
    )
    return path
