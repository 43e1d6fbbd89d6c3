"""What else belongs to skin besides its layers, follicles and coils?

1. `Anatomy` says how much there is of each; all of it zero adds nothing.
2. `sample_anatomy` draws it from priors.

`wsi_pipeline.phantom.profiles` adds epithelium, `wsi_pipeline.phantom.bundles` what lies in the
stroma, `wsi_pipeline.phantom.stroma` dyes it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from wsi_pipeline.phantom.ranges import check_amounts

SHARES = ("muscles", "elastosis", "telogen")
MOST_PER_MM2 = 20.0


@dataclass(frozen=True, slots=True)
class Anatomy:
    """How much of each structure the skin holds; densities are per mm² of dermis."""

    profiles: float = 0.0
    """Follicles cut across or obliquely in a vertical section, per mm²: real follicles leave the
    plane of the section."""
    glands: float = 0.0
    """Groups of sebaceous lobules away from a visible follicle, per mm²."""
    telogen: float = 0.0
    """Share of follicles that rest: short, with a club instead of a bulb."""
    papillae: bool = False
    """Whether hair bulbs show their dermal papilla."""
    muscles: float = 0.0
    """Share of follicles whose arrector pili muscle is in the plane of the section."""
    nerves: float = 0.0
    """Nerve profiles in deep dermis and fat, per mm²."""
    arteries: float = 0.0
    """Arteries and veins of 60 µm and more in deep dermis and fat, per mm²."""
    elastosis: float = 0.0
    """Solar elastosis of the upper dermis, 0 (none) to 1 (a band of 0.4 mm)."""

    def __post_init__(self) -> None:
        check_amounts(asdict(self), most=_most(self), what="anatomy")


def _most(anatomy: Anatomy) -> dict[str, float]:
    """The greatest amount of each kind that can be painted."""
    return {name: 1.0 if name in SHARES else MOST_PER_MM2 for name in asdict(anatomy)}


def sample_anatomy(seed: int) -> Anatomy:
    """Draw how much of each structure there is.

    Parameters
    ----------
    seed
        Root of the draw.

    Returns
    -------
    Anatomy
        The priors are listed in ``docs/phantom.md``.
    """
    rng = np.random.default_rng([seed, 60])
    weathered = bool(rng.random() < 0.5)
    return Anatomy(
        profiles=float(rng.uniform(0.2, 1.0)),
        glands=float(rng.uniform(0.0, 0.5)),
        telogen=float(rng.uniform(0.0, 0.16)),
        papillae=True,
        muscles=float(rng.uniform(0.2, 0.8)),
        nerves=float(rng.uniform(0.2, 1.2)),
        arteries=float(rng.uniform(0.2, 1.0)),
        elastosis=float(rng.uniform(0.15, 1.0)) if weathered else 0.0,
    )
