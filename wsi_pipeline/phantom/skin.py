"""Where do the layers of the skin meet?

1. The skin surface is a gentle arch with ripples.
2. The dermo-epidermal junction (DEJ) lies one epidermis deeper, with rete ridges on it;
   its *envelope* is the same curve without the ridges.
3. The dermo-subcutaneous junction (DSJ) lies one dermis deeper, with its own undulation.

All three are functions of the lateral position x, hence exact at any resolution.  An oblique
section stretches every depth: point ``s`` along its dip lies ``s`` sin(cut) below the surface.
The relief is taken to run through in the third direction, so ridges stay ridges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wsi_pipeline.errors import ConfigError
from wsi_pipeline.phantom.frame import Points
from wsi_pipeline.phantom.noise import Floats
from wsi_pipeline.phantom.spec import MIN_FAT_UM, PhantomSpec, depth_stretch, section_extent_um

# Room above the highest point of the surface for the stratum corneum and its flakes, µm.
HEADROOM_UM = 70.0


@dataclass(frozen=True, slots=True)
class Skin:
    """Layer boundaries of a vertical section as tables over x, in the section frame.

    Parameters
    ----------
    x_um : float64 (N,)
        Lateral positions, 1 µm apart.
    surface_um, envelope_um, dej_um, dsj_um : float64 (N,)
        Depth coordinate y of each curve.
    top_um : float64 (N,)
        The surface as it is or, where it is eroded, was: the origin of follicles and texture.
    dermis_um
        Thickness of the dermis as the section shows it, before undulation.
    floor_um
        Depth coordinate of the deep margin of the block.
    bottom_um
        Depth coordinate of the deep margin of the section, above the floor in a superficial one.
    half_width_um
        Half the lateral extent of the section.
    """

    x_um: Points
    surface_um: Points
    envelope_um: Points
    dej_um: Points
    dsj_um: Points
    top_um: Points
    dermis_um: float
    floor_um: float
    bottom_um: float
    half_width_um: float

    def at(self, curve_um: Points, x_um: Floats | Points) -> Floats:
        """Depth coordinate of one of the curves at lateral positions, µm."""
        index = np.clip(np.asarray(x_um) - self.x_um[0], 0, self.x_um.size - 1.001)
        before = index.astype(np.intp)
        share = index - before
        return np.asarray(
            curve_um[before] * (1 - share) + curve_um[before + 1] * share, dtype=np.float32
        )


def draw_skin(spec: PhantomSpec) -> Skin:
    """Draw the layer boundaries of a vertical or oblique section.

    Raises
    ------
    ConfigError
        If the dermis asked for does not fit the glass together with some fat.
    """
    rng = np.random.default_rng([spec.seed, 1])
    across, down = section_extent_um(spec)
    stretch, level = depth_stretch(spec), spec.level_um
    x_um = np.arange(-across / 2 - 200.0, across / 2 + 201.0)
    surface = _arch(rng, x_um, across_um=across, level_um=level)
    surface += _relief(spec, x_um)
    headroom = HEADROOM_UM + (stretch - 1) * spec.corneum_um + 60 * spec.surface.flaking
    surface += headroom - down / 2 - surface.min()
    envelope = surface + stretch * spec.epidermis_um
    dej = envelope + stretch * _rete(rng, x_um, spec=spec)
    shown = np.abs(x_um) < across / 2
    dermis = _dermis_um(rng, spec, room_um=down / 2 - float(envelope[shown].max()))
    waves = _ripples(rng, x_um, wavelengths_um=(900, 2300), share=0.05, level_um=level)
    dsj = envelope + dermis * (1 + waves)
    bottom = down / 2 if spec.with_subcutis else min(down / 2, float(dsj[shown].min()) - 40.0)
    # Erosion lays the papillae bare; all below stays where it was.
    bare = surface if spec.with_epidermis else dej
    return Skin(x_um, bare, envelope, dej, dsj, surface, dermis, down / 2, bottom, across / 2)


def _arch(rng: np.random.Generator, x_um: Points, *, across_um: float, level_um: float) -> Points:
    """Surface that falls towards both cut edges, as an excised piece of skin does."""
    sag = rng.uniform(0.015, 0.035) * across_um
    ripple = _ripples(rng, x_um, wavelengths_um=(700, 1900), share=12.0, level_um=level_um)
    ripple += _ripples(rng, x_um, wavelengths_um=(160, 420), share=7.0, level_um=level_um)
    return np.asarray(sag * (2 * x_um / across_um) ** 2 + ripple, dtype=np.float64)


def _relief(spec: PhantomSpec, x_um: Points) -> Points:
    """Folds and humps of the whole skin, from a stream of their own."""
    rng = np.random.default_rng([spec.seed, 91])
    height, level = spec.surface.relief_um / 2, spec.level_um
    folds = _ripples(rng, x_um, wavelengths_um=(500, 2200), share=height, level_um=level)
    return folds + _ripples(
        rng, x_um, wavelengths_um=(150, 500), share=0.25 * height, level_um=level
    )


def _ripples(
    rng: np.random.Generator,
    x_um: Points,
    *,
    wavelengths_um: tuple[float, float],
    share: float,
    level_um: float,
) -> Points:
    """Sum of three sines of random phase, between plus and minus about ``share``.

    Waves run slantwise through the block: half a level's distance along the skin.
    """
    total = np.zeros_like(x_um)
    for wavelength in rng.uniform(*wavelengths_um, 3):
        total += np.sin(2 * math.pi * ((x_um + 0.5 * level_um) / wavelength + rng.random()))
    return total * (share / 2)


def _rete(rng: np.random.Generator, x_um: Points, *, spec: PhantomSpec) -> Points:
    """Rete ridges of uneven spacing and height, of mean zero; flatter over the lesion."""
    level = spec.level_um
    drift = _ripples(rng, x_um, wavelengths_um=(250, 700), share=0.35, level_um=level)
    phase = np.cumsum(2 * math.pi / spec.rete_wavelength_um * (1 + drift))
    ridge = ((1 + np.cos(phase)) / 2) ** 1.6
    height = spec.rete_amplitude_um * (
        1 + _ripples(rng, x_um, wavelengths_um=(300, 900), share=0.4, level_um=level)
    )
    lesion = spec.architecture != "none" and spec.depth_span[0] < 0.15
    beyond = np.abs(x_um) / (spec.lateral_span * np.abs(x_um).max())
    height *= 1 - 0.65 * lesion * np.clip(2 * (1.2 - beyond), 0, 1)
    cycle = ridge.mean()
    # A ridge may not reach the surface: at least a quarter of the epidermis remains.
    return np.asarray(np.maximum(height * (ridge - cycle), -0.75 * spec.epidermis_um))


def _dermis_um(rng: np.random.Generator, spec: PhantomSpec, *, room_um: float) -> float:
    """Thickness of the dermis: as asked for, or drawn and cut to what fits."""
    stretch = depth_stretch(spec)
    drawn = 1000 * stretch * float(np.clip(rng.normal(1.6, 0.4), 0.9, 3.0))
    wanted = None if spec.dermis_mm is None else 1000 * stretch * spec.dermis_mm
    if not spec.with_subcutis:
        return drawn if wanted is None else wanted
    fits = (room_um - MIN_FAT_UM) / 1.08
    if wanted is None:
        return min(drawn, 0.92 * fits)
    if wanted > fits:
        raise ConfigError(
            f"phantom spec: a dermis of {spec.dermis_mm} mm does not fit a section that has "
            f"room for {fits / stretch / 1000:.2f} mm; raise 'height_mm' or leave 'dermis_mm' open"
        )
    return wanted
