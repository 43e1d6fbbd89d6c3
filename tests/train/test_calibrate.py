from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.train import calibration_error, fit_familiar, fit_temperature
from wsi_pipeline.train.calibrate import BINS
from wsi_pipeline.train.novelty import shrunk_covariance


def honest_samples(count: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of four classes, and classes drawn with just the probabilities they state."""
    generator = torch.Generator().manual_seed(0)
    logits = 2.0 * torch.randn(count, 4, generator=generator)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    return logits, labels


def certain(confidence: float, *, right: float, count: int = 1000) -> tuple[torch.Tensor, ...]:
    """Two classes; all samples equally sure, a known share of them right."""
    logits = torch.tensor([math.log(confidence / (1.0 - confidence)), 0.0]).repeat(count, 1)
    return logits, (torch.arange(count) >= right * count).long()


@pytest.mark.parametrize("factor", [0.2, 0.7, 1.0, 2.5, 8.0])
def test_a_known_temperature_is_found(factor: float) -> None:
    logits, labels = honest_samples()
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.03)


def test_no_other_temperature_is_more_likely() -> None:
    logits, labels = honest_samples(2000)
    best = fit_temperature(3.0 * logits, labels)

    def loss(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(3.0 * logits.double() / temperature, labels))

    assert all(loss(best) < loss(best * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0))


def test_the_temperature_has_a_closed_form_for_two_classes() -> None:
    """All samples alike: the logit must become that of the share that is right."""
    logits, labels = certain(0.95, right=0.8)
    expected = math.log(0.95 / 0.05) / math.log(0.8 / 0.2)
    assert fit_temperature(logits, labels) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("right", "end"), [(1.0, 0.05), (0.5, 20.0), (0.0, 20.0)])
def test_a_temperature_beyond_the_range_stays_at_its_end(right: float, end: float) -> None:
    assert fit_temperature(*certain(0.9, right=right)) == pytest.approx(end, rel=1e-6)


def test_honest_probabilities_have_no_error() -> None:
    logits, labels = honest_samples()
    assert calibration_error(logits, labels) < 0.01
    assert calibration_error(4.0 * logits, labels) > 0.1
    assert calibration_error(4.0 * logits, labels, temperature=4.0) < 0.01


@pytest.mark.parametrize(("confidence", "right"), [(0.9, 0.7), (0.99, 0.2), (0.6, 0.9), (0.8, 0.8)])
def test_the_error_of_equally_sure_samples_is_exact(confidence: float, right: float) -> None:
    error = calibration_error(*certain(confidence, right=right))
    assert error == pytest.approx(abs(confidence - right), abs=1e-6)


def test_errors_of_opposite_sign_in_different_bins_do_not_cancel() -> None:
    pairs = [certain(0.95, right=0.75), certain(0.6, right=0.8)]
    logits, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    assert calibration_error(logits, labels) == pytest.approx(0.2, abs=1e-6)


@given(st.integers(0, 2**32), st.floats(0.1, 10.0))
def test_the_error_is_that_of_its_slow_twin(seed: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3.0 * torch.randn(200, 5, generator=generator)
    labels = torch.randint(0, 5, (200,), generator=generator)
    chances = (logits.double() / temperature).softmax(dim=1).numpy()
    confidence, right = chances.max(axis=1), chances.argmax(axis=1) == labels.numpy()
    expected = 0.0
    for number in range(BINS):
        inside = (confidence > number / BINS) & (confidence <= (number + 1) / BINS)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(logits, labels, temperature=temperature) == pytest.approx(expected)


def test_distances_are_those_of_mahalanobis() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 3)) @ np.array([[2.0, 0, 0], [1.5, 1, 0], [0, 0.3, 0.1]]) + 5
    known = fit_familiar(torch.from_numpy(features), samples=10**9)
    inverse = np.linalg.inv(np.cov(features.T, bias=True) + 1e-6 * np.eye(3))
    off = features - features.mean(axis=0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", off, inverse, off))
    found = known.distance(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_channels_that_never_fire_are_no_obstacle() -> None:
    features = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    features[:, 3:] = 0.0
    known = fit_familiar(features, samples=50)
    assert known.distance(features).isfinite().all()
    fired = features.clone()
    fired[:, 6] = 5.0
    assert float(known.distance(fired).min()) > float(known.distance(features).max())


@pytest.mark.parametrize("samples", [1, 3, 30, 1000, 10**9])
def test_shrinking_keeps_the_mean_variance(samples: int) -> None:
    covariance = torch.diag(torch.tensor([9.0, 1.0, 0.0, 0.0], dtype=torch.float64))
    shrunk = shrunk_covariance(covariance, samples=samples)
    assert float(shrunk.trace()) == pytest.approx(10.0)
    assert float(shrunk[3, 3]) > 0


def test_fewer_samples_are_shrunk_more() -> None:
    covariance = torch.diag(torch.tensor([9.0, 1.0, 0.5], dtype=torch.float64))
    spreads = [float(shrunk_covariance(covariance, samples=count)[0, 0]) for count in (2, 20, 2000)]
    assert spreads == sorted(spreads)
    assert spreads[0] == pytest.approx(3.5)
    assert spreads[-1] == pytest.approx(9.0, rel=0.01)


def test_a_covariance_of_equal_variances_stays_as_it_is() -> None:
    unit = 2.0 * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(shrunk_covariance(unit, samples=7), unit)
