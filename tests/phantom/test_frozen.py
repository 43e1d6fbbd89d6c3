"""Freezing spoils the picture, not the truth about the tissue."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from wsi_pipeline.classes import BACKGROUND, DERMIS, SUBCUTIS, TUMOUR
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.phantom import Cell, Phantom, PhantomSpec, number_nuclei, paint, paint_phantom
from wsi_pipeline.phantom.artefacts import sample_frozen
from wsi_pipeline.phantom.frozen import SWELLING, swollen

SPEC = PhantomSpec(
    seed=8,
    width_mm=0.8,
    height_mm=0.8,
    margin_mm=0.05,
    dermis_mm=0.35,
    architecture="solid",
    tumour_density=0.5,
    noise=0.0,
)


@pytest.fixture(scope="module")
def paraffin() -> Phantom:
    return paint_phantom(SPEC)


@pytest.fixture(scope="module")
def frozen() -> Phantom:
    return paint_phantom(dataclasses.replace(SPEC, frozen=1.0))


def test_labels_and_glass_stay(paraffin: Phantom, frozen: Phantom) -> None:
    assert np.array_equal(paraffin.labels, frozen.labels)
    differs = (paraffin.image != frozen.image).any(axis=2)
    assert differs[paraffin.labels == TUMOUR].mean() > 0.95
    rim = np.ones_like(differs)
    rim[60:-60, 60:-60] = False
    glass = rim & (paraffin.labels == BACKGROUND)
    assert not differs[glass].any()


def test_nuclei_swell_by_what_is_stated(paraffin: Phantom, frozen: Phantom) -> None:
    ratio = frozen.nuclei["area_um2"] / paraffin.nuclei["area_um2"]
    assert ratio.mean() == pytest.approx(1 + SWELLING, abs=0.02)
    assert np.array_equal(frozen.nuclei["down_um"], paraffin.nuclei["down_um"])
    own = frozen.nuclei["kind"] == Cell.TUMOUR
    assert frozen.truth["nuclear_area_mean_um2"] == pytest.approx(
        frozen.nuclei["area_um2"][own].mean(), rel=1e-5
    )
    assert swollen(paraffin.nuclei, 0.0, seed=1) is paraffin.nuclei


def test_chromatin_is_blurred_and_darker(paraffin: Phantom, frozen: Phantom) -> None:
    inside = []
    for phantom in (paraffin, frozen):
        numbers = number_nuclei(phantom.nuclei, phantom.labels, mpp=0.5)
        kind = np.concatenate([[255], phantom.nuclei["kind"]])[numbers]
        inside.append(phantom.image[kind == Cell.TUMOUR].astype(float).mean(axis=1))
    assert np.median(inside[1]) < np.median(inside[0]) - 10
    # Well inside nuclei, away from their dark rims, less is left to see.
    detail = []
    for phantom in (paraffin, frozen):
        numbers = number_nuclei(phantom.nuclei, phantom.labels, mpp=0.5)
        kind = np.concatenate([[255], phantom.nuclei["kind"]])[numbers] == Cell.TUMOUR
        core = ndimage.binary_erosion(kind, iterations=4)
        density = -np.log10((phantom.image.astype(float).mean(axis=2) + 1) / 245)
        steps = np.abs(np.diff(density, axis=1))[core[:, 1:]]
        detail.append(steps.mean() / density[core].mean())
    assert detail[1] < 0.6 * detail[0]


def test_holes_open_in_tissue_but_not_in_fat(paraffin: Phantom, frozen: Phantom) -> None:
    white = [
        [(phantom.image[phantom.labels == code].min(axis=1) > 185).mean() for code in (
            TUMOUR, DERMIS, SUBCUTIS
        )]
        for phantom in (paraffin, frozen)
    ]  # fmt: skip
    assert white[1][0] > white[0][0] + 0.001
    assert white[1][2] <= white[0][2]


def test_the_cast_is_bluish(paraffin: Phantom, frozen: Phantom) -> None:
    stroma = paraffin.labels == DERMIS
    blue = [
        np.median(p.image[stroma][:, 2].astype(int) - p.image[stroma][:, 0]) for p in
        (paraffin, frozen)
    ]  # fmt: skip
    assert blue[1] > blue[0] + 10


def test_freezing_leaves_no_seam(frozen: Phantom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paint, "BLOCK_PX", 1600)
    whole = paint_phantom(frozen.spec)
    assert np.abs(whole.image.astype(int) - frozen.image).max() <= 1


def test_one_slide_in_eight_is_frozen_at_full_strength() -> None:
    drawn = np.array([sample_frozen(seed, 1.0) for seed in range(800)])
    assert (drawn > 0).mean() == pytest.approx(0.125, abs=0.04)
    assert drawn[drawn > 0].min() >= 0.3
    assert not any(sample_frozen(seed, 0.0) for seed in range(50))


def test_too_much_frost_is_refused() -> None:
    with pytest.raises(ConfigError, match="frozen"):
        dataclasses.replace(SPEC, frozen=1.5)
