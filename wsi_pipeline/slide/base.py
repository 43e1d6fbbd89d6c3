"""What is a slide, whoever decodes it?

1. A `LevelReader` (one per library) knows one thing: the pixels in a box of a stored level.
   What it found in the file's header is a `LevelFacts`.
2. `PyramidSlide` puts the rest on top, the same for all: the pixel size, the choice of the
   level, the averaging, the white beyond the edge and the wording of errors.
3. `Slide` is what the other rooms see of it, `SlideInfo` what a report prints about it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.errors import InvalidMppError, SlideReadError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.slide.metadata import StatedMpp, resolved_mpp
from wsi_pipeline.slide.resample import (
    RATIO_TOLERANCE,
    average_area,
    choose_level,
    snapped_ratio,
    source_box,
    split_box,
)

WHITE = 255

MAX_GLASS_MM2 = 10_000.0
"""Largest plane that is read, mm²: a whole mount of 5 × 3 inches.  What is larger by its header
is a damaged one or a wrong mpp, and every step would take its time for it."""

# Edge of what is decoded at a time, level px: 3072² is 27 MiB of RGB and four times that in
# the sums, while a 512 px tile with its halo at ratio 4 is still one piece.
_PIECE_PX = 3072


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """What was found out about a slide file.

    Parameters
    ----------
    backend, backend_version
        Library that decodes it.
    backend_reason
        Why that one was taken, as the end of a sentence.
    vendor
        Scanner vendor or file format.
    mpp
        Width of a level-0 pixel that is used, µm.
    mpp_source
        ``given``, or the field of the file it stood in.
    mpp_stated, mpp_stated_source
        What the file says, whether used or not; None where it says nothing.
    mpp_disagrees
        Whether a given mpp differs from the stated one by more than 5 %.
    objective_power
        Magnification the file states; for display only.
    level_shapes
        ``(rows, columns)`` of each stored level.
    level_downsamples
        Width of a pixel of each level in level-0 pixels.
    levels_read
        Levels that reads draw on.
    bounds_px0
        ``(top, left)`` of the scanned part within level 0: what a viewer that shows only
        that part takes off the coordinates.
    """

    backend: str
    backend_version: str
    backend_reason: str
    vendor: str
    mpp: float
    mpp_source: str
    mpp_stated: float | None
    mpp_stated_source: str | None
    mpp_disagrees: bool
    objective_power: float | None
    level_shapes: tuple[tuple[int, int], ...]
    level_downsamples: tuple[float, ...]
    levels_read: tuple[int, ...]
    bounds_px0: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class LevelFacts:
    """What a library says about a file; fields as in `SlideInfo`.

    ``looked_for`` names the fields in which the file could have stated its pixel size.
    """

    backend: str
    backend_version: str
    vendor: str
    level_shapes: tuple[tuple[int, int], ...]
    level_downsamples: tuple[float, ...]
    levels_read: tuple[int, ...]
    stated_mpp: StatedMpp | None = None
    looked_for: tuple[str, ...] = ()
    objective_power: float | None = None
    bounds_px0: tuple[int, int] = (0, 0)


class LevelReader(Protocol):
    """One library's view of one file."""

    @property
    def facts(self) -> LevelFacts:
        """What its header says."""
        ...

    def read_level(self, level: int, box: Box) -> NDArray[np.uint8]:
        """RGB (Y, X, 3) in a box that lies inside a level, transparency shown on white.

        Raises
        ------
        SlideReadError
            With the library's reason alone; the caller knows which slide and place.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class Slide(Protocol):
    """An open slide: pixels by place and working mpp.

    Reads may run in several threads at once.  Label and macro images, which may show a
    patient's name, are not part of it.
    """

    @property
    def path(self) -> Path:
        """File it was opened from."""
        ...

    @property
    def grid(self) -> Grid:
        """Plane of level 0."""
        ...

    @property
    def info(self) -> SlideInfo:
        """What was found out about the file."""
        ...

    def read_region(self, box: Box, mpp: float) -> NDArray[np.uint8]:
        """Read the RGB pixels in a box of the plane ``grid.at_mpp(mpp)``.

        Parameters
        ----------
        box
            Where; it may reach beyond the plane.
        mpp
            Working width of a pixel, µm; not finer than level 0.

        Returns
        -------
        NDArray[np.uint8]
            (Y, X, 3); white beyond the plane.  Pixel ``i`` is the mean over its own area of
            the glass, so a crop of a read equals the read of the crop bit for bit.

        Raises
        ------
        InvalidMppError
            If ``mpp`` is finer than the slide.
        SlideReadError
            If the file cannot be decoded there, or is closed.
        """
        ...

    def close(self) -> None:
        """Let go of the file; it cannot be read from afterwards."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class PyramidSlide:
    """A `Slide` over any `LevelReader`.

    Parameters
    ----------
    path
        File it was opened from.
    reader
        Library that decodes it; closed together with the slide.
    given_mpp
        Pixel size stated by the user, µm; wins over the file's.
    reason
        Why that library was taken.

    Raises
    ------
    MissingMppError, InvalidMppError
        If the pixel size is absent or cannot be.
    SlideReadError
        If the plane is larger than any glass.
    """

    def __init__(
        self, path: Path, reader: LevelReader, *, given_mpp: float | None, reason: str
    ) -> None:
        self._path = path
        self._reader = reader
        self._closed = False
        self._info = _slide_info(reader.facts, name=path.name, given_mpp=given_mpp, reason=reason)
        self._grid = Grid(self._info.level_shapes[0], self._info.mpp)
        _check_is_glass(self._grid, name=path.name)

    @property
    def path(self) -> Path:
        """File it was opened from."""
        return self._path

    @property
    def grid(self) -> Grid:
        """Plane of level 0."""
        return self._grid

    @property
    def info(self) -> SlideInfo:
        """What was found out about the file."""
        return self._info

    def read_region(self, box: Box, mpp: float) -> NDArray[np.uint8]:
        """Read the RGB pixels in a box of the plane ``grid.at_mpp(mpp)``; see `Slide`."""
        self._check_mpp(mpp)
        plane = self.grid.at_mpp(mpp)
        level, ratio = choose_level(
            snapped_ratio(mpp / self.grid.mpp),
            self.info.level_downsamples,
            usable=self.info.levels_read,
        )
        shape = _level_shape(self.info.level_shapes[level], plane.shape, ratio=ratio)
        canvas = np.full((*box.shape, 3), WHITE, np.uint8)
        for part in split_box(box & plane.box, max(1, int(_PIECE_PX / ratio))):
            source = self._read_source(
                level, source_box(part, ratio=ratio, level_shape=shape), place=(part, mpp)
            )
            means = average_area(source, part, ratio=ratio, level_shape=shape)
            canvas[part.within(box).slices] = means
        return canvas

    def close(self) -> None:
        """Let go of the file; it cannot be read from afterwards."""
        if not self._closed:
            self._closed = True
            self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        rows, columns = self.grid.shape
        return (
            f"<slide '{self.path.name}': {rows} × {columns} px at {self.grid.mpp:g} µm/px, "
            f"{self.info.vendor}, read by {self.info.backend}>"
        )

    def _check_mpp(self, mpp: float) -> None:
        """Refuse what would have to be invented."""
        if not math.isfinite(mpp) or mpp < self.grid.mpp * (1 - RATIO_TOLERANCE):
            raise InvalidMppError(
                f"slide '{self.path.name}' cannot be read at {mpp:g} µm/px: its own pixels are "
                f"{self.grid.mpp:g} µm wide; ask for that or a coarser mpp"
            )

    def _read_source(self, level: int, box: Box, *, place: tuple[Box, float]) -> NDArray[np.uint8]:
        """Read a box of a level; its last row and column stand for any missing beyond them."""
        rows, columns = self.info.level_shapes[level]
        row = np.minimum(np.arange(box.top, box.bottom), rows - 1)
        column = np.minimum(np.arange(box.left, box.right), columns - 1)
        inside = Box(int(row[0]), int(column[0]), int(row[-1]) + 1, int(column[-1]) + 1)
        pixels = self._read_inside(level, inside, place=place)
        if inside == box:
            return pixels
        return pixels[np.ix_(row - row[0], column - column[0])]

    def _read_inside(self, level: int, box: Box, *, place: tuple[Box, float]) -> NDArray[np.uint8]:
        """Read a box that lies inside a level, and say of which slide and place it failed."""
        name, (part, mpp) = self.path.name, place
        if self._closed:
            raise SlideReadError(f"slide '{name}' is closed; open it again to read from it")
        try:
            return self._reader.read_level(level, box)
        except SlideReadError as fault:
            raise SlideReadError(
                f"slide '{name}' cannot be decoded in {part} at {mpp:g} µm/px ({fault}); the "
                "file is damaged or cut short: copy it again from the scanner or leave it out"
            ) from fault


