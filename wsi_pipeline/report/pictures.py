"""How is a slide shown with what was found on it?

1. `fit_shape`: planes are drawn at most `LONGEST_PX` long, so that a page stays small.
2. `encode_photo`, `encode_mask`: a picture as JPEG and a mask as one-bit PNG, as data URIs.
   Each class is a mask of its own, so that a reader can show them one by one.
3. `plan_scale_bar`: a round length and the share of the picture's width that it takes.
4. `compose_view` puts photo, masks, junctions, section marks and scale bar into one frame,
   whose unit is a pixel of the drawn picture.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_pipeline.classes import TISSUE_CLASSES
from wsi_pipeline.geometry import Grid
from wsi_pipeline.report.contents import Curves, SlideReport

LONGEST_PX = 1600
"""Longer edge of a drawn picture, px: two of them fill a large screen."""
_JPEG_QUALITY = 85
_BAR_SHARE = 0.25  # of the width, at most
_CURVE_KINDS = {"dej_um": "dej", "dsj_um": "dsj"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One mask: the class it shows and its picture."""

    index: int
    name: str
    uri: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One junction as SVG points; ``kind`` is ``dej`` or ``dsj``."""

    kind: str
    points: str


@dataclass(frozen=True, slots=True)
class SectionMark:
    """Number of a section and the centre of the top edge of its box, px."""

    number: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """A length in µm, its label, and its share of the picture's width in %."""

    length_um: float
    label: str
    percent: float


@dataclass(frozen=True, slots=True)
class SlideView:
    """A slide's picture and everything drawn over it."""

    width_px: int
    height_px: int
    photo: str
    layers: tuple[Layer, ...]
    outline: str
    marks: tuple[SectionMark, ...]
    curves: tuple[Curve, ...]
    bar: ScaleBar

    @property
    def form(self) -> str:
        """``wide``, ``square`` or ``tall``: how the page lays it out."""
        ratio = self.width_px / self.height_px
        return "wide" if ratio > 1.25 else "square" if ratio > 0.8 else "tall"


def compose_view(slide: SlideReport) -> SlideView:
    """Draw one slide."""
    shape = fit_shape(slide.labels.shape)
    labels, sections = (resize_labels(plane, shape) for plane in (slide.labels, slide.sections))
    # The drawn picture covers the overview exactly; widths in µm follow from that alone.
    width_um = slide.labels.shape[1] * slide.overview_mpp
    drawn = Grid(shape, width_um / shape[1], slide.overview_origin_um)
    return SlideView(
        width_px=shape[1],
        height_px=shape[0],
        photo=encode_photo(slide.overview, shape),
        layers=tuple(
            Layer(index, tissue.name, encode_mask(labels == index, tissue.rgb))
            for index, tissue in enumerate(TISSUE_CLASSES)
            if index and (labels == index).any()
        ),
        outline=encode_mask(_outline(sections), (0, 0, 0)),
        marks=tuple(_mark_sections(sections)),
        curves=tuple(_draw_curves(slide.curves, drawn)),
        bar=plan_scale_bar(width_um),
    )


def fit_shape(shape: tuple[int, ...], *, longest_px: int = LONGEST_PX) -> tuple[int, int]:
    """Shape (rows, columns) of a plane as it is drawn: never enlarged.

    Examples
    --------
    >>> fit_shape((1000, 3200))
    (500, 1600)
    """
    ratio = min(1.0, longest_px / max(shape))
    return max(1, round(shape[0] * ratio)), max(1, round(shape[1] * ratio))


def resize_labels(plane: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Take the nearest label for each pixel of another ``shape``."""
    image = Image.fromarray(plane).resize(shape[::-1], Image.Resampling.NEAREST)
    return np.asarray(image, dtype=np.uint8)


def encode_photo(rgb: NDArray[np.uint8], shape: tuple[int, int]) -> str:
    """Write an RGB plane (Y, X, 3) at another ``shape`` as a JPEG data URI."""
    image = Image.fromarray(rgb).resize(shape[::-1], Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=_JPEG_QUALITY, optimize=True)
    return _data_uri("image/jpeg", file.getvalue())


def encode_mask(mask: NDArray[np.bool_], rgb: tuple[int, int, int]) -> str:
    """Write a mask (Y, X) as a PNG data URI: one colour, transparent elsewhere."""
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette((255, 255, 255, *rgb))
    file = io.BytesIO()
    image.save(file, format="PNG", transparency=0, bits=1, optimize=True)
    return _data_uri("image/png", file.getvalue())


def plan_scale_bar(width_um: float) -> ScaleBar:
    r"""Longest bar of 1, 2 or 5 times a power of ten µm within a quarter of the width.

    Examples
    --------
    >>> plan_scale_bar(10_000.0)
    ScaleBar(length_um=2000.0, label='2\u202fmm', percent=20.0)
    """
    decade = 10.0 ** math.floor(math.log10(width_um * _BAR_SHARE))
    length_um = max(step * decade for step in (1, 2, 5) if step * decade <= width_um * _BAR_SHARE)
    millimetres = length_um >= 1000
    label = f"{length_um / 1000 if millimetres else length_um:g}\u202f"
    return ScaleBar(length_um, label + ("mm" if millimetres else "µm"), 100 * length_um / width_um)


def _data_uri(kind: str, data: bytes) -> str:
    """Put a file into an address."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _outline(sections: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Border of each section, three pixels wide: its own rim and two more inwards."""
    padded = np.pad(sections, 3)
    rows, columns = sections.shape
    rim = np.zeros(sections.shape, dtype=bool)
    for down, right in ((0, 3), (3, 0), (3, 6), (6, 3)):
        rim |= padded[down : down + rows, right : right + columns] != sections
    return rim & (sections > 0)


def _mark_sections(sections: NDArray[np.uint8]) -> Iterable[SectionMark]:
    """Place a number above each section."""
    for number in np.unique(sections[sections > 0]).tolist():
        rows, columns = np.nonzero(sections == number)
        middle = (int(columns.min()) + int(columns.max()) + 1) / 2
        yield SectionMark(number, middle, float(rows.min()))


def _draw_curves(curves: Sequence[Curves], drawn: Grid) -> Iterable[Curve]:
    """Bring junctions from the slide frame into the picture."""
    for kind, piece in read_curves(curves):
        places = [drawn.from_um(down, right) for down, right in piece]
        # A tenth of a pixel is as fine as can be seen.
        points = dict.fromkeys(f"{column:.1f},{row:.1f}" for row, column in places)
        if len(points) > 1:
            yield Curve(kind, " ".join(points))


def read_curves(curves: Sequence[Curves]) -> Iterable[tuple[str, list[Sequence[float]]]]:
    """Unbroken pieces of the junctions, (down, right) in µm, with their kind."""
    for section in curves:
        for key, kind in _CURVE_KINDS.items():
            for piece in _pieces(section.get(key) or ()):
                yield kind, piece


def _pieces(points_um: Sequence[Sequence[float] | None]) -> Iterable[list[Sequence[float]]]:
    """Part a curve where it is interrupted."""
    piece: list[Sequence[float]] = []
    for point in points_um:
        if point is None:
            yield piece
            piece = []
        else:
            piece.append(point)
    yield piece
