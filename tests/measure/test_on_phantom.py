"""Measured labels of a painted phantom = what its geometry says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from analytic_skin import measure
from true_values import paint_labels, true_values

from wsi_pipeline.geometry import Grid
from wsi_pipeline.phantom import paint_phantom, sample_spec

# Seed, and how the section lies on the glass.
VERTICAL = ((4, 37.0), (1, -128.0), (3, 160.0))


def paint(seed: int, section: str, **changes):
    """Small phantom at 2 µm per label pixel and its measurements."""
    spec = sample_spec(
        seed, section=section, architecture="solid-cord", width_mm=3.0, height_mm=2.7
    )
    phantom = paint_phantom(dataclasses.replace(spec, mpp=2.0, **changes))
    return measure(phantom.labels, Grid(phantom.labels.shape, 2.0)), phantom


@pytest.fixture(scope="module", params=VERTICAL)
def pair(request):
    seed, angle = request.param
    return paint(seed, "vertical", rotation_deg=angle, dermis_mm=0.9, depth_span=(0.1, 0.9))


def test_values(pair) -> None:
    found, phantom = pair
    value, truth = {name: item.value for name, item in found.values.items()}, phantom.truth
    assert value["section_orientation"] == "vertical"
    assert value["area_tumour_mm2"] == pytest.approx(truth["tumour_mm2"])
    assert value["tissue_area_mm2"] == pytest.approx(truth["tissue_mm2"])
    assert value["dermal_compartment_area_mm2"] == pytest.approx(
        truth["dermal_compartment_mm2"], rel=0.03
    )
    assert value["infiltration_fraction"] == pytest.approx(truth["infiltration_fraction"], abs=0.01)
    assert value["tumour_in_window_fraction"] >= 0.95
    # The truth is the deepest point, the measurement leaves out the deepest 0.5 % of the area.
    deepest = truth["depth_max_envelope_um"]
    assert deepest - 60 <= value["depth_max_um"] <= deepest + 15
    assert truth["relative_depth_max"] - 0.06 <= value["relative_depth_max"]
    assert value["relative_depth_max"] <= truth["relative_depth_max"] + 0.02


def test_profile(pair) -> None:
    found, phantom = pair
    profile = np.array(found.values["occupancy_profile"].value)
    truth = np.array([share or 0.0 for share in phantom.truth["occupancy_profile"]])
    assert np.abs(profile - truth).sum() <= 0.08 * truth.sum()
    # How far tumour would have to be moved, on average, as a share of the thickness: a cord that
    # runs along the border of two bins belongs to either.
    assert np.abs(np.cumsum(profile - truth)).sum() / truth.sum() / len(truth) <= 0.008


def test_junction(pair) -> None:
    found, phantom = pair
    curves = found.sections[0].curves
    for measured_um, true_um, tolerance_um in (
        (curves.dej_um, phantom.dej_um, 25),
        (curves.dsj_um, phantom.dsj_um, 25),
    ):
        gap_um = np.hypot(*np.moveaxis(measured_um[::5, None] - true_um[None, ::5], -1, 0))
        assert np.percentile(gap_um.min(axis=1), 90) <= tolerance_um


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (11, {"rotation_deg": 64.0, "architecture": "cord", "depth_span": (0.05, 1.2)}),
        (12, {"architecture": "solid", "depth_span": (0.0, 1.0), "tumour_density": 0.7}),
    ],
)
def test_values_of_an_independent_twin(seed: int, changes: dict) -> None:
    """The twin solves, draws and counts on its own, from the phantom's formulas."""
    spec = sample_spec(seed, width_mm=2.8, height_mm=2.6)
    layout, labels = paint_labels(
        dataclasses.replace(spec, mpp=2.0, dermis_mm=0.8, lateral_span=0.8, **changes)
    )
    truth, found = true_values(layout, labels), measure(labels, Grid(labels.shape, 2.0)).values
    for name, tolerance in {
        "depth_max_um": 15,
        "relative_depth_max": 0.015,
        "infiltration_fraction": 0.01,
        "dermal_thickness_median_um": 20,
        "full_thickness_fraction": 0.04,
        "full_thickness_tumour_fraction": 0.06,
        "subcutis_extension_um": 20,
        "lateral_extent_mm": 0.08,
        "grenz_median_um": 10,
        "grenz_p05_um": 10,
    }.items():
        assert found[name].value == pytest.approx(truth[name], abs=tolerance), name
    assert found["full_thickness_call"].value == truth["full_thickness_call"]


def test_a_horizontal_phantom_is_called_so() -> None:
    found, phantom = paint(2, "horizontal")
    assert found.values["section_orientation"].value == "horizontal"
    assert found.values["depth_max_um"].status == "not_defined"
    assert found.values["area_tumour_mm2"].value == pytest.approx(phantom.truth["tumour_mm2"])
