"""Each verb, called as from a shell."""

from __future__ import annotations

import csv
import fcntl
import json
import re
from pathlib import Path

import pytest
from calling import FAST, Call

import wsi_pipeline
from wsi_pipeline.cli.inputs import read_cases
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.failure import FailureNote, write_failure
from wsi_pipeline.stages.inspect import read_record
from wsi_pipeline.stages.machine import Finding
from wsi_pipeline.stages.tile import read_tiled
from wsi_pipeline.store import Segmentation, read_points

VERBS = [
    *("run", "inspect", "tile", "segment", "nuclei", "measure", "export", "report"),
    *("view", "phantom", "train", "doctor"),
]


def test_the_version_is_told(call: Call) -> None:
    called = call("--version")
    assert (called.code, called.out) == (0, f"wsi-pipeline {wsi_pipeline.__version__}\n")


def test_help_names_every_verb(call: Call) -> None:
    called = call("--help")
    assert called.code == 0
    for verb in VERBS:
        assert f" {verb} " in called.out
    assert "Exit codes" in called.out
    assert "research use only" in called.out


@pytest.mark.parametrize("verb", [*VERBS, "report case", "report cohort"])
def test_every_verb_explains_itself(call: Call, verb: str) -> None:
    called = call(*verb.split(), "--help")
    assert called.code == 0
    assert f"wsi-pipeline {verb}" in called.out
    assert "--help" in called.out


@pytest.mark.parametrize(
    "words",
    [
        ["paint"],
        ["inspect"],
        ["inspect", "a.svs", "--colour", "red"],
        ["inspect", "a.svs", "--mpp", "wide"],
        ["inspect", "a.svs", "--section", "oblique"],
        ["tile", "a.svs"],
        ["phantom", "--out", "x", "--grade", "4"],
        ["phantom", "--out", "x", "--artefacts", "2"],
        ["phantom", "--out", "x", "--section", "sideways"],
        ["run", "cases.tsv"],
    ],
)
def test_bad_usage_ends_with_2(call: Call, words: list[str]) -> None:
    called = call(*words)
    assert called.code == 2
    assert "Usage" in called.err


@pytest.mark.parametrize("verb", ["inspect", "tile", "segment"])
def test_bad_settings_end_with_2(call: Call, slide: Path, tmp_path: Path, verb: str) -> None:
    out = tmp_path / "out"
    called = call(verb, slide, "--out", out, "--set", "tiling.tile_px=3", "--set", "x.y=1")
    assert called.code == 2
    assert "'tiling.tile_px' must be at least 64" in called.err
    assert "unknown section 'x'" in called.err
    assert list(tmp_path.iterdir()) == []


def test_inspect_tells_what_a_slide_is(call: Call, slide: Path) -> None:
    called = call("inspect", slide, "--no-plan")
    assert called.code == 0
    assert called.out.splitlines() == [
        "phantom-1-vertical.tiff: generic-tiff, read with openslide",
        "  2400 × 2000 px at 0.5 µm/px (from tiff.XResolution)",
        "  1.20 × 1.00 mm, levels 1×, 2×, 4×",
    ]


def test_inspect_tells_what_would_be_done(call: Call, slide: Path) -> None:
    called = call("inspect", slide, "--set", "segment.workers=2", *FAST)
    assert called.code == 0
    plan = "\n".join(called.out.splitlines()[3:])
    for part in (
        "colour-baseline at 2 µm/px",
        "from level 2, 600 × 500 px",
        "1 section, ",
        "tiles",
    ):
        assert part in plan
    assert re.search(r"about \d+ s on cpu in float32 with 2 workers \(timed here", plan)
    assert re.search(r"about \d\.\d GB of memory", plan)


def test_what_is_foretold_is_what_is_done(
    call: Call, slides: Path, slide: Path, tmp_path: Path
) -> None:
    told = json.loads(call("inspect", slide, "--json", *FAST).out)
    assert told["level_shapes"][0] == [2000, 2400]
    assert told["mpp"] == pytest.approx(0.5)
    plan = read_tiled(slides / slide.stem / "tiles.json").plan
    assert told["plan"]["tiles"] == len(plan)
    assert told["plan"]["computed_mpx"] == pytest.approx(plan.computed_px / 1e6)
    assert told["plan"]["segment_s"] > 0
    assert told["stops"] == ""


