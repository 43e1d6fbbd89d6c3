"""Columns read what was put on them, and the rule for full thickness is the one stated."""

from __future__ import annotations

import numpy as np
import pytest

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom import Phantom, PhantomSpec
from wsi_pipeline.phantom.columns import (
    COLUMN_NAMES,
    COLUMN_UM,
    is_full,
    measure_columns,
    read_columns,
)
from wsi_pipeline.phantom.frame import refine
from wsi_pipeline.phantom.tissue import Layout, lay_out
from wsi_pipeline.phantom.truth import measure_truth

SPEC = PhantomSpec(
    seed=3, width_mm=2.4, height_mm=2.2, mpp=2.0, dermis_mm=1.0, rotation_deg=12.0
)  # fmt: skip


@pytest.fixture(scope="module")
def layout() -> Layout:
    return lay_out(SPEC)


def _slab(layout: Layout, *spans: tuple[float, float]) -> np.ndarray:
    """Labels with tumour at some relative depths, as shares of the way down in the section."""
    skin, nodes = layout.skin, layout.nodes
    rows, columns = np.indices(nodes.frame.shape).astype(np.float32)
    x_um, y_um = nodes.frame.to_section((rows + 0.5) * 2, (columns + 0.5) * 2)
    upper, lower = skin.at(skin.envelope_um, x_um), skin.at(skin.dsj_um, x_um)
    share = (y_um - upper) / (lower - upper)
    return np.any([(share > low) & (share <= high) for low, high in spans], axis=0)


def _measure(layout: Layout, mask: np.ndarray) -> dict[str, object]:
    labels = np.where(mask, np.uint8(TUMOUR), np.uint8(2))
    columns = read_columns(layout, mask, mpp=2.0)
    return measure_columns(layout, labels, columns=columns)


def test_a_slab_is_read_where_it_was_put(layout: Layout) -> None:
    table = read_columns(layout, _slab(layout, (0.2, 0.45), (0.6, 0.9)), mpp=2.0)
    inner = table[table["assessable"]][5:-5]
    for name, wanted in (("cover", 0.55), ("first", 0.2), ("last", 0.9), ("gap", 0.15)):
        assert np.median(inner[name]) == pytest.approx(wanted, abs=0.01)
        assert inner[name] == pytest.approx(wanted, abs=0.04)
    ridge_free = inner["clearance_um"] / inner["thickness_um"]
    assert np.median(ridge_free) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    ("spans", "full"),
    [
        (((0.05, 1.0),), 1.0),
        (((0.05, 0.85),), 0.0),
        (((0.3, 1.0),), 0.0),
        (((0.05, 0.3), (0.6, 1.0)), 0.0),
        (((0.05, 0.35), (0.5, 1.0)), 1.0),
        (((0.05, 0.1), (0.3, 0.35), (0.55, 0.6), (0.8, 0.85), (0.95, 1.0)), 0.0),
    ],
)
def test_the_rule_of_full_thickness(
    layout: Layout, spans: tuple[tuple[float, float], ...], full: float
) -> None:
    columns = read_columns(layout, _slab(layout, *spans), mpp=2.0)
    assert is_full(columns[columns["assessable"]]).mean() == pytest.approx(full, abs=0.02)


def test_a_slab_over_half_of_the_width_is_full_over_half_of_it(layout: Layout) -> None:
    mask = _slab(layout, (0.05, 1.0))
    mask[:, : mask.shape[1] // 2] = False
    found = _measure(layout, mask)
    assert found["full_thickness_fraction"] == pytest.approx(0.5, abs=0.1)
    assert found["full_thickness_tumour_fraction"] > 0.8
    length_mm = found["assessable_length_mm"]
    assert found["full_thickness_run_um"] == pytest.approx(
        1000 * length_mm * found["full_thickness_fraction"], abs=3 * COLUMN_UM
    )


def test_strands_are_full_thickness_by_their_envelope_only(layout: Layout) -> None:
    spans = [(low, low + 0.015) for low in np.arange(0.03, 0.99, 0.055)]
    found = _measure(layout, _slab(layout, *spans))
    assert found["full_thickness_fraction"] == 0
    assert found["full_thickness_envelope_fraction"] > 0.95


def test_lengths_and_thickness_follow_the_skin(layout: Layout) -> None:
    found = _measure(layout, np.zeros(layout.nodes.frame.shape, bool))
    shown_mm = 2 * layout.skin.half_width_um / 1000
    assert found["epidermis_length_mm"] == pytest.approx(shown_mm, rel=0.1)
    assert found["assessable_length_mm"] <= found["epidermis_length_mm"] + 0.1
    assert found["dermal_thickness_median_um"] == pytest.approx(1000, rel=0.06)
    low, high = found["dermal_thickness_quartiles_um"]
    assert low <= found["dermal_thickness_median_um"] <= high
    assert found["full_thickness_fraction"] == 0
    assert found["full_thickness_tumour_fraction"] is found["grenz_median_um"] is None


def test_what_cannot_be_known_is_none(
    vertical: Phantom, horizontal: Phantom, superficial: Phantom
) -> None:
    assert not len(horizontal.columns)
    assert all(horizontal.truth[name] is None for name in COLUMN_NAMES)
    assert horizontal.truth["assessable_length_mm"] is None
    assert superficial.truth["assessable_length_mm"] == 0
    assert superficial.truth["full_thickness_fraction"] is None
    assert superficial.truth["epidermis_length_mm"] > 0.5
    assert vertical.truth["assessable_length_mm"] > 0.5


def test_percentile_window_and_balance_of_a_phantom(vertical: Phantom) -> None:
    truth = vertical.truth
    assert truth["depth_max_envelope_um"] - 60 < truth["depth_p995_um"]
    assert truth["depth_p995_um"] <= truth["depth_max_envelope_um"]
    assert truth["relative_depth_p995"] <= min(1.0, truth["relative_depth_max"])
    assert truth["tumour_in_window_fraction"] > 0.95
    assert truth["tumour_tissue_fraction"] == pytest.approx(
        (vertical.labels == TUMOUR).sum() / (vertical.labels > 0).sum()
    )


@pytest.mark.parametrize(("span", "wanted"), [((0.1, 0.4), 10.0), ((0.6, 0.9), -10.0)])
def test_the_balance_is_held(layout: Layout, span: tuple[float, float], wanted: float) -> None:
    labels = np.where(_slab(layout, span), np.uint8(TUMOUR), np.uint8(2))
    labels[refine_outline(layout) <= 0] = 0
    truth = measure_truth(layout, labels, nuclei=np.zeros(0, [("kind", "u1"), ("area_um2", "f4")]))
    assert truth["top_bottom_log2"] == wanted


def refine_outline(layout: Layout) -> np.ndarray:
    return refine(layout.nodes, layout.outline_um, box=Box.of_shape(layout.nodes.frame.shape))


def test_specks_do_not_reach_the_percentile(layout: Layout) -> None:
    mask = _slab(layout, (0.1, 0.4))
    mask[mask.shape[0] * 6 // 10, mask.shape[1] // 2] = True
    labels = np.where(mask, np.uint8(TUMOUR), np.uint8(2))
    labels[refine_outline(layout) <= 0] = 0
    nuclei = np.zeros(0, [("kind", "u1"), ("area_um2", "f4")])
    truth = measure_truth(layout, labels, nuclei=nuclei)
    assert truth["relative_depth_p995"] == pytest.approx(0.4, abs=0.03)
