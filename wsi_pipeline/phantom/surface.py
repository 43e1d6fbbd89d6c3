"""How uneven, thick and damaged is the surface of the skin, and what lies loose on the glass?

1. `Surface` says how much there is of each; all of it zero adds nothing.
2. `sample_surface` draws it.

`wsi_pipeline.phantom.skin` bends the surface, `wsi_pipeline.phantom.infundibula` widens the
mouths of follicles, `wsi_pipeline.phantom.loose` cuts, tears and strews.

The ranges are wide on purpose: set by eye from published pictures, not fitted to any image
(evidence: judgement).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from wsi_pipeline.phantom.ranges import check_amounts, log_uniform

MOST = {
    "relief_um": 200.0,
    "islands": 8.0,
    "plugs": 1.0,
    "plugs_across": 4.0,
    "flaking": 1.0,
    "cut": 1.0,
    "cut_depth": 4.0,
    "gaps": 0.6,
    "scraps": 40,
}


@dataclass(frozen=True, slots=True)
class Surface:
    """What time, disease and knife have done to the surface."""

    relief_um: float = 0.0
    """Height of the folds and humps that the layers follow, µm."""
    islands: float = 0.0
    """Patches of epidermis cut tangentially, per mm of skin: a slanting knife shows ridges
    apart from the layer they hang from, with papillae inside them."""
    plugs: float = 0.0
    """Share of follicles cut lengthwise whose infundibulum is wide and filled with horn."""
    plugs_across: float = 0.0
    """Such infundibula cut across, per mm² of dermis."""
    flaking: float = 0.0
    """How loosely all horn lies, from 0 (as `Look.horn_gaps` has it) to 1: broad gaps between
    lamellae, and the horny layer lifted off the epidermis in places."""
    cut: float = 0.0
    """Share of the section's width along which the surface is cut off."""
    cut_depth: float = 0.0
    """How deep that cut runs, in thicknesses of the epidermis; 1 follows the ridges' middle."""
    gaps: float = 0.0
    """Share of the section that is torn out: glass against any tissue."""
    scraps: int = 0
    """Loose pieces of horn, epidermis and dermis on the glass, as far as they find room."""

    def __post_init__(self) -> None:
        check_amounts(asdict(self), most=MOST, what="surface")


def sample_surface(seed: int) -> Surface:
    """Draw a surface from a random stream of its own; each trait is absent from part of them.

    Parameters
    ----------
    seed
        Root of the draw.

    Returns
    -------
    Surface
        The priors are listed in ``docs/phantom.md``.
    """
    rng = np.random.default_rng([seed, 90])
    shown = rng.random(7) < (0.6, 0.5, 0.6, 0.4, 0.7, 0.4, 0.25)
    size = rng.random(7)
    depth = log_uniform(rng, 0.2, 3.0)
    scraps = int(rng.integers(3, 25)) if rng.random() < 0.6 else 0
    return Surface(
        relief_um=float(shown[0] * (10 + 140 * size[0])),
        islands=float(shown[1] * (0.5 + 4.5 * size[1])),
        plugs=float(shown[2] * (0.2 + 0.8 * size[2])),
        plugs_across=float(shown[3] * (0.2 + 1.2 * size[3])),
        flaking=float(shown[4] * (0.15 + 0.85 * size[4])),
        cut=float(shown[5] * (0.2 + 0.8 * size[5])),
        cut_depth=float(shown[5] * depth),
        gaps=float(shown[6] * (0.05 + 0.4 * size[6])),
        scraps=scraps,
    )
