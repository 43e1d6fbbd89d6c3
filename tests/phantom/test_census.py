"""Things are counted once, where they are, and as large as they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from wsi_pipeline.classes import ADNEXA, BACKGROUND, TUMOUR
from wsi_pipeline.phantom import Cell, Phantom, number_nests, number_nuclei, sample_spec
from wsi_pipeline.phantom.adnexa import Kind
from wsi_pipeline.phantom.census import FOLLICLE_DTYPE, list_follicles, list_nests
from wsi_pipeline.phantom.nuclei import NUCLEUS_DTYPE
from wsi_pipeline.phantom.tissue import lay_out


def test_nests_are_the_pieces_of_tumour(vertical: Phantom) -> None:
    numbers = number_nests(vertical.labels)
    assert numbers.dtype == np.uint32
    assert np.array_equal(numbers > 0, vertical.labels == TUMOUR)
    assert numbers.max() == len(vertical.nests) == vertical.truth["nests"]
    area = np.bincount(numbers.ravel())[1:] * vertical.spec.mpp**2
    assert vertical.nests["area_um2"] == pytest.approx(area)
    centre = ndimage.center_of_mass(numbers == 1)
    assert vertical.nests["down_um"][0] == pytest.approx((centre[0] + 0.5) * 0.5)
    assert vertical.nests["right_um"][0] == pytest.approx((centre[1] + 0.5) * 0.5)
    assert vertical.nests["area_um2"].sum() == pytest.approx(vertical.truth["tumour_mm2"] * 1e6)


def test_pieces_that_touch_at_a_corner_are_one_nest_and_no_tumour_is_none() -> None:
    labels = np.zeros((8, 8), np.uint8)
    assert not len(list_nests(labels, mpp=1.0))
    assert not number_nests(labels).any()
    labels[[2, 3, 6], [2, 3, 6]] = TUMOUR
    table = list_nests(labels, mpp=2.0)
    assert table["area_um2"].tolist() == [8.0, 4.0]
    assert table["down_um"].tolist() == [6.0, 13.0]
    assert number_nests(labels)[6, 6] == 2


def test_nuclei_are_numbered_where_the_table_says(vertical: Phantom) -> None:
    numbers = number_nuclei(vertical.nuclei, vertical.labels, mpp=0.5)
    assert not numbers[vertical.labels == BACKGROUND].any()
    shown = np.bincount(numbers.ravel(), minlength=len(vertical.nuclei) + 1)[1:] * 0.25
    ratio = shown / vertical.nuclei["area_um2"]
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    assert (ratio > 0.5).mean() > 0.95
    # Where a nucleus is drawn, the picture is darker than beside it.
    tissue = vertical.labels == TUMOUR
    grey = vertical.image.mean(axis=2)
    assert grey[tissue & (numbers > 0)].mean() < grey[tissue & (numbers == 0)].mean() - 30


def test_of_two_nuclei_the_later_one_shows() -> None:
    pair = np.zeros(2, NUCLEUS_DTYPE)
    pair["down_um"], pair["right_um"] = 20.0, (20.0, 24.0)
    pair["area_um2"], pair["major_um"], pair["minor_um"] = np.pi * 16, 8.0, 8.0
    numbers = number_nuclei(pair, np.full((40, 40), TUMOUR, np.uint8), mpp=1.0)
    assert set(np.unique(numbers)) == {0, 1, 2}
    assert (numbers == 2).sum() == pytest.approx(np.pi * 16, rel=0.1)
    assert (numbers == 1).sum() < (numbers == 2).sum()
    assert number_nuclei(pair[:0], np.ones((5, 5), np.uint8), mpp=1.0).max() == 0


def test_the_kinds_of_cells_are_told_apart(vertical: Phantom) -> None:
    kinds = set(np.unique(vertical.nuclei["kind"]))
    assert {Cell.TUMOUR, Cell.LYMPHOCYTE, Cell.FIBROBLAST, Cell.KERATINOCYTE} <= kinds


@pytest.mark.parametrize("section", ["vertical", "horizontal"])
def test_every_follicle_is_epithelium_on_the_section(section: str) -> None:
    spec = sample_spec(3, section=section, architecture="none", width_mm=3.0, height_mm=2.6)
    layout = lay_out(dataclasses.replace(spec, mpp=2.0, follicles_per_mm=2.0))
    table = _follicles(layout)
    assert len(table) >= 2
    kind = layout.adnexa.kind
    for row in table:
        node = np.rint(np.array([row["down_um"], row["right_um"]]) / layout.nodes.step_um)
        window = tuple(slice(max(0, int(n) - 12), int(n) + 13) for n in node)
        assert (kind[window] == Kind.FOLLICLE).any()
        assert 40 < row["radius_um"] < 200


def _follicles(layout):
    shown = np.minimum(layout.outline_um, layout.below_surface_um)
    return list_follicles(layout.groups, layout.nodes, shown_um=shown)


def test_follicles_of_a_horizontal_section_are_counted_with_their_units(
    horizontal: Phantom,
) -> None:
    truth, table = horizontal.truth, horizontal.follicles
    assert table.dtype == FOLLICLE_DTYPE
    assert truth["follicles"] == len(table)
    assert truth["follicular_units"] == len(np.unique(table["unit"])) <= len(table)
    assert truth["follicles_per_mm2"] == pytest.approx(len(table) / truth["tissue_mm2"])
    row, column = (np.floor(table[key]).astype(int) for key in ("down_um", "right_um"))
    assert (horizontal.labels[row, column] == ADNEXA).all()


def test_follicles_of_a_vertical_section_have_no_density(vertical: Phantom) -> None:
    assert vertical.truth["follicles_per_mm2"] is None
