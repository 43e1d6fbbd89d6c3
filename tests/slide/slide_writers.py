"""How small slides of each format are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

# Odd sizes: the levels below lose a row and a column, so their downsamples are not whole.
SHAPE = (775, 1031)
MPP = 0.5


def painted_picture() -> NDArray[np.uint8]:
    """Smooth patches with noise on them: interpolation and shifts both change it."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    periods = ((9, 40), (31, 7), (12, 15))
    waves = [128 + 90 * np.sin(rows / a) * np.cos(columns / b) for a, b in periods]
    noise = rng.normal(0, 12, (*SHAPE, 1))  # grey: what JPEG keeps best
    return np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)


def halved(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Next level as scanners make it: an incomplete last row or column is dropped."""
    rows, columns = (n // 2 for n in picture.shape[:2])
    blocks = picture[: rows * 2, : columns * 2].reshape(rows, 2, columns, 2, 3)
    return np.round(blocks.mean((1, 3))).astype(np.uint8)


def _levels(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Three levels, at downsamples 1, 2 and 4."""
    return [picture, halved(picture), halved(halved(picture))]


def _write_pages(path: Path, pages: list[NDArray[np.uint8]], *, first: dict[str, Any]) -> None:
    """Tiled pages one after the other; ``first`` describes the full-size one."""
    with tifffile.TiffWriter(path) as file:
        for number, page in enumerate(pages):
            file.write(
                page,
                photometric="rgb",
                tile=(128, 128),
                subfiletype=min(number, 1),
                metadata=None,
                **({"compression": "deflate"} | first),
            )


def write_generic(path: Path, picture: NDArray[np.uint8], **options: Any) -> None:
    """Pyramid without a vendor; the pixel size is in the resolution tags."""
    tags = {"resolution": (1e4 / MPP, 1e4 / MPP), "resolutionunit": "CENTIMETER"}
    _write_pages(path, _levels(picture), first=tags | options)


def write_svs(
    path: Path,
    picture: NDArray[np.uint8],
    *,
    fields: str = "|AppMag = 20|MPP = 0.5",
    **options: Any,
) -> None:
    """What Aperio writes, with a thumbnail in its place and a label at the end."""
    rows, columns = picture.shape[:2]
    header = f"Aperio Image Library v11.2.1\r\n{columns}x{rows} (128x128) Q=70{fields}"
    tiled = {"photometric": "rgb", "tile": (128, 128), "metadata": None, "compression": "deflate"}
    plain = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        full, *reduced = _levels(picture)
        file.write(full, description=header, **(tiled | options))
        file.write(np.full((60, 90, 3), 200, np.uint8), description=header, **plain)
        for level in reduced:
            file.write(level, description=header, **(tiled | options))
        label = np.full((50, 40, 3), 9, np.uint8)
        file.write(label, description=f"{header}\r\nlabel 40x50", subfiletype=1, **plain)


def write_ome(path: Path, picture: NDArray[np.uint8]) -> None:
    """OME-TIFF whose reduced levels are SubIFDs."""
    full, *reduced = _levels(picture)
    pixels = {"photometric": "rgb", "tile": (128, 128), "compression": "deflate"}
    size = {f"PhysicalSize{axis}": MPP * 1000 for axis in "XY"}
    unit = {f"PhysicalSize{axis}Unit": "nm" for axis in "XY"}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(full, subifds=len(reduced), metadata={"axes": "YXS", **size, **unit}, **pixels)
        for level in reduced:
            file.write(level, subfiletype=1, **pixels)


def write_strips(path: Path, picture: NDArray[np.uint8]) -> None:
    """One level in strips: what image editors write and OpenSlide refuses."""
    tags = {"resolution": (25400 / MPP, 25400 / MPP), "resolutionunit": "INCH"}
    tifffile.imwrite(path, picture, photometric="rgb", rowsperstrip=64, metadata=None, **tags)
