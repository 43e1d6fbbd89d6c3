"""Nuclei are where and as large as the table says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wsi_pipeline.classes import BACKGROUND, KERATIN, TUMOUR
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom import Phantom, PhantomSpec
from wsi_pipeline.phantom.noise import Tile
from wsi_pipeline.phantom.nuclei import NUCLEUS_DTYPE, Cell, place_nuclei
from wsi_pipeline.phantom.spec import NUCLEAR_AREA_UM2
from wsi_pipeline.phantom.stamp import stamp_nuclei
from wsi_pipeline.phantom.tissue import lay_out

FLAT = Tile(np.full((2048, 2048), 127, np.uint8), 0.5)


@pytest.mark.parametrize("grade", [1, 2, 3])
def test_tumour_nuclei_have_the_size_of_their_grade(base: PhantomSpec, grade: int) -> None:
    spec = dataclasses.replace(base, architecture="solid", grade=grade, tumour_density=0.7)
    nuclei = place_nuclei(lay_out(spec))
    area = nuclei["area_um2"][nuclei["kind"] == Cell.TUMOUR]
    mean, sd = NUCLEAR_AREA_UM2[grade]
    assert len(area) > 500
    assert area.mean() == pytest.approx(mean, rel=0.10)
    assert area.std() == pytest.approx(sd, rel=0.15)


def test_tumour_nuclei_lie_in_tumour(vertical: Phantom) -> None:
    tumour = vertical.nuclei[vertical.nuclei["kind"] == Cell.TUMOUR]
    row = (tumour["down_um"] / 0.5).astype(int)
    column = (tumour["right_um"] / 0.5).astype(int)
    assert (vertical.labels[row, column] == TUMOUR).mean() > 0.995
    density = len(tumour) / vertical.truth["tumour_mm2"]
    assert 3000 < density < 11000


def test_every_nucleus_lies_in_living_tissue(vertical: Phantom, horizontal: Phantom) -> None:
    for phantom in (vertical, horizontal):
        row = (phantom.nuclei["down_um"] / phantom.spec.mpp).astype(int)
        column = (phantom.nuclei["right_um"] / phantom.spec.mpp).astype(int)
        dead = np.isin(phantom.labels[row, column], [BACKGROUND, KERATIN])
        assert dead.mean() < 0.002


def _one(**fields: float) -> np.ndarray:
    nucleus = np.zeros(1, NUCLEUS_DTYPE)
    nucleus["density"] = 1.0
    for name, value in fields.items():
        nucleus[name] = value
    return nucleus


@pytest.mark.parametrize("wobble", [0.0, 0.12])
@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_a_nucleus_covers_its_area(wobble: float, mpp: float) -> None:
    nucleus = _one(
        down_um=20.3, right_um=21.1, area_um2=62.0, wobble=wobble, angle_rad=0.7,
        major_um=2 * np.sqrt(62 / np.pi * 1.4), minor_um=2 * np.sqrt(62 / np.pi / 1.4),
    )  # fmt: skip
    ink = stamp_nuclei(nucleus, Box(0, 0, round(40 / mpp), round(40 / mpp)), mpp=mpp, grain=FLAT)
    assert ink.cover.sum() * mpp**2 == pytest.approx(62.0, rel=0.02)
    rows, columns = np.indices(ink.cover.shape)
    assert np.average(rows + 0.5, weights=ink.cover) * mpp == pytest.approx(20.3, abs=0.25)
    assert np.average(columns + 0.5, weights=ink.cover) * mpp == pytest.approx(21.1, abs=0.25)


def test_the_angle_is_that_of_the_major_axis() -> None:
    nucleus = _one(
        down_um=20.0, right_um=20.0, area_um2=60.0, major_um=18.0, minor_um=4.0, angle_rad=0.4
    )
    ink = stamp_nuclei(nucleus, Box(0, 0, 80, 80), mpp=0.5, grain=FLAT)
    rows, columns = np.indices(ink.cover.shape) - 39.5
    along = np.abs(rows * np.cos(0.4) + columns * np.sin(0.4))
    assert along[ink.cover > 0.5].max() * 0.5 == pytest.approx(9.0, abs=0.6)


def test_a_block_cuts_a_nucleus_without_a_seam() -> None:
    nucleus = _one(
        down_um=16.0, right_um=15.9, area_um2=62.0, major_um=10.0, minor_um=8.0, wobble=0.05
    )
    whole = stamp_nuclei(nucleus, Box(0, 0, 64, 64), mpp=0.5, grain=FLAT)
    halves = [stamp_nuclei(nucleus, Box(0, a, 64, a + 32), mpp=0.5, grain=FLAT) for a in (0, 32)]
    joined = np.concatenate([half.haematoxylin for half in halves], axis=1)
    assert np.array_equal(whole.haematoxylin, joined)
