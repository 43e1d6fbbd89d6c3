from __future__ import annotations

import base64
import csv
import io
import json
import re
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.slide import Slide
from wsi_pipeline.stages.artefacts import read_json, write_json
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.failure import FailureNote, write_failure
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.measure import read_depth
from wsi_pipeline.stages.report import SCHEMA, SlideFolder, report_case, report_cohort
from wsi_pipeline.stages.tile import TiledSlide
from wsi_pipeline.store import PROBABILITIES, Segmentation

SAID = "slide 'MEIER_bad.svs' is cut short: copy it again"
REASON = "slide 'bad' is cut short: copy it again"
DECLARED = Declared("p1", "case-1", "A2", "vertical", "breast", "HE")


def folder_of(slide_id: str, path: Path) -> SlideFolder:
    return SlideFolder(path, Declared(slide_id), file=Path(f"/lab/MEIER_{slide_id}.svs"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def page(out: Path, slide_folder: Path, measurements: Path) -> Path:
    """Case page of a good slide, one that failed, and one of which nothing is there."""
    log = out / "logs" / "inspect" / "bad.log"
    log.parent.mkdir(parents=True)
    log.write_text("the whole story")
    write_failure(out / "slides" / "bad" / "failure.json", FailureNote("inspect", SAID, str(log)))
    html = out / "cases" / "case-1" / "report.html"
    failed = report_case(
        "case-1",
        [
            SlideFolder(slide_folder, DECLARED, file=Path("/lab/MUELLER_Hans.svs")),
            folder_of("bad", out / "slides" / "bad"),
            folder_of("never", out / "slides" / "never"),
        ],
        primary_site="breast",
        html=html,
        json=html.with_suffix(".json"),
    )
    assert failed == 2
    return html


def test_the_data_hold_every_slide_of_the_case(page: Path, measurements: Path) -> None:
    raw = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert raw["schema"] == SCHEMA
    assert (raw["case_id"], raw["primary_site"]) == ("case-1", "breast")
    said = {"declared": asdict(DECLARED)}
    assert raw["slides"] == [json.loads(measurements.read_text(encoding="utf-8")) | said]
    assert [failure["slide_id"] for failure in raw["failures"]] == ["bad", "never"]
    assert raw["provenance"]["created"].startswith("20")


def test_the_sentence_of_the_case_stands_in_data_and_page(page: Path) -> None:
    document = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    finding = document["finding"]
    assert finding["text"] == " ".join(part["phrase"] for part in finding["parts"])
    assert not finding["is_finding"]  # the colour baseline
    assert "Slide bad could not be measured and has no say." in finding["caveats"]
    # The baseline is nowhere sure; what it says of depth and grade stands in the data alone.
    assert "only in specks or doubtful throughout" in finding["text"]
    assert "nuclei were not looked for" in json.dumps(document)
    text = page.read_text(encoding="utf-8")
    assert text.index("Not a finding.") < text.index("Slides without numbers")


def test_a_failure_is_named_with_its_reason_and_its_log(page: Path) -> None:
    failures = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["failures"]
    bad, never = failures
    assert (bad["stage"], bad["reason"]) == ("inspect", REASON)
    assert not Path(bad["log"]).is_absolute()
    assert (page.parent / bad["log"]).read_text() == "the whole story"
    assert never["stage"] == "unknown"
    assert "was killed" in never["reason"]
    assert never["log"] == ""


def test_the_page_names_every_slide(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for part in ("case-1", "breast", "p1", "bad", "never", "is cut short: copy it again"):
        assert part in text


def test_the_page_needs_no_other_file(page: Path) -> None:
    # What the scripts do is seen in a browser, which asks for nothing either.
    text = re.sub(r"<script.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    addresses = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)


def test_the_page_holds_what_is_stored(
    page: Path, segmentation: Path, slide_folder: Path, record: SlideRecord
) -> None:
    found = re.search(
        r'id="zoom-data-1">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found
    raw = json.loads(found[1])
    planes = {plane["name"]: plane for plane in raw["planes"]}
    store = Segmentation(segmentation)
    assert raw["image"]["grid"] == store.grid.to_json()
    assert raw["image"]["shapes"][-1] == list(store.grid.shape)
    stored = store.array(PROBABILITIES)[TUMOUR]
    np.testing.assert_array_equal(unpacked(planes["classes"]), store.read_labels())
    np.testing.assert_array_equal(unpacked(planes["probability"]), stored)
    depth = read_depth(slide_folder / "depth.zarr", record)
    assert depth is not None
    shown = unpacked(planes["depth"]).astype(float)
    np.testing.assert_array_equal(shown == 65535, np.isnan(depth.depth_um))
    known = np.isfinite(depth.depth_um)
    np.testing.assert_allclose(shown[known], depth.depth_um[known], atol=0.51)
    assert planes["depth"]["mpp"] == depth.grid.mpp


def unpacked(plane: dict[str, Any]) -> np.ndarray:
    steps = np.frombuffer(zlib.decompress(base64.b64decode(plane["data"])), f"<u{plane['bytes']}")
    return np.add.accumulate(steps.reshape(plane["shape"]), axis=0, dtype=steps.dtype)


def test_numbers_without_depth_maps_are_a_failure(
    slide_folder: Path, measurements: Path, tmp_path: Path
) -> None:
    """As earlier versions left them."""
    (tmp_path / "p1").mkdir()
    for path in slide_folder.iterdir():
        if path.name != "depth.zarr":
            (tmp_path / "p1" / path.name).symlink_to(path)
    html = tmp_path / "report.html"
    slides = [folder_of("p1", tmp_path / "p1")]
    assert report_case("c", slides, primary_site="", html=html, json=html.with_suffix(".json")) == 1
    (failure,) = read_json(html.with_suffix(".json"), made_by="report")["failures"]
    assert "run 'wsi-pipeline measure' again" in failure["reason"]


def test_what_was_not_computed_is_shown_as_glass(
    page: Path, segmentation: Path, tiled: TiledSlide, slide: Slide
) -> None:
    """The store is white there; on the page that would look like holes in the slide."""
    found = re.search(r'"data:image/jpeg;base64,([^"]+)"', page.read_text(encoding="utf-8"))
    assert found
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as image:
        shown = np.asarray(image)
    grid = tiled.plan.grid
    assert shown.shape[:2] == grid.shape
    computed = np.zeros(grid.shape, bool)
    for tile in tiled.plan:
        computed[tile.write.slices] = True
    assert not computed.all()
    assert (Segmentation(segmentation).read_image()[~computed] == 255).all()
    glass = slide.read_region(grid.box, grid.mpp)[~computed]
    np.testing.assert_allclose(shown[~computed].mean(axis=0), glass.mean(axis=0), atol=3)
    assert glass.mean() < 250  # or white would pass, too


def test_a_slide_that_failed_later_has_no_numbers(
    slide_folder: Path, measurements: Path, tmp_path: Path
) -> None:
    """Numbers of an earlier run do not count when a step has failed since."""
    (tmp_path / "p1").mkdir()
    for name in ("slide.json", "tiles.json", "sections.png", "measurements.json"):
        (tmp_path / "p1" / name).symlink_to(slide_folder / name)
    write_failure(tmp_path / "p1" / "failure.json", FailureNote("segment", "damaged"))
    html = tmp_path / "report.html"
    failed = report_case(
        "c",
        [folder_of("p1", tmp_path / "p1")],
        primary_site="",
        html=html,
        json=html.with_suffix(".json"),
    )
    raw = read_json(html.with_suffix(".json"), made_by="report")
    assert failed == 1
    assert raw["slides"] == []
    assert raw["failures"][0]["reason"] == "damaged"


CASES = {"case-1": ["p1", "bad", "added later"], "case-2": ["lost"]}


@pytest.fixture(scope="module")
def cohort(out: Path, page: Path) -> Path:
    html = out / "cohort.html"
    report_cohort(
        CASES,
        case_json={name: out / "cases" / name / "report.json" for name in CASES},
        html=html,
        csv=out / "cohort.csv",
        parquet=out / "cohort.parquet",
    )
    return html


@pytest.fixture(scope="module")
def rows(cohort: Path) -> dict[str, dict[str, str]]:
    with cohort.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        return {row["slide_id"]: row for row in csv.DictReader(file)}


def test_the_table_has_a_row_for_every_slide(rows: dict[str, dict[str, str]]) -> None:
    assert list(rows) == ["p1", "bad", "added later", "lost"]
    statuses = {name: row["status"] for name, row in rows.items()}
    assert statuses == {"p1": "done", "bad": "failed", "added later": "failed", "lost": "failed"}


def test_the_table_holds_the_numbers(rows: dict[str, dict[str, str]], measurements: Path) -> None:
    values = read_json(measurements, made_by="measure")["values"]
    assert float(rows["p1"]["area_tumour_mm2"]) == values["area_tumour_mm2"]["value"]
    assert rows["bad"]["area_tumour_mm2"] == ""


def test_the_typed_table_holds_the_same(cohort: Path, rows: dict[str, dict[str, str]]) -> None:
    table = pq.read_table(cohort.with_suffix(".parquet"))
    held = {row["slide_id"]: row for row in table.to_pylist()}
    assert list(held) == list(rows)
    assert held["p1"]["area_tumour_mm2"] == float(rows["p1"]["area_tumour_mm2"])
    assert held["bad"]["area_tumour_mm2"] is None
    assert held["bad"]["reason"] == REASON
    assert table.schema.field("area_tumour_mm2").metadata[b"unit"].decode() == "mm²"


def test_every_row_says_why_it_failed(rows: dict[str, dict[str, str]]) -> None:
    assert (rows["bad"]["stage"], rows["bad"]["reason"]) == ("inspect", REASON)
    assert rows["added later"]["reason"] == "the slide is not in the report"
    assert rows["lost"]["reason"].startswith("the case has no report")


def test_links_and_logs_lead_somewhere(
    cohort: Path, rows: dict[str, dict[str, str]], page: Path
) -> None:
    assert (cohort.parent / rows["p1"]["report"]).resolve() == page.resolve()
    assert (cohort.parent / rows["bad"]["log"]).read_text() == "the whole story"
    assert rows["lost"]["report"] == rows["lost"]["log"] == ""
    links = re.findall(r'<a href="([^"#]+)"', cohort.read_text(encoding="utf-8"))
    assert links
    assert {(cohort.parent / unquote(link)).resolve() for link in links} == {page.resolve()}


def test_a_log_named_from_elsewhere_is_still_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs are named as the step was told, from the folder it ran in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").touch()
    write_failure(tmp_path / "s" / "failure.json", FailureNote("tile", "no tissue", "logs/a.log"))
    html = Path("cases/c/report.html")
    report_case(
        "c",
        [folder_of("a", Path("s"))],
        primary_site="",
        html=html,
        json=html.with_suffix(".json"),
    )
    (failure,) = read_json(html.with_suffix(".json"), made_by="report")["failures"]
    assert (html.parent / failure["log"]).is_file()


def test_a_report_of_another_kind_counts_as_missing(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", {"schema": "something else"})
    (row,) = report_cohort(
        {"c": ["a"]},
        case_json={"c": tmp_path / "report.json"},
        html=tmp_path / "cohort.html",
        csv=tmp_path / "cohort.csv",
    )
    assert (row.status, row.stage) == ("failed", "report")
    assert "has no report" in row.reason


@pytest.mark.parametrize("place", ["page", "page.json", "cohort", "cohort.csv"])
def test_the_name_of_a_file_reaches_no_report(page: Path, cohort: Path, place: str) -> None:
    """Scanners name files after patients."""
    paths = {
        "page": page,
        "page.json": page.with_suffix(".json"),
        "cohort": cohort,
        "cohort.csv": cohort.with_suffix(".csv"),
    }
    text = paths[place].read_text(encoding="utf-8")
    assert "MEIER" not in text
    assert "MUELLER" not in text
    assert "/lab/" not in text


def test_rows_say_what_segmented_them(rows: dict[str, dict[str, str]]) -> None:
    assert rows["p1"]["model_id"] == "colour-baseline"
    assert rows["bad"]["model_id"] == ""


@pytest.mark.parametrize("missing", ["slide.json", "tiles.json", "segmentation.ome.zarr"])
def test_a_killed_step_leaves_no_numbers(
    slide_folder: Path, measurements: Path, tmp_path: Path, missing: str
) -> None:
    """A job that was killed leaves no note, and its output is gone; older numbers stay."""
    (tmp_path / "p1").mkdir()
    names = (
        "slide.json",
        "tiles.json",
        "sections.png",
        "segmentation.ome.zarr",
        "measurements.json",
    )
    for name in names:
        if name != missing:
            (tmp_path / "p1" / name).symlink_to(slide_folder / name)
    html = tmp_path / "report.html"
    slides = [folder_of("p1", tmp_path / "p1")]
    assert report_case("c", slides, primary_site="", html=html, json=html.with_suffix(".json")) == 1
    (failure,) = read_json(html.with_suffix(".json"), made_by="report")["failures"]
    assert "was killed" in failure["reason"]


def test_artefacts_that_do_not_fit_are_a_failure(
    slide_folder: Path, measurements: Path, tmp_path: Path
) -> None:
    (tmp_path / "p1").mkdir()
    for name in ("slide.json", "sections.png", "segmentation.ome.zarr", "measurements.json"):
        (tmp_path / "p1" / name).symlink_to(slide_folder / name)
    plan = read_json(slide_folder / "tiles.json", made_by="tile")
    write_json(tmp_path / "p1" / "tiles.json", plan | {"slide_id": "other"})
    html = tmp_path / "report.html"
    slides = [folder_of("p1", tmp_path / "p1")]
    assert report_case("c", slides, primary_site="", html=html, json=html.with_suffix(".json")) == 1
    (failure,) = read_json(html.with_suffix(".json"), made_by="report")["failures"]
    assert "belongs to slide 'other'" in failure["reason"]