def test_inspect_says_where_the_pipeline_would_stop(call: Call, slide: Path) -> None:
    called = call("inspect", slide, "--mpp", 4, *FAST)
    assert called.code == 1
    assert "would stop here: the slide has 4 µm/px" in called.out
    told = json.loads(call("inspect", slide, "--mpp", 4, "--json", *FAST).out)
    assert told["plan"] is None
    assert "needs 2 or finer" in told["stops"]


def test_inspect_writes_what_it_was_told(call: Call, slide: Path, tmp_path: Path) -> None:
    words = ("--slide-id", "B1", "--section", "horizontal", "--mpp", 0.4)
    out = tmp_path / "slide.json"
    assert call("inspect", slide, "--out", out, *words).code == 0
    record = read_record(out)
    assert record.declared == Declared("B1", section="horizontal")
    assert (record.info["mpp"], record.info["mpp_source"]) == (0.4, "given")


def test_a_slide_is_called_by_its_file_unless_told(call: Call, slide: Path, tmp_path: Path) -> None:
    assert call("inspect", slide, "--out", tmp_path / "slide.json").code == 0
    assert read_record(tmp_path / "slide.json").declared.slide_id == "phantom-1-vertical"


def test_tile_plans_draws_and_exports(call: Call, slide: Path, tmp_path: Path) -> None:
    out, export = tmp_path / "tiles.json", tmp_path / "rgb.zarr"
    called = call(
        *("tile", slide, "--out", out, "--picture", tmp_path / "tiles.png"),
        *("--export", export, *FAST),
    )
    assert called.code == 0
    plan = read_tiled(out).plan
    rows, columns = plan.lattice
    count = len(plan)
    assert called.out.splitlines() == [
        f"{out}: {count} of {rows * columns} tiles show tissue",
        f"{export}: {count} RGB tiles",
    ]
    assert f"export: {count}/{count} tiles" in called.err
    assert {path.name for path in tmp_path.iterdir()} == {
        *("tiles.json", "sections.png", "tiles.png", "rgb.zarr")
    }


