"""What do the user's tables say about a slide?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Declared:
    """What the case table says about a slide.

    Parameters
    ----------
    case_id, slide_id
        Names under which results appear.
    block, primary_site, stain
        Free text; "" where nothing was said.
    section
        ``vertical``, ``horizontal`` or ``auto``.
    """

    slide_id: str
    case_id: str = ""
    block: str = ""
    section: str = "auto"
    primary_site: str = ""
    stain: str = "H&E"


@dataclass(frozen=True, slots=True)
class AnnotatedSlide:
    """What the table of annotated slides says about a slide.

    Parameters
    ----------
    path
        Slide file.
    annotations
        GeoJSON file as QuPath exports it, plain or packed by gzip.
    mpp
        Pixel width of level 0 in µm if the table gives it.
    """

    path: Path
    annotations: Path
    mpp: float | None = None
