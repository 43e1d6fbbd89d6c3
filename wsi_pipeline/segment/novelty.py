"""How unlike its training data is what a model sees?

1. While a tile is segmented, the network's deepest plane gives each position (one per stride) a
   score: its distance from the tissue of the training phantoms, see `scored`.
2. `novelty_of_tissue` picks the positions that a tile decides and that are tissue.
3. `summarise_novelty` brings those of a slide down to a few numbers, and `flag_novelty` warns
   where they lie beyond what the model was tried on.

The score says that the network has not seen the like; it does not say that the labels are wrong,
and a low score does not say that they are right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.geometry import Box
from wsi_pipeline.segment.card import NoveltyCard
from wsi_pipeline.values import QualityFlag

_SLIDE_QUANTILE = 0.9
"""A tenth of the tissue is enough to make a slide unlike: ten times what the limit lets pass."""


@dataclass(frozen=True, slots=True)
class Novelty:
    """How unlike its training data a model finds a slide.

    Parameters
    ----------
    positions
        Number of tissue positions that were scored, one per stride of the network.
    median, q90
        Of their scores; about 1 is the median of held-out phantom tissue.  None without positions.
    share_over_limit
        Share of the positions above the limit; ``1 - quantile`` on tissue like the training's.
    quantile, limit
        The score that this share of held-out phantom tissue stays below.
    """

    positions: int
    median: float | None
    q90: float | None
    share_over_limit: float | None
    quantile: float
    limit: float

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return asdict(self)


def novelty_of_tissue(
    scores: NDArray[np.float32], *, scored: Box, write: Box, tissue: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Scores of the positions that a tile decides.

    A position belongs to the pixel in the middle of its square, so that each is counted once
    however the plane is cut up.

    Parameters
    ----------
    scores : (Y / stride, X / stride) float32
        Of the box ``scored``.
    scored
        What was scored, in whole strides; it contains ``write``.
    write
        Box that the tile decides.
    tissue : (Y, X) bool
        Tissue mask of the write box.

    Returns
    -------
    (N,) float32
        In row-major order; empty where no position is tissue.
    """
    stride_px = (scored.bottom - scored.top) // scores.shape[0]
    rows = np.arange(scores.shape[0]) * stride_px + stride_px // 2 + scored.top - write.top
    columns = np.arange(scores.shape[1]) * stride_px + stride_px // 2 + scored.left - write.left
    kept_rows = (rows >= 0) & (rows < tissue.shape[0])
    kept_columns = (columns >= 0) & (columns < tissue.shape[1])
    chosen: NDArray[np.float32] = scores[np.ix_(kept_rows, kept_columns)][
        tissue[np.ix_(rows[kept_rows], columns[kept_columns])]
    ]
    return chosen


def summarise_novelty(scores: NDArray[np.float32], *, card: NoveltyCard) -> Novelty:
    """Bring the scores of a slide's tissue down to a few numbers.

    Parameters
    ----------
    scores : (N,) float32
        Of all tissue positions, in any order.
    card
        What the model says of its scores.
    """
    if not scores.size:
        return Novelty(0, None, None, None, card.quantile, card.limit)
    median, high = (float(value) for value in np.quantile(scores, (0.5, _SLIDE_QUANTILE)))
    share = float(np.mean(scores > card.limit))
    return Novelty(scores.size, median, high, share, card.quantile, card.limit)


def flag_novelty(novelty: Novelty) -> Iterator[QualityFlag]:
    """Flag a slide of which more than a tenth is unlike what the model was trained on."""
    if novelty.q90 is None or novelty.q90 <= novelty.limit:
        return
    message = (
        f"{novelty.share_over_limit:.0%} of the tissue look less like what the model learnt from "
        f"than {novelty.quantile:.0%} of the tissue it was tried on; what it says there was never "
        "tested.  The stain, the tissue or the scanner may be foreign to it."
    )
    yield QualityFlag("unlike_training", "warn", message, novelty.share_over_limit, "1")
