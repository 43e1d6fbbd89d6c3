"""Real pictures, where they are at hand: fat, empty glass, a slide and fields without glass."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from wsi_pipeline.config import TissueSettings
from wsi_pipeline.errors import TissueError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.tissue import find_tissue

FAT_MPP = 0.49


def find(path, mpp):
    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB"))
    return find_tissue(rgb, grid=Grid(rgb.shape[:2], mpp), settings=TissueSettings())


def test_fat_is_tissue(shared_data):
    shares = [
        find(path, FAT_MPP).mask.mean()
        for path in sorted((shared_data / "fat" / "adipocyte").glob("*.jpg"))
    ]
    assert min(shares) > 0.7
    assert np.median(shares) > 0.95


def test_empty_glass_is_empty(shared_data):
    paths = sorted((shared_data / "fat" / "empty").glob("*.jpg"))
    assert paths
    for path in paths:
        with pytest.raises(TissueError, match="no tissue"):
            find(path, FAT_MPP)


def test_field_without_glass_is_all_tissue(shared_data):
    assert find(shared_data / "skin_fields" / "44yr_20x.png", 0.44).mask.mean() > 0.99


def test_field_with_a_corner_of_glass(shared_data):
    found = find(shared_data / "skin_fields" / "44yr_4x.png", 2.21)
    assert not found.mask[5:200, 5:200].any()
    assert found.mask[500:, 800:].mean() > 0.99


def test_slide_with_pink_glass_and_printed_dots(shared_data):
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(shared_data / "breast_spots" / "her2st_C3.tiff") as slide:
        level = slide.get_best_level_for_downsample(8 / 0.688)
        size = slide.level_dimensions[level]
        rgb = np.asarray(slide.read_region((0, 0), level, size).convert("RGB"))
        mpp = 0.688 * slide.level_downsamples[level]
    found = find_tissue(rgb, grid=Grid(rgb.shape[:2], mpp), settings=TissueSettings())
    assert 7.0 < found.section_areas_mm2[0] < 8.2
    assert sum(found.section_areas_mm2[1:]) < 0.15
