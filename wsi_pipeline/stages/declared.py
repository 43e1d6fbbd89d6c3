"""What does the case table say about a slide?"""

from __future__ import annotations

from dataclasses import dataclass


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
