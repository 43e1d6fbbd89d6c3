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

KINDS = ("unet", "lite-unet")


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
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_fused_activations_change_no_result(kind: str, precision: torch.dtype) -> None:
    network = network_of(kind).to(precision)
    fused = copy.deepcopy(network)
    fuse_activations(fused)
    if not any(isinstance(layer, FusedConv) for layer in fused.modules()):
        pytest.skip("this torch has no such operation here")
    assert not any(
        isinstance(layer, nn.ReLU | nn.ReLU6) and not isinstance(block, FoldedDoubleConv)
        for block in fused.modules()
        for layer in block.children()
    )
    rgb = random_rgb().to(precision)
    for found, expected in zip(answers(fused, rgb), answers(network, rgb), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_without_the_operation_nothing_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    network = network_of("lite-unet")
    fuse_activations(network)
    assert not any(isinstance(layer, FusedConv) for layer in network.modules())


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(
    rows=st.tuples(st.integers(0, 9), st.integers(1, 10)),
    columns=st.tuples(st.integers(0, 9), st.integers(1, 10)),
)
def test_what_is_kept_is_a_cut_of_the_whole(
    kind: str, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    """In the middle, at a border, or all of it."""
    network, stride = network_of(kind), 16
    fold_enlarging(network.up, small_channels=network.small_channels)
    (top, height), (left, width) = rows, columns
    keep = Box(top, left, min(10, top + height), min(10, left + width)).refined(stride)
    rgb = random_rgb(160, 160)
    logits, deepest = answers(network, rgb)
    kept, kept_deepest = answers(network, rgb, keep)
    torch.testing.assert_close(kept, cut(logits, keep), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        kept_deepest, cut(deepest, keep.coarsened(network.stride_px)), rtol=1e-5, atol=1e-5
    )


def test_a_decoder_computes_little_beyond_what_is_kept() -> None:
    network, seen = network_of("lite-unet"), []
    network.up[-1].register_forward_hook(lambda *given: seen.append(given[2].shape[2:]))
    answers(network, random_rgb(640, 640), Box(256, 256, 384, 384))
    rows, columns = seen[0]
    assert 64 <= rows <= 64 + 6
    assert 64 <= columns <= 64 + 6
