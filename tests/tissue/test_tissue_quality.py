"""Every quality flag: raised by what it is about, silent otherwise, with the right number."""

from __future__ import annotations

import numpy as np
import painted_glass as paint
import pytest
from scipy import ndimage as ndi

from wsi_pipeline.config import TissueSettings
from wsi_pipeline.geometry import Grid
from wsi_pipeline.tissue import find_tissue, measure_blur
from wsi_pipeline.tissue.quality import flag_stains, measure_stains

GRID = Grid(paint.SHAPE, paint.MPP)


def flags(density):
    found = find_tissue(paint.exposed(density), grid=GRID, settings=TissueSettings())
    return {flag.code: flag for flag in found.flags}


def test_ordinary_slide_has_no_flags():
    assert flags(paint.painted_glass() + paint.blob() * paint.stained()) == {}


def test_little_tissue():
    truth = paint.blob(radius_um=500)
    found = flags(paint.painted_glass() + truth * paint.stained())
    assert set(found) == {"tissue_small"}
    flag = found["tissue_small"]
    assert flag.value == pytest.approx(truth.sum() * 64e-6, rel=0.03)
    assert (flag.unit, flag.severity) == ("mm²", "warn")
    assert "less than 2" in flag.message


def test_two_sections():
    truth = paint.blob(centre=(0.5, 0.25), radius_um=800) | paint.blob(
        centre=(0.5, 0.75), radius_um=800
    )
    found = flags(paint.painted_glass() + truth * paint.stained())
    assert set(found) == {"multi_section_slide"}
    assert found["multi_section_slide"].value == 2


def test_section_cut_off_by_the_image():
    truth = paint.blob(centre=(0.5, 0.0))
    found = flags(paint.painted_glass() + truth * paint.stained())
    assert set(found) <= {"touches_edge", "tissue_small"}
    assert found["touches_edge"].value == pytest.approx(truth[:, 0].sum() * 8e-3, rel=0.05)


def test_one_stain_alone():
    eosin = 0.4 * np.exp(0.3 * paint.one_over_f(paint.SHAPE, seed=4))
    found = flags(paint.painted_glass() + paint.blob() * paint.EOSIN * eosin)
    assert set(found) == {"stain_out_of_gamut"}
    assert found["stain_out_of_gamut"].unit == "°"
    assert found["stain_out_of_gamut"].value < 15


def test_faint_stain():
    flag = flags(paint.painted_glass() + paint.blob() * paint.stained(strength=0.12))[
        "stain_out_of_gamut"
    ]
    assert "faint" in flag.message
    assert 0.05 < flag.value < 0.2


@pytest.mark.parametrize(("density", "word"), [(0.1, "faint"), (2.1, "dark")])
def test_density_outside_the_usual_range(density, word):
    (flag,) = flag_stains(30.0, density)
    assert word in flag.message
    assert flag.value == density


def test_angle_is_that_of_the_stains():
    shares = np.random.default_rng(0).dirichlet((0.2, 0.2), size=(60, 70))
    excess = (paint.EOSIN * shares[..., 0] + paint.HAEMATOXYLIN * shares[..., 1]).astype(np.float32)
    stains = [
        vector.ravel() / np.linalg.norm(vector) for vector in (paint.EOSIN, paint.HAEMATOXYLIN)
    ]
    truth = np.degrees(np.arccos(stains[0] @ stains[1]))
    angle, density = measure_stains(excess, np.ones((60, 70), dtype=bool))
    assert angle == pytest.approx(truth, abs=1.0)
    assert density == pytest.approx(0.99, abs=0.01)


def test_angle_of_too_few_pixels_is_unknown():
    where = np.ones((20, 20), dtype=bool)
    assert measure_stains(np.full((3, 20, 20), 0.1, np.float32), where) == (
        None,
        pytest.approx(0.1),
    )
    assert measure_stains(np.ones((3, 20, 20), np.float32), ~where) == (None, None)
    assert flag_stains(None, None) == []


@pytest.mark.parametrize("mpp", [8.0, 1.0])
def test_blur_is_found_from_one_pixel_on(mpp):
    shape = (512, 512)
    density = paint.stained(shape) + paint.painted_glass(shape=shape)
    shares = [
        measure_blur(
            paint.exposed(ndi.gaussian_filter(density, (0, sigma, sigma)) if sigma else density),
            mask=np.ones(shape, dtype=bool),
            grid=Grid(shape, mpp),
        )
        for sigma in (0, 0.4, 1.2, 2.0)
    ]
    assert shares == pytest.approx([0, 0, 1, 1], abs=0.05)


def test_half_blurred_slide_is_flagged_with_its_share():
    density = paint.painted_glass() + paint.blob(radius_um=1500) * paint.stained()
    soft = ndi.gaussian_filter(density, (0, 2, 2))
    half = np.where(np.arange(paint.SHAPE[1]) < paint.SHAPE[1] // 2, soft, density)
    flag = flags(half)["blur_fraction"]
    assert flag.value == pytest.approx(0.5, abs=0.12)
    assert "8 µm per pixel cannot show finer blur" in flag.message


def test_blur_of_what_has_no_contrast_is_unknown():
    even = np.full((*paint.SHAPE, 3), 200, dtype=np.uint8)
    assert measure_blur(even, mask=np.ones(paint.SHAPE, dtype=bool), grid=GRID) is None
    assert measure_blur(even, mask=np.zeros(paint.SHAPE, dtype=bool), grid=GRID) is None
