"""Local thickness: the fast way = all discs drawn; strips and discs have their width."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsi_pipeline.measure import width
from wsi_pipeline.measure.width import local_thickness_px, squared_distances

MPP = 2.0


def blobs(seed: int, shape: tuple[int, int] = (70, 60), sigma: float = 3.0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    return ndimage.gaussian_filter(noise, sigma) > 0


def slow_thickness(mask: np.ndarray) -> np.ndarray:
    """Every disc of every pixel, one after the other."""
    inside = np.pad(mask, 1)
    outside = np.argwhere(~inside) - 1
    rows, columns = np.indices(mask.shape)
    largest = np.zeros(mask.shape, np.int64)
    for row, column in np.argwhere(mask):
        square = ((outside - (row, column)) ** 2).sum(axis=1).min()
        disc = (rows - row) ** 2 + (columns - column) ** 2 < square
        largest[disc] = np.maximum(largest[disc], square)
    return np.where(mask, 2 * np.sqrt(largest), 0)


def strip(width_um: float, angle_deg: float, side: int = 300) -> np.ndarray:
    y, x = np.mgrid[:side, :side] * MPP - side * MPP / 2 + 0.37
    angle = math.radians(angle_deg)
    return np.abs(y * math.cos(angle) - x * math.sin(angle)) < width_um / 2


def disc(diameter_um: float) -> np.ndarray:
    side = math.ceil(diameter_um / MPP) + 8
    y, x = np.mgrid[:side, :side] * MPP - side * MPP / 2 + 0.37
    return np.hypot(y, x) < diameter_um / 2


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 1.0, 2.0, 4.0, 7.0]))
def test_equals_the_slow_twin(seed: int, sigma: float) -> None:
    mask = blobs(seed, (44, 37), sigma)
    assert local_thickness_px(mask) == pytest.approx(slow_thickness(mask), abs=1e-4)


@pytest.mark.parametrize("width_um", [30, 45, 60, 100, 150])
def test_strips_have_their_width(width_um: float) -> None:
    middle, bias_um = (slice(110, 190), slice(110, 190)), []
    for angle_deg in (0, 7, 13, 21, 30, 45, 58, 77, 90):
        mask = strip(width_um, angle_deg)
        found_um = local_thickness_px(mask)[middle][mask[middle]] * MPP
        bias_um.append(found_um.mean() - width_um)
        # Rim and middle have the same width.
        assert np.ptp(found_um) <= 2 * MPP
    assert abs(np.mean(bias_um)) <= 0.05 * width_um
    assert np.abs(bias_um).max() <= 1.8 * MPP


@pytest.mark.parametrize("diameter_um", [30, 60, 150, 400])
def test_discs_have_their_diameter(diameter_um: float) -> None:
    found_um = []
    for excess_um in (-1.0, -0.4, 0.0, 0.7):
        mask = disc(diameter_um + excess_um)
        found_um.append(local_thickness_px(mask)[mask].mean() * MPP - excess_um)
    assert np.mean(found_um) == pytest.approx(diameter_um, rel=0.05)


def test_turned_and_mirrored_structures_have_the_same_width() -> None:
    mask = blobs(1, (130, 90), 5.0)
    found = local_thickness_px(mask)
    for turn in range(4):
        assert np.array_equal(local_thickness_px(np.rot90(mask, turn)), np.rot90(found, turn))
    assert np.array_equal(local_thickness_px(mask[::-1]), found[::-1])


def test_tiles_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = blobs(2, (150, 130), 9.0)
    whole = squared_distances(mask)
    monkeypatch.setattr(width, "_TILE_PX", 32)
    monkeypatch.setattr(width, "_HALO_PX", 3)
    assert np.array_equal(squared_distances(mask), whole)
    monkeypatch.setattr(width, "_SMALL_SQUARE", 6)
    monkeypatch.setattr(width, "_BATCH_PX", 500)
    assert local_thickness_px(mask[40:90]) == pytest.approx(slow_thickness(mask[40:90]), abs=1e-4)


def test_nothing_and_everything() -> None:
    assert not local_thickness_px(np.zeros((5, 7), bool)).any()
    assert not local_thickness_px(np.zeros((0, 0), bool)).size
    # Beyond the plane lies outside: three rows are a strip of three.
    assert local_thickness_px(np.ones((3, 40), bool))[1, 20] == pytest.approx(4)
