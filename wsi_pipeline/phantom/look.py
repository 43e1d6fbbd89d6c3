"""How do tissues of one patient, fixed and stained in one laboratory, look?

1. `Look` says how loose collagen lies, how cellular the stroma is and how strongly each tissue
   takes up either dye.
2. `sample_look` draws one.
3. `rough_look` draws how far a slide is from a well-made one; only training uses it.

No two laboratories agree on these, and no single factor may tell tissues apart: a model that
has seen them all vary must go by structure.  The ranges are wide on purpose; they were set by
eye from published pictures and physical limits, not fitted to any image (evidence: judgement).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wsi_pipeline.phantom.ranges import log_uniform

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Cells:
    """How the cells of one kind of epithelium look; factors are relative to the reference look."""

    area: float = 1.0
    """Profile area of their nuclei."""
    elongation: float = 1.0
    """Ratio of the axes of their nuclei."""
    density: float = 1.0
    """Haematoxylin in their nuclei."""
    pallor: float = 0.0
    """From 0, chromatin as in the reference look, to 1, all pale and vesicular."""
    border_um: float = 11.0
    """Distance of the borders between cells, µm."""
    borders: float = 1.0
    """How pale the borders between cells are."""
    grain: float = 1.0
    """How granular the cytoplasm is."""
    basal: float = 1.0
    """How much darker cells are along the junction with the stroma."""


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
    """Fibroblasts per area; desmoplastic stroma holds many times more."""
    stroma_round: float = 1.0
    """Lymphocytes and histiocytes strewn through the stroma, per area."""
    spindle: float = 3.8
    """Long axis of a fibroblast's nucleus by its short one; plump ones are young or cut across."""
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
    ragged: float = 0.0
    """How ragged nests are: from 0, as grown, to 1, broken into islands of a few cells."""
    blur: float = 0.0
    """How little of its bundles collagen shows: from 0, all, to 1, an even ground."""
    haze: float = 0.0
    """Haematoxylin in the ground of all stroma."""
    keratinocytes: Cells = Cells()
    """Cells of the epidermis."""
    adnexal_cells: Cells = Cells()
    """Cells of follicles and glands."""
    tumour_cells: Cells = Cells(border_um=14.0)
    """Tumour cells; what their nuclei look like is a matter of grade."""

    @property
    def gland_rim_um(self) -> float:
        """Depth of that rim, µm."""
        return 6.0 * self.gland_rim


def sample_look(seed: int) -> Look:
    """Draw a look from a random stream of its own."""
    rng = np.random.default_rng([seed, 31])
    return Look(
        collagen=(log_uniform(rng, 0.008, 0.07), log_uniform(rng, 0.2, 0.48)),
        cleft_um=log_uniform(rng, 0.5, 4.5),
        bundle_size=log_uniform(rng, 0.7, 1.8),
        stroma_cells=log_uniform(rng, 0.6, 11.0),
        epithelium=(log_uniform(rng, 0.6, 1.8), log_uniform(rng, 0.6, 1.4)),
        tumour=(log_uniform(rng, 0.6, 1.8), log_uniform(rng, 0.5, 1.4)),
        foam=log_uniform(rng, 0.6, 2.8),
        horn=(log_uniform(rng, 0.03, 0.3), log_uniform(rng, 0.12, 0.7)),
        horn_gaps=float(rng.uniform(0.0, 1.0)),
        keratinocyte_um=log_uniform(rng, 9.5, 16.0),
        gland_rim=log_uniform(rng, 0.8, 4.5),
        crowding=log_uniform(rng, 0.72, 1.08),
        hyperchromasia=float(rng.uniform(0.0, 1.0)),
        nuclei=log_uniform(rng, 0.75, 1.3),
        stroma_round=log_uniform(rng, 0.6, 25.0),
        spindle=log_uniform(rng, 1.7, 4.5),
        keratinocytes=_sample_cells(rng),
        adnexal_cells=_sample_cells(rng),
        tumour_cells=_sample_cells(rng),
    )


def _sample_cells(rng: np.random.Generator) -> Cells:
    """Draw how cells look, from as wide a range for epidermis and glands as tumours have.

    Where and how cells lie tells benign epithelium from tumour, not how they look one by one.
    """
    return Cells(
        area=log_uniform(rng, 0.7, 1.8),
        elongation=log_uniform(rng, 0.85, 1.3),
        density=log_uniform(rng, 0.75, 1.3),
        pallor=float(rng.uniform(0.0, 1.0)),
        border_um=log_uniform(rng, 9.0, 17.0),
        borders=float(rng.uniform(0.0, 1.5)),
        grain=log_uniform(rng, 0.5, 3.0),
        basal=float(rng.uniform(0.0, 1.6)),
    )


def rough_look(look: Look, *, seed: int) -> Look:
    """Draw, for two slides in three, what is wrong with them.

    Parameters
    ----------
    look
        As `sample_look` drew it.
    seed
        Root of a random stream of its own.

    Notes
    -----
    Thick or frozen sections show collagen as an even, bluish ground full of nuclei, and cells
    that have lost hold of each other; ranges: judgement.
    """
    rng = np.random.default_rng([seed, 32])
    draws = rng.uniform(0.0, 1.0, 3)
    haze = log_uniform(rng, 0.02, 0.16)
    if rng.random() < 1 / 3:
        return look
    eosin = look.collagen[1] * float(rng.uniform(0.35, 1.0))
    ragged, blur, thin = (float(draw) for draw in draws)
    return replace(
        look,
        collagen=(look.collagen[0], eosin if thin < 0.6 else look.collagen[1]),
        ragged=max(0.0, 1.5 * ragged - 0.5),
        blur=max(0.0, 1.4 * blur - 0.4),
        haze=haze if thin < 0.6 else 0.0,
    )
