"""The workflow and single slides on a real Slurm, which this test starts."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from wsi_pipeline.phantom import sample_spec
from wsi_pipeline.stages.phantom import paint_slide

PROFILE = Path(__file__).parents[2] / "workflows" / "profiles" / "slurm" / "config.yaml"
pytestmark = [pytest.mark.slurm, pytest.mark.workflow]
FAST = ("--set", "tiling.tile_px=256", "--set", "segment.model=colour-baseline")
SECTIONS = ("vertical", "horizontal")
GOOD = [f"c{i // 3}\tg{i}\t{SECTIONS[i % 2]}.tiff\t{SECTIONS[i % 2]}" for i in range(6)]
BAD = ["c0\tb0\tempty.svs\tvertical", "c2\tb1\ttext.tiff\tvertical"]
START = [sys.executable, "-c", "from wsi_pipeline.cli import main; main()"]


def start(log: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start the command line; what it says goes to a file."""
    with log.open("w") as file:
        words = [*START, *map(str, arguments)]
        return subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)


def run(log: Path, *arguments: str | Path) -> int:
    return start(log, *arguments).wait(1800)


def table_of(folder: Path, name: str, rows: list[str]) -> Path:
    path = folder / name
    path.write_text("\n".join(["case_id\tslide_id\tpath\tsection", *rows]) + "\n")
    return path


def profile(folder: Path, **changes: object) -> Path:
    """Folder of the profile as it is shipped, but for how often it asks, and some changes."""
    content = yaml.safe_load(PROFILE.read_text())
    often = {name: 1 for name in content if name.endswith("status-checks")}
    path = folder / "profile"
    path.mkdir(parents=True)
    text = yaml.safe_dump({**content, **often, "latency-wait": 10, **changes})
    (path / "config.yaml").write_text(text)
    return path


