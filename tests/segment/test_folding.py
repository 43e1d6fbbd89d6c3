"""What is folded, fused and left out must not show in what is kept."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_makers import random_unet
from torch import Tensor, nn

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.geometry import Box
from wsi_pipeline.segment.decoder import cut
from wsi_pipeline.segment.folding import (
    FoldedDoubleConv,
    FusedConv,
    fold_batch_norm,
    fold_enlarging,
    fuse_activations,
)
from wsi_pipeline.segment.lite_unet import LiteUNet
from wsi_pipeline.segment.network import PixelNetwork
from wsi_pipeline.segment.precision import prepare_network
from wsi_pipeline.segment.strips import Striped

KINDS = ("unet", "lite-unet")
PRECISIONS = (torch.float32, torch.bfloat16)


def network_of(kind: str) -> PixelNetwork:
    """Network whose batch normalisations have seen something, folded away."""
    torch.manual_seed(5)
    lite = LiteUNet(width=4, classes=len(CLASS_NAMES))
    network = (lite if kind == "lite-unet" else random_unet()).eval()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
                nn.init.uniform_(values, 0.3, 1.5)
    fold_batch_norm(network)
    return network.to(memory_format=torch.channels_last)


def ready(kind: str, precision: torch.dtype) -> PixelNetwork:
    """The same, as it runs on a processor."""
    network = network_of(kind)
    name = "bfloat16" if precision == torch.bfloat16 else "float32"
    prepare_network(network, precision=name, device="cpu")
    return network


def answers(network: PixelNetwork, rgb: Tensor, keep: Box | None = None) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        return network.with_deepest(rgb, keep=keep)


def random_rgb(rows: int = 96, columns: int = 160) -> Tensor:
    torch.manual_seed(7)
    return torch.randn(1, 3, rows, columns).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", KINDS)
def test_enlarging_folds_into_the_convolution_after_it(kind: str) -> None:
    network = network_of(kind)
    folded = copy.deepcopy(network)
    fold_enlarging(folded.up, small_channels=folded.small_channels)
    assert all(isinstance(block, FoldedDoubleConv) for block in folded.up)
    for found, expected in zip(
        answers(folded, random_rgb()), answers(network, random_rgb()), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_fused_activations_change_no_result(kind: str, precision: torch.dtype) -> None:
    network = network_of(kind).to(precision)
    fused = copy.deepcopy(network)
    fuse_activations(fused, half=precision == torch.bfloat16)
    if not any(isinstance(layer, FusedConv) for layer in fused.modules()):
        pytest.skip("this torch has no such operation here")
    assert not any(isinstance(layer, nn.ReLU | nn.ReLU6) for layer in fused.modules())
    rgb = random_rgb().to(precision)
    for found, expected in zip(answers(fused, rgb), answers(network, rgb), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("where", "half"),
    [
        ("torch.backends.mkldnn.is_available", False),
        ("torch.ops.mkldnn._is_mkldnn_bf16_supported", True),
    ],
)
def test_what_this_processor_cannot_fuse_stays(
    monkeypatch: pytest.MonkeyPatch, where: str, half: bool
) -> None:
    monkeypatch.setattr(where, lambda: False)
    network = network_of("lite-unet")
    fuse_activations(network, half=half)
    assert not any(isinstance(layer, FusedConv) for layer in network.modules())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", PRECISIONS)
@settings(max_examples=15, deadline=None)
@given(
    rows=st.tuples(st.integers(0, 9), st.integers(1, 10)),
    columns=st.tuples(st.integers(0, 9), st.integers(1, 10)),
)
def test_what_is_kept_is_a_cut_of_the_whole(
    kind: str, precision: torch.dtype, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    """In the middle, at a border, or all of it; in bfloat16 bit for bit."""
    network, stride = ready(kind, precision), 16
    (top, height), (left, width) = rows, columns
    keep = Box(top, left, min(10, top + height), min(10, left + width)).refined(stride)
    rgb = random_rgb(160, 160).to(precision)
    logits, deepest = answers(network, rgb)
    kept, kept_deepest = answers(network, rgb, keep)
    # In float32, planes as small as these are multiplied in another order than larger ones.
    within = {"rtol": 0.0, "atol": 0.0 if precision == torch.bfloat16 else 1e-5}
    torch.testing.assert_close(kept, cut(logits, keep), **within)
    below = cut(deepest, keep.coarsened(network.stride_px))
    torch.testing.assert_close(kept_deepest, below, **within)


def test_a_decoder_computes_little_beyond_what_is_kept() -> None:
    network, seen = network_of("lite-unet"), []
    network.up[-1].register_forward_hook(lambda *given: seen.append(given[2].shape[2:]))
    answers(network, random_rgb(640, 640), Box(256, 256, 384, 384))
    rows, columns = seen[0]
    assert 64 <= rows <= 64 + 6
    assert 64 <= columns <= 64 + 6


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("strip_bytes", [1, 3000, 20_000])
def test_strips_change_no_bit(
    monkeypatch: pytest.MonkeyPatch, precision: torch.dtype, strip_bytes: int
) -> None:
    monkeypatch.setattr("wsi_pipeline.segment.strips._STRIP_BYTES", strip_bytes)
    network = network_of("lite-unet").to(precision)
    fuse_activations(network, half=precision == torch.bfloat16)
    striped = copy.deepcopy(network)
    striped.save_memory()
    heights = []
    for layer in striped.modules():
        if isinstance(layer, Striped):
            layer.layers.register_forward_hook(lambda *given: heights.append(given[2].shape[2]))
    rgb = random_rgb(224, 160).to(precision)
    for found, expected in zip(answers(striped, rgb), answers(network, rgb), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert len(heights) > sum(isinstance(layer, Striped) for layer in striped.modules())
    assert min(heights) < 224 // 16
