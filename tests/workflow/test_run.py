"""The whole workflow, as a user starts it: slides in, OME-Zarr and reports out."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from wsi_pipeline.phantom import sample_spec, write_slide_tiff
from wsi_pipeline.stages.phantom import paint_slide
from wsi_pipeline.store import Segmentation, read_arrays

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.workflow
FAST = ("--set", "tiling.tile_px=256", "--set", "segment.model=colour-baseline")
"""Small tiles, and a model that costs nothing: what these tests ask does not depend on it."""


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Start the command line in a process of its own."""
    command = [sys.executable, "-c", "from wsi_pipeline.cli import main; main()", *arguments]
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, cwd=cwd
    )


@pytest.fixture(scope="session")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small phantoms and three files that are no slides."""
    folder = tmp_path_factory.mktemp("slides")
    for seed, section in ((2, "vertical"), (3, "horizontal")):
        spec = sample_spec(seed, section=section, grade=2, width_mm=2.0, height_mm=1.8)
        paint_slide(spec, folder=folder, name=section)
    (folder / "empty.svs").touch()
    (folder / "text.tiff").write_text("not a slide")
    cut = (folder / "vertical.tiff").read_bytes()
    (folder / "cut.tiff").write_bytes(cut[: len(cut) // 2])
    return folder


def write_table(path: Path, rows: list[str]) -> Path:
    header = "case_id\tslide_id\tpath\tsection\tprimary_site"
    path.write_text("\n".join([header, *(row.replace(" ", "\t") for row in rows)]) + "\n")
    return path


GOOD = ["one v vertical.tiff vertical breast", "one h horizontal.tiff horizontal breast"]
BAD = ["two e empty.svs", "three t text.tiff", "four c cut.tiff", "four v2 vertical.tiff"]


@pytest.fixture(scope="session")
def mixed(slides: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run with good and bad slides."""
    out = tmp_path_factory.mktemp("mixed") / "out"
    table = write_table(slides / "mixed.tsv", GOOD + BAD)
    done = run("run", table, "--out", out, *FAST)
    assert done.returncode == 1, done.stderr
    for name in ("e", "t", "c"):
        assert f"failed: {name} (inspect)" in done.stderr
    assert "3 of 6 slides done" in done.stdout
    return out


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "cohort.csv").open(newline="", encoding="utf-8") as file:
        return {row["slide_id"]: row for row in csv.DictReader(file)}


def test_every_promised_file_is_there(mixed: Path) -> None:
    for slide in ("v", "h", "v2"):
        names = {path.name for path in (mixed / "slides" / slide).iterdir()}
        assert names == {
            "slide.json",
            "tiles.json",
            "tiles.png",
            "sections.png",
            "segmentation.ome.zarr",
            "segmentation.ome.zarr.run.json",
            "nuclei.parquet",
            "measurements.json",
            "depth.zarr",
            "annotations.geojson.gz",
        }
    for case in ("one", "two", "three", "four"):
        names = {path.name for path in (mixed / "cases" / case).iterdir()}
        assert names == {"report.html", "report.json"}
    assert (mixed / "cohort.html").is_file()
    assert not list(mixed.rglob("*.partial"))


def test_bad_slides_are_named_with_a_reason_and_a_log(mixed: Path) -> None:
    rows = rows_of(mixed)
    assert {name for name, row in rows.items() if row["status"] == "failed"} == {"e", "t", "c"}
    for name in ("e", "t", "c"):
        assert rows[name]["stage"] == "inspect"
        assert "cannot be opened" in rows[name]["reason"]
        assert "Traceback" not in rows[name]["reason"]
        assert rows[name]["reason"].split(":")[-1] in (mixed / rows[name]["log"]).read_text()
    page = (mixed / "cases" / "four" / "report.html").read_text()
    assert "cut short" in page
    assert "v2" in page


def test_the_last_lines_name_reason_and_log(mixed: Path, slides: Path) -> None:
    done = run("run", slides / "mixed.tsv", "--out", mixed, *FAST)
    last = done.stderr.splitlines()[-3:]
    for line, name in zip(last, ("e", "t", "c"), strict=True):
        assert line.startswith(f"failed: {name} (inspect): ")
        assert Path(line.rpartition("; log: ")[2]).is_file()


