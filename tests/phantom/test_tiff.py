"""Slide readers open what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tiffslide
from PIL import Image

from wsi_pipeline.phantom import Phantom, write_slide_tiff
from wsi_pipeline.phantom.tiff import halve


@pytest.fixture(scope="module")
def slide(vertical: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "phantom.tiff"
    write_slide_tiff(path, vertical.image, mpp=0.5, jpeg_quality=90)
    return path


@pytest.mark.parametrize("opener", [openslide.OpenSlide, tiffslide.TiffSlide])
def test_both_libraries_see_size_levels_and_mpp(slide: Path, opener: type) -> None:
    with opener(str(slide)) as opened:
        assert opened.dimensions == (3000, 3000)
        assert opened.level_dimensions == ((3000, 3000), (1500, 1500), (750, 750))
        names = ("openslide.mpp-x", "tiffslide.mpp-x")
        found = next(opened.properties[name] for name in names if name in opened.properties)
        assert float(found) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("opener", [openslide.OpenSlide, tiffslide.TiffSlide])
def test_pixels_survive_up_to_jpeg(slide: Path, vertical: Phantom, opener: type) -> None:
    with opener(str(slide)) as opened:
        region = opened.read_region((1000, 700), 0, (400, 300)).convert("RGB")
    difference = np.asarray(region).astype(int) - vertical.image[700:1000, 1000:1400]
    assert np.abs(difference.mean(axis=(0, 1))).max() < 2
    assert np.abs(difference).mean() < 8


def test_nothing_partial_is_left(slide: Path) -> None:
    assert [path.name for path in slide.parent.iterdir()] == ["phantom.tiff"]


def test_halving_averages_areas() -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    expected = image[:6, :8].reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(halve(image) - expected).max() <= 0.5
    assert Image.fromarray(halve(image)).size == (4, 3)
