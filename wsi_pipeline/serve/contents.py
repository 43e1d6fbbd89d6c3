"""What is there to be shown?

1. `Contents` lists slides and cases of a folder of results.
2. A `Specimen` is one open slide: pixels by place, and the `Overlay` planes over it.
3. A `Library` finds and opens them; the rest of the room knows nothing else of the disk but
   the files that `files` lets through.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.geometry import Box, Grid

Colour = tuple[int, int, int]
Counts = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True)
class SlideEntry:
    """A slide in the list.

    Parameters
    ----------
    slide_id
        Name of its folder.
    case_id
        Case it belongs to; "" where that is not known.
    is_segmented
        Whether there is something to lay over it.
    has_failed
        Whether a step failed on it.
    """

    slide_id: str
    case_id: str
    is_segmented: bool
    has_failed: bool


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """A case with a report."""

    case_id: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a folder of results holds.

    Parameters
    ----------
    slides, cases
        In the order of their names.
    has_cohort
        Whether there is a page over all cases.
    """

    slides: tuple[SlideEntry, ...]
    cases: tuple[CaseEntry, ...]
    has_cohort: bool


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """One whole number per pixel, and what it means.

    Parameters
    ----------
    name
        ``classes``, ``probability``, ``depth`` or ``relative``; part of an address.
    title
        What it shows, in words.
    grids
        Planes of its levels, the finest first.
    read : callable
        Counts (Y, X) in a box that lies inside a level; may be called in several threads.
    names
        Of the counts from 0 on; () where counts are a quantity.
    colours
        One per count from 1 on where they have names, or stops from 0 to ``top``.
    step, unit
        What one count means.
    none
        Count that stands for no value.
    top, bottom
        Count that has the last colour, and the least one that is coloured.
    is_shown
        Whether it can be laid over the slide, or is only told.
    """

    name: str
    title: str
    grids: tuple[Grid, ...]
    read: Callable[[int, Box], Counts]
    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    step: float
    unit: str
    none: int
    top: int
    bottom: int
    is_shown: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Specimen:
    """An open slide and what lies over it.

    Parameters
    ----------
    slide_id
        Its name in the results.
    plane
        Level 0.
    read : callable
        RGB (Y, X, 3) uint8 in a box of the plane at a working mpp, white beyond it; may be
        called in several threads.
    overlays
        Planes, none where the slide was not segmented.
    note
        What the reader must know about missing overlays, as a sentence; "" for nothing.
    close : callable
        Lets go of the file.
    """

    slide_id: str
    plane: Grid
    read: Callable[[Box, float], NDArray[np.uint8]]
    overlays: tuple[Overlay, ...]
    note: str
    close: Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """Finds and opens what is shown.

    Parameters
    ----------
    root
        Folder of the results.
    list_contents : callable
        What is there now.
    stamp : callable
        State of a slide's files, equal as long as nothing changed; None where there is no
        such slide.
    open_specimen : callable
        Open a slide by its id.  Raises a `WsiPipelineError` whose message may be shown: it
        names the slide by its id alone and says what to do.
    tell : callable
        Takes a line for the terminal.
    """

    root: Path
    list_contents: Callable[[], Contents]
    stamp: Callable[[str], Hashable | None]
    open_specimen: Callable[[str], Specimen]
    tell: Callable[[str], None]
