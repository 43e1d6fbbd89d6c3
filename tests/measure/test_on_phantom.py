"""Measured labels of a painted phantom = what its geometry says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from analytic_skin import measure

from wsi_pipeline.geometry import Grid
from wsi_pipeline.phantom import paint_phantom, sample_spec


@pytest.fixture(scope="module", params=[37.0])
def pair(request):
    spec = dataclasses.replace(
        sample_spec(4, architecture="solid-cord", width_mm=3.5, height_mm=2.8),
        mpp=2.0,
        rotation_deg=request.param,
        dermis_mm=0.9,
        depth_span=(0.1, 0.9),
    )
    phantom = paint_phantom(spec)
    return measure(phantom.labels, Grid(phantom.labels.shape, spec.mpp)), phantom


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
    profile = [share or 0.0 for share in truth["occupancy_profile"]]
    assert value["occupancy_profile"] == pytest.approx(profile, abs=0.05)
    # The truth is the deepest point, the measurement leaves out the deepest 0.5 % of the area.
    deepest = truth["depth_max_envelope_um"]
    assert deepest - 60 <= value["depth_max_um"] <= deepest + 15
    assert truth["relative_depth_max"] - 0.06 <= value["relative_depth_max"]
    assert value["relative_depth_max"] <= truth["relative_depth_max"] + 0.02


def test_junction(pair) -> None:
    found, phantom = pair
    curves = found.sections[0].curves
    for measured_um, true_um, tolerance_um in (
        (curves.dej_um, phantom.dej_um, 25),
        (curves.dsj_um, phantom.dsj_um, 25),
    ):
        gap_um = np.hypot(*np.moveaxis(measured_um[::5, None] - true_um[None, ::5], -1, 0))
        assert np.percentile(gap_um.min(axis=1), 90) <= tolerance_um
