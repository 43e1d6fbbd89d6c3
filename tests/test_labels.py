from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.labels import label_map, quantise, tissue_within

FINE, COARSE = Grid((64, 48), 2.0), Grid((16, 12), 8.0)


@given(arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32)))
def test_quantising_loses_at_most_half_a_step(probabilities: np.ndarray) -> None:
    stored = quantise(probabilities)
    assert stored.dtype == np.uint8
    assert np.abs(stored / 255.0 - probabilities).max() <= 0.5 / 255 + 1e-6


def test_the_largest_probability_wins_and_the_first_on_a_tie() -> None:
    stored = np.array([[[10, 7]], [[200, 100]], [[45, 100]]], np.uint8)
    np.testing.assert_array_equal(label_map(stored, tissue=np.ones((1, 2), bool)), [[1, 1]])


def test_glass_is_background_whatever_the_model_says() -> None:
    stored = np.zeros((8, 2, 2), np.uint8)
    stored[5] = 255
    tissue = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(label_map(stored, tissue=tissue), [[5, 0], [0, 5]])


def test_the_mask_is_widened_by_one_coarse_pixel() -> None:
    sections = np.zeros(COARSE.shape, np.uint8)
    sections[5, 6] = 3
    mask = tissue_within(FINE.box, grid=FINE, sections=sections, sections_grid=COARSE)
    expected = np.zeros(FINE.shape, bool)
    expected[4 * 4 : 7 * 4, 5 * 4 : 8 * 4] = True
    np.testing.assert_array_equal(mask, expected)


@given(
    arrays(np.uint8, COARSE.shape, elements=st.integers(0, 2)),
    st.integers(0, 60),
    st.integers(0, 44),
    st.integers(1, 30),
)
def test_a_part_of_the_mask_is_the_mask_of_the_part(
    sections: np.ndarray, top: int, left: int, edge: int
) -> None:
    box = Box(top, left, top + edge, left + edge) & FINE.box
    whole = tissue_within(FINE.box, grid=FINE, sections=sections, sections_grid=COARSE)
    part = tissue_within(box, grid=FINE, sections=sections, sections_grid=COARSE)
    np.testing.assert_array_equal(part, whole[box.slices])