def effort_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "effort.tsv").open(newline="", encoding="utf-8") as file:
        return {row["slide_id"]: row for row in csv.DictReader(file, delimiter="\t")}


def test_what_each_slide_took_is_told(mixed: Path) -> None:
    rows = effort_of(mixed)
    assert list(rows) == ["v", "h", "e", "t", "c", "v2"]
    assert int(rows["v"]["tiles"]) > 0
    assert float(rows["v"]["seconds"]) > 0
    assert int(rows["v"]["peak_memory_mb"]) > 50
    assert rows["e"] == dict.fromkeys(rows["e"], "") | {"slide_id": "e", "status": "failed"}


def test_a_case_with_a_bad_slide_still_reports_the_good_one(mixed: Path) -> None:
    case = json.loads((mixed / "cases" / "four" / "report.json").read_text())
    assert [slide["slide_id"] for slide in case["slides"]] == ["v2"]
    assert [failure["slide_id"] for failure in case["failures"]] == ["c"]


def test_the_segmentation_finds_the_phantoms_tissue(mixed: Path, slides: Path) -> None:
    """Wherever the phantom is tissue, so are the labels, within the width of a pixel or two."""
    truth, _ = read_arrays(slides / "vertical.truth.zarr")
    store = Segmentation(mixed / "slides" / "v" / "segmentation.ome.zarr")
    wanted = truth["labels"][2::4, 2::4] > 0
    found = store.read_labels()[: wanted.shape[0], : wanted.shape[1]] > 0
    overlap = (wanted & found).sum() / (wanted | found).sum()
    assert overlap > 0.9
    assert store.attributes["model"]["id"] == "colour-baseline"


def test_provenance_names_input_model_and_mpp(mixed: Path) -> None:
    about = json.loads((mixed / "slides" / "v" / "measurements.json").read_text())["provenance"]
    assert len(about["input"]["sha256"]) == 64
    assert about["mpp"] == pytest.approx(0.5)
    assert about["mpp_source"]
    assert about["backend"] in ("openslide", "tiffslide")


def times_of(out: Path) -> dict[str, int]:
    """When each result was written, by its path; logs and notes of failures aside."""
    return {
        str(path.relative_to(out)): path.stat().st_mtime_ns
        for kind in ("slides/*/*", "slides/*/*.zarr/zarr.json", "cases/*/*", "cohort.*")
        for path in out.glob(kind)
        if path.name != "failure.json"
    }


def test_a_second_run_computes_nothing_again(mixed: Path, slides: Path) -> None:
    before = times_of(mixed)
    done = run("run", slides / "mixed.tsv", "--out", mixed, *FAST)
    assert done.returncode == 1
    assert times_of(mixed) == before
    assert "3 of 6 slides done" in done.stdout


def mend(
    mixed: Path, slides: Path, tmp_path: Path, *, copy: Callable[[Path, Path], object]
) -> tuple[Path, Path]:
    """Copy results and slides, the cut one made whole; give the table and the results."""
    folder, out = tmp_path / "slides", tmp_path / "out"
    folder.mkdir()
    shutil.copytree(mixed, out)
    for name in ("vertical.tiff", "horizontal.tiff", "empty.svs", "text.tiff"):
        copy(slides / name, folder / name)
    copy(slides / "horizontal.tiff", folder / "cut.tiff")
    return write_table(folder / "mixed.tsv", GOOD + BAD), out


def test_a_mended_slide_completes_on_the_next_run(
    mixed: Path, slides: Path, tmp_path: Path
) -> None:
    table, out = mend(mixed, slides, tmp_path, copy=shutil.copy2)
    done = run("run", table, "--out", out, *FAST)
    assert done.returncode == 1
    assert rows_of(out)["c"]["status"] == "done"
    case = json.loads((out / "cases" / "four" / "report.json").read_text())
    assert case["failures"] == []


