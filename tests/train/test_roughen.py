from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from wsi_pipeline.classes import BACKGROUND, DERMIS, TUMOUR
from wsi_pipeline.train.roughen import roughen, roughen_tissues

EDGE = 120
LABELS = np.choose(np.indices((EDGE, EDGE))[1] // 40, [BACKGROUND, DERMIS, TUMOUR]).astype(np.uint8)
FLAT = torch.full((1, 3, EDGE, EDGE), 0.4)


def factors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the factor of dye in dermis and in tumour."""
    found = roughen_tissues(FLAT, LABELS, np.random.default_rng(seed))
    change = (found / FLAT).log()[0, 0].numpy()
    return change[:, 40:80], change[:, 80:]


def test_glass_stays_and_tissues_get_textures_apart() -> None:
    found = roughen_tissues(FLAT, LABELS, np.random.default_rng(1))
    assert_array_equal(found[..., :40].numpy(), FLAT[..., :40].numpy())
    spreads = np.array([[part.std() for part in factors(seed)] for seed in range(30)])
    assert 0.1 < np.median(spreads) < 0.35
    assert abs(np.corrcoef(spreads.T)[0, 1]) < 0.6
    one, other = factors(1)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.3


def test_every_channel_gets_the_same_grain_so_that_hue_stays() -> None:
    density = FLAT * torch.tensor([1.0, 2.0, 0.5])[None, :, None, None]
    found = roughen_tissues(density, LABELS, np.random.default_rng(2))
    np.testing.assert_allclose((found[:, 1] / found[:, 0]).numpy(), 2.0, rtol=1e-5)


def test_the_same_chance_gives_the_same_texture() -> None:
    one, other = (roughen_tissues(FLAT, LABELS, np.random.default_rng(3)).numpy() for _ in range(2))
    assert_array_equal(one, other)


def test_a_tile_of_glass_alone_stays() -> None:
    glass = np.full((EDGE, EDGE), BACKGROUND, np.uint8)
    assert_array_equal(roughen_tissues(FLAT, glass, np.random.default_rng(0)).numpy(), FLAT)


@pytest.mark.parametrize("seed", range(3))
def test_white_glass_around_nuclei_stays_white(seed: int) -> None:
    rgb = np.full((EDGE, EDGE, 3), 255, np.uint8)
    rgb[40:60, 40:60] = (90, 60, 140)
    inside = rgb[..., 0] < 255
    found = roughen(rgb, inside, np.random.default_rng(seed))
    assert (found[~inside] == 255).all()
    assert found[inside].std() > 0
