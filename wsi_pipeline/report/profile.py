"""How is tumour spread over the depth of the dermis?

1. The profile is drawn as the tissue lies: the dermo-epidermal junction on top, the
   dermo-subcutaneous junction below, one bar per band of relative depth.
2. A band without a value has no bar and is said to have none.
3. What the drawing shows is also given in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wsi_pipeline.report.wording import format_percent

WIDTH, HEIGHT = 240.0, 280.0
"""Size of the drawing area, in the units of the drawing."""


@dataclass(frozen=True, slots=True)
class Band:
    """One bar: its place and length, and in words where and how much."""

    y: float
    height: float
    width: float
    depth: str
    share: str


@dataclass(frozen=True, slots=True)
class Profile:
    """All bars from top to bottom and what they show in one sentence."""

    bands: tuple[Band, ...]
    words: str


def draw_profile(shares: Sequence[float | None]) -> Profile | None:
    """Lay out a depth profile.

    Parameters
    ----------
    shares
        Tumour share of each band of relative depth, 0 to 1, from the dermo-epidermal (first)
        to the dermo-subcutaneous junction (last); None where a band has no tissue.

    Returns
    -------
    Profile or None
        None where no band has a value.
    """
    step = HEIGHT / max(len(shares), 1)
    bands = tuple(
        Band(
            y=round(place * step, 2),
            height=round(step - 2.0, 2),
            width=round(WIDTH * min(max(share or 0.0, 0.0), 1.0), 2) if is_known(share) else 0.0,
            depth=f"{100 * place / len(shares):.0f}–{100 * (place + 1) / len(shares):.0f}\u202f%",
            share=format_percent(share) if is_known(share) and share is not None else "no value",
        )
        for place, share in enumerate(shares)
    )
    known = [band for share, band in zip(shares, bands, strict=True) if is_known(share)]
    if not known:
        return None
    peak = max(known, key=lambda band: band.width)
    words = (
        f"Share of tumour in {len(bands)} bands of relative depth; the highest is {peak.share} "
        f"at {peak.depth} of the depth."
    )
    return Profile(bands, words)


def is_known(share: float | None) -> bool:
    """Whether a band has a value."""
    return share is not None and math.isfinite(share)
