"""Is the tissue fit to measure?

1. Each check computes one number: an area, a share, an angle, a density.
2. Where the number is outside what measurements can bear, the check gives a quality flag
   with that number, its unit and a sentence in plain words.

Nothing here changes the mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from wsi_pipeline.geometry import Grid
from wsi_pipeline.tissue.glass import block_mean, optical_density
from wsi_pipeline.tissue.shape import Mask, shrunk
from wsi_pipeline.values import QualityFlag

SMALL_TISSUE_MM2 = 2.0
"""Less tissue than this seldom shows a whole front: half a 2 mm punch biopsy."""
MAX_BLUR_FRACTION = 0.2
"""Share of the tissue out of focus from which numbers need a caveat."""
MIN_STAIN_ANGLE_DEG = 15.0
"""Two stains nearer than this in colour cannot be separated; Ruifrok's are 39° apart."""
STAIN_OD_RANGE = (0.2, 1.8)
"""99th percentile of optical density: below, the stain is faded; above, the camera clips."""
MIN_INK_MM2 = 0.01
"""Less ink than this is a speck, mm²: a square of 100 µm."""
_INK_MIN_OD = 0.3
"""Ink on a margin takes half of the light; a thin blue nucleus at the rim does not."""
_MARGIN_UM = 200.0
"""Ink on a surgical margin stays in the outer rim of the section."""
_SHARP_RATIO = 0.2
"""Ratio of fine to coarse contrast below which a place is out of focus, see `measure_blur`."""
_BLUR_CELL_UM = 256.0
"""Place for which focus is judged; scanners set their focus over a like distance."""
_BLUR_CELL_MIN_PX = 16
"""Pixels along such a place needed for its contrast to be known."""
_MIN_CONTRAST_OD = 0.01
"""Contrast without which focus cannot be judged: that of glass."""
_STAIN_SAMPLE = 100_000
"""Pixels that fix the percentiles of colour to a fraction of a degree."""
_STAIN_MIN_SAMPLE = 100
"""Pixels without which a percentile of 1 % has no meaning."""
_STAIN_MIN_OD = 0.15
"""Fainter pixels do not show the hue of a stain well (Macenko et al. 2009)."""


def measure_blur(rgb: NDArray[np.uint8], *, mask: Mask, grid: Grid) -> float | None:
    """Share of the tissue that is out of focus, as far as this plane can show.

    Contrast between neighbouring pixels is compared with contrast at three times their
    distance.  Tissue has about as much of either at every scale (amplitudes fall as one
    over frequency, which gives a ratio of 0.7-2.4); a blur of one pixel (Gaussian sigma)
    leaves 0.08-0.15.  The ratio does not depend on how strong the stain is.

    A plane at 8 µm per pixel therefore shows only gross defocus, a blur of about 8 µm and
    more, which hides single nuclei.  Pass a finer plane, with the mask on the same grid, to
    find finer defocus.

    Parameters
    ----------
    rgb
        (Y, X, 3) uint8.
    mask
        (Y, X) bool, tissue.
    grid
        Of both.

    Returns
    -------
    Share of the places (256 µm or 16 px wide, whichever is more) that are mostly tissue and
    have any contrast; None where there are none.

    References
    ----------
    Field 1987, J Opt Soc Am A 4:2379, 10.1364/JOSAA.4.002379 (contrast across scales).
    """
    green = optical_density(rgb[..., 1])
    near = ndi.uniform_filter(green, 3)
    wide = ndi.uniform_filter(green, 9)
    cell_px = max(_BLUR_CELL_MIN_PX, round(_BLUR_CELL_UM / grid.mpp))
    fine = block_mean(np.square(green - near), cell_px)
    coarse = block_mean(np.square(near - wide), cell_px)
    judged = (block_mean(mask.astype(np.float32), cell_px) > 0.5) & (coarse > _MIN_CONTRAST_OD**2)
    if not judged.any():
        return None
    return float(np.mean(fine[judged] < _SHARP_RATIO * coarse[judged]))


