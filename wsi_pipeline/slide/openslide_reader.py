"""How does OpenSlide decode a level?

1. A level is read in its own pixels, although OpenSlide wants level-0 coordinates.  These
   are whole numbers: on a level that is 4.0003 times coarser a pixel's corner usually falls
   between two of them, and OpenSlide then *blends* neighbouring pixels, differently for
   each box.  Only where its downsample is a whole number is a box read directly.
2. Another level is exact from its corner (0, 0) alone: if it is small it is read whole, once,
   and kept; if not, it is not used and finer levels take its place.
3. A handle that once met a damaged place refuses everything; such a read is tried again on a
   fresh one, so that an error always speaks of its own box.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray

from wsi_pipeline.errors import SlideReadError
from wsi_pipeline.geometry import Box
from wsi_pipeline.slide.base import LevelFacts
from wsi_pipeline.slide.colour import rgb_on_white
from wsi_pipeline.slide.metadata import (
    bounds_px0,
    objective_power,
    snapped_downsamples,
    stated_mpp,
)

# Largest level that is kept whole, px: 48 MiB of RGB; enough for the 32-fold level of any scan
# and the 16-fold level of one 65,000 px wide.
_KEPT_PX = 2**24


def is_known(path: Path) -> bool:
    """Whether OpenSlide takes a file for one of its formats, readable or not."""
    return openslide.OpenSlide.detect_format(path) is not None


class OpenSlideReader:
    """`LevelReader` over OpenSlide.

    Parameters
    ----------
    path
        File to open.

    Raises
    ------
    SlideReadError
        With OpenSlide's reason, if it cannot open it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = self._opened()
        self._facts = _facts(self._handle)
        self._direct = _read_directly(self._handle.level_downsamples)
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._lock = threading.Lock()

    @property
    def facts(self) -> LevelFacts:
        """What the file's header says."""
        return self._facts

    def read_level(self, level: int, box: Box) -> NDArray[np.uint8]:
        """RGB in a box that lies inside a level."""
        if level in self._direct:
            return self._decoded(level, box)
        with self._lock:
            if level not in self._kept:
                whole = Box.of_shape(self._facts.level_shapes[level])
                self._kept[level] = self._decoded(level, whole)
        return self._kept[level][box.slices]

    def close(self) -> None:
        """Let go of the file and of the levels kept."""
        self._kept.clear()
        self._handle.close()

    def _opened(self) -> openslide.OpenSlide:
        """Open the file anew."""
        try:
            return openslide.OpenSlide(self._path)
        except openslide.OpenSlideUnsupportedFormatError:
            raise SlideReadError("not a slide format it knows") from None
        except openslide.OpenSlideError as fault:
            raise SlideReadError(_without_folder(fault, self._path)) from fault

    def _decoded(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Decode a box, if need be on a fresh handle."""
        try:
            return _read(self._handle, box, level=level)
        except openslide.OpenSlideError:
            # Other threads go on with one fresh handle, this box is judged on another.
            self._handle = self._opened()
        try:
            with self._opened() as own:
                return _read(own, box, level=level)
        except openslide.OpenSlideError as fault:
            raise SlideReadError(_without_folder(fault, self._path)) from fault


def _read(handle: openslide.OpenSlide, box: Box, *, level: int) -> NDArray[np.uint8]:
    """Decode a box of a level whose corner falls on a whole level-0 pixel."""
    downsample = round(handle.level_downsamples[level])
    corner_px0 = box.left * downsample, box.top * downsample
    region = handle.read_region(corner_px0, level, (box.width, box.height))
    return rgb_on_white(np.asarray(region))


def _facts(handle: openslide.OpenSlide) -> LevelFacts:
    """Everything asked of the header."""
    properties = handle.properties
    shapes = tuple((rows, columns) for columns, rows in handle.level_dimensions)
    direct = _read_directly(handle.level_downsamples)
    return LevelFacts(
        backend="openslide",
        backend_version=openslide.__library_version__,
        vendor=properties.get("openslide.vendor", "unknown"),
        level_shapes=shapes,
        level_downsamples=snapped_downsamples(shapes),
        levels_read=tuple(
            level
            for level, (rows, columns) in enumerate(shapes)
            if level in direct or rows * columns <= _KEPT_PX
        ),
        stated_mpp=stated_mpp(properties, prefix="openslide"),
        looked_for=("openslide.mpp-x", "tiff.XResolution"),
        objective_power=objective_power(properties, prefix="openslide"),
        bounds_px0=bounds_px0(properties, prefix="openslide"),
    )


def _read_directly(downsamples: tuple[float, ...]) -> frozenset[int]:
    """Levels of which every pixel's corner is a whole level-0 pixel."""
    return frozenset(i for i, downsample in enumerate(downsamples) if downsample.is_integer())


def _without_folder(fault: Exception, path: Path) -> str:
    """OpenSlide's reason without the folder, which may name a patient."""
    return str(fault).removeprefix(f"Reading {path}: ").replace(str(path), path.name)
