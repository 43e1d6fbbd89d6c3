from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.segment import load_segmenter
from wsi_pipeline.segment.scored import ScoredNetwork
from wsi_pipeline.segment.unet import UNet
from wsi_pipeline.stages.calibrate import calibrate
from wsi_pipeline.stages.fields import FIRST_TEST_SEED, VALIDATION_SEED, Field
from wsi_pipeline.stages.train import draw_batch, train_model, validate
from wsi_pipeline.train.loop import normalised


@pytest.fixture(scope="module")
def tiny() -> Config:
    return parse_config(
        {
            "train": {
                "phantoms": 2,
                "validation_phantoms": 1,
                "steps": 6,
                "validate_every": 3,
                "batch": 2,
                "tile_px": 64,
                "network": "unet",
                "width": 4,
                "depth": 2,
                "mpp": 4.0,
            }
        }
    )


def test_a_model_is_learnt_and_ready_to_run(tiny: Config, tmp_path: Path) -> None:
    out = tmp_path / "learnt"
    result = train_model(tiny, out=out, workers=1)
    segmenter = load_segmenter(out, device="cpu")
    assert segmenter.card.id == "learnt"
    assert segmenter.card.mpp == 4.0
    assert not segmenter.card.is_baseline
    assert "No patient's tissue" in segmenter.card.training_data
    assert f"{result.score:.3f}" in (out / "CARD.md").read_text()
    assert 0.05 <= segmenter.card.temperature <= 20.0
    assert segmenter.card.novelty is not None
    assert segmenter.card.novelty.limit > 1.0
    stated = tomllib.loads((out / "model.toml").read_text())["calibration"]
    assert stated["bins"] == 15
    assert 0.0 <= stated["ece"] <= 1.0
    assert f"temperature of {stated['temperature']}" in (out / "CARD.md").read_text()
    tile = np.full((64, 64, 3), 240, np.uint8)
    first = segmenter(tile)
    assert segmenter.infer(tile).novelty is not None
    train_model(tiny, out=out, workers=1)
    np.testing.assert_array_equal(load_segmenter(out, device="cpu")(tile), first)


def test_tiles_show_rare_classes_often(tiny: Config) -> None:
    labels = np.full((400, 500), 2, np.uint8)
    labels[200, 250:260] = 5
    rgb = np.full((400, 500, 3), 200, np.uint8)
    shown = [
        (draw_batch([Field(rgb, labels)], step, settings=tiny.train)[1] == 5).any(axis=(1, 2))
        for step in range(40)
    ]
    assert 0.35 < np.mean(shown) < 0.75


def test_batches_depend_on_the_step_alone(tiny: Config) -> None:
    rng = np.random.default_rng(0)
    field = Field(
        rng.integers(0, 256, (90, 80, 3), dtype=np.uint8),
        rng.integers(0, 8, (90, 80), dtype=np.uint8),
    )
    one, two, other = (draw_batch([field], step, settings=tiny.train) for step in (3, 3, 4))
    np.testing.assert_array_equal(one[0], two[0])
    assert not np.array_equal(one[0], other[0])
    assert one[0].shape == (2, 64, 64, 3)
    assert one[1].shape == (2, 64, 64)


def test_seeds_for_testing_are_never_trained_on() -> None:
    largest = 100_000, 10_000  # of the settings
    assert largest[0] <= VALIDATION_SEED
    assert VALIDATION_SEED + largest[1] <= FIRST_TEST_SEED


def test_the_median_of_held_out_tissue_is_one_and_its_limit_the_quantile() -> None:
    """Fields of noise, so that the network finds all of them alike."""
    rng = np.random.default_rng(0)

    def field() -> tuple[np.ndarray, np.ndarray]:
        rgb = rng.integers(0, 256, (160, 200, 3), dtype=np.uint8)
        return rgb, np.ones((160, 200), np.uint8)

    torch.manual_seed(1)
    network = UNet(width=4, depth=2, classes=len(CLASS_NAMES)).eval()
    held_out = [field() for _ in range(2)]
    known = calibrate(network, training=[field() for _ in range(3)], held_out=held_out)
    scored = ScoredNetwork(network, **known.statistics)
    scores = []
    for rgb, _ in held_out:
        wide = np.pad(rgb, ((24, 24), (24, 24), (0, 0)), mode="edge")
        with torch.inference_mode():
            plane = scored(normalised(torch.from_numpy(wide[None])))[1][0]
        scores.append(plane[6:-6, 6:-6].ravel().numpy())
    found = np.concatenate(scores)
    assert np.median(found) == pytest.approx(1.0, abs=0.01)
    assert np.mean(found <= known.limit) == pytest.approx(0.99, abs=0.002)
    assert known.pixels == 2 * 32 * 40
    # A network with random weights is right by chance: its probabilities must become as flat.
    assert known.temperature > 1.0
    assert known.ece < known.ece_before


def test_glass_far_from_tissue_has_no_say_in_the_calibration() -> None:
    torch.manual_seed(1)
    network = UNet(width=4, depth=2, classes=len(CLASS_NAMES)).eval()
    rgb = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    labels = np.zeros((160, 160), np.uint8)
    labels[80:120, 40:80] = 2
    known = calibrate(network, training=[(rgb, labels)], held_out=[(rgb, labels)])
    assert known.pixels == 8 * 8


def test_tumour_called_where_there_is_none_is_counted() -> None:
    torch.manual_seed(2)
    network = UNet(width=4, depth=2, classes=len(CLASS_NAMES)).eval()
    rgb = np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)
    labels = np.full((160, 200), 2, np.uint8)
    labels[100:] = 5  # what is tumour has no say
    wide = np.pad(rgb, ((24, 24), (24, 24), (0, 0)), mode="edge")
    with torch.inference_mode():
        logits = network(normalised(torch.from_numpy(wide[None])))[0]
        others = torch.cat([logits[:5], logits[6:]]).amax(dim=0)
        network.head.bias[5] -= (logits[5] - others).median()  # now it calls half of it tumour
        called = network(normalised(torch.from_numpy(wide[None]))).argmax(dim=1)[0]
    known = calibrate(network, training=[(rgb, labels)], held_out=[(rgb, labels)])
    called = called[24:-24, 24:-24][:100:5, ::5]
    assert 0.1 < known.false_tumour < 0.9
    assert known.false_tumour == pytest.approx(float((called == 5).float().mean()))


class RimCaller(torch.nn.Module):
    """Calls white glass background, but where it sees beyond the border dermis."""

    def __init__(self) -> None:
        super().__init__()
        self.total = torch.nn.Conv2d(3, 1, 3, padding=1, bias=False)
        torch.nn.init.ones_(self.total.weight)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        missing = 53.0 - self.total(rgb)  # of 3 channels × 9 neighbours × 2
        zero = torch.zeros_like(missing)
        return torch.cat([zero, zero - 99.0, missing, *[zero - 99.0] * 5], dim=1)


def test_validation_shows_what_lies_beyond_the_border() -> None:
    glass = Field(np.full((32, 48, 3), 255, np.uint8), np.zeros((32, 48), np.uint8))
    blind = validate([glass], RimCaller(), stride_px=16)
    assert blind < 0.6
    assert validate([glass], RimCaller(), stride_px=16, margin_px=16) == 1.0
