"""Which library can read this file?

1. What no library can read (a folder, an empty file, no permission, half of a TIFF) is said
   at once.
2. ``auto`` asks OpenSlide first.  A TIFF goes to tiffslide where that can use more of the
   stored levels: OpenSlide sees one level of an OME-TIFF, and cannot address every pixel of
   a level whose downsample is not whole.
3. What OpenSlide cannot open goes to tiffslide, and what it does not even know to Pillow: a
   damaged slide must not pass for a picture that merely states no mpp.
4. Where all refuse, the message says what each said, what the file seems to be, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wsi_pipeline.errors import ConfigError, SlideReadError, WsiPipelineError
from wsi_pipeline.slide.base import LevelReader, PyramidSlide, Slide
from wsi_pipeline.slide.image_reader import ImageReader
from wsi_pipeline.slide.openslide_reader import OpenSlideReader, is_known
from wsi_pipeline.slide.tiff_layout import check_tiff
from wsi_pipeline.slide.tiffslide_reader import TiffSlideReader

_READERS: dict[str, Callable[[Path], LevelReader]] = {
    "openslide": OpenSlideReader,
    "tiffslide": TiffSlideReader,
    "image": ImageReader,
}

# Formats whose TIFF tiffslide is known to decode to the same pixels as OpenSlide.
_SAME_PIXELS = ("aperio", "generic-tiff")

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_slide(path: str | Path, *, mpp: float | None = None, backend: str = "auto") -> Slide:
    """Open a slide file.

    Parameters
    ----------
    path
        SVS, tiled or flat TIFF, OME-TIFF, one file of a DICOM series, or anything else
        OpenSlide knows; or a PNG or JPEG picture.
    mpp
        Width of a level-0 pixel in µm, where the file does not state it or is wrong.
    backend
        ``openslide``, ``tiffslide``, ``image``, or ``auto``.

    Returns
    -------
    Slide
        To be closed after use; it is its own context manager.

    Raises
    ------
    SlideReadError
        If the file cannot be opened; what a library raises never gets out.
    MissingMppError, InvalidMppError
        If its pixel size is absent, not square or impossible.
    ConfigError
        If there is no such backend.
    """
    path = Path(path)
    if backend != "auto" and backend not in _READERS:
        raise ConfigError(f"no slide backend '{backend}'; there are: auto, {', '.join(_READERS)}")
    _check_is_file(path)
    _check_tiff(path)
    if backend == "auto":
        reader, reason = _auto_reader(path)
    else:
        reader, reason = _asked_reader(path, backend), "it was asked for"
    try:
        return PyramidSlide(path, reader, given_mpp=mpp, reason=reason)
    except WsiPipelineError:
        reader.close()
        raise


def _asked_reader(path: Path, name: str) -> LevelReader:
    """Open with one library and no other."""
    try:
        return _READERS[name](path)
    except SlideReadError as fault:
        raise SlideReadError(
            f"slide '{path.name}' cannot be opened by {name} ({fault}); "
            "set the backend to 'auto', which tries the others too"
        ) from fault


def _auto_reader(path: Path) -> tuple[LevelReader, str]:
    """Take the library that makes the most of a file."""
    names = ("openslide", "tiffslide") if is_known(path) else tuple(_READERS)
    reader, refusals = _first_reader(path, names)
    if refusals:
        return reader, "; ".join(refusals)
    if reader.facts.vendor not in _SAME_PIXELS:
        return reader, "it is the first that reads it"
    return _with_more_levels(path, reader)


def _with_more_levels(path: Path, reader: LevelReader) -> tuple[LevelReader, str]:
    """Exchange OpenSlide for tiffslide where that can use more of the same slide."""
    try:
        other = TiffSlideReader(path)
    except SlideReadError:
        return reader, "it is the first that reads it"
    ours, theirs = reader.facts, other.facts
    same = ours.level_shapes[0] == theirs.level_shapes[0]
    if same and len(theirs.levels_read) > len(ours.levels_read):
        reader.close()
        return other, (
            f"it reads {len(theirs.levels_read)} levels, of which OpenSlide can address "
            f"{len(ours.levels_read)} exactly"
        )
    other.close()
    return reader, "it is the first that reads it"


def _first_reader(path: Path, names: tuple[str, ...]) -> tuple[LevelReader, list[str]]:
    """Open with the first library that can; also give what those before it said."""
    refusals: list[str] = []
    for name in names:
        try:
            return _READERS[name](path), refusals
        except SlideReadError as fault:
            refusals.append(f"{name} says: {fault}")
    kind, remedy = _diagnosis(path)
    raise SlideReadError(
        f"slide '{path.name}' cannot be opened: {kind} ({'; '.join(refusals)}); {remedy}"
    )


def _check_is_file(path: Path) -> None:
    """Say in plain words what is wrong with a path, before any library is asked."""
    try:
        fault = _fault_of_path(path)
    except OSError as error:
        fault = f"it may not be read ({error.strerror}); ask for permission to read it"
    if fault:
        raise SlideReadError(f"slide '{path.name}' cannot be opened: {fault}")


def _fault_of_path(path: Path) -> str:
    """What keeps a path from being a slide, whatever its format; "" if nothing does."""
    if path.is_dir():
        return "it is a folder; name the slide file itself (of a DICOM series any one file)"
    if not path.exists():
        return f"there is no such file in {path.parent}; correct column 'path' in cases.tsv"
    return "" if _first_bytes(path) else "it is empty (0 bytes); copy it again from the scanner"


def _check_tiff(path: Path) -> None:
    """Refuse a TIFF that asks for too much, or was cut short and may pass for one without mpp."""
    try:
        check_tiff(path)
    except SlideReadError as fault:
        raise SlideReadError(f"slide '{path.name}' cannot be opened: {fault}") from fault


def _first_bytes(path: Path) -> bytes:
    """Read as much of a file as tells its format."""
    with path.open("rb") as file:
        return file.read(132)


def _diagnosis(path: Path) -> tuple[str, str]:
    """What a file that no library reads seems to be, and what to do about it."""
    head = _first_bytes(path)
    again = "copy it again from the scanner, or export it again"
    if head[128:] == b"DICM":
        return (
            "it is a DICOM file, but not a whole-slide image as the standard demands",
            "export it again as DICOM VL Whole Slide Microscopy, or as SVS or OME-TIFF",
        )
    if head.startswith(_TIFF):
        return "it is a TIFF, but damaged, cut short or of an unknown kind", again
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return "it is a PNG or JPEG picture, but damaged or too large", again
    return "it is not a slide, or damaged from its first bytes on", again
