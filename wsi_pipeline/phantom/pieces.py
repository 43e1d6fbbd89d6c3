"""How do several sections lie on one slide?

1. `serial_specs` describes serial sections of one block, in a ribbon as they leave the knife.
2. `compose` puts painted phantoms side by side on one glass and keeps the truth of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.phantom.noise import Bytes
from wsi_pipeline.phantom.paint import Phantom
from wsi_pipeline.phantom.spec import PhantomSpec

# Serial sections on one glass are seldom neighbours, µm.
SPACING_UM = 60.0
# Fields that belong to the glass, the stain and the scanner, not to the section.
SHARED = ("mpp", "glass_rgb", "noise", "jpeg_quality", "psf_um", "stain_tone")


@dataclass(frozen=True, slots=True)
class Piece:
    """One section on a slide with several.

    Parameters
    ----------
    phantom
        The section, painted on a glass of its own; its curves and tables count from there.
    top_px, left_px
        Where that glass begins on the slide.
    """

    phantom: Phantom
    top_px: int
    left_px: int


@dataclass(frozen=True, slots=True)
class PhantomSlide:
    """Several sections on one glass.

    Parameters
    ----------
    image : uint8 (Y, X, 3)
        RGB.
    labels : uint8 (Y, X)
        Class of every pixel.
    pieces
        The sections, from left to right.
    """

    image: Bytes
    labels: Bytes
    pieces: tuple[Piece, ...]


def serial_specs(
    spec: PhantomSpec, *, count: int, spacing_um: float = SPACING_UM
) -> list[PhantomSpec]:
    """Describe serial sections of one block.

    Parameters
    ----------
    spec
        The first of them.
    count
        How many.
    spacing_um
        Distance of one from the next in the block.

    Returns
    -------
    list of PhantomSpec
        The same skin and lesion at other levels, parallel to each other, with other defects.
    """
    return [
        replace(
            spec,
            level_um=spec.level_um + number * spacing_um,
            artefacts=replace(spec.artefacts, seed=spec.artefacts.seed + number),
        )
        for number in range(count)
    ]


def compose(phantoms: Sequence[Phantom]) -> PhantomSlide:
    """Put sections side by side on one glass.

    Parameters
    ----------
    phantoms
        One or more, with the same glass, stain vectors and scanner.

    Returns
    -------
    PhantomSlide

    Raises
    ------
    ConfigError
        If they could not come from one slide.
    """
    first = phantoms[0].spec
    for name in SHARED:
        values = {getattr(phantom.spec, name) for phantom in phantoms}
        if len(values) > 1:
            raise ConfigError(
                f"phantoms of one slide differ in '{name}' ({values}); give them the same"
            )
    widths = [phantom.labels.shape[1] for phantom in phantoms]
    shape = max(phantom.labels.shape[0] for phantom in phantoms), sum(widths)
    image = _bare_glass(first, shape)
    labels = np.full(shape, BACKGROUND, np.uint8)
    pieces, left = [], 0
    for phantom, width in zip(phantoms, widths, strict=True):
        top = (shape[0] - phantom.labels.shape[0]) // 2
        view = slice(top, top + phantom.labels.shape[0]), slice(left, left + width)
        image[view], labels[view] = phantom.image, phantom.labels
        pieces.append(Piece(phantom, top, left))
        left += width
    return PhantomSlide(image, labels, tuple(pieces))


def _bare_glass(spec: PhantomSpec, shape: tuple[int, int]) -> Bytes:
    """Glass with the noise of the sensor."""
    rng = np.random.default_rng([spec.seed, 76])
    noise = rng.standard_normal((*shape, 3), dtype=np.float32) * np.float32(255 * spec.noise)
    glass = np.array(spec.glass_rgb, np.float32) + noise + np.float32(0.5)
    return np.asarray(np.clip(glass, 0, 255), np.uint8)
