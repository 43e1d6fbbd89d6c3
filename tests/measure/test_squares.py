"""Is the interval of a share that of drawing squares anew?"""

from __future__ import annotations

import numpy as np
import pytest

from wsi_pipeline.measure.squares import draw_shares, place_blocks


def test_pixels_of_one_square_share_a_number() -> None:
    where = np.zeros((10, 12), bool)
    where[[0, 4, 5, 9, 9], [0, 4, 5, 11, 0]] = True  # squares of 5 px: 250 µm at 50 µm
    assert place_blocks(where, 50.0).tolist() == [0, 0, 2, 1, 3]


def test_a_share_that_is_everywhere_the_same_is_certain() -> None:
    blocks = np.repeat(np.arange(20), 100)
    part = np.tile(np.arange(100) < 30, 20)
    assert draw_shares({"a": part}, blocks) == {"a": pytest.approx((0.3, 0.3))}


def test_two_squares_say_nothing_about_a_tumour() -> None:
    blocks = np.repeat(np.arange(2), 100)
    assert draw_shares({"a": blocks > 0}, blocks) == {}


def test_the_interval_holds_the_share_as_often_as_it_says() -> None:
    """Coverage of the 90 % interval over independent tumours of 60 squares."""
    rng, hits = np.random.default_rng(5), 0
    blocks = np.repeat(np.arange(60), 50)
    for _ in range(150):
        chance = rng.beta(2, 3, 60)  # mean 0.4
        part = rng.random(3000) < np.repeat(chance, 50)
        low, high = draw_shares({"a": part}, blocks)["a"]
        hits += low <= 0.4 <= high
    assert 0.8 <= hits / 150 <= 0.96
