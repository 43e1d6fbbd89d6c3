"""What is left of a slide when something breaks?

    python benchmarks/faults.py kill [--times 20] [--workers 2] [--seed 1]
    python benchmarks/faults.py full
    python benchmarks/faults.py sync [FOLDER]

kill: `wsi-pipeline segment` of a phantom is killed (SIGKILL) at random moments, each time followed
by a run that goes on; prints what was kept, what was computed twice, and whether the result is,
byte for byte, that of a run nobody killed.
full: the same on a disk that is too small, which then grows (needs Linux and `unshare`).
sync: what waiting for the disk costs per tile.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsi_pipeline.phantom import sample_spec
from wsi_pipeline.stages.phantom import paint_slide
from wsi_pipeline.stages.resume import read_run_note
from wsi_pipeline.store import sync_file

COMMAND = (sys.executable, "-c", "from wsi_pipeline.cli import main; main()")
SETTINGS = ("tiling.tile_px=256", "store.chunk_px=64", "segment.model=colour-baseline")
NAME = "segmentation.ome.zarr"


@dataclass(frozen=True)
class Job:
    """A phantom slide that waits to be segmented."""

    folder: Path
    workers: int

    def words(self, out: Path) -> list[str]:
        sets = [word for text in SETTINGS for word in ("--set", text)]
        record, tiles = self.folder / "slide.json", self.folder / "tiles.json"
        return [
            *(*COMMAND, "segment", str(record), "--tiles", str(tiles), "--out", str(out / NAME)),
            *("--workers", str(self.workers), *sets),
        ]

    def run(self, out: Path) -> None:
        out.mkdir(exist_ok=True)
        subprocess.run(self.words(out), check=True, capture_output=True)

    def kill(self, out: Path, *, after_s: float) -> bool:
        """Start, and kill so long after the ledger was begun; whether it was still running."""
        with subprocess.Popen(
            self.words(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while not (out / (NAME + ".ledger")).exists() and process.poll() is None:
                time.sleep(0.005)
            time.sleep(after_s)
            process.send_signal(signal.SIGKILL)
        return process.returncode == -signal.SIGKILL


def prepare(folder: Path, workers: int) -> Job:
    slide = paint_slide(
        sample_spec(5, grade=2, width_mm=3.0, height_mm=2.5), folder=folder, name="phantom"
    )
    sets = [word for text in SETTINGS for word in ("--set", text)]
    record, tiles = folder / "slide.json", folder / "tiles.json"
    for words in (
        ("inspect", slide, "--out", record),
        ("tile", record, "--out", tiles, *sets),
    ):
        subprocess.run([*COMMAND, *map(str, words)], check=True, capture_output=True)
    return Job(folder, workers)


def content_of(store: Path) -> dict[str, str]:
    """Checksum of every file of a folder."""
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def recorded(out: Path) -> int:
    """Tiles in the ledger that a killed run left."""
    ledger = out / (NAME + ".ledger")
    return max(0, ledger.read_bytes().count(b"\n") - 1) if ledger.exists() else 0


def written(out: Path) -> int:
    """Tiles whose labels, the last that a tile writes, are there."""
    shards = (out / (NAME + ".partial") / "labels" / "tissue" / "0").glob("c/*/*")
    return sum(path.suffix == "" for path in shards)


def kill(options: argparse.Namespace) -> None:
    chance = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as name:
        job = prepare(Path(name), options.workers)
        whole = Path(name) / "undisturbed"
        start = time.perf_counter()
        job.run(whole)
        took_s = time.perf_counter() - start
        note, expected = read_run_note(whole / NAME), content_of(whole / NAME)
        assert note is not None
        print(f"{note.tiles} tiles; {took_s:.1f} s undisturbed, {note.seconds:.1f} s of it at work")
        print("   killed at  in ledger  written beyond  rerun kept  rerun computed  identical")
        good = 0
        for number in range(options.times):
            out = Path(name) / str(number)
            after_s = chance.uniform(0, note.seconds)
            alive = job.kill(out, after_s=after_s)
            kept, more = recorded(out), written(out) - recorded(out)
            job.run(out)
            again = read_run_note(out / NAME)
            assert again is not None
            same = content_of(out / NAME) == expected
            fits = again.kept == kept and more <= options.workers + 1
            good += same and (fits or not alive)
            print(
                f"{number + 1:2} {after_s:7.2f} s  {kept:9}  {max(more, 0):14}  {again.kept:10}  "
                f"{again.tiles - again.kept:14}  {'yes' if same else 'NO'}"
                + ("" if alive else "  (had ended)")
            )
        print(f"{good} of {options.times} as they should be")
        sys.exit(good != options.times)


SMALL_DISK = """
mount -t tmpfs -o size={small} tmpfs {disk} || exit 77
{command}; echo "exit code $?"
ls {disk}
mount -o remount,size=1g {disk}
{command}; echo "exit code $?"
cp -r {disk}/. {copy}
"""


def full(_: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        job = prepare(Path(name), 2)
        for part in ("undisturbed", "disk", "copy"):
            (Path(name) / part).mkdir()
        job.run(Path(name) / "undisturbed")
        expected = content_of(Path(name) / "undisturbed" / NAME)
        size = sum(p.stat().st_size for p in (Path(name) / "undisturbed").rglob("*") if p.is_file())
        command = " ".join(f"'{word}'" for word in job.words(Path(name) / "disk"))
        script = SMALL_DISK.format(
            small=size // 2, disk=Path(name) / "disk", copy=Path(name) / "copy", command=command
        )
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], check=False)
        print(f"undisturbed: {size / 1e6:.1f} MB; disk: {size / 2e6:.1f} MB, later 1 GB")
        same = content_of(Path(name) / "copy" / NAME) == expected
        print(f"identical: {'yes' if same else 'NO'}")
        sys.exit(not same or done.returncode)


def sync(options: argparse.Namespace) -> None:
    """Write and wait as a tile does: three shards of a typical size and a line."""
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for number in range(50):
            files = [Path(name) / f"{number}.{plane}" for plane in range(4)]
            for file, size in zip(files, (1_500_000, 20_000, 400_000, 3_000), strict=True):
                file.write_bytes(os.urandom(size))
            start = time.perf_counter()
            for file in files:
                sync_file(file)
            rows.append(time.perf_counter() - start)
    rows.sort()
    print(json.dumps({"median_ms": 1000 * rows[25], "slowest_ms": 1000 * rows[-1]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("kill")
    part.add_argument("--times", type=int, default=20)
    part.add_argument("--workers", type=int, default=2)
    part.add_argument("--seed", type=int, default=1)
    part.set_defaults(run=kill)
    parts.add_parser("full").set_defaults(run=full)
    part = parts.add_parser("sync")
    part.add_argument("folder", nargs="?", type=Path)
    part.set_defaults(run=sync)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