def test_only_failed_slides_are_tried_again_when_asked(
    mixed: Path, slides: Path, tmp_path: Path
) -> None:
    """What is done stays as it is, even where a plain run would compute it anew."""
    # These copies are newer than the results.
    table, out = mend(mixed, slides, tmp_path, copy=shutil.copy)
    before = times_of(out)
    done = run("run", table, "--out", out, "--retry-failed", *FAST)
    assert done.returncode == 1, done.stderr
    assert rows_of(out)["c"]["status"] == "done"
    assert "4 of 6 slides done" in done.stdout
    assert {line.split()[1] for line in done.stderr.splitlines()[-2:]} == {"e", "t"}
    new = {name for name, when in times_of(out).items() if before.get(name) != when}
    assert {name.split("/")[1] for name in new if name.startswith("slides")} == {"c"}


def test_there_must_have_been_a_run_to_try_again(slides: Path, tmp_path: Path) -> None:
    table = write_table(slides / "never.tsv", GOOD)
    done = run("run", table, "--out", tmp_path / "out", "--retry-failed")
    assert done.returncode == 2
    assert "no run has ended" in done.stderr


@pytest.fixture
def finished(mixed: Path, slides: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A finished run of one case of two slides, moved to another folder; its table."""
    table, out = write_table(slides / "two.tsv", GOOD), tmp_path / "moved"
    first = mixed.parent / "first"
    if not first.exists():
        assert run("run", table, "--out", first, *FAST).returncode == 0
    shutil.copytree(first, out)
    return table, out


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {Path(name).name for name, when in after.items() if before.get(name) != when}


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ((), set()),
        (("--set", "measure.min_tumour_um2=400"), {"measurements.json"}),
        (("--set", "store.compression=1"), {"tiles.json", "segmentation.ome.zarr"}),
    ],
    ids=["nothing", "measuring", "storing"],
)
def test_only_what_a_change_touches_is_computed_again(
    finished: tuple[Path, Path], words: tuple[str, ...], again: set[str]
) -> None:
    table, out = finished
    before = times_of(out)
    done = run("run", table, "--out", out, *FAST, *words)
    assert done.returncode == 0, done.stderr
    new = changed(before, times_of(out))
    assert again <= new
    assert ("segmentation.ome.zarr" in new) == ("segmentation.ome.zarr" in again)
    assert ("annotations.geojson.gz" in new) == ("segmentation.ome.zarr" in again)
    assert bool(new) == bool(words)


def test_a_word_in_the_table_only_rewrites_the_reports(finished: tuple[Path, Path]) -> None:
    table, out = finished
    before = times_of(out)
    text = table.read_text()
    other = table.with_name("lung.tsv")
    other.write_text(text.replace("breast", "lung"))
    done = run("run", other, "--out", out, *FAST)
    assert done.returncode == 0, done.stderr
    new = changed(before, times_of(out))
    assert new == {
        "report.html",
        "report.json",
        *(f"cohort.{e}" for e in ("html", "csv", "parquet")),
    }
    assert "lung" in (out / "cases" / "one" / "report.html").read_text()


def test_a_killed_job_is_reported_and_its_case_kept(finished: tuple[Path, Path]) -> None:
    """A kill leaves no note; older numbers of that slide must not pass for new ones."""
    table, out = finished
    options = ("--set", "tiling.tile_px=512", "--cores", "1")
    process = start(out.parent / "log", "run", table, "--out", out, *options)
    kill_first("wsi-pipeline segment", process)
    assert process.wait(120) == 1
    rows = rows_of(out)
    assert sorted(row["status"] for row in rows.values()) == ["done", "failed"]
    failed = next(row for row in rows.values() if row["status"] == "failed")
    assert "was killed" in failed["reason"]
    assert failed["slide_id"] in (out / "cases" / "one" / "report.html").read_text()


@pytest.mark.parametrize("words", [(), ("--fresh",)], ids=["resume", "fresh"])
def test_a_slide_that_was_killed_midway_goes_on_where_it_was(
    finished: tuple[Path, Path], words: tuple[str, ...]
) -> None:
    table, out = finished
    # So many tiles, by a model that costs something, that there is time to find and kill the step.
    small = ("--set", "tiling.tile_px=64", "--set", "store.chunk_px=64", "--cores", "1")
    process = start(out.parent / "log", "run", table, "--out", out, *small)
    ledger = wait_for_tiles(out, process)
    kill_first("wsi-pipeline segment", process)
    assert process.wait(120) == 1
    assert ledger.exists()
    done = run("run", table, "--out", out, *small, *words)
    assert done.returncode == 0, done.stderr
    kept = int(effort_of(out)[ledger.parent.name]["kept"])
    assert kept == 0 if words else kept > 2
    assert not list(out.rglob("*.ledger"))
    assert not list(out.rglob("*.partial"))


def wait_for_tiles(out: Path, process: subprocess.Popen[bytes]) -> Path:
    """Ledger in which the first tiles stand."""
    for _ in range(6000):
        for ledger in out.glob("slides/*/*.ledger"):
            if ledger.read_bytes().count(b"\n") > 4:
                return ledger
        assert process.poll() is None, "it ended before"
        time.sleep(0.01)
    raise AssertionError("no tile was finished")


def start(log: Path, *arguments: str | Path, deaf: bool = False) -> subprocess.Popen[bytes]:
    """Start the command line and go on; what it says goes to a file.

    A command in the background of a script is deaf to interrupts.
    """
    command = [sys.executable, "-c", "from wsi_pipeline.cli import main; main()", *arguments]
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command] if deaf else command
    with log.open("w") as file:
        return subprocess.Popen([str(word) for word in command], stdout=file, stderr=file)


def find(text: str, process: subprocess.Popen[bytes]) -> psutil.Process | None:
    """Process started by ``process`` whose command line holds a text."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return next((c for c in children if text in " ".join(c.cmdline())), None)
    except psutil.NoSuchProcess:
        return None


def wait_for(text: str, process: subprocess.Popen[bytes]) -> psutil.Process:
    for _ in range(1200):
        found = find(text, process)
        if found is not None:
            return found
        assert process.poll() is None, "it ended before"
        time.sleep(0.05)
    raise AssertionError(f"no process '{text}' was started")


def kill_first(text: str, process: subprocess.Popen[bytes]) -> None:
    """Kill the job that runs a command, shell and all, as a cluster would."""
    shell = wait_for(text, process)
    for victim in [*shell.children(recursive=True), shell]:
        with suppress(psutil.NoSuchProcess):  # one that ended with the one before it
            victim.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_its_jobs_and_goes_on_later(
    slides: Path, tmp_path: Path, number: signal.Signals
) -> None:
    table, out = write_table(slides / "stop.tsv", GOOD), tmp_path / "out"
    log = tmp_path / "log"
    process = start(log, "run", table, "--out", out, *FAST, deaf=number == signal.SIGTERM)
    job = wait_for("wsi-pipeline tile", process)
    process.send_signal(number)
    assert process.wait(240) == 130  # it lets the steps that run finish
    assert "run the same command again" in log.read_text()
    assert not job.is_running() or job.status() == psutil.STATUS_ZOMBIE
    done = run("run", table, "--out", out, *FAST)
    assert done.returncode == 0, done.stderr


def test_a_killed_run_keeps_its_lock_while_snakemake_lives(slides: Path, tmp_path: Path) -> None:
    table, out = write_table(slides / "kill.tsv", GOOD), tmp_path / "out"
    process = start(tmp_path / "log", "run", table, "--out", out, *FAST)
    snakemake_process = wait_for("-m snakemake", process)
    wait_for("wsi-pipeline inspect", process)
    process.kill()
    process.wait(10)
    try:
        refused = run("run", table, "--out", out)
        assert refused.returncode == 2
        assert "another run is writing" in refused.stderr
    finally:
        snakemake_process.send_signal(signal.SIGINT)
        snakemake_process.wait(120)  # it lets its running jobs finish
    done = run("run", table, "--out", out, *FAST)
    assert done.returncode == 0, done.stderr


def test_a_slide_that_fails_later_is_named_too(slides: Path, tmp_path: Path) -> None:
    """Empty glass is readable, but shows no tissue; odd names are only names."""
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    glass = np.full((600, 700, 3), 243, np.uint8)
    write_slide_tiff(folder / "-empty glass.tiff", glass, mpp=2.0, jpeg_quality=90)
    table = folder / "cases.tsv"
    table.write_text("case_id\tslide_id\tpath\tblock\na\tg\t-empty glass.tiff\t{b} $(c)\n")
    done = run("run", table, "--out", tmp_path / "out of {braces}")
    assert done.returncode == 1
    assert "failed: g (tile): no tissue" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "no-such-model"), "no model 'no-such-model'"),
        (("--set", "tissue.mpp=900"), "'tissue.mpp' must be at most"),
        (("--profile", "moon"), "no profile 'moon'"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(
    slides: Path, tmp_path: Path, words: tuple[str, str], message: str
) -> None:
    out = tmp_path / "out"
    done = run("run", write_table(slides / "settings.tsv", GOOD), "--out", out, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not out.exists()


def test_faults_of_table_and_settings_are_told_together(slides: Path, tmp_path: Path) -> None:
    table = write_table(slides / "both.tsv", ["a ../x vertical.tiff"])
    done = run("run", table, "--out", tmp_path / "out", "--set", "nothing.at=all")
    assert "does not match" in done.stderr
    assert "unknown section 'nothing'" in done.stderr


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a ../x vertical.tiff"], "does not match"),
        (["a v vertical.tiff", "b v vertical.tiff"], "used on line 2 already"),
        (["a v missing.svs"], "no file"),
        (["a v vertical.tiff diagonal"], "'diagonal' is not one of"),
    ],
)
def test_a_bad_table_is_refused_before_anything_runs(
    slides: Path, tmp_path: Path, rows: list[str], message: str
) -> None:
    out = tmp_path / "out"
    done = run("run", write_table(slides / "bad.tsv", rows), "--out", out)
    assert done.returncode == 2
    assert message in done.stderr
    assert not out.exists()