def queue(states: str = "all") -> list[dict[str, str]]:
    """Jobs that Slurm knows."""
    form = "%i|%T|%m|%k|%j"
    command = ["squeue", "--noheader", "--states", states, "--format", form, "--sort", "i"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    names = ("id", "state", "memory", "what", "name")
    return [dict(zip(names, line.split("|"), strict=True)) for line in lines]


def wait_for_job(what: str, process: subprocess.Popen[bytes], *, states: str = "running") -> str:
    """Number of a job once it is there."""
    for _ in range(6000):
        found = [job["id"] for job in queue(states) if what in job["what"] + job["name"]]
        if found:
            return found[0]
        assert process.poll() is None, "it ended before"
        time.sleep(0.1)
    raise AssertionError(f"no job '{what}' was seen")


def checksums(folder: Path) -> dict[str, str]:
    """Of every file of a slide's results, but for the note of what they took."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".run.json")
    }


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    for seed, section in enumerate(SECTIONS, start=2):
        spec = sample_spec(seed, section=section, grade=2, width_mm=2.0, height_mm=1.8)
        paint_slide(spec, folder=folder, name=section)
    (folder / "empty.svs").touch()
    (folder / "text.tiff").write_text("not a slide")
    return folder


@pytest.fixture(scope="module")
def local(slides: Path) -> Path:
    """Results on this machine alone, of one slide of each kind."""
    out = slides.parent / "local"
    log = slides / "local.log"
    assert run(log, "run", table_of(slides, "local.tsv", GOOD[:2]), "--out", out, *FAST) == 0, log
    return out


@pytest.fixture(scope="module")
def cohort(slurm: Path, slides: Path) -> Path:
    """Results of a run on Slurm, in which a job is cancelled and another has too little memory."""
    folder = slides.parent / "slurm"
    # Slurm asks once a second: the first attempt must need too much at any moment of it.
    little = {"report_cohort": {"mem_mb": "80 if attempt == 1 else 1500"}}
    chosen = profile(folder, retries=1, **{"set-resources": little})
    table, out, log = table_of(slides, "all.tsv", GOOD + BAD), folder / "out", slides / "slurm.log"
    process = start(log, "run", table, "--out", out, "--profile", chosen, "--cores", "2", *FAST)
    subprocess.run(["scancel", wait_for_job("segment", process)], check=True)
    assert process.wait(1800) == 1, log.read_text()
    assert "6 of 8 slides done" in log.read_text()
    return out


def test_two_bad_slides_leave_the_others_alone(cohort: Path) -> None:
    with (cohort / "cohort.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["slide_id"]: row for row in csv.DictReader(file)}
    assert {name: row["status"] for name, row in rows.items()} == {
        **{f"g{i}": "done" for i in range(6)},
        **{f"b{i}": "failed" for i in range(2)},
    }
    page = (cohort / "cohort.html").read_text()
    for name in ("b0", "b1"):
        assert rows[name]["stage"] == "inspect"
        assert "cannot be opened" in (cohort / rows[name]["log"]).read_text()
        assert rows[name]["log"] in page


@pytest.mark.parametrize("slide", ["g0", "g1"])
def test_results_are_those_of_this_machine(cohort: Path, local: Path, slide: str) -> None:
    there, here = (checksums(out / "slides" / slide) for out in (cohort, local))
    assert len(here) > 20
    assert there == here


@pytest.mark.parametrize("number", range(2, 6))
def test_pixels_of_the_others_are_too(cohort: Path, local: Path, number: int) -> None:
    """They are the same two slides under other names, which stand in every JSON file."""
    there, here = (
        {name: crc for name, crc in checksums(folder).items() if ".zarr/" in name and "/c/" in name}
        for folder in (cohort / "slides" / f"g{number}", local / "slides" / f"g{number % 2}")
    )
    assert len(here) > 10
    assert there == here


def test_a_cancelled_job_is_started_again_with_more_memory(cohort: Path) -> None:
    jobs = [job for job in queue() if "segment" in job["what"]]
    first = next(job for job in jobs if job["state"] == "CANCELLED")
    again = [job for job in jobs if job["what"] == first["what"]]
    assert [job["state"] for job in again] == ["CANCELLED", "COMPLETED"]
    assert [job["memory"] for job in again] == ["4000M", "8000M"]


@pytest.fixture(scope="module")
def strict_about_memory(slurm: Path) -> None:
    """Whether this Slurm can see how much memory a job takes; not every container lets it."""
    takes = "import time; much = bytearray(400 << 20); much[::4096] = b'x' * 102400; time.sleep(8)"
    command = ["srun", "--mem=80M", "--quiet", sys.executable, "-c", takes]
    if subprocess.run(command, capture_output=True, check=False, timeout=300).returncode == 0:
        pytest.skip("this Slurm does not see the memory of its jobs")


def test_a_job_killed_for_memory_gets_more(strict_about_memory: None, cohort: Path) -> None:
    """Slurm may call the first a failure or out of memory; its log says which of both it was."""
    first, second = [job for job in queue() if "report_cohort" in job["what"]]
    assert (first["memory"], second["memory"]) == ("80M", "1500M")
    assert first["state"] in ("FAILED", "OUT_OF_MEMORY")
    assert second["state"] == "COMPLETED"
    (log,) = cohort.glob(f".snakemake/slurm_logs/*/{first['id']}.log")
    assert "memory limit" in log.read_text()


def test_an_interrupted_run_takes_its_jobs_along_and_goes_on_later(
    slurm: Path, slides: Path, local: Path, tmp_path: Path
) -> None:
    """With all steps of a slide in one job, as is best for small slides."""
    steps = ("inspect", "tile", "segment", "nuclei", "measure", "export")
    chosen = profile(tmp_path, groups=dict.fromkeys(steps, "slide"))
    table, out, log = table_of(slides, "one.tsv", GOOD[:1]), tmp_path / "out", tmp_path / "log"
    words = ("run", table, "--out", out, "--profile", chosen, "--cores", "2", *FAST)
    process = start(log, *words)
    wait_for_job("slide", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    assert queue("running,pending,completing") == [] or wait_until_empty()
    assert run(log, *words) == 0, log.read_text()
    slide = Path("slides") / "g0"
    assert checksums(out / slide) == checksums(local / slide)


def wait_until_empty() -> bool:
    for _ in range(300):
        if not queue("running,pending,completing"):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a site's Dask settings say of its jobs."""
    for name, value in {
        "QUEUE": "debug",
        "INTERFACE": "lo",
        "MEMORY": "2GB",
        "WALLTIME": "00:20:00",
        "LOCAL_DIRECTORY": str(tmp_path),
    }.items():
        monkeypatch.setenv(f"DASK_JOBQUEUE__SLURM__{name}", value)


def test_a_slide_on_two_nodes_of_which_one_is_lost(
    slurm: Path, site: None, slides: Path, tmp_path: Path
) -> None:
    out, log, slide = (
        tmp_path / "a/segmentation.ome.zarr",
        tmp_path / "log",
        slides / "vertical.tiff",
    )
    small = ("--set", "tiling.tile_px=64", "--set", "store.chunk_px=64", *FAST[2:])
    tiles = tmp_path / "tiles.json"
    assert run(log, "tile", slide, "--out", tiles, *small) == 0
    words = ("segment", slide, "--tiles", tiles, *small)
    assert run(log, *words, "--out", tmp_path / "b" / out.name) == 0
    many = ("--dask", "slurm", "--jobs", "2", "--workers", "1")
    process = start(log, *words, "--out", out, *many)
    ledger = out.with_name(out.name + ".ledger")
    while not (ledger.exists() and ledger.read_bytes().count(b"\n") > 3):
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    subprocess.run(["scancel", wait_for_job("dask-worker", process)], check=True)
    assert process.wait(600) == 0, log.read_text()
    assert checksums(out) == checksums(tmp_path / "b" / out.name)
    assert "Traceback" not in log.read_text()
    assert json.loads(Path(f"{out}.run.json").read_text())["kept"] == 0
    assert not out.with_name(out.name + ".dask").exists()
    assert wait_until_empty()
