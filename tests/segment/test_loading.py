"""One contract for every way a segmenter can be loaded."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment import load_segmenter
from wsi_pipeline.segment.colour import ColourDeconvolution
from wsi_pipeline.segment.exported import load_exported
from wsi_pipeline.segment.unet import UNet, receptive_halo_px

BASELINE = Path(__file__).parents[2] / "models" / "colour-baseline"
CARD = """
id = "{name}"
version = "1"
licence = "BSD-3-Clause"
loader = "{loader}"
classes = {classes}
mpp = 2.0
stride_px = 4
halo_px = 24
training_data = "none, random weights"
intended_use = "tests"
limits = "knows nothing"
[normalisation]
mean = [0.7, 0.6, 0.7]
std = [0.2, 0.25, 0.2]
[weights]
file = "{file}"
sha256 = "{sha256}"
"""
UNET = '[architecture]\nname = "unet"\nwidth = 4\ndepth = 2\n'


def random_unet(classes: int = len(CLASS_NAMES)) -> UNet:
    torch.manual_seed(3)
    return UNet(width=4, depth=2, classes=classes).eval()


def write_model(folder: Path, *, loader: str, file: str, architecture: str = "") -> Path:
    sha256 = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    text = CARD.format(
        name=folder.name, loader=loader, classes=list(CLASS_NAMES), file=file, sha256=sha256
    )
    (folder / "model.toml").write_text(text + architecture)
    return folder


@pytest.fixture(scope="module")
def builtin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("builtin")
    save_file(random_unet().state_dict(), folder / "w.safetensors")
    return write_model(folder, loader="builtin", file="w.safetensors", architecture=UNET)


def export(path: Path, classes: int = len(CLASS_NAMES)) -> None:
    rows, columns = (torch.export.Dim(name, min=2, max=2048) for name in ("rows", "columns"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own exporter
        program = torch.export.export(
            random_unet(classes),
            (torch.rand(1, 3, 64, 96),),
            dynamic_shapes={"rgb": {2: 4 * rows, 3: 4 * columns}},
        )
        torch.export.save(program, path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export(folder / "w.pt2")
    return write_model(folder, loader="torch-export", file="w.pt2")


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


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_receptive_field_of_a_unet_is_as_computed(depth: int) -> None:
    """Disturb one row at every phase of the stride and see how far it is felt."""
    network = UNet(width=3, depth=depth, classes=2).double().eval()
    edge, middle = 128 << (depth - 1), 64 << (depth - 1)
    plane = torch.rand(1, 3, edge, 1 << depth, dtype=torch.float64)
    reach = 0
    with torch.inference_mode():
        before = network(plane)
        for phase in range(1 << depth):
            disturbed = plane.clone()
            disturbed[:, :, middle + phase] += 10.0
            felt = (network(disturbed) - before).abs().amax(dim=(0, 1, 3)).nonzero().ravel()
            reach = max(reach, int((felt - middle - phase).abs().max()))
    assert reach <= receptive_halo_px(depth)
    assert reach >= receptive_halo_px(depth) - (1 << depth)


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


def test_weights_of_another_architecture_are_refused(builtin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(builtin, folder)
    card = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(card.replace("width = 4", "width = 8"))
    with pytest.raises(ModelMismatchError, match="does not fit the architecture"):
        load_segmenter(folder, device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('name = "unet"', 'name = "resnet"'), "no built-in architecture 'resnet'"),
        (("depth = 2", "depth = 2\nheads = 3"), "does not fit 'unet'"),
    ],
)
def test_an_unknown_architecture_is_refused(
    builtin: Path, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(builtin, folder)
    (folder / "model.toml").write_text((folder / "model.toml").read_text().replace(*change))
    with pytest.raises(ModelMismatchError, match=message):
        load_segmenter(folder, device="cpu")


def test_a_network_with_other_classes_is_refused(tmp_path: Path) -> None:
    export(tmp_path / "w.pt2", classes=3)
    with pytest.raises(ModelMismatchError, match="one logit per class"):
        load_segmenter(write_model(tmp_path, loader="torch-export", file="w.pt2"), device="cpu")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pt2").write_bytes(b"not a zip")
    with pytest.raises(ModelMismatchError, match=r"not a torch.export archive"):
        load_exported(tmp_path / "w.pt2")


def test_a_missing_gpu_is_said(builtin: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ModelMismatchError, match="torch sees no GPU"):
        load_segmenter(builtin, device="cuda")


class Bomb:
    """Pickles to a call that would leave a file behind."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.target), "w")


def rewrite(source: Path, target: Path, change: dict[str, bytes]) -> None:
    """Copy an archive, replacing the members whose name ends with a key of ``change``."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            for ending, other in change.items():
                content = other if item.filename.endswith(ending) else content
            new.writestr(item.filename, content)


def test_pickled_sample_inputs_are_never_read(exported: Path, tmp_path: Path) -> None:
    trap = tmp_path / "exploded"
    bomb = io.BytesIO()
    torch.save((Bomb(trap),), bomb)
    rewrite(exported / "w.pt2", tmp_path / "w.pt2", {"sample_inputs/model.pt": bomb.getvalue()})
    load_exported(tmp_path / "w.pt2")
    assert not trap.exists()


def test_pickled_weights_are_refused(exported: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(exported / "w.pt2") as archive:
        name = next(n for n in archive.namelist() if n.endswith("weights_config.json"))
        config = json.loads(archive.read(name))
    next(iter(config["config"].values()))["use_pickle"] = True
    changed = {"weights_config.json": json.dumps(config).encode()}
    rewrite(exported / "w.pt2", tmp_path / "w.pt2", changed)
    with pytest.raises(ModelMismatchError, match="pickled tensors"):
        load_exported(tmp_path / "w.pt2")
