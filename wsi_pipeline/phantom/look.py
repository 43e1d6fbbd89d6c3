"""How do tissues of one patient, fixed and stained in one laboratory, look?

1. `Look` says how loose collagen lies, how cellular the stroma is and how strongly each tissue
   takes up either dye.
2. `sample_look` draws one.

No two laboratories agree on these, and no single factor may tell tissues apart: a model that
has seen them all vary must go by structure.  The ranges are wide on purpose; they were set by
eye from published pictures and physical limits, not fitted to any image (evidence: judgement).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Look:
    """Factors are relative to the reference look; pairs are (haematoxylin, eosin)."""

    collagen: Pair = (0.05, 0.37)
    """Dye in a bundle of collagen: mucin and frozen sections take up haematoxylin."""
    cleft_um: float = 1.5
    """Half the width of the clefts between bundles at their reference size, µm."""
    bundle_size: float = 1.0
    """Size of collagen bundles; 1 is about 16 µm across."""
    stroma_cells: float = 1.0
    """Fibroblasts per area; desmoplastic stroma holds several times more."""
    epithelium: Pair = (1.0, 1.0)
    """Cytoplasm of epidermis and follicles."""
    tumour: Pair = (1.0, 1.0)
    """Cytoplasm of tumour cells."""
    foam: float = 1.0
    """Dye in the cytoplasm of sebaceous glands, between its vacuoles."""
    horn: Pair = (0.12, 0.55)
    """Dye in lamellae of horn."""
    horn_gaps: float = 0.0
    """How loosely the lamellae of horn lie, from 0 (compact) to 1 (basket-weave)."""
    keratinocyte_um: float = 10.6
    """Distance of neighbouring cells in the spinous layer, µm."""
    gland_rim: float = 1.0
    """Thickness of the dark germinative rim of sebaceous lobules."""
    crowding: float = 1.0
    """Distance of neighbouring tumour cells relative to that of their grade."""
    hyperchromasia: float = 0.0
    """From 0, tumour nuclei as their grade has them, to 1, all of them dark and even."""
    nuclei: float = 1.0
    """Haematoxylin in nuclei of every kind."""


def sample_look(seed: int) -> Look:
    """Draw a look from a random stream of its own."""
    rng = np.random.default_rng([seed, 31])
    return Look(
        collagen=(_log_uniform(rng, 0.008, 0.07), _log_uniform(rng, 0.2, 0.48)),
        cleft_um=_log_uniform(rng, 0.5, 4.5),
        bundle_size=_log_uniform(rng, 0.7, 1.8),
        stroma_cells=_log_uniform(rng, 0.6, 5.0),
        epithelium=(_log_uniform(rng, 0.6, 1.8), _log_uniform(rng, 0.6, 1.4)),
        tumour=(_log_uniform(rng, 0.6, 1.8), _log_uniform(rng, 0.5, 1.4)),
        foam=_log_uniform(rng, 0.6, 2.8),
        horn=(_log_uniform(rng, 0.03, 0.3), _log_uniform(rng, 0.12, 0.7)),
        horn_gaps=float(rng.uniform(0.0, 1.0)),
        keratinocyte_um=_log_uniform(rng, 9.5, 16.0),
        gland_rim=_log_uniform(rng, 0.8, 3.0),
        crowding=_log_uniform(rng, 0.72, 1.08),
        hyperchromasia=float(rng.uniform(0.0, 1.0)),
        nuclei=_log_uniform(rng, 0.75, 1.3),
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw so that halving is as likely as doubling."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))
