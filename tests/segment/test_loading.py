"""One contract for every way a segmenter can be loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from model_makers import UNET, export, random_unet, write_model
from safetensors.torch import save_file
from torch import nn

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment import Segmenter, load_segmenter, read_card
from wsi_pipeline.segment.colour import ColourDeconvolution
from wsi_pipeline.segment.loading import check_output
from wsi_pipeline.segment.unet import UNet, receptive_halo_px

BASELINE = Path(__file__).parents[2] / "models" / "colour-baseline"


@pytest.fixture(params=["baseline", "builtin", "exported"])
def model(request: pytest.FixtureRequest) -> Path:
    return BASELINE if request.param == "baseline" else request.getfixturevalue(request.param)


def random_tile(rows: int = 96, columns: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def test_probabilities_have_the_tiles_shape_and_sum_to_one(model: Path) -> None:
    probabilities = load_segmenter(model, device="cpu")(random_tile())
    assert probabilities.shape == (len(CLASS_NAMES), 96, 128)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=0), 1.0, atol=1e-5)


def softened(model: Path, folder: Path, temperature: float) -> Path:
    shutil.copytree(model, folder)
    with (folder / "model.toml").open("a") as card:
        card.write(f"\n[calibration]\ntemperature = {temperature}\n")
    return folder


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_softens_probabilities_and_changes_no_label(
    model: Path, tmp_path: Path, temperature: float
) -> None:
    plain = load_segmenter(model, device="cpu")(random_tile())
    soft = load_segmenter(softened(model, tmp_path / "m", temperature), device="cpu")(random_tile())
    np.testing.assert_array_equal(soft.argmax(axis=0), plain.argmax(axis=0))
    powers = plain.astype(np.float64) ** (1.0 / temperature)
    np.testing.assert_allclose(soft, powers / powers.sum(axis=0), atol=1e-5)
    assert (soft.max(axis=0) > plain.max(axis=0)).any() == (temperature < 1.0)
    assert (soft.max(axis=0) < plain.max(axis=0)).any() == (temperature > 1.0)


def test_the_same_tile_gives_the_same_probabilities(model: Path) -> None:
    one, two = load_segmenter(model, device="cpu"), load_segmenter(model, device="cpu")
    np.testing.assert_array_equal(one(random_tile()), two(random_tile()))


def test_the_tile_is_not_changed(model: Path) -> None:
    tile = random_tile()
    load_segmenter(model, device="cpu")(tile)
    np.testing.assert_array_equal(tile, random_tile())


def test_the_halo_covers_the_receptive_field(model: Path) -> None:
    """What lies further away than the halo does not matter."""
    segmenter = load_segmenter(model, device="cpu")
    halo, stride = segmenter.card.halo_px, segmenter.card.stride_px
    edge = -(-(2 * halo + 64) // stride) * stride
    tile = random_tile(edge, edge)
    inner = (slice(None), slice(halo, edge - halo), slice(halo, edge - halo))
    changed = tile.copy()
    changed[:stride], changed[:, -stride:] = 0, 255
    offset = halo % stride
    kept = (slice(None), *(slice(part.start + stride - offset, part.stop) for part in inner[1:]))
    np.testing.assert_allclose(segmenter(tile)[kept], segmenter(changed)[kept], atol=1e-6)


def test_exported_and_builtin_agree(builtin: Path, exported: Path) -> None:
    np.testing.assert_allclose(
        load_segmenter(builtin, device="cpu")(random_tile()),
        load_segmenter(exported, device="cpu")(random_tile()),
        atol=1e-5,
    )


def test_the_receptive_field_of_the_baseline_is_as_computed() -> None:
    """The furthest pixel with any say in an output pixel, at each phase of the stride."""
    torch.manual_seed(1)
    network = ColourDeconvolution().double().eval()
    reach, edge, middle = 0, 384, 192
    for phase in range(network.stride_px):
        plane = (0.72 + 0.14 * torch.rand(1, 3, edge, edge, dtype=torch.float64)).requires_grad_()
        network(plane)[0, :, middle + phase, middle].sum().backward()
        assert plane.grad is not None
        felt = plane.grad.abs().amax(dim=(0, 1, 3)).nonzero().ravel()
        reach = max(reach, int((felt - middle - phase).abs().max()))
    assert reach == network.receptive_px == 171


@pytest.mark.parametrize(("depth", "fold"), [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (1, 4)])
def test_the_receptive_field_of_a_unet_is_as_computed(depth: int, fold: int) -> None:
    """Disturb one row at every phase of the stride and see how far it is felt."""
    network = UNet(width=3, depth=depth, classes=2, fold=fold).double().eval()
    edge, middle = fold * (128 << (depth - 1)), fold * (64 << (depth - 1))
    plane = torch.rand(1, 3, edge, fold << depth, dtype=torch.float64)
    reach = 0
    with torch.inference_mode():
        before = network(plane)
        for phase in range(fold << depth):
            disturbed = plane.clone()
            disturbed[:, :, middle + phase] += 10.0
            felt = (network(disturbed) - before).abs().amax(dim=(0, 1, 3)).nonzero().ravel()
            reach = max(reach, int((felt - middle - phase).abs().max()))
    assert reach <= receptive_halo_px(depth, fold=fold)
    assert reach >= receptive_halo_px(depth, fold=fold) - (fold << depth)


def test_the_baseline_knows_its_colours() -> None:
    """Glass is background, pink collagen dermis, dense violet tumour or inflammation."""
    network = ColourDeconvolution().eval()

    def call(rgb: tuple[int, int, int]) -> str:
        plane = torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, 256, 256) / 255.0
        return CLASS_NAMES[int(network(plane)[0, :, 128, 128].argmax())]

    assert call((250, 250, 250)) == "background"
    assert call((230, 160, 190)) == "dermis"
    assert call((120, 70, 140)) in ("tumour", "inflammation")


def test_white_between_walls_is_fat_and_white_alone_is_glass() -> None:
    plane = torch.full((1, 3, 384, 384), 0.97)
    for place in range(96, 288, 40):
        plane[:, :, place : place + 2, 96:288] = torch.tensor([0.8, 0.5, 0.65]).view(1, 3, 1, 1)
        plane[:, :, 96:288, place : place + 2] = torch.tensor([0.8, 0.5, 0.65]).view(1, 3, 1, 1)
    labels = ColourDeconvolution().eval()(plane)[0].argmax(dim=0)
    assert CLASS_NAMES[int(labels[116 + 80, 116 + 80])] == "subcutis"
    assert CLASS_NAMES[int(labels[20, 20])] == "background"


def edited(model: Path, folder: Path, change: tuple[str, str]) -> Path:
    """Copy of a model with one thing changed in its card."""
    shutil.copytree(model, folder)
    card = (folder / "model.toml").read_text()
    assert change[0] in card
    (folder / "model.toml").write_text(card.replace(*change))
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("width = 4", "width = 8"), "does not fit the architecture"),
        (('name = "unet"', 'name = "resnet"'), "no built-in architecture 'resnet'"),
        (("depth = 2", "depth = 2\nheads = 3"), "does not fit 'unet'"),
        (("depth = 2", 'depth = "two"'), "does not fit 'unet'"),
        (("width = 4", "width = -4"), "does not fit 'unet'"),
        (("halo_px = 24", "halo_px = 22"), "halo_px is 22, .* sees 23 px"),
        (("stride_px = 4", "stride_px = 2"), "stride_px is 2, .* steps of 4 px"),
    ],
)
def test_a_card_that_does_not_fit_its_network_is_refused(
    builtin: Path, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(ModelMismatchError, match=message):
        load_segmenter(edited(builtin, tmp_path / "other", change), device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("halo_px = 172", "halo_px = 170"), "halo_px is 170, .* sees 171 px"),
        (("stride_px = 4", "stride_px = 6"), "stride_px is 6, .* steps of 4 px"),
    ],
)
def test_the_baseline_is_held_to_its_receptive_field(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(ModelMismatchError, match=message):
        load_segmenter(edited(BASELINE, tmp_path / "other", change), device="cpu")


def test_a_network_without_its_weights_is_refused(builtin: Path, tmp_path: Path) -> None:
    folder = edited(builtin, tmp_path / "other", ("halo_px = 24", "halo_px = 24"))
    card = (folder / "model.toml").read_text()
    start, end = card.index("[weights]"), card.index("[architecture]")
    (folder / "model.toml").write_text(card[:start] + card[end:])
    with pytest.raises(ModelMismatchError, match=r"no \[weights\]"):
        load_segmenter(folder, device="cpu")


@pytest.mark.parametrize("name", ["head.bias", "down.0.0.weight"])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, name: str) -> None:
    weights = random_unet().state_dict()
    weights[name].view(-1)[3] = torch.nan
    save_file(weights, tmp_path / "w.safetensors")
    write_model(tmp_path, loader="builtin", file="w.safetensors", architecture=UNET)
    with pytest.raises(ModelMismatchError, match="not finite"):
        load_segmenter(tmp_path, device="cpu")


class Replies(nn.Module):
    """Returns what it is told to."""

    def __init__(self, reply: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.reply = reply

    def forward(self, rgb: torch.Tensor) -> object:
        return self.reply(rgb)


def zeros(rgb: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1, len(CLASS_NAMES), *rgb.shape[2:])


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (lambda rgb: zeros(rgb) * torch.nan, "no finite probabilities"),
        (lambda rgb: zeros(rgb) + torch.inf, "no finite probabilities"),
        (lambda rgb: zeros(rgb)[:, :3], "one logit per class"),
        (lambda rgb: zeros(rgb)[..., ::2], "one logit per class"),
        (lambda rgb: zeros(rgb).repeat(1, 1, 2, 2), "one logit per class"),
        (lambda rgb: {"logits": zeros(rgb)}, "does not run on a tile of 64 × 64 px"),
        (lambda rgb: rgb @ torch.zeros(3, 3), "does not run on a tile of 64 × 64 px"),
    ],
)
def test_a_network_is_tried_before_it_is_used(
    builtin: Path, reply: Callable[[torch.Tensor], object], message: str
) -> None:
    segmenter = Segmenter(read_card(builtin), Replies(reply), device="cpu")
    with pytest.raises(ModelMismatchError, match=message):
        check_output(segmenter)


def test_probabilities_that_do_not_sum_to_one_are_refused(builtin: Path) -> None:
    class Halved(Segmenter):
        def __call__(self, rgb: np.ndarray) -> np.ndarray:
            return super().__call__(rgb) / 2

    with pytest.raises(ModelMismatchError, match="do not sum to one"):
        check_output(Halved(read_card(builtin), Replies(zeros), device="cpu"))


def test_a_tile_without_finite_probabilities_is_refused(builtin: Path) -> None:
    """One pixel is enough, also long after loading."""

    def blind_to_white(rgb: torch.Tensor) -> torch.Tensor:
        logits = zeros(rgb)
        logits[0, 0, 5, 7] = torch.nan if rgb.min() > 1.0 else 0.0
        return logits

    segmenter = Segmenter(read_card(builtin), Replies(blind_to_white), device="cpu")
    check_output(segmenter)
    with pytest.raises(ModelMismatchError, match="for a tile of 16 × 32 px"):
        segmenter(np.full((16, 32, 3), 255, np.uint8))


def test_a_network_with_other_classes_is_refused(tmp_path: Path) -> None:
    export(tmp_path / "w.pt2", classes=3)
    with pytest.raises(ModelMismatchError, match="one logit per class"):
        load_segmenter(write_model(tmp_path, loader="torch-export", file="w.pt2"), device="cpu")


def test_a_missing_gpu_is_said(builtin: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ModelMismatchError, match="torch sees no GPU"):
        load_segmenter(builtin, device="cuda")
