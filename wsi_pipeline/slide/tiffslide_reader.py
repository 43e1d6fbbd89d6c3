"""How does tiffslide decode a level?

1. It reads any TIFF, tiled or in strips, and the sub-resolutions of OME-TIFF, in the pixels
   of the level itself.
2. What it would show wrongly (tiles that are not stored, colours it does not convert) is
   refused when the file is opened.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tiffslide
from numpy.typing import NDArray
from tifffile import PHOTOMETRIC, TiffFile, TiffPageSeries

from wsi_pipeline.errors import SlideReadError
from wsi_pipeline.geometry import Box
from wsi_pipeline.slide.base import LevelFacts
from wsi_pipeline.slide.colour import check_is_rgb, rgb_on_white
from wsi_pipeline.slide.metadata import (
    bounds_px0,
    objective_power,
    snapped_downsamples,
    stated_mpp,
)

# tiffslide lets through whatever the layers below it raise: tifffile and zarr on a damaged
# header or index, imagecodecs (RuntimeError) on a damaged tile.
_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)

_COLOURS = ("RGB", "YCBCR", "MINISBLACK")


class _LevelTiffSlide(tiffslide.TiffSlide):
    """tiffslide with locations in the pixels of the level that is read."""

    def _read_region_loc_transform(
        self,
        location: tuple[int, int],
        level: int,  # noqa: ARG002 - the signature is tiffslide's
    ) -> tuple[int, int]:
        return location


class TiffSlideReader:
    """`LevelReader` over tiffslide.

    Parameters
    ----------
    path
        File to open.

    Raises
    ------
    SlideReadError
        With tiffslide's reason, if it cannot open it or would show it wrongly.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._handle = _LevelTiffSlide(path)
        except _FAULTS as fault:
            raise SlideReadError(_plain(fault)) from fault
        try:
            self._facts = _facts(self._handle)
            _check_shown_rightly(self._handle)
        except _FAULTS as fault:
            self._handle.close()
            raise SlideReadError(_plain(fault)) from fault

    @property
    def facts(self) -> LevelFacts:
        """What the file's header says."""
        return self._facts

    def read_level(self, level: int, box: Box) -> NDArray[np.uint8]:
        """RGB in a box that lies inside a level."""
        try:
            pixels = self._handle.read_region(
                (box.left, box.top), level, (box.width, box.height), as_array=True
            )
        except _FAULTS as fault:
            raise SlideReadError(_plain(fault)) from fault
        return rgb_on_white(pixels)

    def close(self) -> None:
        """Let go of the file."""
        self._handle.close()


def _facts(handle: _LevelTiffSlide) -> LevelFacts:
    """Everything asked of the header."""
    properties = _as_text(handle.properties)
    shapes = tuple((rows, columns) for columns, rows in handle.level_dimensions)
    return LevelFacts(
        backend="tiffslide",
        backend_version=version("tiffslide"),
        vendor=properties.get("tiffslide.vendor", _format(handle.ts_tifffile)),
        level_shapes=shapes,
        level_downsamples=snapped_downsamples(shapes),
        levels_read=tuple(range(len(shapes))),
        stated_mpp=stated_mpp(properties, prefix="tiffslide"),
        looked_for=("tiffslide.mpp-x", "tiff.XResolution"),
        objective_power=objective_power(properties, prefix="tiffslide"),
        bounds_px0=bounds_px0(properties, prefix="tiffslide"),
    )


def _as_text(properties: Mapping[str, object]) -> dict[str, str]:
    """Properties as OpenSlide would give them: text, and absent instead of None."""
    return {key: str(value) for key, value in properties.items() if value is not None}


def _format(file: TiffFile) -> str:
    """What a TIFF without a vendor is."""
    return "ome-tiff" if file.is_ome else "generic-tiff"


def _check_shown_rightly(handle: _LevelTiffSlide) -> None:
    """Refuse what would be decoded without an error and yet be wrong."""
    series: TiffPageSeries = handle.ts_tifffile.series[handle.properties["tiffslide.series-index"]]
    colour = PHOTOMETRIC(series.keyframe.photometric).name
    if colour not in _COLOURS:
        raise SlideReadError(f"its colours are stored as {colour}, which it does not convert")
    sizes = dict(zip(series.axes, series.shape, strict=True))
    check_is_rgb(series.dtype, sizes.get("S", sizes.get("C", 1)))
    for number, level in enumerate(series.levels):
        empty = sum(count == 0 for page in level.pages if page for count in page.databytecounts)
        if empty:
            raise SlideReadError(
                f"{empty} tiles of level {number} are not stored; it would show them black"
            )


def _plain(fault: Exception) -> str:
    """Reason in one line."""
    if isinstance(fault, tiffslide.TiffFileError) and "not a TIFF" in str(fault):
        return "not a TIFF file"
    return " ".join(str(fault).split()) or type(fault).__name__
