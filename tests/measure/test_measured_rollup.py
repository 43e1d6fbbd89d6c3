"""A slide of several sections."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from analytic_skin import Skin, Slab, codes, measure_skin, paint, paint_disc

from wsi_pipeline.classes import BACKGROUND, DERMIS, EPIDERMIS, SUBCUTIS
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure import SlideMeasurements, measure_slide
from wsi_pipeline.measure.vertical import DEPTH_UNITS

SHALLOW = Skin(width_um=3500, dermis_um=1000, fat_um=500, slabs=(Slab(-900, 900, 0.1, 0.4),))
DEEP = Skin(width_um=3000, dermis_um=1200, fat_um=500, slabs=(Slab(-500, 500, 0.2, 0.9),))
NO_FAT = Skin(width_um=3000, dermis_um=1200, fat_um=0, slabs=(Slab(-500, 500, 0.2, 0.9),))
BARE = Skin(width_um=3000, dermis_um=1200, fat_um=500)


def side_by_side(
    maps: list[np.ndarray], mpp: float = 4.0, *, declared: str = "auto"
) -> SlideMeasurements:
    """Measure maps as the sections of one slide, 4 µm label pixels on 8 µm sections."""
    rows = max(len(part) for part in maps) // 2 * 2 + 2
    padded = [np.pad(part, ((0, rows - len(part)), (0, part.shape[1] % 2))) for part in maps]
    labels = np.hstack(padded)
    ids = np.hstack(
        [np.full((rows // 2, part.shape[1] // 2), n, np.uint8) for n, part in enumerate(padded, 1)]
    )
    return measure_slide(
        labels,
        grid=Grid(labels.shape, mpp),
        sections=ids,
        sections_grid=Grid(ids.shape, 2 * mpp),
        declared_section=declared,
        settings=MeasureSettings(),
    )


@functools.lru_cache(maxsize=8)
def slide_of(*skins: Skin) -> SlideMeasurements:
    return side_by_side([paint(skin, 4.0)[0] for skin in skins])


def test_one_section_is_the_slide() -> None:
    found = slide_of(DEEP)
    assert len(found.sections) == 1
    for name, value in found.values.items():
        own = found.sections[0].values[name]
        assert value.status == own.status
        if isinstance(own.value, float):
            assert value.value == pytest.approx(own.value), name


def test_sections_do_not_disturb_each_other() -> None:
    both = slide_of(SHALLOW, DEEP)
    for skin, section in zip((SHALLOW, DEEP), both.sections, strict=True):
        alone = measure_skin(skin)
        for name in ("tissue_area_mm2", "depth_max_um", "infiltration_fraction"):
            assert section.values[name].value == pytest.approx(alone.values[name].value, rel=0.02)


def test_amounts_add_depths_win_shares_are_weighted() -> None:
    both = slide_of(SHALLOW, DEEP)
    first, second = (section.values for section in both.sections)

    def pair(name: str) -> tuple[float, float]:
        return first[name].value, second[name].value

    for name in ("tissue_area_mm2", "area_tumour_mm2", "epidermis_length_mm"):
        assert both.values[name].value == pytest.approx(sum(pair(name)))
    for name in ("depth_max_um", "relative_depth_max"):
        assert both.values[name].value == max(pair(name))
    areas = np.array(pair("dermal_compartment_area_mm2"))
    shares = np.array(pair("infiltration_fraction"))
    assert both.values["infiltration_fraction"].value == pytest.approx(
        (areas * shares).sum() / areas.sum()
    )
    tumour, tissue = sum(pair("area_tumour_mm2")), sum(pair("tissue_area_mm2"))
    assert both.values["tumour_tissue_fraction"].value == pytest.approx(tumour / tissue)
    profile = np.average(pair("occupancy_profile"), axis=0, weights=areas)
    assert both.values["occupancy_profile"].value == pytest.approx(profile)


def test_the_most_infiltrative_section_gives_the_word() -> None:
    both = slide_of(SHALLOW, DEEP)
    first, second = (section.values for section in both.sections)
    assert first["full_thickness_call"].value == "partial"
    assert both.values["full_thickness_call"].value == second["full_thickness_call"].value
    assert both.values["invasion_level"].value == "reticular dermis"
    assert both.values["depth_estimator"].value == "field lines"
    assert both.values["lateral_extent_mm"].value == pytest.approx(1.8, abs=0.05)
    assert both.values["depth_max_um"].interval is None


def test_a_section_without_fat_leaves_the_word_open_above() -> None:
    both = slide_of(DEEP, NO_FAT).values
    assert both["full_thickness_call"].status == "at_least"
    assert both["full_thickness_fraction"].status == "measured"
    assert "1 of 2 sections could not be assessed" in both["full_thickness_fraction"].reason
    assert both["depth_estimator"].value == "mixed"


def test_balance_is_that_of_the_pooled_tumour() -> None:
    both = slide_of(SHALLOW, DEEP)
    upper = lower = 0.0
    for section in both.sections:
        area = section.values["dermal_compartment_area_mm2"].value
        tumour = area * section.values["infiltration_fraction"].value
        ratio = 2 ** section.values["top_bottom_log2"].value
        upper += tumour * ratio / (1 + ratio)
        lower += tumour / (1 + ratio)
    # SHALLOW has all its tumour above, which the limit of the ratio writes as 1 : 1024.
    assert both.values["top_bottom_log2"].value == pytest.approx(np.log2(upper / lower), abs=0.01)


def test_a_lower_bound_bounds_the_slide() -> None:
    found = slide_of(SHALLOW, NO_FAT)
    assert found.values["depth_max_um"].status == "at_least"
    assert found.values["depth_max_um"].value == pytest.approx(0.897 * 1200, abs=15)
    fraction = found.values["infiltration_fraction"]
    assert fraction.status == "measured"
    assert fraction.reason == "1 of 2 sections could not be assessed"
    assert fraction.value == found.sections[0].values["infiltration_fraction"].value
    relative = found.values["relative_depth_max"]
    assert relative.status == "at_least"
    assert "1 of 2 sections could not be assessed (no subcutaneous fat" in relative.reason
    assert codes(found) == {"fat_absent"}


def test_a_section_without_tumour_has_no_say_in_its_depth() -> None:
    found = slide_of(DEEP, BARE)
    assert found.values["depth_max_um"].status == "measured"
    assert found.values["infiltration_fraction"].value == pytest.approx(0.233 / 2, abs=0.01)


@pytest.mark.parametrize("lost", ["fat", "epidermis"])
def test_a_section_without_tumour_does_not_bound_the_depth(lost: str) -> None:
    bare = paint(dataclasses.replace(BARE, fat_um=0) if lost == "fat" else BARE, 4.0)[0]
    if lost == "epidermis":
        bare[bare == EPIDERMIS] = BACKGROUND
    found = side_by_side([paint(DEEP, 4.0)[0], bare], declared="vertical")
    for name in ("depth_max_um", "relative_depth_max", "top_bottom_log2"):
        assert found.sections[1].values[name].status == "not_defined"
        assert found.sections[1].values[name].reason == "the section holds no tumour"
        assert found.values[name].status == "measured"
        assert found.values[name].value == pytest.approx(found.sections[0].values[name].value)


@pytest.mark.parametrize("declared", ["vertical", "auto"])
def test_a_crumb_of_fat_has_no_say(declared: str) -> None:
    crumb = np.zeros((200, 200), np.uint8)
    crumb[20:180, 20:180] = SUBCUTIS
    crumb[60:64, 20:180] = DERMIS  # a septum
    deep = paint(DEEP, 4.0)[0]
    both, alone = (side_by_side(maps, declared=declared) for maps in ([deep, crumb], [deep]))
    for name, unit in DEPTH_UNITS.items():
        assert both.sections[1].values[name].status == "not_defined", name
        assert both.values[name] == alone.values[name], (name, unit)
    assert both.values["section_orientation"] == alone.values["section_orientation"]
    assert both.values["area_subcutis_mm2"].value > alone.values["area_subcutis_mm2"].value
    assert codes(both) == codes(alone) == set()


def test_quartiles_of_two_sections_are_not_averaged() -> None:
    assert slide_of(DEEP).values["dermal_thickness_median_um"].interval is not None
    assert slide_of(SHALLOW, DEEP).values["dermal_thickness_median_um"].interval is None


def test_vertical_and_horizontal_sections_together() -> None:
    found = side_by_side([paint(DEEP, 4.0)[0], paint_disc(1200)[0]])
    vertical, horizontal = found.sections
    assert found.values["section_orientation"].value == "mixed"
    assert horizontal.values["depth_max_um"].status == "not_defined"
    assert found.values["depth_max_um"] == vertical.values["depth_max_um"]
    assert found.values["area_tumour_mm2"].value == pytest.approx(
        sum(section.values["area_tumour_mm2"].value for section in found.sections)
    )


def test_all_horizontal_is_not_defined() -> None:
    found = side_by_side([paint_disc(1200)[0], paint_disc(1400)[0]])
    assert found.values["section_orientation"].value == "horizontal"
    assert found.values["depth_max_um"].status == "not_defined"


def test_areas_are_additive_over_any_cut() -> None:
    labels, _ = paint(DEEP, 4.0)
    labels = labels[: len(labels) // 2 * 2, : labels.shape[1] // 2 * 2]
    ids = np.ones((labels.shape[0] // 2, labels.shape[1] // 2), np.uint8)
    ids[:, ids.shape[1] // 3 :] = 2
    found = measure_slide(
        labels,
        grid=Grid(labels.shape, 4.0),
        sections=ids,
        sections_grid=Grid(ids.shape, 8.0),
        declared_section="vertical",
        settings=MeasureSettings(),
    )
    for value in range(1, 8):
        parts = [s.values[name].value for s in found.sections for name in [_area(value)]]
        assert sum(parts) == pytest.approx((labels == value).sum() * 16e-6, rel=1e-12)


def _area(value: int) -> str:
    names = ("epidermis", "dermis", "adnexa", "subcutis", "tumour", "inflammation", "keratin")
    return f"area_{names[value - 1]}_mm2"
