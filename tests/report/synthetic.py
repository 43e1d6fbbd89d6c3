"""A cohort as large as a department's year; drawn, not measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from wsi_pipeline.report import CohortRow
from wsi_pipeline.values import Measurement

SITES = ("breast", "lung", "kidney", "colon", "")
CALLS = ("none", "partial", "focal full-thickness", "full-thickness")
PATTERNS = ("single-file", "cord-trabecular", "solid-cord", "tubular", "mixed")
REASONS = {
    "inspect": "the slide has no mpp (looked for openslide.mpp-x, tiff.XResolution); set column "
    "'mpp' for this slide in cases.tsv",
    "tile": "no tissue was found; look at the slide, or lower tissue.least_area_mm2",
}
NO_FAT = "no subcutaneous fat is seen, so the lower border of the dermis is not known"
FLAT = "a horizontal section has no depth below the junction"


def draw_rows(count: int, *, seed: int = 0) -> list[CohortRow]:
    """One slide per case: nine in ten measured, of each kind of value that there is."""
    rng = np.random.default_rng(seed)
    return [_row(number, rng) for number in range(count)]


def _row(number: int, rng: np.random.Generator) -> CohortRow:
    name = f"case-{number:04d}"
    site = SITES[rng.choice(len(SITES), p=(0.4, 0.25, 0.15, 0.15, 0.05))]
    if rng.random() < 0.03:
        stage = ("inspect", "tile")[rng.integers(2)]
        return CohortRow(
            name,
            f"{name}-A",
            "failed",
            stage,
            REASONS[stage],
            f"logs/{stage}/{name}-A.log",
            {},
            f"cases/{name}/report.html",
            primary_site=site,
        )
    return CohortRow(
        name,
        f"{name}-A",
        "done",
        "",
        "",
        "",
        {key: value.to_json() for key, value in _values(rng).items()},
        f"cases/{name}/report.html",
        model_id="skin-tumour-5",
        model_version="2.0.0",
        flags=tuple(rng.choice(["fat_absent", "window_partial", "pen_on_glass"], rng.integers(3))),
        pipeline_version="0.1.0",
        mpp=0.25,
        primary_site=site,
    )


def _values(rng: np.random.Generator) -> dict[str, Any]:
    share = float(rng.beta(2, 4))
    values = {
        "section_orientation": Measurement("vertical", "", reason="as declared"),
        "area_tumour_mm2": Measurement(float(rng.gamma(2, 4)), "mm²"),
        "infiltration_fraction": Measurement(share, "1", interval=(share * 0.9, share * 1.1)),
        "relative_depth_max": Measurement(float(rng.beta(5, 2)), "1"),
        "depth_max_um": Measurement(float(rng.gamma(6, 300)), "µm"),
        "full_thickness_call": Measurement(CALLS[rng.choice(4, p=(0.1, 0.4, 0.2, 0.3))], ""),
        "full_thickness_fraction": Measurement(float(rng.beta(1, 3)), "1"),
        "architecture": Measurement(PATTERNS[rng.integers(5)], ""),
        "nuclear_grade": Measurement("123"[rng.choice(3, p=(0.2, 0.5, 0.3))], ""),
    }
    chance = rng.random()
    if chance < 0.1:
        lost = Measurement.not_assessable("1", NO_FAT)
        values |= dict.fromkeys(
            ("infiltration_fraction", "relative_depth_max", "full_thickness_fraction"), lost
        ) | {
            "full_thickness_call": Measurement.not_assessable("", NO_FAT),
            "depth_max_um": Measurement(
                float(rng.gamma(6, 300)), "µm", "at_least", "tumour touches the edge"
            ),
        }
    elif chance < 0.2:
        names = ("relative_depth_max", "depth_max_um", "full_thickness_fraction")
        values |= {name: Measurement(None, "µm", "not_defined", FLAT) for name in names}
        values["section_orientation"] = Measurement("horizontal", "")
        values["full_thickness_call"] = Measurement(None, "", "not_defined", FLAT)
    return values
