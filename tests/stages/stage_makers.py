"""Small slides, models and comparisons that several tests of the stages make."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.segment.unet import UNet, receptive_halo_px
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import SlideRecord, inspect_slide, with_checksum
from wsi_pipeline.store import IMAGE, LABELS, PROBABILITIES, Segmentation

UNET_DEPTH, UNET_FOLD = 1, 2
UNET_CARD = """
id = "random-unet"
version = "1"
licence = "BSD-3-Clause"
loader = "builtin"
classes = {classes}
mpp = 2.0
stride_px = {stride_px}
halo_px = {halo_px}
training_data = "none, random weights"
intended_use = "tests"
limits = "knows nothing"
[architecture]
name = "unet"
width = 4
depth = {depth}
fold = {fold}
[normalisation]
mean = [0.7, 0.6, 0.7]
std = [0.2, 0.25, 0.2]
[weights]
file = "weights.safetensors"
sha256 = "{sha256}"
"""


def write_unet(folder: Path) -> Path:
    """Model folder of a U-Net that knows nothing but is sure of it."""
    torch.manual_seed(3)
    network = UNet(width=4, depth=UNET_DEPTH, classes=len(CLASS_NAMES), fold=UNET_FOLD).eval()
    with torch.no_grad():
        network.head.weight *= 12.0  # near-uniform probabilities would tie everywhere
    weights = folder / "weights.safetensors"
    save_file(network.state_dict(), weights)
    card = UNET_CARD.format(
        classes=list(CLASS_NAMES),
        stride_px=UNET_FOLD << UNET_DEPTH,
        halo_px=receptive_halo_px(UNET_DEPTH, fold=UNET_FOLD),
        depth=UNET_DEPTH,
        fold=UNET_FOLD,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
    )
    (folder / "model.toml").write_text(card)
    return folder


def write_scoring_unet(folder: Path, *, limit: float = 1.0) -> Path:
    """The same U-Net with statistics of novelty: distances from a point no ReLU reaches."""
    write_unet(folder)
    channels = 4 << UNET_DEPTH
    statistics = {"mean": torch.full((channels,), -0.01), "whitening": 100 * torch.eye(channels)}
    save_file(statistics, folder / "novelty.safetensors")
    sha256 = hashlib.sha256((folder / "novelty.safetensors").read_bytes()).hexdigest()
    with (folder / "model.toml").open("a", encoding="utf-8") as card:
        card.write(
            f'\n[novelty]\nfile = "novelty.safetensors"\nsha256 = "{sha256}"\n'
            f"quantile = 0.99\nlimit = {limit}\n"
        )
    return folder


def settings(**segment: Any) -> Config:
    """Small tiles on the processor, and a model that costs nothing unless another is named."""
    return parse_config(
        {
            "tiling": {"tile_px": 256},
            "store": {"chunk_px": 64},
            "segment": {"device": "cpu", "workers": 2, "model": "colour-baseline", **segment},
        }
    )


def blob_picture(shape: tuple[int, int] = (400, 480)) -> NDArray[np.uint8]:
    """A pink ellipse with violet dots on bright glass."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    down, right = rows / shape[0] - 0.5, columns / shape[1] - 0.5
    inside = (down / 0.3) ** 2 + (right / 0.36) ** 2 < 1
    dots = inside & ((rows // 6 + columns // 9) % 4 == 0)
    picture = np.full((*shape, 3), 244.0)
    picture[inside] = (214, 150, 186)
    picture[dots] = (120, 80, 150)
    noisy = picture + rng.normal(0, 6, (*shape, 3)) * inside[..., None]
    return np.clip(noisy + rng.normal(0, 1, (*shape, 1)), 0, 255).astype(np.uint8)


def write_tiff(path: Path, rgb: NDArray[np.uint8], *, mpp: float | None = None) -> Path:
    """Tiled TIFF of one level; without ``mpp`` it has no resolution."""
    tags: dict[str, Any] = {}
    if mpp is not None:
        tags = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, rgb, photometric="rgb", tile=(128, 128), metadata=None, **tags)
    return path


def open_record(path: Path, *, slide_id: str = "s", mpp: float | None = None) -> SlideRecord:
    """Record of a slide, without writing it."""
    record = inspect_slide(path, declared=Declared(slide_id), mpp=mpp, config=settings())
    return with_checksum(record)


def damage_tiles(path: Path, page: int, *, first: int = 0) -> None:
    """Overwrite the JPEG tiles of one page of a TIFF, from one of them on."""
    with tifffile.TiffFile(path) as file:
        spans = list(
            zip(file.pages[page].dataoffsets, file.pages[page].databytecounts, strict=True)
        )
    with path.open("r+b") as raw:
        for offset, count in spans[first:]:
            raw.seek(offset)
            raw.write(b"\x55" * count)


def arrays_of(path: Path) -> dict[str, NDArray[np.uint8]]:
    """Every array of a segmentation, by its place in it."""
    store = Segmentation(path)
    return {
        f"{plane or 'image'}/{level}": np.asarray(store.array(plane, level)[:])
        for plane in (IMAGE, LABELS, PROBABILITIES)
        for level in range(store.levels)
    }
