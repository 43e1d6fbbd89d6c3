"""What does a slide file say about its own pixels?

1. `stated_mpp` finds the pixel size in the file's properties and names where it stood.
2. `resolved_mpp` weighs it against the one given by the user, and refuses what cannot be.
3. `snapped_downsamples` tells how many level-0 pixels a pixel of each level covers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wsi_pipeline.errors import InvalidMppError, MissingMppError

LOWEST_MPP, HIGHEST_MPP = 0.1, 4.0
"""Plausible width of a level-0 pixel, µm: finer than any 100× scan, coarser than any 4× one.
Outside lie the 352.8 of a "72 dpi" picture and the 1000 of a "1 px per mm" default."""

MAX_ANISOTROPY = 0.01
"""Share by which a pixel's height and width may differ."""

MAX_DISAGREEMENT = 0.05
"""Share by which a given mpp may differ from the stated one without a word."""

_TAG_UNIT_UM = {"inch": 25400.0, "centimeter": 10000.0, "millimeter": 1000.0, "micrometer": 1.0}
_OME_UNIT_UM = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")


@dataclass(frozen=True, slots=True)
class StatedMpp:
    """Pixel size as a file states it.

    Parameters
    ----------
    source
        Name of the field it stood in.
    down_um, right_um
        Height and width of a level-0 pixel, µm.
    """

    source: str
    down_um: float
    right_um: float

    @property
    def mean_um(self) -> float:
        """Mean of height and width, µm."""
        return (self.down_um + self.right_um) / 2


@dataclass(frozen=True, slots=True)
class ResolvedMpp:
    """Pixel size that is used, and why.

    Parameters
    ----------
    mpp
        Width of a level-0 pixel, µm.
    source
        ``given``, or the name of the field in the file.
    disagrees
        Whether the given value and the file's differ by more than `MAX_DISAGREEMENT`.
    """

    mpp: float
    source: str
    disagrees: bool


def stated_mpp(properties: Mapping[str, str], *, prefix: str) -> StatedMpp | None:
    """Find the pixel size in the properties of a file.

    Parameters
    ----------
    properties
        What OpenSlide or tiffslide says about the file.
    prefix
        ``openslide`` or ``tiffslide``: how that library's own property names begin.

    Returns
    -------
    StatedMpp | None
        From the OME header if there is one, else from the vendor's field, else from the TIFF
        resolution tags; None where the file says nothing.  Tags without a unit say nothing.
    """
    return _ome_mpp(properties) or _vendor_mpp(properties, prefix) or _tag_mpp(properties)


def resolved_mpp(
    stated: StatedMpp | None, *, given: float | None, name: str, looked_for: Sequence[str]
) -> ResolvedMpp:
    """Decide on the pixel size of a slide.

    Parameters
    ----------
    stated
        What the file says.
    given
        What the user says, µm; it wins.
    name
        File name, for messages.
    looked_for
        Fields in which the file could have stated it, for messages.

    Raises
    ------
    MissingMppError
        Where neither file nor user says anything.
    InvalidMppError
        Where the pixel is not square or of an impossible size.
    """
    remedy = "set column 'mpp' for this slide in cases.tsv"
    if given is not None:
        check_plausible(given, where=f"slide '{name}': the given mpp", remedy="correct it")
        return ResolvedMpp(given, "given", _disagrees(stated, given))
    if stated is None:
        fields = ", ".join(looked_for) or "its format states none that can be trusted"
        detail = f"looked for {fields}" if looked_for else fields
        raise MissingMppError(f"slide '{name}' has no mpp ({detail}); {remedy}")
    check_plausible(stated.mean_um, where=f"slide '{name}': {stated.source}", remedy=remedy)
    if abs(stated.down_um - stated.right_um) > MAX_ANISOTROPY * stated.mean_um:
        raise InvalidMppError(
            f"slide '{name}': {stated.source} says that pixels are {stated.down_um:g} µm high "
            f"and {stated.right_um:g} µm wide; pixels must be square: {remedy}"
        )
    return ResolvedMpp(stated.mean_um, stated.source, disagrees=False)


