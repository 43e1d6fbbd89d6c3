"""Null is not zero: which values are there, which are bounds, which flags are up."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from analytic_skin import (
    Skin,
    Slab,
    codes,
    measure,
    measure_skin,
    one_section,
    paint,
    paint_disc,
    place_and_depth,
)

from wsi_pipeline.classes import (
    ADNEXA,
    BACKGROUND,
    CLASS_NAMES,
    DERMIS,
    EPIDERMIS,
    SUBCUTIS,
    TUMOUR,
)
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.errors import MeasurementError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure import measure_slide
from wsi_pipeline.measure.architecture import ARCHITECTURE_UNITS
from wsi_pipeline.measure.front import FRONT_UNITS
from wsi_pipeline.measure.horizontal import HORIZONTAL_UNITS
from wsi_pipeline.measure.section import VALUE_UNITS
from wsi_pipeline.measure.thickness import THICKNESS_UNITS
from wsi_pipeline.measure.vertical import DEPTH_UNITS, TUMOUR_UNITS

NEST = Slab(-800, 800, 0.2, 0.8)
SMALL = Skin(width_um=3500, dermis_um=1000, fat_um=500, slabs=(NEST,))


def statuses(found) -> dict[str, str]:
    return {name: value.status for name, value in found.values.items()}


def test_a_plain_vertical_section_has_every_value_and_no_flag() -> None:
    found = measure_skin(SMALL, mpp=2.0)
    absent = {name for name, status in statuses(found).items() if status == "not_defined"}
    assert absent == set(HORIZONTAL_UNITS)
    assert set(statuses(found).values()) == {"measured", "not_defined"}
    assert list(found.sections[0].values) == list(VALUE_UNITS)
    assert {name: value.unit for name, value in found.values.items()} == VALUE_UNITS
    assert codes(found) == set()


def test_no_fat_leaves_lower_bounds() -> None:
    found = measure_skin(dataclasses.replace(SMALL, fat_um=0), mpp=2.0)
    got = statuses(found)
    assert codes(found) == {"fat_absent"}
    at_least = {"depth_max_um", "dermal_thickness_median_um", "dermal_compartment_area_mm2"}
    assert {name for name, status in got.items() if status == "at_least"} == at_least
    assert {name for name, status in got.items() if status == "not_assessable"} == {
        "infiltration_fraction",
        "occupancy_profile",
        "relative_depth_max",
        "top_bottom_log2",
        "tumour_in_window_fraction",
        "dsj_interpolated_fraction",
        "depth_estimators_apart",
        "invasion_level",
        "subcutis_extension_um",
        "dsj_breach_fraction",
        *THICKNESS_UNITS,
    }
    assert found.values["depth_max_um"].value == pytest.approx(797, abs=15)
    assert found.values["dermal_thickness_median_um"].value == pytest.approx(1000, abs=12)


def test_no_epidermis_leaves_no_depth() -> None:
    labels, grid = paint(SMALL, 4.0)
    labels[labels == 1] = BACKGROUND
    found = measure(labels, grid, declared="vertical")
    assert codes(found) == {"epidermis_absent"}
    assert {found.values[name].status for name in DEPTH_UNITS} == {"not_assessable"}
    assert found.values["tumour_tissue_fraction"].value > 0
    assert found.sections[0].curves is None


def test_auto_without_a_clue_is_indeterminate() -> None:
    labels, grid = paint(SMALL, 4.0)
    labels[labels == 1] = BACKGROUND
    found = measure(labels, grid)
    assert found.values["section_orientation"].value == "indeterminate"
    assert {found.values[name].status for name in DEPTH_UNITS} == {"not_assessable"}
    assert "neither was declared" in found.values["depth_max_um"].reason


def test_depths_are_not_defined_on_a_horizontal_section() -> None:
    found = measure(*paint_disc())
    assert found.values["section_orientation"].value == "horizontal"
    for name in DEPTH_UNITS:
        assert found.values[name].value is None
        assert found.values[name].status == "not_defined"
        assert found.values[name].reason == "a horizontal section shows one level of the skin only"
    assert found.values["tumour_tissue_fraction"].value == pytest.approx(0.7**2 / 4, rel=0.01)
    assert codes(found) == set()


def test_no_tumour_is_zero_amount_but_no_depth() -> None:
    found = measure_skin(dataclasses.replace(SMALL, slabs=()))
    assert found.values["infiltration_fraction"].value == 0.0
    assert found.values["occupancy_profile"].value == (0.0,) * 20
    for name in ("depth_max_um", "relative_depth_max", "top_bottom_log2"):
        assert found.values[name].status == "not_defined"


def test_what_is_declared_wins_and_the_conflict_is_flagged() -> None:
    disc = measure(*paint_disc(), declared="vertical")
    assert disc.values["section_orientation"].value == "vertical"
    assert disc.values["orientation_computed"].value == "horizontal"
    assert codes(disc) == {"orientation_conflict", "epidermis_absent"}
    upright = measure_skin(SMALL, declared="horizontal")
    assert codes(upright) == {"orientation_conflict"}
    assert upright.values["depth_max_um"].status == "not_defined"
    declared = measure_skin(SMALL, declared="vertical")
    assert codes(declared) == set()
    assert declared.values["section_orientation"].reason == "as declared"
    assert declared.values["section_orientation"].status == "measured"
    assert measure_skin(SMALL).values["section_orientation"].reason == ""


def test_fragmented_epidermis() -> None:
    skin = Skin(width_um=5400, dermis_um=600, fat_um=300)
    labels, grid = paint(skin, 8.0)
    assert codes(measure(labels, grid)) == set()
    place, _ = place_and_depth(skin, grid, grid.extent_um[0] / 2)
    lost = np.any([abs(place - at) < 250 for at in (-1500, 0, 1500)], axis=0)
    labels[lost & (labels == EPIDERMIS)] = BACKGROUND
    found = measure(labels, grid)
    assert codes(found) == {"epidermis_fragmented", "epidermis_bridged"}
    flags = {flag.code: flag.value for flag in found.flags}
    assert flags["epidermis_fragmented"] == 4
    assert flags["epidermis_bridged"] == pytest.approx(1500 / 5400, abs=0.02)
    assert found.values["assessable_length_mm"].value == pytest.approx(5.4, abs=0.1)


def test_mostly_interpolated_junction_bounds_the_thickness() -> None:
    found = measure_skin(Skin(slabs=(Slab(-1700, 1700, 0.1, 1.5),)))
    assert "dsj_interpolated" in codes(found)
    assert found.values["dsj_interpolated_fraction"].value > 0.5
    assert found.values["dermal_thickness_median_um"].status == "at_least"


def test_tumour_at_the_deep_cut_edge_is_a_lower_bound() -> None:
    through = measure_skin(Skin(fat_um=400, slabs=(Slab(-700, 700, 0.3, 1.4),)))
    assert through.values["depth_max_um"].status == "at_least"
    assert "cut edge" in through.values["depth_max_um"].reason


def test_tumour_from_side_to_side_is_not_cut_in_its_depth() -> None:
    found = measure_skin(Skin(width_um=2500, slabs=(Slab(-1300, 1300, 0.1, 1.0),)))
    assert found.values["depth_max_um"].status == "measured"
    assert found.values["relative_depth_max"].value == pytest.approx(1.0, abs=0.01)


def test_tumour_under_lost_epidermis_is_a_lower_bound() -> None:
    skin = Skin(slabs=(Slab(-1500, 1500, 0, 0.7),), ulcer_um=(-1300, 1300))
    found = measure_skin(skin)
    assert found.values["depth_max_um"].status == "at_least"
    assert "beside the epidermis" in found.values["depth_max_um"].reason
    inside = found.values["tumour_in_window_fraction"]
    assert inside.status == "measured"
    # Of 3000 µm of tumour 2600 µm lie under the ulcer, of which the wedges reach some.
    assert 400 / 3000 <= inside.value <= 0.35
    assert "window_partial" in codes(found)
    for name in ("infiltration_fraction", "occupancy_profile", "top_bottom_log2"):
        assert found.values[name].status == "measured"
        assert "of the tumour lies in the analysed window" in found.values[name].reason
    assert found.values["relative_depth_max"].status == "at_least"


def test_deeper_tumour_outside_the_window_bounds_the_relative_depth() -> None:
    skin = Skin(
        width_um=5600,
        fat_um=500,
        slabs=(Slab(-2200, -1500, 0.1, 0.4), Slab(-1300, 1300, 0.1, 0.9)),
        ulcer_um=(-1300, 1300),
    )
    found = measure_skin(skin)
    assert found.values["relative_depth_max"].status == "at_least"
    assert "outside the analysed window" in found.values["relative_depth_max"].reason
    assert measure_skin(SMALL).values["tumour_in_window_fraction"].value == pytest.approx(1.0)


def test_what_the_model_never_calls_is_null() -> None:
    labels, grid = paint(dataclasses.replace(SMALL, follicles_um=(1200,)), 4.0)
    labels[labels == ADNEXA] = TUMOUR
    found = measure(labels, grid, never_called=("adnexa", "inflammation"))
    for name in ("adnexa", "inflammation"):
        area = found.values[f"area_{name}_mm2"]
        assert (area.value, area.status) == (None, "not_assessable")
        assert area.reason == f"the model never calls {name}"
    assert found.values["area_tumour_mm2"].status == "measured"
    assert codes(found) == {"adnexa_not_segmented"}
    assert codes(measure(labels, grid, never_called=("inflammation",))) == set()


def test_without_a_class_for_tumour_there_is_no_infiltration() -> None:
    found = measure(*paint(SMALL, 4.0), never_called=("tumour",))
    lost = {"area_tumour_mm2", "tumour_tissue_fraction", *FRONT_UNITS, *TUMOUR_UNITS}
    lost |= {*ARCHITECTURE_UNITS, "radial_profile"}
    absent = {name for name in VALUE_UNITS if found.values[name].value is None}
    assert absent == lost | {*HORIZONTAL_UNITS}
    assert {found.values[name].reason for name in lost} == {"the model never calls tumour"}


@pytest.mark.parametrize("tissue", [DERMIS, SUBCUTIS, TUMOUR])
@pytest.mark.parametrize("never_called", [(), ("adnexa",)])
def test_a_disc_of_one_tissue_is_indeterminate(tissue: int, never_called: tuple) -> None:
    labels, grid = paint_disc(1200)
    labels[labels != BACKGROUND] = tissue
    found = measure(labels, grid, never_called=never_called)
    assert found.values["depth_max_um"].value is None
    assert found.values["section_orientation"].value != "horizontal"
    assert found.values["section_orientation"].value != "vertical"


def test_a_ball_of_fat_in_dermis_is_indeterminate() -> None:
    labels, grid = paint_disc(1200)
    labels[(labels == TUMOUR) | (labels == ADNEXA)] = DERMIS
    labels[paint_disc(700)[0].shape[0] :, :] = SUBCUTIS
    labels[paint_disc(1200)[0] == BACKGROUND] = BACKGROUND
    assert (labels == SUBCUTIS).sum() > 0.2 * (labels != BACKGROUND).sum()
    for never_called in ((), ("adnexa",)):
        found = measure(labels, grid, never_called=never_called)
        assert found.values["section_orientation"].value == "indeterminate"


def test_without_adnexa_a_horizontal_section_is_believed_less() -> None:
    labels, grid = paint_disc(1500)
    labels[labels == ADNEXA] = TUMOUR
    assert measure(labels, grid).values["section_orientation"].value == "indeterminate"
    found = measure(labels, grid, never_called=("adnexa",))
    assert found.values["section_orientation"].value == "horizontal"
    assert found.values["orientation_confidence"].value <= 0.6


def test_long_follicles_are_no_sign_of_a_horizontal_section() -> None:
    labels, grid = paint_disc()
    labels[labels == ADNEXA] = DERMIS
    labels[150:250, 250:800:100] = ADNEXA
    for at in range(250, 800, 100):
        labels[150:250, at : at + 30] = ADNEXA
    assert measure(labels, grid).values["section_orientation"].value == "indeterminate"


def test_tissue_at_the_rim_is_flagged() -> None:
    labels, grid = paint(SMALL, 2.0)
    middle = grid.shape[1] // 2
    cropped = np.ascontiguousarray(labels[:, middle:])
    found = measure(cropped, Grid(cropped.shape, grid.mpp))
    assert codes(found) == {"touches_edge"}
    sizes = ("nest_area_median_um2", "nest_diameter_median_um")
    for name, value in found.values.items():
        if name in HORIZONTAL_UNITS:
            continue
        bounded = value.unit in ("mm", "mm²") or name == "nest_count" or name in sizes
        assert value.status == ("at_least" if bounded else "measured"), name
        why = "100% of the nests are cut off" if name in sizes else "the section reaches the edge"
        assert (why in value.reason) if bounded else value.reason == ""


@pytest.mark.parametrize("turns", range(4))
def test_each_rim_of_the_plane_counts(turns: int) -> None:
    labels = np.zeros((120, 90), np.uint8)
    labels[:60, 30:60] = DERMIS
    labels = np.ascontiguousarray(np.rot90(labels, turns))
    area = measure(labels, Grid(labels.shape, 4.0)).values["tissue_area_mm2"]
    assert area.status == "at_least"
    inner = np.pad(labels, 1)
    assert measure(inner, Grid(inner.shape, 4.0)).values["tissue_area_mm2"].status == "measured"


def test_a_tiny_tumour_is_flagged() -> None:
    found = measure_skin(dataclasses.replace(SMALL, slabs=(Slab(0, 200, 0.3, 0.5),)))
    assert codes(found) == {"tumour_tiny"}
    assert found.values["depth_max_um"].value == pytest.approx(500, abs=15)


def test_empty_labels_in_a_section() -> None:
    labels, grid = np.zeros((200, 200), np.uint8), Grid((200, 200), 4.0)
    found = measure(labels, grid)
    assert found.values["tissue_area_mm2"].value == 0.0
    assert found.values["tumour_tissue_fraction"].status == "not_defined"
    assert found.values["section_orientation"].value == "indeterminate"


def test_json_round_trip() -> None:
    for found in (measure_skin(SMALL), measure(*paint_disc(1200))):
        text = json.dumps(found.to_json(), allow_nan=False)
        assert json.dumps(json.loads(text)) == text
        for name in CLASS_NAMES[1:]:
            assert json.loads(text)["values"][f"area_{name}_mm2"]["unit"] == "mm²"


def test_curves_lie_on_the_slide() -> None:
    labels, grid = paint(SMALL, 4.0)
    placed = Grid(grid.shape, grid.mpp, (10_000.0, 20_000.0))
    (section,) = measure(labels, placed).sections
    assert section.curves is not None
    middle_um = 10_000 + grid.extent_um[0] / 2 - SMALL.total_um / 2
    dej_um, dsj_um = section.curves.dej_um, section.curves.dsj_um
    assert dej_um[:, 0] == pytest.approx(middle_um + 80, abs=10)
    assert dsj_um[:, 0] == pytest.approx(middle_um + 1080, abs=15)
    assert dej_um[:, 1].mean() == pytest.approx(20_000 + grid.extent_um[1] / 2, abs=10)
    # The section is a box of 16 µm pixels around the tissue.
    top_um, left_um, bottom_um, right_um = section.box_um
    assert middle_um - 16 <= top_um <= middle_um
    assert right_um - left_um == pytest.approx(SMALL.width_um, abs=32)
    assert bottom_um - top_um == pytest.approx(SMALL.total_um, abs=32)


def test_pieces_of_a_curve_are_parted_in_json() -> None:
    found = measure_skin(Skin(ulcer_um=(-1300, 1300)))
    assert None in found.sections[0].to_json()["curves"]["dej_um"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": Grid((3, 3), 4.0)}, "label map of shape"),
        ({"sections_grid": Grid((3, 3), 4.0)}, "section map of shape"),
        ({"declared_section": "sideways"}, "'sideways' is unknown"),
        ({"labels": np.full((40, 40), 9, np.uint8)}, "holds class 9"),
        ({"never_called": ("hair",)}, "never calls hair, but there is no such class"),
        ({"sections": np.zeros((10, 10), np.uint8)}, "holds no section"),
    ],
)
def test_what_cannot_be_measured_is_refused(change: dict, message: str) -> None:
    labels, grid = np.full((40, 40), DERMIS, np.uint8), Grid((40, 40), 4.0)
    sections, sections_grid = one_section(labels, grid)
    given = {
        "labels": labels,
        "grid": grid,
        "sections": sections,
        "sections_grid": sections_grid,
        "declared_section": "auto",
        "settings": MeasureSettings(),
    } | change
    with pytest.raises(MeasurementError, match=message):
        measure_slide(given.pop("labels"), **given)
