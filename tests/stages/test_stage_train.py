from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.segment import load_segmenter
from wsi_pipeline.stages.fields import FIRST_TEST_SEED, VALIDATION_SEED, Field
from wsi_pipeline.stages.train import draw_batch, train_model


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
    tile = np.full((64, 64, 3), 240, np.uint8)
    first = segmenter(tile)
    train_model(tiny, out=out, workers=1)
    np.testing.assert_array_equal(load_segmenter(out, device="cpu")(tile), first)


def test_tiles_show_rare_classes_often(tiny: Config) -> None:
    labels = np.zeros((400, 500), np.uint8)
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
