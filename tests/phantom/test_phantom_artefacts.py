"""Defects are where their codes say, nowhere else, and never in the labels but for tears."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.config import TissueSettings
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.phantom import (
    ARTEFACT_NAMES,
    Artefacts,
    Phantom,
    PhantomSpec,
    coarsen_labels,
    paint,
    paint_phantom,
    sample_artefacts,
    sample_spec,
)
from wsi_pipeline.phantom.marks import WISHES
from wsi_pipeline.tissue import find_tissue

CLEAN = PhantomSpec(
    seed=1,
    width_mm=0.9,
    height_mm=0.8,
    mpp=1.0,
    margin_mm=0.05,
    dermis_mm=0.35,
    architecture="cord",
)
EVERYTHING = Artefacts(
    seed=2,
    pen_strokes=1,
    margin_ink="green",
    coverslip_edges=1,
    bubbles=1,
    dust=4,
    folds=2,
    tears=2,
    knife_lines=2,
    blur_patches=1,
    vignette=0.2,
    gradient=0.1,
    cast=(1.02, 0.97, 1.0),
    gamma=(1.1, 1.2, 1.1),
    contrast=(1.1, 1.1, 1.1),
    sharpening=0.6,
)
ONE_EACH = {
    "pen": Artefacts(pen_strokes=1),
    "margin_ink": Artefacts(margin_ink="green"),
    "coverslip": Artefacts(coverslip_edges=1),
    "bubble": Artefacts(bubbles=1),
    "dust": Artefacts(dust=3),
    "fold": Artefacts(folds=1),
    "tear": Artefacts(tears=1, knife_lines=1),
    "blur": Artefacts(blur_patches=1),
}


def spoilt(artefacts: Artefacts, spec: PhantomSpec = CLEAN) -> Phantom:
    return paint_phantom(dataclasses.replace(spec, artefacts=artefacts))


@pytest.fixture(scope="module")
def clean() -> Phantom:
    return paint_phantom(CLEAN)


@pytest.fixture(scope="module")
def worst() -> Phantom:
    return spoilt(EVERYTHING)


def touched(phantom: Phantom, name: str) -> NDArray[np.bool_]:
    """Pixels in cells whose code holds the defect."""
    here = (phantom.artefacts >> ARTEFACT_NAMES.index(name) & 1).astype(bool)
    edge_px = round(8 / phantom.spec.mpp)
    wide = here.repeat(edge_px, axis=0).repeat(edge_px, axis=1)
    return wide[: phantom.labels.shape[0], : phantom.labels.shape[1]]


def test_a_perfect_slide_goes_through_the_scanner_untouched(
    clean: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paint, "halo_px", lambda marks, box: 0)
    monkeypatch.setattr(paint, "torn", lambda labels, marks, box: labels)
    monkeypatch.setattr(paint, "doubled", lambda dyes, marks, box: dyes)
    monkeypatch.setattr(paint, "spoil", lambda light, marks, labels, box: light)
    without = paint_phantom(CLEAN)
    assert clean.image.tobytes() == without.image.tobytes()
    assert clean.labels.tobytes() == without.labels.tobytes()
    assert clean.truth["artefacts"] == {}
    assert not clean.artefacts.any()
    assert clean.artefacts.shape == (100, 113)


def test_equal_artefacts_paint_equal_bytes_and_another_seed_moves_them(worst: Phantom) -> None:
    again = spoilt(EVERYTHING)
    other = spoilt(dataclasses.replace(EVERYTHING, seed=3))
    assert worst.image.tobytes() == again.image.tobytes()
    assert worst.artefacts.tobytes() == again.artefacts.tobytes()
    assert worst.truth == again.truth
    assert worst.artefacts.tobytes() != other.artefacts.tobytes()


def test_everything_asked_for_is_there_and_measured(worst: Phantom) -> None:
    assert set(worst.truth["artefacts"]) == set(ARTEFACT_NAMES)
    for name, shares in worst.truth["artefacts"].items():
        assert shares["glass_fraction"] == pytest.approx(touched(worst, name).mean(), abs=0.01)
        assert 0 <= shares["tissue_fraction"] <= 1


@pytest.mark.parametrize("name", ARTEFACT_NAMES)
def test_a_defect_changes_pixels_where_its_code_says(name: str, clean: Phantom) -> None:
    phantom = spoilt(ONE_EACH[name])
    differs = (phantom.image != clean.image).any(axis=-1)
    here = touched(phantom, name)
    assert differs[here].mean() > 0.1
    assert not differs[~here].any()
    assert set(phantom.truth["artefacts"]) == {name}
    if name != "tear":
        assert phantom.labels.tobytes() == clean.labels.tobytes()
        assert phantom.nuclei.tobytes() == clean.nuclei.tobytes()


def test_tears_are_glass(clean: Phantom) -> None:
    phantom = spoilt(ONE_EACH["tear"])
    torn = phantom.labels != clean.labels
    assert torn.sum() > 200
    assert (phantom.labels[torn] == BACKGROUND).all()
    inner = torn & np.roll(torn, 3, 0) & np.roll(torn, -3, 0) & np.roll(torn, 3, 1)
    inner &= np.roll(torn, -3, 1)
    off = phantom.image[inner].astype(int) - CLEAN.glass_rgb
    assert np.abs(off.mean(axis=0)).max() < 1
    assert phantom.truth["tissue_mm2"] < clean.truth["tissue_mm2"]
    rows, columns = (
        phantom.nuclei[field].astype(int).clip(0, size - 1)
        for field, size in zip(("down_um", "right_um"), torn.shape, strict=True)
    )
    assert len(phantom.nuclei) < len(clean.nuclei)
    assert torn[rows, columns].mean() < 0.02


def test_folds_darken_and_blur_softens(clean: Phantom) -> None:
    fold, blur = spoilt(ONE_EACH["fold"]), spoilt(ONE_EACH["blur"])
    here = touched(fold, "fold") & (clean.labels != BACKGROUND)
    assert fold.image[here].mean() < clean.image[here].mean() - 5
    here = touched(blur, "blur")
    contrast = [
        np.abs(np.diff(p.image[..., 1].astype(int), axis=1))[here[:, 1:]].mean()
        for p in (clean, blur)
    ]
    assert contrast[1] < 0.8 * contrast[0]


def test_light_falls_off_smoothly(clean: Phantom) -> None:
    quiet = dataclasses.replace(CLEAN, noise=0.0)
    perfect = paint_phantom(quiet)
    phantom = spoilt(Artefacts(vignette=0.3, gradient=0.2), quiet)
    glass = perfect.labels == BACKGROUND
    ratio = phantom.image[..., 1] / perfect.image[..., 1].astype(float)
    steps = np.abs(np.diff(ratio, axis=1))[glass[:, 1:] & glass[:, :-1]]
    assert steps.max() < 0.02
    assert ratio[glass].max() <= 1
    assert ratio[glass].min() < 0.75
    assert not phantom.artefacts.any()


def test_tone_curve_and_cast_are_what_they_say() -> None:
    quiet = dataclasses.replace(CLEAN, noise=0.0)
    phantom = spoilt(
        Artefacts(cast=(1.0, 0.9, 0.8), gamma=(2.0, 1.0, 1.0), contrast=(1.0, 1.0, 1.5)), quiet
    )
    red, green, blue = np.array(quiet.glass_rgb) / 255
    wanted = 255 * np.array([red**2, 0.9 * green, 0.75 + 1.5 * (0.8 * blue - 0.75)])
    assert np.abs(phantom.image[2, 2] - wanted).max() <= 1


def test_sharpening_puts_halos_on_edges() -> None:
    quiet = dataclasses.replace(CLEAN, noise=0.0)
    soft, sharp = paint_phantom(quiet), spoilt(Artefacts(sharpening=0.8), quiet)
    assert sharp.image[soft.labels == BACKGROUND].max() > soft.image.max()
    assert sharp.image.astype(float).std() > soft.image.astype(float).std()


def test_blocks_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(CLEAN, noise=0.0, artefacts=EVERYTHING)
    monkeypatch.setattr(paint, "BLOCK_PX", 1000)
    whole = paint_phantom(spec)
    monkeypatch.setattr(paint, "BLOCK_PX", 190)
    blocks = paint_phantom(spec)
    assert whole.labels.tobytes() == blocks.labels.tobytes()
    assert np.abs(whole.image.astype(int) - blocks.image).max() <= 1
    assert (whole.image != blocks.image).mean() < 1e-3


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_draws_are_repeatable_and_grow(strength: float) -> None:
    draws = [sample_artefacts(seed, strength) for seed in range(60)]
    assert draws == [sample_artefacts(seed, strength) for seed in range(60)]
    fields = {field for wishes in WISHES.values() for field in wishes}
    kinds = [sum(bool(getattr(draw, field)) for field in fields) for draw in draws]
    assert np.mean(kinds) == pytest.approx(2.5 * strength, abs=0.5)
    assert (max(draw.vignette for draw in draws) > 0) == (strength > 0)


def test_sample_spec_draws_the_same_slide_with_and_without() -> None:
    bare, full = sample_spec(4), sample_spec(4, artefacts=1.0)
    assert bare.artefacts == Artefacts(seed=4)
    assert full.artefacts == sample_artefacts(4, 1.0)
    assert dataclasses.replace(full, artefacts=bare.artefacts) == bare


def test_what_cannot_be_painted_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'dust' must lie in 0 to inf, not -1; 'gamma'"):
        Artefacts(dust=-1, gamma=(0.0, 1.0, 1.0))
    with pytest.raises(ConfigError, match="'pen' must be one of blue, green, black, red"):
        Artefacts(pen="pink")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="strength must lie in 0 to 1, not 2"):
        sample_artefacts(1, 2)


@pytest.mark.parametrize("seed", [1, 2])
def test_tissue_is_found_beside_pen_under_an_uneven_lamp(seed: int) -> None:
    spec = dataclasses.replace(sample_spec(8, width_mm=4.5, height_mm=3.5), mpp=2.0)
    wrong = Artefacts(seed=seed, pen_strokes=1, pen="green", vignette=0.25, gradient=0.1)
    phantom = spoilt(wrong, spec)
    found = find_tissue(
        phantom.image, grid=Grid(phantom.labels.shape, 2.0), settings=TissueSettings()
    )
    tissue = phantom.labels != BACKGROUND
    overlap = (found.mask & tissue).sum() / (found.mask | tissue).sum()
    assert overlap > 0.9
    codes = {flag.code for flag in found.flags}
    assert ("pen_on_tissue" in codes) == (phantom.truth["artefacts"]["pen"]["tissue_fraction"] > 0)
    assert "pen_on_glass" in codes


def test_only_blur_is_flagged_as_blur() -> None:
    spec = sample_spec(8, width_mm=2.4, height_mm=2.0)
    spec = dataclasses.replace(spec, mpp=2.0, noise=0.004)
    codes = []
    for phantom in (paint_phantom(spec), spoilt(Artefacts(blur_patches=9, blur_um=4.0), spec)):
        grid = Grid(phantom.labels.shape, phantom.spec.mpp)
        found = find_tissue(phantom.image, grid=grid, settings=TissueSettings())
        codes.append({flag.code for flag in found.flags})
    assert "blur_fraction" in codes[1] - codes[0]


def test_codes_stay_small(worst: Phantom) -> None:
    assert worst.artefacts.nbytes < worst.labels.nbytes / 50
    assert coarsen_labels(worst.labels, 8).shape == worst.artefacts.shape
