"""Is the grade that of the limits, and its interval that of the squares?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi_pipeline.config import GradeSettings, parse_config
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.measure import absent_nuclei, measure_nuclei
from wsi_pipeline.measure.nuclear_grade import NUCLEAR_UNITS, grade_of

SETTINGS = GradeSettings(draws=300)


def nuclei(
    mean_um2: float, sd_um2: float, *, count: int = 2000, seed: int = 1, extent_um: float = 2000.0
) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    spread = np.sqrt(np.log1p((sd_um2 / mean_um2) ** 2))
    area = rng.lognormal(np.log(mean_um2) - spread**2 / 2, spread, count)
    return {
        "area_um2": area,
        "minor_um": 2 * np.sqrt(area / np.pi),
        "solidity": np.full(count, 0.95),
        "down_um": rng.uniform(0, extent_um, count),
        "right_um": rng.uniform(0, extent_um, count),
        "touches_edge": np.zeros(count, bool),
    }


@pytest.mark.parametrize(
    ("mean", "cv", "grade"),
    [
        (30, 0.9, 1),
        (50, 0.2, 1),
        (50.1, 0.2, 2),
        (64.9, 0.9, 2),
        (65, 0.39, 2),
        (65, 0.40, 3),
        (75, 0, 3),
    ],
)
def test_the_limits(mean: float, cv: float, grade: int) -> None:
    assert grade_of(mean, cv, settings=SETTINGS) == grade


@pytest.mark.parametrize(
    ("mean", "sd", "word"), [(43, 9, "1"), (60, 15, "2"), (90, 35, "3"), (50, 12, "borderline 1–2")]
)
def test_the_grade_of_drawn_nuclei(mean: float, sd: float, word: str) -> None:
    found = measure_nuclei(nuclei(mean, sd), settings=SETTINGS)
    assert list(found) == list(NUCLEAR_UNITS)
    assert {name: value.unit for name, value in found.items()} == NUCLEAR_UNITS
    assert found["nuclear_grade"].value == word
    for limit in ("50 µm²", "75 µm²", "65 µm²", "0.4", "5 µm"):
        assert limit in found["nuclear_grade"].reason
    value, interval = found["nuclear_area_mean_um2"].value, found["nuclear_area_mean_um2"].interval
    assert interval is not None
    assert isinstance(value, float)
    assert interval[0] < value < interval[1]


def test_small_ragged_and_cut_profiles_are_left_out() -> None:
    table = nuclei(60, 5, count=400)
    table["area_um2"][:50] = 19.6
    table["solidity"][50:100] = 0.84
    table["touches_edge"][100:150] = True
    found = measure_nuclei(table, settings=SETTINGS)
    assert found["nuclei_measured"].value == 250.0
    assert found["nuclear_area_mean_um2"].value == pytest.approx(table["area_um2"][150:].mean())


def test_fewer_than_a_hundred_are_not_graded() -> None:
    found = measure_nuclei(nuclei(60, 5, count=99), settings=SETTINGS)
    assert found["nuclear_grade"].status == "not_assessable"
    assert "only 99 nuclei" in found["nuclear_grade"].reason
    assert found["nuclei_measured"].value == 99.0
    assert (
        measure_nuclei(nuclei(60, 5, count=100), settings=SETTINGS)["nuclear_grade"].value
        is not None
    )


def test_alike_neighbours_widen_the_interval() -> None:
    """Drawing squares sees what drawing single nuclei would not."""
    even = nuclei(60, 12, seed=3)
    patchy = {name: column.copy() for name, column in even.items()}
    cell = np.floor(patchy["right_um"] / 250).astype(int)
    patchy["area_um2"] += np.random.default_rng(4).normal(0, 12, 8)[cell]

    def width(table: dict[str, NDArray[Any]]) -> float:
        interval = measure_nuclei(table, settings=SETTINGS)["nuclear_area_mean_um2"].interval
        assert interval is not None
        return interval[1] - interval[0]

    assert width(patchy) > 2 * width(even)


def test_few_squares_are_said_to_be_few() -> None:
    found = measure_nuclei(nuclei(60, 12, extent_um=240.0), settings=SETTINGS)
    assert "rests on 1 squares" in found["nuclear_grade"].reason


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    """Coverage of the 90 % interval over independent slides, with eight by eight squares."""
    quick = replace(SETTINGS, draws=200)
    hits = 0
    for seed in range(120):
        interval = measure_nuclei(nuclei(60, 12, count=800, seed=seed), settings=quick)[
            "nuclear_area_mean_um2"
        ].interval
        assert interval is not None
        hits += interval[0] <= 60 <= interval[1]
    assert 0.8 <= hits / 120 <= 0.97


def test_absent_values_say_why() -> None:
    values = absent_nuclei("not_defined", "no tumour was segmented")
    assert {value.status for value in values.values()} == {"not_defined"}
    values = absent_nuclei("not_assessable", "too coarse")
    assert {value.reason for value in values.values()} == {"too coarse"}


def test_limits_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="must rise in that order"):
        parse_config({"grade": {"small_um2": 70.0}})
