from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from wsi_pipeline.classes import ADNEXA, EPIDERMIS, EPITHELIUM
from wsi_pipeline.config import TrainSettings
from wsi_pipeline.errors import ConfigError, StoreError
from wsi_pipeline.train import Fit, augment, fit, mean_dice, window_px
from wsi_pipeline.train.loop import Batch, learning_rate, normalised
from wsi_pipeline.train.loss import segmentation_loss

SETTINGS = TrainSettings(
    steps=60, validate_every=20, batch=4, tile_px=16, margin_px=0, learning_rate=0.05
)


class Small(nn.Module):
    """Two convolutions: enough to tell dark from bright."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 1)
        )

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(rgb)
        return logits


def draw_batch(step: int) -> Batch:
    """Dark squares on bright ground; the squares are class 1."""
    rng = np.random.default_rng([7, step])
    labels = np.zeros((4, 16, 16), np.uint8)
    for tile in labels:
        top, left = rng.integers(0, 9, 2)
        tile[top : top + 7, left : left + 7] = 1
    rgb = np.where(labels[..., None] == 1, 90, 220) + rng.integers(-20, 20, (4, 16, 16, 3))
    return rgb.astype(np.uint8), labels


def validate(network: nn.Module) -> float:
    rgb, labels = draw_batch(10_000)
    with torch.inference_mode():
        found = network(normalised(torch.from_numpy(rgb))).argmax(dim=1)
    return mean_dice(found, torch.from_numpy(labels), classes=2)


def train(folder: Path, settings: TrainSettings = SETTINGS) -> Fit:
    return fit(Small(), draw_batch=draw_batch, validate=validate, settings=settings, folder=folder)


def test_a_network_learns_what_it_is_shown(tmp_path: Path) -> None:
    assert validate(Small().eval()) < 0.8
    assert train(tmp_path).score > 0.97


def test_the_same_settings_give_the_same_weights(tmp_path: Path) -> None:
    one, two = train(tmp_path / "1"), train(tmp_path / "2")
    for name, value in load_file(one.weights).items():
        assert torch.equal(value, load_file(two.weights)[name]), name


def test_a_killed_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    def dying(step: int) -> Batch:
        if step == 47:
            raise KeyboardInterrupt
        return draw_batch(step)

    with pytest.raises(KeyboardInterrupt):
        fit(Small(), draw_batch=dying, validate=validate, settings=SETTINGS, folder=tmp_path / "k")
    seen: list[int] = []

    def watched(step: int) -> Batch:
        seen.append(step)
        return draw_batch(step)

    resumed = fit(
        Small(), draw_batch=watched, validate=validate, settings=SETTINGS, folder=tmp_path / "k"
    )
    whole = train(tmp_path / "w")
    assert seen[0] == 40
    assert (resumed.score, resumed.steps) == (whole.score, whole.steps)
    for name, value in load_file(whole.weights).items():
        assert torch.equal(value, load_file(resumed.weights)[name]), name
    with (tmp_path / "k" / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["20", "40", "60"]


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = train(tmp_path)

    def never(step: int) -> Batch:
        raise AssertionError(step)

    again = fit(Small(), draw_batch=never, validate=validate, settings=SETTINGS, folder=tmp_path)
    assert (again.score, again.steps) == (first.score, first.steps)


def test_training_stops_when_it_no_longer_helps(tmp_path: Path) -> None:
    scores = iter([0.5, 0.4, 0.4, 0.9])
    settings = replace(SETTINGS, steps=1000, validate_every=5, patience=2)
    result = fit(
        Small(),
        draw_batch=draw_batch,
        validate=lambda _: next(scores),
        settings=settings,
        folder=tmp_path,
    )
    assert (result.score, result.steps) == (0.5, 15)


def test_a_run_with_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(StoreError, match="other settings"):
        train(tmp_path, replace(SETTINGS, seed=2))


def test_a_margin_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="margin_px = 8 leaves nothing"):
        train(tmp_path, replace(SETTINGS, margin_px=8))


def test_a_run_on_other_data_is_not_gone_on_with(tmp_path: Path) -> None:
    def on(data: str) -> Fit:
        return fit(
            Small(),
            draw_batch=draw_batch,
            validate=lambda _: 1.0,
            settings=replace(SETTINGS, steps=1, validate_every=1),
            folder=tmp_path,
            data=data,
        )

    assert on("one").steps == on("one").steps == 1
    with pytest.raises(StoreError, match="other settings or data"):
        on("two")


def test_a_damaged_checkpoint_is_said(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"half")
    with pytest.raises(StoreError, match="delete it to start anew"):
        train(tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "checkpoint.safetensors", {"settings": "{}"})
    with pytest.raises(StoreError, match="other settings"):
        train(tmp_path)


def test_the_learning_rate_rises_and_falls() -> None:
    settings = TrainSettings(steps=1000, learning_rate=0.1)
    rates = [learning_rate(step, settings) for step in range(1000)]
    assert rates[0] < 0.01
    assert max(rates) == pytest.approx(0.1, rel=0.02)
    assert rates[-1] < 1e-5


def test_the_loss_is_small_where_the_labels_are_right() -> None:
    labels = torch.tensor([[[0, 1], [1, 0]]])
    right = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float() * 20
    assert float(segmentation_loss(right, labels)) < 1e-3
    assert float(segmentation_loss(-right, labels)) > 1.0


def test_pixels_without_a_class_count_for_nothing() -> None:
    """The loss is that of the rest alone, and no gradient reaches them."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((2, 3, 4, 6), generator=generator, requires_grad=True)
    labels = torch.randint(0, 3, (2, 4, 6), generator=generator)
    labels[:, :, 4:] = 255
    loss = segmentation_loss(logits, labels)
    alone = segmentation_loss(logits[..., :4], labels[..., :4])
    assert loss.item() == pytest.approx(alone.item(), rel=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad[..., 4:].any()
    assert logits.grad[..., :4].all()


def test_epithelium_is_epidermis_or_adnexa() -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn((1, 8, 4, 4), generator=generator, requires_grad=True)
    labels = torch.full((1, 4, 4), EPITHELIUM)
    loss = segmentation_loss(logits, labels)
    either = logits.detach().softmax(dim=1)[:, [EPIDERMIS, ADNEXA]].sum(dim=1)
    assert float(loss.detach()) == pytest.approx(-0.5 * float(either.log().mean()), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    # Both are wanted alike, so that which of them it is stays as it was; all others are not.
    one, other = logits.grad[:, EPIDERMIS], logits.grad[:, ADNEXA]
    assert (one < 0).all()
    torch.testing.assert_close(one, other)
    assert (logits.grad[:, [0, 2, 4, 5, 6, 7]] > 0).all()


def test_a_tile_without_any_class_teaches_nothing() -> None:
    logits = torch.randn((1, 3, 4, 4), requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_dice_counts_only_classes_that_occur() -> None:
    found, wanted = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 1]])
    assert mean_dice(found, wanted, classes=8) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert math.isclose(mean_dice(wanted, wanted, classes=8), 1.0)


