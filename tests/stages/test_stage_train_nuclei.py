from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsi_pipeline.config import parse_config
from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.nuclei import NUCLEAR_CLASSES
from wsi_pipeline.segment import load_segmenter, read_card
from wsi_pipeline.stages.nuclear_fields import (
    INSIDE,
    OUTSIDE,
    RIM,
    NuclearField,
    draw_tile,
    rims_of,
)
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.train_nuclei import NUCLEAR_TRAINING, train_nuclei

TINY = {
    "phantoms": 1,
    "validation_phantoms": 1,
    "steps": 4,
    "validate_every": 2,
    "batch": 1,
    "tile_px": 64,
    "margin_px": 8,
    "width": 4,
    "mpp": 1.0,
}


def test_a_network_of_nuclei_is_learnt_and_is_no_segmenter(tmp_path: Path) -> None:
    out = tmp_path / "outlines"
    result = train_nuclei(parse_config({"train": TINY}), out=out, workers=1)
    segmenter = load_segmenter(out, classes=NUCLEAR_CLASSES, device="cpu")
    assert segmenter.card.classes == NUCLEAR_CLASSES
    assert (segmenter.card.id, segmenter.card.mpp) == ("outlines", 1.0)
    assert "No patient's tissue" in segmenter.card.training_data
    assert f"{result.score:.3f}" in (out / "CARD.md").read_text()
    tile = np.full((64, 64, 3), 200, np.uint8)
    assert segmenter(tile).shape == (3, 64, 64)
    with pytest.raises(ModelMismatchError, match="'classes' must be background, epidermis"):
        read_card(out)
    with pytest.raises(ModelMismatchError, match="'classes' must be outside, inside, rim"):
        read_card(find_model("colour-baseline"), classes=NUCLEAR_CLASSES)


def test_the_settings_are_those_of_the_card() -> None:
    """What ``--nuclei`` sets are settings there are, at values they may take."""
    settings = parse_config({"train": NUCLEAR_TRAINING}).train
    assert settings.mpp == read_card(find_model("nuclei-1"), classes=NUCLEAR_CLASSES).mpp


def test_every_nucleus_has_a_rim_of_one_pixel() -> None:
    nuclei = np.zeros((12, 14), np.int32)
    nuclei[2:9, 2:7], nuclei[2:9, 7:12] = 1, 2  # side by side
    labels = rims_of(nuclei)
    assert (labels[nuclei == 0] == OUTSIDE).all()
    assert (labels[3:8, 3:6] == INSIDE).all()
    assert (labels[3:8, 8:11] == INSIDE).all()
    assert (labels[2:9, 6:8] == RIM).all()  # which parts the two
    assert (labels == INSIDE).sum() == 2 * 15


def test_a_tile_depends_on_its_draw_alone_and_shows_nuclei() -> None:
    row, column = np.mgrid[:200, :220]
    nuclei = ((row // 20) * 11 + column // 20 + 1).astype(np.int32)
    nuclei[np.hypot(row % 20 - 10, column % 20 - 10) > 7] = 0
    rgb = np.where(nuclei[..., None] > 0, 90, 210).astype(np.uint8).repeat(3, axis=2)
    field = NuclearField(rgb, np.full(nuclei.shape, 5, np.uint8), nuclei)
    one, other = (draw_tile(field, edge_px=96, rng=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    assert one[0].shape == (96, 96, 3)
    assert set(np.unique(one[1])) == {OUTSIDE, INSIDE, RIM}
    shares = [
        (draw_tile(field, edge_px=96, rng=np.random.default_rng(seed))[1] != OUTSIDE).mean()
        for seed in range(20)
    ]
    assert np.mean(shares) == pytest.approx(np.pi * 49 / 400, abs=0.08)
