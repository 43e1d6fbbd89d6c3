"""Of pieces that lie over each other, are those kept that are nuclei?"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.config import NucleiSettings
from wsi_pipeline.nuclei.readings import find_basins, worth_of

MPP = 0.5
SETTINGS = NucleiSettings()


def disc(at: tuple[float, float], radius_um: float) -> NDArray[np.bool_]:
    row, column = (np.mgrid[:80, :120] + 0.5) * MPP
    return np.asarray(np.hypot(row - at[0], column - at[1]) < radius_um)


def basins_of(contrast: NDArray[np.float64]) -> NDArray[np.int32]:
    smooth = ndimage.gaussian_filter(contrast, 1.0).astype(np.float32)
    return find_basins(smooth, mpp=MPP, settings=SETTINGS)


def numbers_at(basins: NDArray[np.int32], *places: tuple[float, float]) -> list[int]:
    return [int(basins[int(row / MPP), int(column / MPP)]) for row, column in places]


def test_a_disc_is_worth_more_than_its_half_and_than_two_that_touch() -> None:
    one, two = disc((20, 20), 5), disc((20, 29.5), 5)
    half = one & (np.arange(120) * MPP < 20)
    worths = [
        worth_of(mask.astype(np.int32), mpp=MPP, settings=SETTINGS)[1] for mask in (one, half)
    ]
    both = worth_of((one | two).astype(np.int32), mpp=MPP, settings=SETTINGS)[1]
    assert worths[0] > 0.9
    assert worths[1] < 0.8 * worths[0]
    assert both < 0.25 * worths[0]


@pytest.mark.parametrize("radius_um", [1.0, 12.0])
def test_what_is_too_small_or_too_large_is_worth_nothing(radius_um: float) -> None:
    piece = disc((20, 20), radius_um).astype(np.int32)
    assert worth_of(piece, mpp=MPP, settings=SETTINGS).tolist() == [0, 0]


def test_three_that_enclose_a_gap_are_three() -> None:
    """The gap is no pale centre, though it is as small as one."""
    places = [(20.0, 20.0), (20.0, 29.0), (27.8, 24.5)]
    contrast = np.any([disc(place, 4.7) for place in places], axis=0).astype(float)
    assert len(set(numbers_at(basins_of(contrast), *places)) - {0}) == 3


def test_a_nucleus_with_a_pale_centre_is_one() -> None:
    contrast = disc((20, 20), 6) * 0.9 - disc((20, 20), 3) * 0.65
    basins = basins_of(contrast)
    assert len(set(numbers_at(basins, (20, 20), (20, 15.5), (24.5, 20))) - {0}) == 1
    assert basins[40, 40] > 0


def test_a_pale_nucleus_that_a_dark_one_overlaps_is_kept() -> None:
    """Above the level that parts them the pale one is lost, below they run together."""
    pale, dark = disc((20, 20), 5), disc((20, 28.5), 5)
    one, two = numbers_at(basins_of(np.where(dark, 1.3, 0.6 * pale)), (20, 18), (20, 29))
    assert one > 0
    assert two > 0
    assert one != two


def test_even_ground_has_none() -> None:
    assert basins_of(np.full((80, 120), 0.1)).max() == 0
    assert basins_of(np.zeros((80, 120))).max() == 0