def test_an_unknown_column_is_refused(slides: Path, tmp_path: Path) -> None:
    table = slides / "columns.tsv"
    table.write_text("case_id\tslide_id\tpath\tmagnification\na\tv\tvertical.tiff\t20\n")
    done = run("run", table, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "unknown column 'magnification'" in done.stderr


def test_a_dry_run_writes_no_results(slides: Path, tmp_path: Path) -> None:
    done = run("run", write_table(slides / "dry.tsv", GOOD), "--out", tmp_path / "out", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "segment" in done.stdout + done.stderr
    assert not (tmp_path / "out" / "slides").exists()


def test_two_runs_on_one_output_refuse_each_other(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("run", write_table(slides / "two.tsv", GOOD), "--out", out)
    assert done.returncode == 2
    assert "another run is writing" in done.stderr


def snakemake(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *(str(word) for word in words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PATH": path},
    )


def test_the_workflow_lints_clean(tmp_path: Path) -> None:
    done = snakemake("--snakefile", ROOT / "Snakefile", "--lint", cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_snakemakes_own_report_can_be_made(slides: Path, mixed: Path) -> None:
    table = write_table(slides / "good.tsv", GOOD)
    done = run("run", table, "--out", mixed.parent / "good", *FAST)
    assert done.returncode == 0, done.stderr
    page = mixed.parent / "good" / "snakemake.html"
    done = snakemake(
        *("--snakefile", ROOT / "Snakefile", "--configfile", mixed.parent / "good" / "run.yaml"),
        *("--report", page),
        cwd=mixed.parent / "good",
    )
    assert done.returncode == 0, done.stderr
    assert page.stat().st_size > 100_000


def test_the_same_slide_gives_the_same_bytes_twice(mixed: Path) -> None:
    """One file under two names gives the same arrays."""
    one = Segmentation(mixed / "slides" / "v" / "segmentation.ome.zarr")
    two = Segmentation(mixed / "slides" / "v2" / "segmentation.ome.zarr")
    np.testing.assert_array_equal(one.read_labels(), two.read_labels())
    np.testing.assert_array_equal(
        one.read_probabilities(one.grid.box), two.read_probabilities(two.grid.box)
    )
