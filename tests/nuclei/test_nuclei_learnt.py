from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.config import NucleiSettings
from wsi_pipeline.nuclei import nuclei_of

MPP = 0.5
SETTINGS = NucleiSettings()


def discs(places: list[tuple[float, float]], radius: float, edge: int = 96) -> NDArray[np.int32]:
    """Numbered discs; where two overlap, the later lies on top."""
    row, column = np.mgrid[:edge, :edge]
    labels = np.zeros((edge, edge), np.int32)
    for number, (down, right) in enumerate(places, start=1):
        labels[np.hypot(row - down, column - right) < radius] = number
    return labels


def said_of(labels: NDArray[np.int32], blur_px: float = 0.6) -> NDArray[np.uint8]:
    """What a good network says of nuclei: sure in the middle, less so at their rims."""
    alone = ndimage.minimum_filter(labels, 3) == ndimage.maximum_filter(labels, 3)
    inside, rim = (labels > 0) & alone, (labels > 0) & ~alone
    planes = np.stack([labels == 0, inside, rim]).astype(np.float32)
    soft = np.stack([ndimage.gaussian_filter(plane, blur_px) for plane in planes])
    return np.rint(255 * soft / soft.sum(axis=0)).astype(np.uint8)


def test_lone_nuclei_come_out_as_they_are() -> None:
    true = discs([(20, 20), (50, 60), (75, 25)], 9)
    found = nuclei_of(said_of(true), mpp=MPP, settings=SETTINGS)
    assert found.max() == 3
    for number in (1, 2, 3):
        one, other = true == number, found == found[true == number][0]
        assert (one & other).sum() / (one | other).sum() > 0.9


@pytest.mark.parametrize("apart_px", [19, 17, 15])
def test_nuclei_that_touch_are_two(apart_px: int) -> None:
    true = discs([(40, 30), (40, 30 + apart_px)], 9)
    found = nuclei_of(said_of(true), mpp=MPP, settings=SETTINGS)
    assert found.max() == 2
    assert found[40, 30] != found[40, 30 + apart_px]
    assert (found > 0).sum() == pytest.approx((true > 0).sum(), rel=0.1)


def test_a_pale_middle_is_filled() -> None:
    """A vesicular nucleus of which the network takes the middle for cytoplasm."""
    said = said_of(discs([(48, 48)], 11))
    said[:, 46:51, 46:51] = np.array([255, 0, 0], np.uint8)[:, None, None]
    found = nuclei_of(said, mpp=MPP, settings=SETTINGS)
    assert found.max() == 1
    assert found[48, 48] == 1


def test_specks_and_doubt_are_no_nuclei() -> None:
    specks = said_of(discs([(20, 20), (60, 60)], 2.5))
    assert nuclei_of(specks, mpp=MPP, settings=SETTINGS).max() == 0
    doubt = said_of(discs([(48, 48)], 9))
    assert nuclei_of(doubt, mpp=MPP, settings=SETTINGS).max() == 1
    doubt[0] = np.maximum(doubt[0], 110)  # nowhere surer than 0.57
    assert nuclei_of(doubt, mpp=MPP, settings=SETTINGS).max() == 0


def test_where_a_tile_begins_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    places = [(float(y), float(x)) for y, x in rng.uniform(10, 246, (60, 2))]
    said = said_of(discs(places, 8, edge=256))
    whole = nuclei_of(said, mpp=MPP, settings=SETTINGS)
    part = nuclei_of(said[:, 32:224, 32:224], mpp=MPP, settings=SETTINGS)
    inner = slice(96 - 32, 160 - 32)
    np.testing.assert_array_equal(whole[96:160, 96:160] > 0, part[inner, inner] > 0)
    pairs = np.stack([whole[96:160, 96:160], part[inner, inner]], axis=-1).reshape(-1, 2)
    pairs = np.unique(pairs[pairs[:, 0] > 0], axis=0)
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == len(pairs) > 3
