"""Is this the colour of a stain, of ink, or of neither?

The excess optical density (OD) of a pixel over the glass is compared between its channels,
so brightness and tint do not matter:

1. haematoxylin and eosin, alone or mixed, absorb green the most, red at most as much, and
   blue less: green is the ruler;
2. ink that is bluer or greener than haematoxylin absorbs red more than green;
3. ink that is red, orange or yellow absorbs blue as much as green and red hardly at all
   (melanin and DAB absorb red well; magenta ink cannot be told from eosin);
4. black ink, coverslip edges, bubbles and dust absorb or scatter all three alike.

Of what is coloured like ink, strokes at least ``pen_width_um`` wide are pen; thinner traces
on tissue are margin ink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.config import TissueSettings
from wsi_pipeline.tissue.shape import Mask, opened, touching

_HUE_OD = 0.05
"""Excess OD from which on the ratio of channels is known: some 25 grey levels of 8 bits."""
_BLACK_OD = 0.5
"""Black ink lets less than a third through in every channel, dust and edges mostly more."""
_BLACK_SPREAD = 0.3
"""Relative spread between channels of black ink that lies on stained tissue, at most."""
_NEUTRAL = 0.15
"""Relative spread between channels below which a colour is grey; any H&E mix spreads > 0.2."""
_RED_OVER_GREEN = 1.3
"""Haematoxylin stays below (0.92 by Ruifrok and Johnston, up to 1.25 on bluish frozen sections)."""
_BLUE_OVER_GREEN = 0.9
"""Eosin and erythrocytes stay below (0.1-0.7); red ink reaches 0.9 and orange exceeds it."""
_RED_OF_WARM_INK = 0.35
"""Share of red in warm ink at most; melanin and DAB absorb more red."""


@dataclass(frozen=True, slots=True)
class Colours:
    """What the colour of every pixel says; the three masks (Y, X) do not overlap.

    Parameters
    ----------
    stained
        Colour that haematoxylin and eosin can mix.
    inked
        Colour of ink: saturated beyond any mix of the two, or black.
    grey
        Neither: all channels alike, lighter than black ink.
    """

    stained: Mask
    inked: Mask
    grey: Mask


def sorted_colours(excess: NDArray[np.float32]) -> Colours:
    """Sort pixels by what their colour can be.

    Parameters
    ----------
    excess
        (3, Y, X) float32, optical density over the local glass.

    Returns
    -------
    Colours
        All False where the excess is too small (OD < 0.05) for a hue.

    References
    ----------
    Ruifrok and Johnston 2001, Anal Quant Cytol Histol 23:291 (stain vectors).
    """
    darkest, lightest = excess.max(axis=0), excess.min(axis=0)
    visible = darkest > _HUE_OD
    spread = darkest - lightest
    black = (lightest > _BLACK_OD) & (spread < _BLACK_SPREAD * darkest)
    inked = visible & (_is_cold(excess) | _is_warm(excess) | black)
    grey = visible & (spread < _NEUTRAL * darkest) & ~inked
    return Colours(visible & ~inked & ~grey, inked, grey)


def _is_cold(excess: NDArray[np.float32]) -> Mask:
    """Blue, cyan or green beyond haematoxylin."""
    red, green, blue = excess
    pure_blue = (red > green) & (blue < 0.35 * red)
    return np.asarray((red > _RED_OVER_GREEN * green) | pure_blue)


def _is_warm(excess: NDArray[np.float32]) -> Mask:
    """Red, orange or yellow beyond eosin."""
    red, green, blue = excess
    return np.asarray((blue > _BLUE_OVER_GREEN * green) & (red < _RED_OF_WARM_INK * blue))


def pen_strokes(inked: Mask, *, mpp: float, settings: TissueSettings) -> Mask:
    """Ink of pen strokes: patches of ink colour as wide as a pen somewhere.

    Parameters
    ----------
    inked
        (Y, X) bool, colour of ink.
    mpp
        Pixel width, µm.
    settings
        ``pen_width_um`` is used.

    Returns
    -------
    (Y, X) bool.
    """
    reach_px = max(1, round(settings.pen_width_um / mpp / 2))
    return touching(inked, opened(inked, reach_px))