def check_plausible(mpp: float, *, where: str, remedy: str) -> None:
    """Raise `InvalidMppError` unless ``mpp`` can be that of a scanned slide.

    Parameters
    ----------
    mpp
        Width of a level-0 pixel, µm.
    where, remedy
        Beginning and end of the message.
    """
    if not LOWEST_MPP <= mpp <= HIGHEST_MPP:
        raise InvalidMppError(
            f"{where} is {mpp:g} µm per pixel, which no scanned slide has "
            f"({LOWEST_MPP:g} to {HIGHEST_MPP:g}); {remedy}"
        )


def snapped_downsamples(level_shapes: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    """Width of a pixel of each level in level-0 pixels.

    Scanners drop or keep the incomplete last row of a level, so the quotient of the sizes is
    4.0003 where the pixels are 4 wide.  A whole number is taken wherever it explains both
    sides to within one pixel; otherwise the mean quotient, as OpenSlide does.

    Examples
    --------
    >>> snapped_downsamples([(9911, 9274), (4955, 4637), (3303, 3091)])
    (1.0, 2.0, 3.0)
    """
    return tuple(_snapped_downsample(level_shapes[0], shape) for shape in level_shapes)


def bounds_px0(properties: Mapping[str, str], *, prefix: str) -> tuple[int, int]:
    """``(top, left)`` of the scanned part within level 0; (0, 0) where it is not stated."""
    top, left = (_number(properties, f"{prefix}.bounds-{axis}") or 0 for axis in "yx")
    return int(top), int(left)


def objective_power(properties: Mapping[str, str], *, prefix: str) -> float | None:
    """Magnification of the objective, to be shown and never computed with."""
    return _number(properties, f"{prefix}.objective-power")


def _disagrees(stated: StatedMpp | None, given: float) -> bool:
    """Whether the file contradicts the user."""
    return stated is not None and abs(stated.mean_um - given) > MAX_DISAGREEMENT * given


def _ome_mpp(properties: Mapping[str, str]) -> StatedMpp | None:
    """Pixel size in the OME header; its first image is the slide."""
    header = _OME_PIXELS.search(properties.get("tiff.ImageDescription", ""))
    if header is None:
        return None
    fields = dict(re.findall(r'(\w+)="([^"]*)"', header.group()))
    down_um, right_um = (_ome_length_um(fields, axis) for axis in "YX")
    if down_um is None or right_um is None:
        return None
    return StatedMpp("ome.PhysicalSizeX", down_um, right_um)


def _ome_length_um(fields: Mapping[str, str], axis: str) -> float | None:
    """Physical size along one axis; None where absent or in a unit that is no length."""
    value = _number(fields, f"PhysicalSize{axis}")
    unit_um = _OME_UNIT_UM.get(fields.get(f"PhysicalSize{axis}Unit", "µm"))
    return None if value is None or unit_um is None else value * unit_um


def _vendor_mpp(properties: Mapping[str, str], prefix: str) -> StatedMpp | None:
    """Pixel size in the library's own property."""
    right_um = _number(properties, f"{prefix}.mpp-x")
    if right_um is None:
        return None
    down_um = _number(properties, f"{prefix}.mpp-y")
    # Of a TIFF without a vendor both libraries know no more than its resolution tags.
    generic = properties.get(f"{prefix}.vendor", "generic-tiff") == "generic-tiff"
    source = "tiff.XResolution" if generic else f"{prefix}.mpp-x"
    return StatedMpp(source, right_um if down_um is None else down_um, right_um)


def _tag_mpp(properties: Mapping[str, str]) -> StatedMpp | None:
    """Pixel size in the TIFF resolution tags; None where they have no unit."""
    unit_um = _TAG_UNIT_UM.get(properties.get("tiff.ResolutionUnit", "").lower())
    down, right = (_number(properties, f"tiff.{axis}Resolution") for axis in "YX")
    if unit_um is None or not down or not right:
        return None
    return StatedMpp("tiff.XResolution", unit_um / down, unit_um / right)


def _number(fields: Mapping[str, str], key: str) -> float | None:
    """Finite number in a field; None where there is none."""
    try:
        number = float(fields.get(key, ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _snapped_downsample(shape0: tuple[int, int], shape: tuple[int, int]) -> float:
    """Level-0 pixels per pixel of one level."""
    quotients = [full / part for full, part in zip(shape0, shape, strict=True)]
    mean = sum(quotients) / 2
    whole = round(mean)
    fits = all(abs(full / whole - part) < 1 for full, part in zip(shape0, shape, strict=True))
    return float(whole) if fits else mean
