"""Tiles of a batch lend each other tissues."""

from __future__ import annotations

import numpy as np
import pytest

from wsi_pipeline.train import mix_tiles


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = rng.choice(np.array([0, 2, 5, 255], np.uint8), (6, 16, 16))
    # Colour tells tile and class: what is laid over must bring its own.
    rgb = np.stack([np.full_like(labels, 10), labels, labels * 0], axis=-1)
    rgb[..., 2] = np.arange(6)[:, None, None]
    return rgb, labels


def test_pixels_bring_their_labels(batch: tuple[np.ndarray, np.ndarray]) -> None:
    rgb, labels = mix_tiles(*batch, share=1.0, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(rgb[..., 1], labels)
    for number in range(6):
        lent = rgb[number, ..., 2] != number
        assert set(np.unique(rgb[number, ..., 2])) == {number, (number + 1) % 6}
        # Two of three tissues, whole; what is not known stays where it is.
        mine, theirs = batch[1][number], batch[1][(number + 1) % 6]
        assert len(np.unique(theirs[lent])) == 2
        assert 255 not in theirs[lent]
        wanted = np.isin(theirs, np.unique(theirs[lent])) & ((mine != 0) | (theirs == 0))
        np.testing.assert_array_equal(lent, wanted)


def test_the_surface_stays_together() -> None:
    """Glass, horn and epidermis in three rows over dermis and tumour."""
    rng = np.random.default_rng(5)
    labels = np.repeat(np.array([0, 7, 1, 2, 5], np.uint8), 4)[None, :, None].repeat(20, axis=2)
    labels = np.concatenate([labels, np.roll(labels, 6, axis=2)[:, ::-1]])
    rgb = labels[..., None].repeat(3, axis=3)
    for _ in range(20):
        _, mixed = mix_tiles(rgb, labels, share=1.0, rng=rng)
        surface = np.isin(labels, (0, 1, 7))
        for number in range(2):
            assert np.isin(mixed[number][surface[number]], (0, 1, 7)).all()
            new = np.isin(mixed[number], (0, 1, 7)) & ~surface[number]
            assert not new.any() or (new == (surface[1 - number] & ~surface[number])).all()


def test_as_many_as_wanted(batch: tuple[np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(2)
    untouched = mix_tiles(*batch, share=0.0, rng=rng)
    np.testing.assert_array_equal(untouched[0], batch[0])
    changed = [
        (mix_tiles(*batch, share=0.3, rng=rng)[0] != batch[0]).any(axis=(1, 2, 3)).mean()
        for _ in range(200)
    ]
    assert 0.25 < np.mean(changed) < 0.35


def test_inputs_are_left_alone(batch: tuple[np.ndarray, np.ndarray]) -> None:
    before = batch[0].copy(), batch[1].copy()
    mix_tiles(*batch, share=1.0, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(batch[0], before[0])
    np.testing.assert_array_equal(batch[1], before[1])
