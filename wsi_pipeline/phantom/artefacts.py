"""What happened to this slide between the knife and the file?

1. `Artefacts` counts and sizes every defect; all of it zero is a perfect slide.
2. `sample_artefacts` draws them from priors whose width grows with one number.

Where each defect lies follows from the seeds, see `wsi_pipeline.phantom.marks`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from wsi_pipeline.errors import ConfigError

Ink = Literal["blue", "green", "black", "red"]
Triple = tuple[float, float, float]

# Optical density (base 10) of full ink for red, green, blue.
INK_OD: dict[Ink, Triple] = {
    "blue": (1.05, 0.72, 0.26),
    "green": (1.10, 0.30, 0.62),
    "black": (1.25, 1.22, 1.15),
    "red": (0.08, 0.95, 0.98),
}
# Bit of each local defect in `Phantom.artefacts`, by its place in this tuple.
ARTEFACT_NAMES = (
    "pen",
    "margin_ink",
    "coverslip",
    "bubble",
    "dust",
    "fold",
    "tear",
    "blur",
)
NONE: Triple = (1.0, 1.0, 1.0)
# Values that can be painted; what is not listed must not be negative.
BOUNDS = {
    "vignette": (0.0, 0.8),
    "gradient": (0.0, 0.8),
    "cast": (0.3, 1.5),
    "gamma": (0.3, 3.0),
    "contrast": (0.3, 3.0),
    "blur_um": (0.05, 10.0),
}


@dataclass(frozen=True, slots=True)
class Artefacts:
    """Everything that decides which defects a slide has; the default is none at all.

    Tears are gaps in the tissue, so they change its labels.  Nothing else does.
    """

    seed: int = 0
    """Another seed puts the same defects elsewhere on the same section."""
    pen_strokes: int = 0
    """Strokes of a felt pen on the glass, over tissue or beside it."""
    pen: Ink = "blue"
    """Colour of the pen."""
    margin_ink: Ink | None = None
    """Colour of the ink on the surgical margin: the deep and lateral edge of the section."""
    coverslip_edges: int = 0
    """Edges of the coverslip that lie in the picture."""
    bubbles: int = 0
    """Air bubbles under the coverslip."""
    dust: int = 0
    """Specks and fibres on the glass."""
    folds: int = 0
    """Bands where the section lies twice."""
    tears: int = 0
    """Gaping tears of the section."""
    knife_lines: int = 0
    """Straight parallel scores of a nicked blade."""
    blur_patches: int = 0
    """Places out of focus."""
    blur_um: float = 2.0
    """Blur (standard deviation) in the middle of such a place, µm."""
    vignette: float = 0.0
    """Share of light that the corners lack."""
    gradient: float = 0.0
    """Share of light by which one side is darker than the other."""
    cast: Triple = NONE
    """Gain of red, green, blue: lamp, tinted mounting medium and white balance together."""
    gamma: Triple = NONE
    """Exponent of the scanner's tone curve for red, green, blue; above 1 darkens."""
    contrast: Triple = NONE
    """Slope of the tone curve about three quarters of full scale, for red, green, blue."""
    sharpening: float = 0.0
    """Strength of the scanner's unsharp mask; above 0.5 edges carry halos."""

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise ConfigError("phantom artefacts: " + "; ".join(faults))


def _faults(artefacts: Artefacts) -> Iterator[str]:
    """Sentences about values that cannot be painted."""
    values = {field.name: getattr(artefacts, field.name) for field in fields(artefacts)}
    for name, value in values.items():
        low, high = BOUNDS.get(name, (0, math.inf))
        numbers = value if isinstance(value, tuple) else (value,)
        if name in ("pen", "margin_ink"):
            if value not in (*INK_OD, None):
                yield f"'{name}' must be one of {', '.join(INK_OD)}, not {value!r}"
        elif not all(low <= number <= high for number in numbers):
            yield f"'{name}' must lie in {low:g} to {high:g}, not {value}"


def sample_artefacts(seed: int, strength: float) -> Artefacts:
    """Draw the defects of a plausible slide.

    Parameters
    ----------
    seed
        Root of the draw, and of the places.
    strength
        0 gives none; 1 a slide of a careless day: most of them at once is rare, none is too.

    Returns
    -------
    Artefacts

    Raises
    ------
    ConfigError
        If the strength is not in 0 to 1.
    """
    if not 0 <= strength <= 1:
        raise ConfigError(f"artefact strength must lie in 0 to 1, not {strength}")
    if strength == 0:
        return Artefacts(seed=seed)
    rng = np.random.default_rng([seed, 50])

    def often(chance: float) -> bool:
        return bool(rng.random() < chance * strength)

    def count(chance: float, most: int) -> int:
        number = int(rng.integers(1, most + 1))
        return number if often(chance) else 0

    return Artefacts(
        seed=seed,
        pen_strokes=count(0.2, 2),
        pen=_one_of(rng, ("blue", "green", "black", "red"), weights=(4, 3, 4, 1)),
        margin_ink=_one_of(rng, ("green", "blue", "black"), weights=(1, 1, 1))
        if often(0.3)
        else None,
        coverslip_edges=count(0.12, 1),
        bubbles=count(0.15, 3),
        dust=count(0.6, 12),
        folds=count(0.3, 3),
        tears=count(0.3, 3),
        knife_lines=count(0.15, 5),
        blur_patches=count(0.4, 3),
        blur_um=float(rng.uniform(0.5, 4.0)),
        vignette=float(rng.uniform(0.0, 0.2)) * strength,
        gradient=float(rng.uniform(0.0, 0.15)) * strength,
        cast=_triple(rng, spread=0.025 * strength),
        gamma=_triple(rng, spread=0.05 * strength, shared=0.2 * strength),
        contrast=_triple(rng, spread=0.03 * strength, shared=0.12 * strength),
        sharpening=float(rng.uniform(0.2, 1.0)) if often(0.5) else 0.0,
    )


def sample_frozen(seed: int, strength: float) -> float:
    """Draw how much a section looks frozen: not at all in most slides.

    Parameters
    ----------
    seed
        Root of the draw.
    strength
        As for `sample_artefacts`; at 1 one slide in eight is frozen.

    Returns
    -------
    float
        0, or 0.3 to 1.
    """
    rng = np.random.default_rng([seed, 72])
    draw, amount = rng.random(2)
    return float(0.3 + 0.7 * amount) if draw < 0.125 * strength else 0.0


def _one_of(rng: np.random.Generator, inks: tuple[Ink, ...], *, weights: tuple[int, ...]) -> Ink:
    """Draw an ink."""
    return inks[int(rng.choice(len(inks), p=np.array(weights) / sum(weights)))]


def _triple(rng: np.random.Generator, *, spread: float, shared: float = 0.0) -> Triple:
    """Draw three factors about 1: one part common to all channels, one of each."""
    common = rng.normal(0.0, shared) if shared else 0.0
    red, green, blue = np.exp(np.clip(common + rng.normal(0.0, spread, 3), -0.5, 0.5))
    return float(red), float(green), float(blue)
