"""What can be drawn of a measurement is what the measurement says."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from analytic_skin import Skin, Slab, measure_skin

from wsi_pipeline.config import GradeSettings
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.measure import AREA_STEP_UM2, DepthPlane, join_depths, map_grades

SKIN = Skin(
    width_um=2800, dermis_um=1000, fat_um=500, angle_deg=9, slabs=(Slab(-700, 700, 0.1, 1.0),)
)


def test_columns_tell_what_the_call_rests_on() -> None:
    measured = measure_skin(SKIN)
    (section,) = measured.sections
    raw = json.loads(json.dumps(section.to_json(), allow_nan=False))["lateral"]
    width, full = np.array(raw["width_um"]), np.array(raw["is_full"])
    known = np.array([thickness is not None for thickness in raw["thickness_um"]])
    share = width[full].sum() / width[known].sum()
    assert share == pytest.approx(measured.values["full_thickness_fraction"].value, abs=1e-3)
    assert np.median([t for t in raw["thickness_um"] if t]) == pytest.approx(1000, abs=20)
    # The envelope begins 30 µm above the slab.
    assert np.median(np.array(raw["first"])[full]) == pytest.approx(0.07, abs=0.02)
    assert (np.array(raw["last"])[full] > 0.9).all()
    assert not full[~known].any()


def test_a_section_without_columns_has_no_profile() -> None:
    measured = measure_skin(dataclasses.replace(SKIN, fat_um=0))
    (section,) = measured.sections
    assert section.to_json()["lateral"] is None


def test_the_joint_depths_are_those_of_the_section() -> None:
    measured = measure_skin(SKIN)
    (part,) = (section.depth for section in measured.sections)
    assert part is not None
    plane = Grid((800, 1500), 2.0)
    joint = join_depths([part], plane=plane)
    assert joint is not None
    assert joint.grid.mpp == part.grid.mpp
    assert joint.grid.extent_um >= plane.extent_um
    rows, columns = np.nonzero(np.isfinite(part.depth_um))
    for row, column in list(zip(rows, columns, strict=True))[:: len(rows) // 50]:
        at = joint.grid.from_um(*part.grid.to_um(row + 0.5, column + 0.5))
        place = int(at[0]), int(at[1])
        if all(0 <= k < n for k, n in zip(place, joint.grid.shape, strict=True)):
            assert joint.depth_um[place] == part.depth_um[row, column]


def test_a_depth_stands_before_none_where_margins_overlap() -> None:
    def part(box: Box, value: float) -> DepthPlane:
        known = np.full(box.shape, np.nan, np.float32)
        known[1:-1, 1:-1] = value
        return DepthPlane(Grid((20, 20), 8.0).cropped(box), known, known / 100)

    parts = [part(Box(-1, -1, 8, 8), 10), part(Box(5, 5, 25, 15), 20)]
    joint = join_depths(parts, plane=Grid((40, 40), 4.0))
    assert joint is not None
    assert joint.depth_um.shape == (20, 20)
    assert joint.depth_um[0, 0] == 10
    assert joint.depth_um[19, 10] == 20
    assert joint.depth_um[6, 6] == 20
    assert np.isnan(joint.depth_um[19, 19])
    assert joint.relative[6, 5] == np.float32(0.1)
    assert join_depths([], plane=Grid((4, 4), 4.0)) is None


def test_squares_are_graded_by_their_own_nuclei() -> None:
    settings = GradeSettings()
    plane = Grid((400, 500), 2.0, (100.0, 0.0))  # 800 × 1000 µm
    counts = {(0, 0): (30, 40.0), (1, 2): (25, 60.0), (3, 3): (40, 90.0), (2, 1): (19, 90.0)}
    rows = [
        (100 + 250 * row + 125, 250 * column + 125, area)
        for (row, column), (count, area) in counts.items()
        for _ in range(count)
    ]
    down, right, area = (np.array(column) for column in zip(*rows, strict=True))
    nuclei = {
        "area_um2": area,
        "solidity": np.full(len(area), 0.95),
        "touches_edge": np.zeros(len(area), bool),
        "down_um": down,
        "right_um": right,
    }
    found = map_grades(nuclei, plane=plane, settings=settings)
    assert found.grid == Grid((4, 4), 250.0, (100.0, 0.0))
    expected = np.zeros((4, 4), np.uint8)
    expected[0, 0], expected[1, 2], expected[3, 3] = 1, 2, 3
    np.testing.assert_array_equal(found.grade, expected)
    assert found.mean_area_um2[1, 2] == pytest.approx(60)
    assert found.histogram.sum() == len(area)
    assert found.histogram[int(90 / AREA_STEP_UM2)] == 59
