"""How unlike its training data a model finds a tile, and what a slide is told of it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_makers import random_unet
from safetensors.torch import save_file

from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.geometry import Box
from wsi_pipeline.segment import load_segmenter, read_card
from wsi_pipeline.segment.card import NoveltyCard
from wsi_pipeline.segment.novelty import (
    Novelty,
    flag_novelty,
    novelty_of_tissue,
    summarise_novelty,
)
from wsi_pipeline.segment.scored import ScoredNetwork

CARD = NoveltyCard("n.safetensors", "0", quantile=0.99, limit=2.0)
CHANNELS = 16  # width 4, two steps down
TABLE = '\n[novelty]\nfile = "n.safetensors"\nsha256 = "{sha256}"\nquantile = 0.99\nlimit = 1.5\n'


def statistics(channels: int = CHANNELS) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    mean = torch.rand(channels, generator=generator)
    return {"mean": mean, "whitening": torch.randn(channels, channels, generator=generator)}


def with_novelty(model: Path, folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    shutil.copytree(model, folder)
    save_file(tensors, folder / "n.safetensors")
    sha256 = hashlib.sha256((folder / "n.safetensors").read_bytes()).hexdigest()
    with (folder / "model.toml").open("a") as card:
        card.write(TABLE.format(sha256=sha256))
    return folder


@pytest.fixture(scope="session")
def scoring(builtin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_novelty(builtin, tmp_path_factory.mktemp("scoring") / "m", statistics())


def random_tile(rows: int = 96, columns: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def test_scores_are_distances_of_the_deepest_plane(scoring: Path) -> None:
    segmenter, known = load_segmenter(scoring, device="cpu"), statistics()
    result = segmenter.infer(random_tile())
    assert result.novelty is not None
    assert result.novelty.shape == (24, 32)
    assert result.novelty.dtype == np.float32
    card = segmenter.card
    normal = (random_tile().astype(np.float32) / 255 - card.mean) / card.std
    plane = torch.from_numpy(normal).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        deepest = random_unet().with_deepest(plane)[1][0].permute(1, 2, 0)
        off = deepest - known["mean"]
        expected = torch.einsum("ij,yxj->yxi", known["whitening"], off).norm(dim=-1)
    np.testing.assert_allclose(result.novelty, expected.numpy(), rtol=1e-4)


def test_scoring_leaves_the_probabilities_as_they_are(builtin: Path, scoring: Path) -> None:
    plain, scored = (load_segmenter(model, device="cpu") for model in (builtin, scoring))
    np.testing.assert_array_equal(plain(random_tile()), scored(random_tile()))
    np.testing.assert_array_equal(scored(random_tile()), scored.infer(random_tile()).probabilities)


def test_a_model_without_statistics_gives_no_score(builtin: Path, exported: Path) -> None:
    for model in (builtin, exported):
        assert load_segmenter(model, device="cpu").infer(random_tile()).novelty is None
        assert read_card(model).novelty is None


def test_scores_move_with_the_picture_by_whole_strides(scoring: Path) -> None:
    """So that a plane scored tile by tile equals the plane scored at once."""
    segmenter = load_segmenter(scoring, device="cpu")
    tile, halo, stride = random_tile(160, 160), 24, segmenter.card.stride_px
    whole = segmenter.infer(tile).novelty
    part = segmenter.infer(tile[16:, 8:152]).novelty
    assert whole is not None
    assert part is not None
    margin = halo // stride
    inner = slice(margin, -margin)
    np.testing.assert_allclose(part[inner, inner], whole[4:, 2:38][inner, inner], rtol=1e-4)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (statistics(8), "8 channels|do not fit"),
        ({"mean": torch.zeros(CHANNELS)}, "whitening"),
        (statistics() | {"mean": torch.full((CHANNELS,), torch.nan)}, "not finite"),
    ],
)
def test_statistics_of_another_network_are_refused(
    builtin: Path, tmp_path: Path, tensors: dict[str, torch.Tensor], message: str
) -> None:
    folder = with_novelty(builtin, tmp_path / "m", tensors)
    with pytest.raises(ModelMismatchError, match=message):
        load_segmenter(folder, device="cpu")


def test_statistics_are_compared_with_the_card(scoring: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(scoring, folder)
    save_file(statistics() | {"extra": torch.zeros(1)}, folder / "n.safetensors")
    with pytest.raises(ModelMismatchError, match=r"n.safetensors has sha256 .* the card says"):
        read_card(folder)
    (folder / "n.safetensors").unlink()
    with pytest.raises(ModelMismatchError, match=r"novelty .* cannot be read"):
        read_card(folder)


def test_only_finite_statistics_of_the_right_size_are_taken() -> None:
    with pytest.raises(ValueError, match="do not fit a deepest plane of 16 channels"):
        ScoredNetwork(random_unet(), mean=torch.zeros(3), whitening=torch.eye(3))


@given(
    st.integers(2, 40), st.integers(1, 40), st.integers(0, 3), st.integers(1, 39), st.integers(0, 9)
)
def test_every_position_is_counted_once_however_the_plane_is_cut(
    rows: int, columns: int, halo: int, cut: int, seed: int
) -> None:
    stride = 4
    plane = np.arange(100, dtype=np.float32).reshape(10, 10)
    tissue = np.random.default_rng(seed).random((rows, columns)) < 0.7
    everything = Box(0, 0, 40, 40)
    expected = novelty_of_tissue(
        plane, scored=everything, write=Box(0, 0, rows, columns), tissue=tissue
    )
    middles = [index for index in range(10) if index * stride + 2 < max(rows, columns)]
    assert sorted(expected) == sorted(
        plane[row, column]
        for row in middles
        for column in middles
        if row * stride + 2 < rows
        and column * stride + 2 < columns
        and tissue[row * stride + 2, column * stride + 2]
    )
    border = min(rows - 1, cut)  # on a multiple of the stride or not
    parts = []
    for top, bottom in ((0, border), (border, rows)):
        first = max(0, top // stride - halo) * stride
        last = min(40, -(-bottom // stride) * stride + halo * stride)
        parts.append(
            novelty_of_tissue(
                plane[first // stride : last // stride],
                scored=Box(first, 0, last, 40),
                write=Box(top, 0, bottom, columns),
                tissue=tissue[top:bottom],
            )
        )
    np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_a_slide_is_summed_up_in_quantiles() -> None:
    novelty = summarise_novelty(np.linspace(0, 4, 101, dtype=np.float32), card=CARD)
    assert novelty.positions == 101
    assert novelty.median == pytest.approx(2.0)
    assert novelty.q90 == pytest.approx(3.6)
    assert novelty.share_over_limit == pytest.approx(50 / 101)
    assert (novelty.quantile, novelty.limit) == (0.99, 2.0)
    assert Novelty(**novelty.to_json()) == novelty


def test_without_tissue_there_is_no_score_and_no_flag() -> None:
    novelty = summarise_novelty(np.empty(0, np.float32), card=CARD)
    assert (novelty.positions, novelty.median, novelty.q90) == (0, None, None)
    assert list(flag_novelty(novelty)) == []


@pytest.mark.parametrize(("share", "flagged"), [(0.0, False), (0.05, False), (0.2, True)])
def test_a_slide_is_flagged_when_a_tenth_of_it_is_unlike(share: float, flagged: bool) -> None:
    scores = np.where(np.arange(1000) < 1000 * share, 2.5, 1.0).astype(np.float32)
    flags = list(flag_novelty(summarise_novelty(scores, card=CARD)))
    assert [flag.code for flag in flags] == ["unlike_training"] * flagged
    for flag in flags:
        assert flag.severity == "warn"
        assert flag.value == pytest.approx(share)
        assert "20% of the tissue" in flag.message
        assert "99%" in flag.message