def test_tile_does_not_empty_a_folder_of_the_users(call: Call, slide: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    called = call("tile", slide, "--out", tmp_path / "t" / "tiles.json", "--export", tmp_path)
    assert called.code == 1
    assert "choose another output" in called.err
    assert (tmp_path / "mine.txt").exists()


def test_segment_plans_by_itself(call: Call, slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ome.zarr"
    called = call("segment", slide, "--out", out, "--scheduler", "sync", "--workers", 1, *FAST)
    assert called.code == 0
    count = len(read_tiled(tmp_path / "tiles.json").plan)
    assert called.out == f"{out}: {count} tiles\n"
    assert Segmentation(out).attributes["tiles"] == count
    (line,) = called.err.splitlines()  # no bar where stderr is no terminal
    assert line.startswith(f"phantom-1-vertical: {count}/{count} tiles, ")


def test_the_verbs_lead_from_a_slide_to_numbers(slides: Path, slide: Path) -> None:
    folder = slides / slide.stem
    assert {path.name for path in folder.iterdir()} == {
        *("slide.json", "tiles.json", "tiles.png", "sections.png"),
        *("segmentation.ome.zarr", "segmentation.ome.zarr.run.json"),
        *("measurements.json", "depth.zarr"),
    }
    raw = json.loads((folder / "measurements.json").read_text(encoding="utf-8"))
    assert raw["slide_id"] == slide.stem


def test_nuclei_are_found_in_the_tumour_and_graded(
    call: Call, slides: Path, slide: Path, tmp_path: Path
) -> None:
    folder = slides / slide.stem
    record, store = folder / "slide.json", folder / "segmentation.ome.zarr"
    table, numbers = tmp_path / "nuclei.parquet", tmp_path / "measurements.json"
    called = call("nuclei", record, "--segmentation", store, "--out", table, "--workers", 2)
    assert called.code == 0
    columns, about = read_points(table)
    assert called.out == f"{table}: {about['count']} nuclei\n"
    assert about["count"] == len(columns["area_um2"]) > 0
    called = call(
        *("measure", record, "--tiles", folder / "tiles.json", "--segmentation", store),
        *("--nuclei", table, "--out", numbers),
    )
    assert called.code == 0
    assert "nuclear_grade" in json.loads(numbers.read_text(encoding="utf-8"))["values"]


def test_nuclei_wants_to_know_where(call: Call, slide: Path, tmp_path: Path) -> None:
    called = call("nuclei", slide, "--out", tmp_path / "nuclei.parquet")
    assert called.code == 2
    assert "--segmentation" in called.err
    assert "--everywhere" in called.err
    assert list(tmp_path.iterdir()) == []


def test_measure_needs_what_comes_before(call: Call, slides: Path, slide: Path) -> None:
    folder = slides / slide.stem
    called = call(
        *("measure", folder / "slide.json", "--tiles", folder / "none.json"),
        *("--segmentation", folder / "segmentation.ome.zarr", "--out", folder / "m.json"),
    )
    assert called.code == 1
    assert "run 'wsi-pipeline tile' first" in called.err
    assert not (folder / "m.json").exists()


def test_an_mpp_beside_a_record_is_not_passed_over(
    call: Call, slides: Path, slide: Path, tmp_path: Path
) -> None:
    record = slides / slide.stem / "slide.json"
    called = call("tile", record, "--mpp", 0.25, "--out", tmp_path / "tiles.json")
    assert called.code == 2
    assert "give --mpp to 'inspect' instead" in called.err


def test_named_options_win_over_set(call: Call, slide: Path, tmp_path: Path) -> None:
    called = call(
        *("segment", slide, "--out", tmp_path / "a.ome.zarr", "--model", "resnet"),
        *("--set", "segment.model=colour-baseline"),
    )
    assert called.code == 2
    assert "no model 'resnet'" in called.err


def test_phantoms_of_any_plane_are_painted_by_several_workers(call: Call, tmp_path: Path) -> None:
    words = ["--cases", 2, "--section", "oblique", "--artefacts", 0.5, "--architecture", "none"]
    size = ["--width-mm", 1, "--height-mm", 1.1, "--pieces", 2, "--workers", 2]
    called = call("phantom", "--out", tmp_path, *words, *size)
    assert called.code == 0, called.err
    rows = read_cases(tmp_path / "cases.tsv")
    assert [row.declared.slide_id for row in rows] == ["phantom-1-oblique", "phantom-2-oblique"]
    assert {row.declared.section for row in rows} == {"auto"}
    for row in rows:
        assert row.path.is_file()
        assert row.path.with_name(f"{row.declared.slide_id}.truth-2.json").is_file()


def test_phantom_writes_a_table_that_reads(phantoms: Path) -> None:
    rows = read_cases(phantoms / "cases.tsv")
    assert [row.declared.slide_id for row in rows] == ["phantom-1-vertical", "phantom-1-horizontal"]
    assert [row.declared.section for row in rows] == ["vertical", "horizontal"]
    assert {row.declared.case_id for row in rows} == {"phantom-1"}
    for row in rows:
        assert row.path.with_name(f"{row.declared.slide_id}.truth.json").is_file()
        assert row.path.with_name(f"{row.declared.slide_id}.truth.zarr").is_dir()


@pytest.fixture
def reported(call: Call, phantoms: Path, slides: Path, tmp_path: Path) -> Path:
    """Folder with the page of the case; its second slide has failed."""
    other = slides / "phantom-1-horizontal"
    write_failure(other / "failure.json", FailureNote("tile", "no tissue was found"))
    html = tmp_path / "phantom-1" / "report.html"
    called = call(
        *("report", "case", phantoms / "cases.tsv", "phantom-1"),
        *("--slides", slides / "{slide_id}"),
        *("--html", html, "--data", html.with_suffix(".json")),
    )
    assert called.code == 0
    assert called.out == f"{html} (1 of 2 slides failed)\n"
    return tmp_path


def test_a_case_report_names_what_failed(reported: Path) -> None:
    text = (reported / "phantom-1" / "report.html").read_text(encoding="utf-8")
    assert "no tissue was found" in text
    raw = json.loads((reported / "phantom-1" / "report.json").read_text(encoding="utf-8"))
    assert raw["primary_site"] == "breast"
    assert [slide["slide_id"] for slide in raw["slides"]] == ["phantom-1-vertical"]


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--strict"], 1)])
def test_a_cohort_report_names_what_failed(
    call: Call, phantoms: Path, reported: Path, options: list[str], code: int
) -> None:
    html, table = reported / "cohort.html", reported / "cohort.csv"
    called = call(
        *("report", "cohort", phantoms / "cases.tsv", *options),
        *("--cases", reported / "{case_id}" / "report.json", "--html", html, "--csv", table),
        *("--parquet", reported / "cohort.parquet"),
    )
    assert (reported / "cohort.parquet").is_file()
    assert called.code == code
    assert called.out == f"{html}\n"
    assert called.err == "failed: phantom-1-horizontal (tile): no tissue was found\n"
    with table.open(newline="", encoding="utf-8") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done", "failed"]


def test_where_nothing_failed_strict_is_content(
    call: Call, slide: Path, slides: Path, tmp_path: Path
) -> None:
    table, html = tmp_path / "cases.tsv", tmp_path / "one" / "report.html"
    table.write_text(f"case_id\tslide_id\tpath\none\t{slide.stem}\t{slide}\n")
    case = ("report", "case", table, "one", "--slides", slides / "{slide_id}")
    assert call(*case, "--html", html, "--data", html.with_suffix(".json")).out == f"{html}\n"
    called = call(
        *("report", "cohort", table, "--cases", tmp_path / "{case_id}" / "report.json"),
        *("--html", tmp_path / "cohort.html", "--csv", tmp_path / "cohort.csv", "--strict"),
    )
    assert (called.code, called.err) == (0, "")


def test_a_case_that_is_not_in_the_table_is_named(
    call: Call, phantoms: Path, tmp_path: Path
) -> None:
    called = call(
        *("report", "case", phantoms / "cases.tsv", "two", "--slides", tmp_path / "{slide_id}"),
        *("--html", tmp_path / "r.html", "--data", tmp_path / "r.json"),
    )
    assert called.code == 2
    assert "has no case 'two'" in called.err


def test_braces_in_a_path_are_only_braces(call: Call, phantoms: Path, tmp_path: Path) -> None:
    html = tmp_path / "r.html"
    called = call(
        *("report", "case", phantoms / "cases.tsv", "phantom-1"),
        *("--slides", tmp_path / "{0}" / "{x}" / "{slide_id}"),
        *("--html", html, "--data", html.with_suffix(".json")),
    )
    assert called.code == 0
    assert "(2 of 2 slides failed)" in called.out


def test_one_place_for_all_slides_is_refused(call: Call, phantoms: Path, tmp_path: Path) -> None:
    html = tmp_path / "r.html"
    called = call(
        *("report", "case", phantoms / "cases.tsv", "phantom-1", "--slides", tmp_path),
        *("--html", html, "--data", html.with_suffix(".json")),
    )
    assert called.code == 2
    assert "must hold {slide_id}" in called.err
    assert not html.exists()


def test_doctor_finds_this_installation_fit(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsi_pipeline.stages.machine._MIN_FREE_GIB", 0)
    called = call("doctor", "--out", tmp_path, "--json")
    told = json.loads(called.out)
    assert (called.code, told["fail"]) == (0, 0)
    assert {frozenset(finding) for finding in told["findings"]} == {
        frozenset(("subject", "status", "detail", "remedy"))
    }


def test_doctor_says_what_is_bad_and_what_to_do(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "wsi_pipeline.stages.doctor.examine",
        lambda folder: [
            Finding("python", "ok", "3.12"),
            Finding("disk", "fail", f"0 GiB free at {folder}", "make room"),
        ],
    )
    called = call("doctor", "--out", tmp_path)
    assert called.code == 1
    assert called.out.splitlines() == [
        "ok    python: 3.12",
        f"fail  disk: 0 GiB free at {tmp_path}",
        "      → make room",
        "1 ok, 0 to look at, 1 failed",
    ]


def test_a_bad_table_stops_a_run_before_it_begins(call: Call, tmp_path: Path) -> None:
    table = tmp_path / "cases.tsv"
    table.write_text("case_id\tslide_id\tpath\nc\ts\tnone.svs\nc\ts\tnone.svs\n")
    called = call("run", table, "--out", tmp_path / "out")
    assert called.code == 2
    assert "line 2: no file" in called.err
    assert "line 3: slide_id 's' is used on line 2" in called.err
    assert not (tmp_path / "out").exists()


def test_an_unknown_profile_is_answered_with_those_there_are(
    call: Call, phantoms: Path, tmp_path: Path
) -> None:
    called = call("run", phantoms / "cases.tsv", "--out", tmp_path / "out", "--profile", "moon")
    assert called.code == 2
    assert "no profile 'moon' (there are: local" in called.err


def test_two_runs_do_not_share_a_folder(call: Call, phantoms: Path, tmp_path: Path) -> None:
    with (tmp_path / ".run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        called = call("run", phantoms / "cases.tsv", "--out", tmp_path)
    assert called.code == 2
    assert "another run is writing" in called.err
