"""Models with random weights, in each of the forms that can be loaded."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.segment.unet import UNet

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
