"""The cohort can be read, sorted and opened in a spreadsheet without harm."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.report import cohort_csv, render_cohort
from wsi_pipeline.report.cohort import relative_address
from wsi_pipeline.report.definitions import FLAG_TEXTS
from wsi_pipeline.report.spreadsheet import IDENTITY, NUMBERS, WORTH, disarm
from wsi_pipeline.values import Measurement

Make = Callable[..., Any]

# Written out: whoever reads the file relies on these names in this order.
ABOUT = [
    "case_id",
    "slide_id",
    "status",
    "stage",
    "reason",
    "log",
    "report",
    "primary_site",
    "model_id",
    "model_version",
    "is_baseline",
    "flags",
    "pipeline_version",
    "mpp",
]
MEASURED = [
    "section_orientation",
    "orientation_computed",
    "orientation_confidence",
    "tissue_area_mm2",
    "area_tumour_mm2",
    "tumour_tissue_fraction",
    "infiltration_fraction",
    "tumour_in_window_fraction",
    "relative_depth_max",
    "depth_max_um",
    "full_thickness_call",
    "full_thickness_fraction",
    "full_thickness_tumour_fraction",
    "full_thickness_run_um",
    "full_thickness_strict_fraction",
    "full_thickness_cover15_fraction",
    "full_thickness_cover50_fraction",
    "invasion_level",
    "subcutis_extension_um",
    "dsj_breach_fraction",
    "lateral_extent_mm",
    "grenz_median_um",
    "grenz_p05_um",
    "grenz_present_fraction",
    "dej_contact_fraction",
    "grenz_length_mm",
    "epidermotropism_fraction",
    "ulceration_um",
    "front_roughness",
    "tumour_solidity",
    "tumour_stroma_ratio",
    "top_bottom_log2",
    "dermal_compartment_area_mm2",
    "dermal_thickness_median_um",
    "assessable_length_mm",
    "epidermis_length_mm",
    "dsj_interpolated_fraction",
    "depth_estimator",
    "depth_estimators_apart",
    "architecture",
    "architecture_next",
    "architecture_margin",
    "single_file_fraction",
    "cord_fraction",
    "trabecula_fraction",
    "solid_fraction",
    "lumen_fraction",
    "tubule_fraction",
    "tumour_width_median_um",
    "nest_total_area_mm2",
    "nest_count",
    "nests_per_mm2",
    "nest_area_median_um2",
    "nest_diameter_median_um",
    "nest_cut_fraction",
    "follicle_count",
    "follicular_unit_count",
    "follicles_per_mm2",
    "follicular_units_per_mm2",
    "follicles_per_punch",
    "follicular_units_per_punch",
    "nuclear_grade",
    "nuclei_measured",
    "nuclear_area_mean_um2",
    "nuclear_area_sd_um2",
    "nuclear_area_cv",
    "area_epidermis_mm2",
    "area_dermis_mm2",
    "area_adnexa_mm2",
    "area_subcutis_mm2",
    "area_inflammation_mm2",
    "area_keratin_mm2",
]


def failed_row(make_row: Make, **changes: Any) -> Any:
    content = {
        "slide_id": "S2",
        "status": "failed",
        "stage": "inspect",
        "reason": "no mpp, or none\nthat can be",
        "log": "logs/S2.log",
        "values": {},
    }
    return make_row(**(content | changes))


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_table_comes_back_as_it_was_written(make_row: Make) -> None:
    done, failed = read_csv(cohort_csv([make_row(), failed_row(make_row)]))
    assert (done["case_id"], done["slide_id"], done["status"]) == ("C1", "S1", "done")
    assert float(done["infiltration_fraction"]) == 0.3817
    assert float(done["top_bottom_log2"]) == -0.61
    assert done["section_orientation"] == "vertical"
    assert done["depth_max_um_status"] == "at_least"
    assert done["depth_max_um_reason"] == "tumour touches the edge"
    assert failed["reason"] == "no mpp, or none\nthat can be"
    assert failed["log"] == "logs/S2.log"
    assert {failed[name] for name in (*WORTH, *NUMBERS)} == {""}


def test_columns_are_fixed_and_new_measurements_follow(make_row: Make, make_values: Make) -> None:
    fixed = [*ABOUT, *(f"{name}{end}" for name in MEASURED for end in ("", "_status", "_reason"))]
    empty = cohort_csv([]).splitlines()
    assert empty == [",".join(fixed)]
    values = {"zeta": {"value": [1, 2], "status": "measured"}, "alpha": {"value": 1}}
    header = cohort_csv([make_row(values=values)]).splitlines()[0].split(",")
    assert header[: len(fixed)] == fixed
    assert header[len(fixed) :: 3] == ["alpha", "zeta"]


def test_no_value_is_an_empty_cell_with_a_status(make_row: Make, make_values: Make) -> None:
    lost = Measurement.not_assessable("1", "no fat is seen")
    (row,) = read_csv(cohort_csv([make_row(values=make_values({"infiltration_fraction": lost}))]))
    assert row["infiltration_fraction"] == ""
    assert row["infiltration_fraction_status"] == "not_assessable"
    assert row["infiltration_fraction_reason"] == "no fat is seen"


def test_the_table_says_what_its_numbers_are_worth(make_row: Make) -> None:
    worth = {
        "model_id": "colour-baseline",
        "model_version": "1.0.0",
        "is_baseline": True,
        "flags": ("fat_absent", "touches_edge", "fat_absent"),
        "pipeline_version": "0.1.0",
        "mpp": 0.2498,
    }
    full, learnt, old = read_csv(
        cohort_csv([make_row(**worth), make_row(**(worth | {"is_baseline": False})), make_row()])
    )
    assert [full[name] for name in WORTH] == [
        "colour-baseline",
        "1.0.0",
        "true",
        "fat_absent;touches_edge",
        "0.1.0",
        "0.2498",
    ]
    assert learnt["is_baseline"] == "false"
    # Of what was not handed over nothing is claimed.
    assert {old[name] for name in WORTH} == {""}


def test_an_area_that_is_not_known_is_no_zero(make_row: Make, make_values: Make) -> None:
    lost = Measurement.not_assessable("mm²", "the model never calls adnexa")
    (row,) = read_csv(cohort_csv([make_row(values=make_values({"area_adnexa_mm2": lost}))]))
    assert (row["area_adnexa_mm2"], row["area_adnexa_mm2_status"]) == ("", "not_assessable")
    assert row["area_adnexa_mm2_reason"] == "the model never calls adnexa"


def test_baselines_are_counted_above_all_numbers(make_row: Make, read_page: Make) -> None:
    rows = [make_row(is_baseline=True), make_row(is_baseline=True), make_row()]
    source = render_cohort([*rows, failed_row(make_row)], provenance={})
    notice = (
        "2 of 3 measured slides were segmented by a baseline without learnt weights; their "
        "numbers show that the pipeline runs, they are not findings."
    )
    assert notice in read_page(source).text
    assert source.index("segmented by a baseline") < source.index("<dl class=")
    assert "baseline" not in read_page(render_cohort([make_row()], provenance={})).text
    one = read_page(render_cohort([make_row(is_baseline=True)], provenance={})).text
    assert "1 of 1 measured slide was segmented by a baseline" in one


def test_each_row_names_its_model_and_its_flags(make_row: Make, read_page: Make) -> None:
    row = make_row(
        model_id="colour-baseline",
        model_version="1.0.0",
        is_baseline=True,
        flags=("window_partial", "window_partial", "new_flag"),
    )
    page = read_page(render_cohort([row, make_row(), failed_row(make_row)], provenance={}))
    assert "colour-baseline 1.0.0 baseline" in page.text
    assert "window partial, new flag" in page.text
    assert f"window partial {FLAG_TEXTS['window_partial']}" in page.text
    assert "new flag not explained here" in page.text
    assert "because tumour touches the edge" in page.text
    assert re.search(r"because the slide failed at [^.]* not known not recorded", page.text)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "＝1"])
def test_a_formula_is_disarmed_in_every_column_of_text(make_row: Make, text: str) -> None:
    texts = (*IDENTITY, "model_id", "model_version", "pipeline_version")
    changes = dict.fromkeys(texts, text) | {"flags": (text,)}
    values = {"section_orientation": {"value": text, "status": text, "reason": text}, text: {}}
    text_written = cohort_csv([make_row(**changes, values=values)])
    _, row = csv.reader(io.StringIO(text_written, newline=""))
    assert row.count(f"'{text}") == len(texts) + 1 + 3
    assert text not in row


@given(st.text())
def test_disarming_adds_at_most_an_apostrophe(text: str) -> None:
    written = disarm(text)
    assert written.removeprefix("'") == text.replace("\0", "\ufffd").removeprefix("'")
    assert not written.lstrip().startswith(("=", "+", "-", "@"))


def test_the_page_counts_and_puts_failures_first(make_row: Make, read_page: Make) -> None:
    rows = [make_row(), failed_row(make_row), make_row(case_id="C2", slide_id="S3")]
    source = render_cohort(rows, provenance={"pipeline_version": "9.9"})
    page = read_page(source)
    assert page.open_tags == []
    text = page.text
    assert "Cohort of 2 cases" in text
    assert "Cases 2 Slides 3 Measured 2 Failed 1" in text
    assert text.index("Slides without numbers") < text.index("All slides")
    assert re.search(r"S2 reading the slide file no mpp, or none that can be logs/S2\.log", text)
    assert "no numbers, because the slide failed at reading the slide file: no mpp, or" in text
    assert "not a diagnosis" in text
    links = [a["href"] for a in page.attributes("a") if not a["href"].startswith("#")]
    assert links == ["cases/C1/report.html"] * 3


def test_only_the_one_script_may_run(make_row: Make, read_page: Make) -> None:
    source = render_cohort([make_row()], provenance={})
    scripts = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(m["content"] for m in read_page(source).attributes("meta") if "http-equiv" in m)
    assert f"script-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    without_hashes = re.sub(r"sha256-[\w+/=]+", "", source)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch|XMLHttp", without_hashes)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "\"'><img src=x>", "x" * 10_000])
def test_hostile_text_changes_no_element_of_the_page(
    make_row: Make, read_page: Make, text: str
) -> None:
    def elements(word: str) -> list[tuple[str, tuple[str, ...]]]:
        values = {
            "section_orientation": {"value": word, "status": word, "reason": word, "unit": word}
        }
        rows = [
            make_row(
                case_id=word,
                slide_id=word,
                values=values,
                report=word,
                model_id=word,
                model_version=word,
                is_baseline=True,
                flags=(word,),
            ),
            make_row(status="failed", stage=word, reason=word, log=word, values={}, report=word),
        ]
        page = read_page(render_cohort(rows, provenance={word: word}))
        return [(tag, tuple(attributes)) for tag, attributes in page.elements]

    assert elements(text) == elements("meek")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("cases/C 1/report.html", "cases/C%201/report.html"),
        ("../C1.html", "../C1.html"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("//elsewhere.example/x", "elsewhere.example/x"),
        ("", ""),
    ],
)
def test_a_link_stays_beside_the_page(path: str, address: str) -> None:
    assert relative_address(path) == address


def test_keys_for_sorting_are_plain_numbers_and_absent_ones_empty(
    make_row: Make, make_values: Make, read_page: Make
) -> None:
    lost = Measurement.not_assessable("1", "no fat is seen")
    row = make_row(values=make_values({"relative_depth_max": lost}))
    cells = read_page(render_cohort([row], provenance={})).attributes("td")
    keys = [cell["data-key"] for cell in cells if "data-key" in cell]
    # Nothing declared, the orientation, no call or share, the numbers, no pattern or grade.
    assert keys == ["", "vertical", "", "", "0.3817", "", "2534.1", "5.0", "", ""]
