"""The cohort as typed columns, and its distributions."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from synthetic import draw_rows

from wsi_pipeline.report import CohortRow, cohort_columns, cohort_csv
from wsi_pipeline.report.distributions import count_calls, draw_spreads
from wsi_pipeline.report.figures import HEIGHT, Chart
from wsi_pipeline.values import Measurement

Make = Callable[..., Any]


def columns_of(rows: list[CohortRow]) -> dict[str, Any]:
    columns = cohort_columns(rows)
    assert len({column.name for column in columns}) == len(columns)
    return {column.name: column for column in columns}


def test_the_columns_are_those_of_the_spreadsheet_and_the_intervals() -> None:
    rows = draw_rows(30)
    columns = columns_of(rows)
    header = next(csv.reader(io.StringIO(cohort_csv(rows))))
    added = {name for name in columns if name.endswith(("_low", "_high"))}
    assert [name for name in columns if name not in added] == header
    assert all(len(column.values) == 30 for column in columns.values())


def test_null_is_neither_zero_nor_blank(make_row: Make, make_values: Make) -> None:
    lost = Measurement.not_assessable("1", "no fat is seen")
    zero = Measurement(0.0, "1", interval=(0.0, 0.1))
    columns = columns_of(
        [
            make_row(values=make_values({"infiltration_fraction": lost})),
            make_row(values=make_values({"infiltration_fraction": zero})),
            make_row(status="failed", values={}),
        ]
    )
    assert columns["infiltration_fraction"].values == (None, 0.0, None)
    assert columns["infiltration_fraction_status"].values == ("not_assessable", "measured", None)
    assert columns["infiltration_fraction_reason"].values == ("no fat is seen", None, None)
    assert columns["infiltration_fraction_high"].values == (None, 0.1, None)
    assert columns["is_baseline"].values == (None, None, None)


def test_types_and_units_do_not_depend_on_the_slides(make_row: Make) -> None:
    def kinds(rows: list[CohortRow]) -> dict[str, tuple[str, str]]:
        return {name: (column.kind, column.unit) for name, column in columns_of(rows).items()}

    empty, full = kinds([]), kinds([make_row(), *draw_rows(50)])
    assert {name: full[name] for name in empty} == empty
    assert empty["depth_max_um"] == ("number", "µm")
    assert empty["area_tumour_mm2"] == ("number", "mm²")
    assert empty["nuclear_grade"] == ("text", "")
    assert empty["mpp"] == ("number", "µm")


def test_text_where_a_number_is_due_makes_the_column_text(make_row: Make) -> None:
    values = {"depth_max_um": {"value": "=1+1", "unit": "µm"}}
    column = columns_of([make_row(values=values)])["depth_max_um"]
    assert (column.kind, column.values) == ("text", ("=1+1",))


@pytest.mark.parametrize("seed", range(3))
def test_every_measured_slide_is_in_a_bar_or_counted_in_words(seed: int) -> None:
    rows = draw_rows(150, seed=seed)
    for chart in draw_spreads(rows):
        drawn = sum(int(row[1]) for row in chart.rows)
        assert chart.words.startswith(f"{drawn} of {sum(row.has_numbers for row in rows)} ")
        scale = drawn / sum(bar.height for bar in chart.bars)
        for bar in chart.bars:
            assert bar.height * scale == pytest.approx(round(bar.height * scale), abs=0.1)
            assert 0 <= bar.y <= HEIGHT - bar.height + 0.02


def depth_chart(make_row: Make, values: list[Measurement]) -> Chart | None:
    rows = [make_row(values={"depth_max_um": value.to_json()}) for value in values]
    return next(iter(draw_spreads(rows)), None)


def test_lower_bounds_are_set_apart(make_row: Make) -> None:
    bound = Measurement(900.0, "µm", "at_least", "tumour touches the edge")
    chart = depth_chart(make_row, [Measurement(100.0, "µm"), Measurement(950.0, "µm"), bound])
    assert chart is not None
    assert sorted(bar.kind for bar in chart.bars) == ["body", "body", "weak"]
    assert "1 of them is a lower bound" in chart.words
    assert chart.rows[0][1:] == ("0", "0")


def test_without_a_value_there_is_no_drawing(make_row: Make) -> None:
    assert depth_chart(make_row, [Measurement.not_assessable("µm", "no fat is seen")]) is None
    assert depth_chart(make_row, []) is None


def test_all_zeros_are_one_bar(make_row: Make) -> None:
    chart = depth_chart(make_row, [Measurement(0.0, "µm")] * 3)
    assert chart is not None
    assert [row[1] for row in chart.rows if row[1] != "0"] == ["3"]


def test_calls_are_counted_with_those_that_are_absent(make_row: Make) -> None:
    lost = Measurement.not_assessable("", "no fat is seen")
    rows = [
        make_row(values={"full_thickness_call": value.to_json()})
        for value in (Measurement("partial", ""), Measurement("partial", ""), lost)
    ]
    rows.append(make_row(status="failed", values={}))
    assert count_calls(rows, "full_thickness_call") == (("partial", 2), ("not assessable", 1))