@given(st.integers(0, 2**32), st.sampled_from([24, 40]))
def test_variation_moves_labels_with_their_places(seed: int, edge_px: int) -> None:
    edge = window_px(edge_px)
    labels = np.zeros((edge, edge), np.uint8)
    labels[: edge // 2] = 1
    rgb = np.where(labels[..., None] == 1, (120, 70, 140), (235, 170, 200)).astype(np.uint8)
    varied, classes = augment(rgb, labels, edge_px=edge_px, rng=np.random.default_rng(seed))
    again, same = augment(rgb, labels, edge_px=edge_px, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(varied, again)
    np.testing.assert_array_equal(classes, same)
    assert varied.shape == (edge_px, edge_px, 3)
    assert 0.2 < (classes == 1).mean() < 0.8
    # The dark half is still the dark half, wherever it was turned to.
    assert varied[classes == 1].mean() < varied[classes == 0].mean()


def test_a_window_holds_the_tile_however_it_is_turned() -> None:
    edge = window_px(64)
    rgb = np.full((edge, edge, 3), 200, np.uint8)
    rim = np.ones((edge, edge), np.uint8)
    rim[2:-2, 2:-2] = 0
    shown = [
        augment(rgb, rim, edge_px=64, rng=np.random.default_rng(seed))[1].mean()
        for seed in range(60)
    ]
    assert np.mean(shown) < 0.01