def measure_stains(excess: NDArray[np.float32], stained: Mask) -> tuple[float | None, float | None]:
    """Angle between the two stains and the density of the darkest tissue.

    Parameters
    ----------
    excess
        (3, Y, X) float32, optical density (log10) over the local glass.
    stained
        (Y, X) bool, tissue without ink.

    Returns
    -------
    angle_deg
        Between the extreme hues: 1st and 99th percentile in the plane of the two largest
        principal directions.  A pixel of 8 µm mixes the two stains, so the angle is
        smaller than between pure stains.  None on fewer than 100 pixels above 0.15.
    density
        99th percentile of optical density in the darkest channel.  None on fewer than 100
        pixels.

    References
    ----------
    Macenko et al. 2009, ISBI, 10.1109/ISBI.2009.5193250.
    """
    sample = excess[:, stained]
    sample = sample[:, :: max(1, sample.shape[1] // _STAIN_SAMPLE)].astype(np.float64)
    if sample.shape[1] < _STAIN_MIN_SAMPLE:
        return None, None
    darkest = sample.max(axis=0)
    density = float(np.percentile(darkest, 99))
    coloured = sample[:, darkest > _STAIN_MIN_OD]
    if coloured.shape[1] < _STAIN_MIN_SAMPLE:
        return None, density
    _, directions = np.linalg.eigh(np.cov(coloured))
    across, along = directions[:, 1:].T @ coloured
    along = along * np.sign(along.mean())
    low, high = np.percentile(np.degrees(np.arctan2(across, along)), (1, 99))
    return float(high - low), density


def flag_size(area_mm2: float) -> list[QualityFlag]:
    """Flag tissue too small to be representative."""
    if area_mm2 >= SMALL_TISSUE_MM2:
        return []
    message = (
        f"There are only {area_mm2:.2g} mm² of tissue (less than {SMALL_TISSUE_MM2:g}); "
        "depths and patterns may not be representative."
    )
    return [QualityFlag("tissue_small", "warn", message, area_mm2, "mm²")]


def flag_sections(count: int, dropped: int) -> list[QualityFlag]:
    """Flag more than one section, and sections that could not be numbered."""
    flags = []
    if count > 1:
        message = f"The slide holds {count} separate pieces of tissue, measured one by one."
        flags.append(QualityFlag("multi_section_slide", "info", message, float(count), ""))
    if dropped:
        message = (
            f"The {dropped} smallest pieces of tissue were left out, because only {count} can be "
            "numbered; raise tissue.min_section_mm2 or tissue.join_um if these are fragments."
        )
        flags.append(QualityFlag("sections_dropped", "warn", message, float(dropped), ""))
    return flags


def flag_edge(sections: NDArray[np.uint8], *, mpp: float) -> list[QualityFlag]:
    """Flag sections cut off by the edge of the image."""
    rim = (sections[0], sections[-1], sections[1:-1, 0], sections[1:-1, -1])
    cut = np.concatenate(rim)
    length_mm = float(np.count_nonzero(cut)) * mpp / 1000
    if not length_mm:
        return []
    count = np.unique(cut[cut > 0]).size
    message = (
        f"The image cuts off {count} of {int(sections.max())} pieces of tissue over "
        f"{length_mm:.2g} mm of its edge; their areas and widths are lower bounds."
    )
    return [QualityFlag("touches_edge", "warn", message, length_mm, "mm")]


def flag_blur(share: float | None, *, mpp: float) -> list[QualityFlag]:
    """Flag tissue out of focus."""
    if share is None or share <= MAX_BLUR_FRACTION:
        return []
    message = (
        f"{share:.0%} of the tissue are out of focus by about {mpp:.2g} µm or more; boundaries "
        f"there are not reliable.  A plane at {mpp:.2g} µm per pixel cannot show finer blur."
    )
    return [QualityFlag("blur_fraction", "warn", message, share, "1")]


def flag_pen(on_tissue: Mask, on_glass: Mask, tissue: Mask, *, mpp: float) -> list[QualityFlag]:
    """Flag strokes of a pen, on the tissue and beside it."""
    flags = []
    area_mm2 = _area_mm2(on_tissue & tissue, mpp)
    if area_mm2 >= MIN_INK_MM2:
        share = area_mm2 / _area_mm2(tissue, mpp)
        message = (
            f"A pen has been drawn over {area_mm2:.2g} mm² ({share:.1%}) of the tissue; what "
            "lies under the ink is not reliable."
        )
        flags.append(QualityFlag("pen_on_tissue", "warn", message, share, "1"))
    area_mm2 = _area_mm2(on_glass, mpp)
    if area_mm2 >= MIN_INK_MM2:
        message = f"{area_mm2:.2g} mm² of pen on the glass beside the tissue are left out."
        flags.append(QualityFlag("pen_on_glass", "info", message, area_mm2, "mm²"))
    return flags


def flag_margin_ink(
    excess: NDArray[np.float32], inked: Mask, tissue: Mask, *, mpp: float
) -> list[QualityFlag]:
    """Flag thin ink along the outline of the tissue.

    Parameters
    ----------
    excess
        (3, Y, X) float32, optical density over the local glass.
    inked
        (Y, X) bool, colour of ink, without pen strokes.
    tissue
        (Y, X) bool.
    mpp
        Pixel width, µm.
    """
    rim = tissue & ~shrunk(tissue, max(1, round(_MARGIN_UM / mpp)))
    area_mm2 = _area_mm2(inked & rim & (excess.max(axis=0) > _INK_MIN_OD), mpp)
    if area_mm2 < MIN_INK_MM2:
        return []
    message = (
        f"{area_mm2:.2g} mm² along the outline of the tissue have the colour of ink, as of a "
        "surgical margin; they count as tissue, but their stain cannot be read."
    )
    return [QualityFlag("ink_margin", "info", message, area_mm2, "mm²")]


def flag_stains(angle_deg: float | None, density: float | None) -> list[QualityFlag]:
    """Flag stains that cannot be told apart, that are faded or too dark."""
    flags = []
    if angle_deg is not None and angle_deg < MIN_STAIN_ANGLE_DEG:
        message = (
            f"The two stains are only {angle_deg:.0f}° apart in colour (less than "
            f"{MIN_STAIN_ANGLE_DEG:g}°); nuclei and collagen may be confused."
        )
        flags.append(QualityFlag("stain_out_of_gamut", "warn", message, angle_deg, "°"))
    low, high = STAIN_OD_RANGE
    if density is not None and not low <= density <= high:
        word = "faint" if density < low else "dark"
        message = (
            f"The stain is unusually {word}: the darkest tissue has an optical density of "
            f"{density:.2f} (usual: {low:g} to {high:g})."
        )
        flags.append(QualityFlag("stain_out_of_gamut", "warn", message, density, "OD"))
    return flags


def _area_mm2(mask: Mask, mpp: float) -> float:
    """Area of a mask."""
    return float(np.count_nonzero(mask)) * mpp**2 / 1e6
