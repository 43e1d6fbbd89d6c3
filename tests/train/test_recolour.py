from __future__ import annotations

import numpy as np
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND, DERMIS, TUMOUR
from wsi_pipeline.train.recolour import recolour

EDGE = 96


def dotted() -> tuple[torch.Tensor, NDArray[np.uint8]]:
    """Glass, dermis and tumour side by side, all but the glass dotted with nuclei."""
    rows, columns = np.indices((EDGE, EDGE))
    labels = np.choose(columns // 32, [BACKGROUND, DERMIS, TUMOUR]).astype(np.uint8)
    density = np.choose(columns // 32, [0.02, 0.3, 0.5]) + 0.4 * (
        (labels > 0) & (rows % 4 == 0) & (columns % 4 == 0)
    )
    return torch.from_numpy(np.repeat(density[None, None], 3, 1).astype(np.float32)), labels


def inside(plane: torch.Tensor, column: int) -> NDArray[np.float32]:
    """Middle of a stripe, away from its seams."""
    return plane[0, :, 16:80, column + 12 : column + 20].numpy()


def test_glass_stays_and_tissues_change_apart() -> None:
    density, labels = dotted()
    ratios = []
    for seed in range(20):
        found = recolour(density, labels, np.random.default_rng(seed))
        assert found.shape == density.shape
        assert_allclose(inside(found, 0), inside(density, 0), atol=1e-6)
        ratios.append([inside(found, at).mean() / inside(density, at).mean() for at in (32, 64)])
    dermis, tumour = np.log(ratios).T
    assert dermis.std() > 0.15
    assert tumour.std() > 0.15
    assert abs(np.corrcoef(dermis, tumour)[0, 1]) < 0.6


def test_nuclei_fade_and_stand_out() -> None:
    density, labels = dotted()
    before = inside(density, 64)[0]
    contrasts = []
    for seed in range(20):
        found = inside(recolour(density, labels, np.random.default_rng(seed)), 64)[0]
        contrasts.append((found.std() / found.mean()) / (before.std() / before.mean()))
    assert 0.3 < min(contrasts) < 0.6
    assert 1.0 < max(contrasts) < 1.4


def test_the_same_chance_gives_the_same_tile() -> None:
    density, labels = dotted()
    one, other = (recolour(density, labels, np.random.default_rng(3)).numpy() for _ in range(2))
    assert_array_equal(one, other)


def test_any_size_of_tile_will_do() -> None:
    density, labels = dotted()
    found = recolour(density[..., :61, :43], labels[:61, :43], np.random.default_rng(1))
    assert found.shape == (1, 3, 61, 43)
    assert torch.isfinite(found).all()