def _check_is_glass(grid: Grid, *, name: str) -> None:
    """Refuse a plane that no glass slide has."""
    down_mm, right_mm = (count * grid.mpp / 1000 for count in grid.shape)
    if down_mm * right_mm > MAX_GLASS_MM2:
        raise SlideReadError(
            f"slide '{name}' would be {down_mm:,.0f} × {right_mm:,.0f} mm large at {grid.mpp:g} "
            f"µm/px, more than any glass ({MAX_GLASS_MM2:,.0f} mm²); correct column 'mpp' of this "
            "slide in cases.tsv, or copy a damaged file again"
        )


def _level_shape(
    stored: tuple[int, int], plane: tuple[int, int], *, ratio: float
) -> tuple[int, int]:
    """Rows and columns a level must have so that no pixel of a plane is empty.

    Scanners drop the incomplete last row of a level, while a plane keeps its own.
    """
    rows, columns = (
        max(have, math.floor((count - 1) * ratio) + 1)
        for have, count in zip(stored, plane, strict=True)
    )
    return rows, columns


def _slide_info(facts: LevelFacts, *, name: str, given_mpp: float | None, reason: str) -> SlideInfo:
    """Settle the pixel size and put everything on one page."""
    stated = facts.stated_mpp
    resolved = resolved_mpp(stated, given=given_mpp, name=name, looked_for=facts.looked_for)
    return SlideInfo(
        backend=facts.backend,
        backend_version=facts.backend_version,
        backend_reason=reason,
        vendor=facts.vendor,
        mpp=resolved.mpp,
        mpp_source=resolved.source,
        mpp_stated=stated.mean_um if stated else None,
        mpp_stated_source=stated.source if stated else None,
        mpp_disagrees=resolved.disagrees,
        objective_power=facts.objective_power,
        level_shapes=facts.level_shapes,
        level_downsamples=facts.level_downsamples,
        levels_read=facts.levels_read,
        bounds_px0=facts.bounds_px0,
    )
