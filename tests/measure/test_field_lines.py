"""Laplace's equation where its field lines are known."""

from __future__ import annotations

import numpy as np
import pytest

from wsi_pipeline.measure import laplace
from wsi_pipeline.measure.laplace import arc_lengths, directions, solve_potential


def ring() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Between circles of 120 px (shallow) and 60 px (deep): domain and both distances."""
    y, x = np.mgrid[:260, :260] - 129.7
    radius = np.hypot(y, x)
    return (radius > 60) & (radius < 120), 120 - radius, radius - 60


def strip(angle_deg: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rectangle of 120 px by 160 px, turned; its short sides are sides."""
    y, x = np.mgrid[:220, :220] - 109.7
    turn = np.radians(angle_deg)
    down, along = y * np.cos(turn) - x * np.sin(turn), y * np.sin(turn) + x * np.cos(turn)
    return (abs(down) < 60) & (abs(along) < 80), down + 60, 60 - down


def test_field_lines_of_a_ring_are_its_radii() -> None:
    domain, to_dej, to_dsj = ring()
    potential = solve_potential(domain, to_dej_px=to_dej, to_dsj_px=to_dsj)
    assert np.array_equal(np.isfinite(potential), domain)
    for lengths, wanted in (
        (arc_lengths(potential, to_dej), to_dej),
        (arc_lengths(-potential, to_dsj), to_dsj),
    ):
        assert np.abs(lengths - wanted)[domain].max() < 0.3
    y, x = np.mgrid[:260, :260] - 129.7
    inward = np.stack((-y, -x)) / np.hypot(y, x)
    cosine = (directions(potential) * inward).sum(axis=0)[domain]
    assert cosine.min() > 0.99


@pytest.mark.parametrize("angle_deg", [0.0, 20.0, 45.0, 77.0])
def test_sides_bend_nothing(angle_deg: float) -> None:
    domain, to_dej, to_dsj = strip(angle_deg)
    potential = solve_potential(domain, to_dej_px=to_dej, to_dsj_px=to_dsj)
    first, last = arc_lengths(potential, to_dej), arc_lengths(-potential, to_dsj)
    assert (first - to_dej)[domain].std() < 0.2
    assert np.abs(first / (first + last) - to_dej / 120)[domain].max() < 0.011


def test_from_coarse_to_fine_is_the_direct_solution(monkeypatch) -> None:
    y, x = np.mgrid[:150, :300].astype(float)
    top, bottom = 20 + 6 * np.sin(x / 30), 110 + 12 * np.sin(x / 41)
    domain = (y > top) & (y < bottom)
    distances = {"to_dej_px": y - top, "to_dsj_px": bottom - y}
    direct = arc_lengths(solve_potential(domain, **distances), y - top)
    monkeypatch.setattr(laplace, "_DIRECT", 2000)
    nested = arc_lengths(solve_potential(domain, **distances), y - top)
    assert np.abs(direct - nested)[domain].max() < 0.05


def test_a_part_without_junctions_keeps_the_ratio_of_distances() -> None:
    domain = np.zeros((60, 60), bool)
    domain[20:40, 20:40] = True  # far from both lines
    to_dej = np.full(domain.shape, 30.0)
    found = solve_potential(domain, to_dej_px=to_dej, to_dsj_px=2 * to_dej)
    assert found[domain] == pytest.approx(1 / 3)


def test_a_dermis_thinner_than_the_band_is_the_ratio() -> None:
    domain = np.zeros((9, 40), bool)
    domain[3:6] = True
    y = np.mgrid[:9, :40][0] - 2.5
    found = solve_potential(domain, to_dej_px=y.astype(float), to_dsj_px=3 - y)
    assert found[domain] == pytest.approx((y / 3)[domain])
