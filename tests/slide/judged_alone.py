"""What becomes of each slide file, judged in a process of its own?

    python judged_alone.py FOLDER [--seconds 20] [--gib 4] [--mpp 0.5]

Prints one line of JSON per file: how it ended, what was said, how long it took and how much memory
it needed.  A process per file, forked from one that has loaded everything: a decoder that crashes,
hangs or eats memory takes nothing else with it, as a job of the workflow does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from wsi_pipeline.config import Config
from wsi_pipeline.errors import WsiPipelineError
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import inspect_slide
from wsi_pipeline.stages.tile import read_tissue_plane
from wsi_pipeline.tissue import find_tissue


def judge(path: Path, *, mpp: float | None) -> dict[str, Any]:
    """Inspect a slide and look for its tissue; say how far that went."""
    config, stage = Config(), "inspect"
    try:
        record = inspect_slide(path, declared=Declared("fuzzed"), mpp=mpp, config=config)
        stage = "tissue"
        with record.open() as slide:
            rgb, grid = read_tissue_plane(slide, config)
        find_tissue(rgb, grid=grid, settings=config.tissue)
    except WsiPipelineError as fault:
        return {"end": "refused", "stage": stage, "kind": type(fault).__name__, "said": str(fault)}
    except BaseException as fault:  # noqa: BLE001 - telling them apart is what this is for
        trace = traceback.format_exc()
        return {"end": "defect", "stage": stage, "kind": type(fault).__name__, "said": trace}
    return {"end": "read", "stage": stage, "kind": "", "said": ""}


def judge_alone(path: Path, *, seconds: float, gib: float, mpp: float | None) -> dict[str, Any]:
    """Judge in a forked process with a limit on time and memory."""
    began = time.monotonic()
    with tempfile.NamedTemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            _be_judged(path, Path(answer.name), gib=gib, mpp=mpp)
        status, peak_kib = _wait(child, until=began + seconds)
        text = Path(answer.name).read_text(encoding="utf-8")
    facts = {"name": path.name, "seconds": time.monotonic() - began, "mib": peak_kib / 1024}
    if status is None:
        return {**facts, "end": "hang", "stage": "", "kind": "", "said": ""}
    if os.WIFSIGNALED(status) or not text:
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "exit"
        return {**facts, "end": "crash", "stage": "", "kind": name, "said": ""}
    return {**facts, **json.loads(text)}


def _be_judged(path: Path, answer: Path, *, gib: float, mpp: float | None) -> None:
    """Child: judge, write down what came of it, and leave without any clean-up."""
    limit = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    answer.write_text(json.dumps(judge(path, mpp=mpp)), encoding="utf-8")
    os._exit(0)


def _wait(child: int, *, until: float) -> tuple[int | None, int]:
    """Exit status and peak memory (KiB) of a child; None for one that had to be killed."""
    killed = False
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return (None if killed else status), usage.ru_maxrss
        if not killed and time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            killed = True
        time.sleep(0.005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--gib", type=float, default=4.0)
    parser.add_argument("--mpp", type=float)
    asked = parser.parse_args()
    for path in sorted(asked.folder.iterdir()):
        said = judge_alone(path, seconds=asked.seconds, gib=asked.gib, mpp=asked.mpp)
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
