"""Full thickness, Grenz zone and invasion on skin whose answer is plain."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from analytic_skin import Skin, Slab, codes, measure, measure_skin, paint, place_and_depth
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.classes import EPIDERMIS, TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.measure.columns import Columns, Paths
from wsi_pipeline.measure.thickness import extent_of, longest_run_um

SKIN = Skin(width_um=2800, dermis_um=1000, fat_um=500, angle_deg=9)
RIM_UM = 30.0


def with_slabs(*slabs: Slab, **changes) -> Skin:
    return dataclasses.replace(SKIN, slabs=slabs, **changes)


def value(skin: Skin, name: str):
    found = measure_skin(skin).values[name]
    assert found.status == "measured", found
    return found.value


def test_a_block_through_the_dermis() -> None:
    skin = with_slabs(Slab(-700, 700, 0.1, 1.0))
    assert value(skin, "full_thickness_call") == "full-thickness"
    run_um = 1400 + 2 * RIM_UM
    assert value(skin, "full_thickness_run_um") == pytest.approx(run_um, abs=30)
    # Columns within 30 µm of the ends are half glass and not judged.
    assert value(skin, "full_thickness_fraction") == pytest.approx(run_um / 2740, abs=0.015)
    assert value(skin, "full_thickness_strict_fraction") == pytest.approx(1400 / 2740, abs=0.015)
    assert value(skin, "full_thickness_tumour_fraction") == 1.0
    assert value(skin, "lateral_extent_mm") == pytest.approx(1.4, abs=0.03)


@pytest.mark.parametrize(
    ("slabs", "call"),
    [
        ((), "none"),
        ((Slab(-700, 700, 0.2, 1.0),), "partial"),  # its envelope begins at 0.17, beyond 0.15
        ((Slab(-700, 700, 0.17, 1.0),), "full-thickness"),  # at 0.14
        ((Slab(-700, 700, 0.1, 0.85),), "partial"),  # ends at 0.88
        ((Slab(-700, 700, 0.1, 0.89),), "full-thickness"),  # at 0.92
        ((Slab(-700, 700, 0.1, 0.3), Slab(-700, 700, 0.63, 1.0)), "partial"),  # gap 0.27
        ((Slab(-700, 700, 0.1, 0.3), Slab(-700, 700, 0.59, 1.0)), "full-thickness"),  # gap 0.23
        ((Slab(-100, 100, 0.1, 1.0),), "focal full-thickness"),
        ((Slab(-25, -5, 0.1, 1.0),), "partial"),  # 80 µm with its envelope
        ((Slab(-1000, 1000, 0.1, 0.5), Slab(-300, 300, 0.5, 1.0)), "focal full-thickness"),
    ],
)
def test_calls(slabs: tuple[Slab, ...], call: str) -> None:
    assert value(with_slabs(*slabs), "full_thickness_call") == call


def test_cords_are_judged_by_their_envelope() -> None:
    # Files of 40 µm every 200 µm: 20 % tumour, 50 % with the envelope.
    cords = [Slab(-700, 700, top, top + 0.04) for top in (0.1, 0.3, 0.5, 0.7, 0.9)]
    skin = with_slabs(*cords)
    assert value(skin, "full_thickness_call") == "full-thickness"
    assert value(skin, "full_thickness_strict_fraction") == 0.0
    assert value(skin, "full_thickness_cover15_fraction") == pytest.approx(0.52, abs=0.02)
    strict = MeasureSettings(envelope_um=0.0)
    alone = measure(*paint(skin, 4.0), settings=strict).values
    assert alone["full_thickness_fraction"].value == 0.0


def test_a_run_goes_on_across_narrow_gaps_only() -> None:
    near, far = (
        with_slabs(Slab(-600, -gap / 2, 0.1, 1.0), Slab(gap / 2, 600, 0.1, 1.0))
        for gap in (120.0, 260.0)  # 60 µm less between the envelopes
    )
    assert value(near, "full_thickness_run_um") == pytest.approx(1260, abs=30)
    assert value(far, "full_thickness_run_um") == pytest.approx(530, abs=30)


@pytest.mark.parametrize(
    ("bottom", "level", "extension_um"),
    [
        (0.1, "papillary dermis", 0),
        (0.5, "reticular dermis", 0),
        (0.98, "dermo-subcutaneous junction", 0),
        (1.2, "subcutis", 195),
    ],
)
def test_invasion(bottom: float, level: str, extension_um: float) -> None:
    skin = with_slabs(Slab(-500, 500, 0.0, bottom))
    assert value(skin, "invasion_level") == level
    assert value(skin, "subcutis_extension_um") == pytest.approx(extension_um, abs=12)
    breach = 1000 / 2800 if bottom > 1 else 0.0
    assert value(skin, "dsj_breach_fraction") == pytest.approx(breach, abs=0.02)


@pytest.mark.parametrize(("top", "zone_um"), [(0.0, 0), (0.01, 10), (0.1, 100)])
def test_grenz_zone(top: float, zone_um: float) -> None:
    skin = with_slabs(Slab(-500, 500, top, 0.5))
    labels, grid = paint(skin, 2.0)
    found = {name: item.value for name, item in measure(labels, grid).values.items()}
    assert found["grenz_median_um"] == pytest.approx(zone_um, abs=3)
    assert found["grenz_p05_um"] == pytest.approx(zone_um, abs=4)
    assert found["grenz_length_mm"] == pytest.approx(1.0, abs=0.03)
    assert found["grenz_present_fraction"] == pytest.approx(float(zone_um >= 20), abs=0.03)
    assert found["dej_contact_fraction"] == pytest.approx(float(zone_um < 5), abs=0.03)
    assert found["epidermotropism_fraction"] == 0.0


def test_the_grenz_zone_begins_below_the_ridges() -> None:
    skin = with_slabs(Slab(-700, 700, 0.1, 0.5), rete_um=40)
    found = measure(*paint(skin, 2.0)).values
    assert found["grenz_median_um"].value == pytest.approx(100, abs=12)
    assert found["grenz_p05_um"].value == pytest.approx(60, abs=8)


def test_tumour_within_the_epidermis() -> None:
    labels, grid = paint(with_slabs(Slab(-500, 500, 0.0, 0.3)), 4.0)
    place, depth = place_and_depth(SKIN, grid, grid.extent_um[0] / 2)
    inside = (abs(place) < 500) & (depth > 20) & (depth < 50) & (place // 50 % 2 == 0)
    labels[inside & (labels == EPIDERMIS)] = TUMOUR
    found = measure(labels, grid).values
    assert found["epidermotropism_fraction"].value == pytest.approx(0.5 * 30 / 80, abs=0.03)
    assert found["ulceration_um"].value == 0.0


def test_ulceration_needs_tumour_below() -> None:
    ulcer = {"ulcer_um": (-400.0, 400.0)}
    with_tumour = value(with_slabs(Slab(-600, 600, 0.0, 0.5), **ulcer), "ulceration_um")
    assert with_tumour == pytest.approx(800, abs=40)
    assert value(with_slabs(**ulcer), "ulceration_um") == 0.0


def test_tumour_at_the_end_of_the_section_goes_on() -> None:
    found = measure_skin(with_slabs(Slab(600, 1400, 0.1, 0.6))).values["lateral_extent_mm"]
    assert found.status == "at_least"
    assert found.value == pytest.approx(0.8, abs=0.04)


def test_without_fat_there_is_a_grenz_zone_but_no_full_thickness() -> None:
    found = measure_skin(with_slabs(Slab(-500, 500, 0.1, 0.7), fat_um=0)).values
    assert found["grenz_median_um"].value == pytest.approx(100, abs=4)
    assert found["lateral_extent_mm"].value == pytest.approx(1.0, abs=0.03)
    assert found["depth_estimator"].value == "distance"
    for name in ("full_thickness_call", "full_thickness_fraction", "invasion_level"):
        assert found[name].status == "not_assessable"
        assert "fat" in found[name].reason


def test_far_from_parallel_junctions_are_flagged() -> None:
    assert "depth_estimator_disagreement" not in codes(measure_skin(SKIN))
    labels, grid = paint(dataclasses.replace(SKIN, angle_deg=0, fat_um=1500), 4.0)
    place, depth = place_and_depth(
        dataclasses.replace(SKIN, fat_um=1500), grid, grid.extent_um[0] / 2
    )
    floor = 80 + 900 + 800 * np.cos(place / 260)
    labels[(labels == 2) & (depth > floor)] = 4
    labels[(labels == 4) & (depth < floor)] = 2
    found = measure(labels, grid, declared="vertical")
    apart = found.values["depth_estimators_apart"].value
    assert ("depth_estimator_disagreement" in codes(found)) == (apart > 0.05)


def columns_of(hit: np.ndarray, widths: np.ndarray, pieces: np.ndarray) -> Columns:
    """Columns whose every sample is dermis."""
    count, samples = hit.shape
    depth_um = (np.arange(samples) + 0.5) * 2.0
    paths = Paths(
        np.arange(count),
        pieces,
        widths,
        np.full(count, 2.0 * samples),
        depth_um,
        np.zeros((count, samples, 2), np.float32),
    )
    return Columns(paths, np.full(hit.shape, 2, np.uint8), hit, hit, np.zeros_like(hit))


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_extent_is_what_counting_says(row: list[bool]) -> None:
    found = extent_of(columns_of(np.array([row]), np.ones(1), np.zeros(1, int)), np.array([row]))
    at = [i for i, hit in enumerate(row) if hit]
    gaps = [b - a - 1 for a, b in pairwise(at)]
    assert found.cover[0] == sum(row) / len(row)
    assert found.first[0] == (at[0] / len(row) if at else 1)
    assert found.last[0] == ((at[-1] + 1) / len(row) if at else 0)
    assert found.gap[0] == max(gaps, default=0) / len(row)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 39))
def test_longest_run_is_what_trying_all_says(full: list[bool], cut: int) -> None:
    width = 40.0  # two columns may be bridged
    pieces = (np.arange(len(full)) >= cut).astype(int)
    columns = columns_of(np.zeros((len(full), 3), bool), np.full(len(full), width), pieces)
    longest = 0
    for i in range(len(full)):
        for j in range(i, len(full)):
            part = full[i : j + 1]
            whole = part[0] and part[-1] and pieces[i] == pieces[j]
            if whole and "000" not in "".join(str(int(flag)) for flag in part):
                longest = max(longest, len(part))
    assert longest_run_um(columns, np.array(full)) == longest * width
