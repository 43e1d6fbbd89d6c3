"""Fewer bits must not show in what is called, nor in how the plane was cut up."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from model_makers import random_unet
from torch import nn

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment import load_segmenter, read_card, settle_precision
from wsi_pipeline.segment.folding import fold_batch_norm
from wsi_pipeline.segment.lite_unet import LiteUNet
from wsi_pipeline.segment.network import PixelNetwork

MODELS = Path(__file__).parents[2] / "models"
PRECISIONS = ("float32", "bfloat16")


def random_tile(rows: int = 96, columns: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def with_statistics(network: PixelNetwork) -> PixelNetwork:
    """Batch normalisations of a network that has seen something."""
    torch.manual_seed(5)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
                nn.init.uniform_(values, 0.3, 1.5)
    return network.eval()


@pytest.mark.parametrize("kind", ["unet", "lite-unet"])
def test_folding_changes_no_logit_and_leaves_no_normalisation(kind: str) -> None:
    lite = LiteUNet(width=4, classes=len(CLASS_NAMES))
    network = with_statistics(lite if kind == "lite-unet" else random_unet())
    folded = copy.deepcopy(network)
    fold_batch_norm(folded)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    rgb = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(folded(rgb), network(rgb), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_crop_of_the_result_is_the_result_of_the_crop(precision: str) -> None:
    """Bit for bit, once the halo is taken off."""
    segmenter = load_segmenter(MODELS / "skin-tumour-5", device="cpu", precision=precision)
    halo = segmenter.card.halo_px
    tile = random_tile(2 * halo + 96, 2 * halo + 128)
    whole, part = segmenter(tile), segmenter(tile[32:, :-32])
    inner = slice(halo, halo + 64), slice(halo, halo + 96)
    np.testing.assert_array_equal(part[:, *inner], whole[:, halo + 32 : halo + 96, inner[1]])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_what_is_kept_is_given(builtin: Path, precision: str) -> None:
    segmenter = load_segmenter(builtin, device="cpu", precision=precision)
    keep = slice(8, 40), slice(20, 100)
    kept = segmenter.infer(random_tile(), keep=keep).probabilities
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept, segmenter(random_tile())[:, *keep], atol=1e-7)
    np.testing.assert_allclose(kept.sum(axis=0), 1.0, atol=1e-5)


def test_scores_of_novelty_keep_their_scale() -> None:
    single, half = (
        load_segmenter(MODELS / "skin-tumour-5", device="cpu", precision=precision)
        .infer(random_tile(256, 256))
        .novelty
        for precision in PRECISIONS
    )
    assert single is not None
    assert half is not None
    assert half.dtype == np.float32
    # One position in noise may round unluckily; all together may not.
    np.testing.assert_allclose(half, single, rtol=0.06)
    assert abs(np.log(half / single)).mean() < 0.015


def test_auto_asks_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    card = read_card(MODELS / "skin-tumour-5")
    for has_it, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda answer=has_it: answer)
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
        assert settle_precision("auto", card=card, device="cpu") == expected
        assert settle_precision("float32", card=card, device="cpu") == "float32"
        assert settle_precision("bfloat16", card=card, device="cpu") == "bfloat16"


def test_what_is_no_built_in_network_computes_in_float32(exported: Path) -> None:
    for folder in (exported, MODELS / "colour-baseline"):
        assert settle_precision("auto", card=read_card(folder), device="cpu") == "float32"
        assert load_segmenter(folder, device="cpu", precision="auto").precision == "float32"
        with pytest.raises(ModelMismatchError, match="computes in float32 only"):
            load_segmenter(folder, device="cpu", precision="bfloat16")
