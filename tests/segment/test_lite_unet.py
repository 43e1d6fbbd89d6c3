"""The network on a pretrained encoder: its reach is what it says, and its encoder has learnt."""

from __future__ import annotations

import torch

from wsi_pipeline.config import parse_config
from wsi_pipeline.segment.lite_unet import LiteUNet
from wsi_pipeline.stages.start import new_start

EDGE_PX = 608


def reach_of(network: LiteUNet, row: int, column: int) -> int:
    """Furthest input pixel that changes an output pixel."""
    rgb = torch.rand(1, 3, EDGE_PX, EDGE_PX, dtype=torch.double, requires_grad=True)
    torch.autograd.backward(network(rgb)[0, :, row, column].sum())
    assert rgb.grad is not None
    rows, columns = (rgb.grad.abs().sum(dim=(0, 1)) > 0).nonzero(as_tuple=True)
    return int(max((rows - row).abs().max(), (columns - column).abs().max()))


def test_an_output_pixel_sees_no_further_than_stated() -> None:
    torch.manual_seed(0)
    network = LiteUNet(width=4, classes=8).double().eval()
    reaches = [reach_of(network, 304 + row, 304 + column) for row, column in ((0, 0), (15, 7))]
    assert network.receptive_px - network.stride_px < max(reaches) <= network.receptive_px


def test_stride_is_that_of_the_deepest_plane() -> None:
    network = LiteUNet(width=4, classes=8).eval()
    logits, deepest = network.with_deepest(torch.rand(1, 3, 96, 64))
    assert logits.shape == (1, 8, 96, 64)
    assert deepest.shape == (1, network.deepest_channels, 6, 4)
    assert network.stride_px == 16


def test_training_starts_from_an_encoder_that_has_learnt() -> None:
    starts = [
        new_start(parse_config({"train": {"seed": seed, "width": 4}}).train) for seed in (1, 2)
    ]
    assert all(isinstance(start.network, LiteUNet) for start in starts)
    one, other = (start.network.state_dict() for start in starts)
    same = {name for name in one if torch.equal(one[name], other[name])}
    assert all(name in same for name in one if name.startswith("encoder."))
    assert "head.weight" not in same
    # Photographs have taught the first filters; random ones have no mean or spread like these.
    assert one["encoder.stem.1.running_var"].std() > 0.1
