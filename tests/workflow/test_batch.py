"""A table of many slides: the job graph stays cheap.  `benchmarks/batch.py` runs such a table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wsi_pipeline.phantom import write_slide_tiff

pytestmark = pytest.mark.workflow
SLIDES, PLANNED = 250, 1000
MOST_S, MOST_MIB = 60.0, 1024.0


def test_the_job_graph_of_a_thousand_slides_takes_less_than_a_minute(tmp_path: Path) -> None:
    """A quarter of them is planned, and the processor's time taken four times."""
    glass = np.full((256, 256, 3), 243, np.uint8)
    write_slide_tiff(tmp_path / "small.tiff", glass, mpp=2.0, jpeg_quality=80)
    rows = [f"c{number // 4}\ts{number}\tsmall.tiff" for number in range(SLIDES)]
    table = tmp_path / "cases.tsv"
    table.write_text("\n".join(["case_id\tslide_id\tpath", *rows]) + "\n")
    # A process starts with the peak of the one it was forked from: its children's counts.
    peak = tmp_path / "peak"
    code = (
        "import atexit, pathlib, resource as r; from wsi_pipeline.cli import main;"
        f"atexit.register(lambda: pathlib.Path({str(peak)!r}).write_text("
        "str(r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss))); main()"
    )
    words = ("run", table, "--out", tmp_path / "out", "--dry-run", "--model", "colour-baseline")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)], stdout=log, stderr=log
        )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    said = (tmp_path / "log").read_text()
    assert process.returncode == 0, said
    assert (used.ru_utime + used.ru_stime) * PLANNED / SLIDES < MOST_S
    assert int(peak.read_text()) / 1024 < MOST_MIB
