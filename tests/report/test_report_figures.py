"""Figures: what is drawn is what was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wsi_pipeline.report import NuclearAreas, render_case
from wsi_pipeline.report.figures import (
    HEIGHT,
    WIDTH,
    draw_lateral,
    draw_nuclei,
    draw_rings,
    draw_widths,
)

Make = Callable[..., Any]


def lateral(**changes: Any) -> dict[str, Any]:
    raw = {
        "piece": [0, 0, 0, 0],
        "width_um": [100.0, 100.0, 100.0, 100.0],
        "thickness_um": [900.0, 900.0, 900.0, None],
        "first": [0.1, 0.2, 1.0, 1.0],
        "last": [0.95, 0.6, 0.0, 0.0],
        "cover": [0.8, 0.2, 0.0, 0.0],
        "is_full": [True, False, False, False],
    }
    return raw | changes


def test_columns_are_drawn_from_first_to_last_tumour() -> None:
    chart = draw_lateral(lateral(), title="t")
    assert chart is not None
    assert [(bar.x, bar.y, bar.width, bar.height, bar.kind) for bar in chart.bars] == [
        (0.0, 0.1 * HEIGHT, WIDTH / 4, 0.85 * HEIGHT, "strong"),
        (WIDTH / 4, 0.2 * HEIGHT, WIDTH / 4, 0.4 * HEIGHT, "weak"),
        (3 * WIDTH / 4, 0.0, WIDTH / 4, HEIGHT, "unknown"),
    ]
    assert "on 0.1\u202fmm" in chart.words.replace("0.100", "0.1")
    assert [row[-1] for row in chart.rows] == ["yes", "no"]


def test_a_long_section_is_drawn_in_few_bars_over_its_whole_length() -> None:
    count = 2000
    raw = lateral(
        piece=[0] * count,
        width_um=[10.0] * count,
        thickness_um=[900.0] * count,
        first=[0.1] * count,
        last=[0.95] * count,
        is_full=[True] * count,
    )
    chart = draw_lateral(raw, title="t")
    assert chart is not None
    assert len(chart.bars) == 200
    assert sum(bar.width for bar in chart.bars) == pytest.approx(WIDTH)
    assert draw_lateral(None, title="t") is None


def test_widths_add_up_and_are_parted_at_the_limits() -> None:
    shares = [0.0] * 41
    shares[2], shares[3], shares[9], shares[25] = 0.1, 0.2, 0.3, 0.4  # 12, 18, 54 and 150 µm on
    values = {
        "tumour_width_profile": {"value": shares},
        "tumour_width_median_um": {"value": 55.0, "unit": "µm"},
    }
    chart = draw_widths(values)
    assert chart is not None
    assert [row[1].replace("\u202f", " ") for row in chart.rows] == [
        "10.0 %",
        "50.0 %",
        "0 %",
        "40.0 %",
    ]
    tallest = max(chart.bars, key=lambda bar: bar.height)
    assert tallest.x == pytest.approx(25 * WIDTH / 41, abs=1)
    assert draw_widths({}) is None


def test_limits_and_interval_of_the_nuclei_lie_on_the_axis() -> None:
    areas = NuclearAreas((0, 0, 5, 9, 4, 0, 0, 0, 0, 0), 20.0, (("grade 1 up to", 50.0),))
    mean = {"value": 70.0, "unit": "µm²", "interval": [60.0, 80.0]}
    chart = draw_nuclei(areas, {"nuclear_area_mean_um2": mean})
    assert chart is not None
    assert chart.band == pytest.approx((WIDTH * 60 / 200, WIDTH * 80 / 200))
    assert [(rule.x, rule.text) for rule in chart.rules] == [
        (100.0, "grade 1 up to 50"),
        (140.0, "mean"),
    ]
    assert "18 nuclei" in chart.words
    assert "60 µm² to 80 µm²" in chart.words.replace("\u202f", " ")
    assert draw_nuclei(None, {}) is None


def test_rings_run_from_the_edge_inwards() -> None:
    shares = [0.05 * k for k in range(10)]
    chart = draw_rings({"radial_profile": {"value": shares}}, title="t")
    assert chart is not None
    assert [bar.height for bar in chart.bars] == pytest.approx([HEIGHT * s / 0.5 for s in shares])
    assert "45.0\u202f% at 90–100\u202f%" in chart.words
    assert draw_rings({"radial_profile": {"value": None}}, title="t") is None


def test_every_figure_says_in_words_what_it_shows(
    make_case: Make, make_slide: Make, make_values: Make, read_page: Make
) -> None:
    sections = [{"section_id": 1, "values": make_values(), "lateral": lateral()}]
    numbers = {"values": make_values(), "declared": {}, "sections": sections}
    page = read_page(render_case(make_case(slides=(make_slide(measurements=numbers),))))
    figures = [
        a for a in page.attributes("svg") if (a.get("aria-labelledby") or "").startswith("chart-")
    ]
    assert len(figures) == 1
    assert "goes through the whole dermis on" in page.text
