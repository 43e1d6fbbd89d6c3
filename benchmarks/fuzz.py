"""What becomes of damaged slide files?

    python benchmarks/fuzz.py [--files 600] [--slides FOLDER] [--seed 0] [--keep FOLDER]

1. Small slides of every format are written, and those of FOLDER added (each up to 5 MB).
2. Each is damaged in many ways (`tests/slide/fuzzed_files.py`).
3. Each damaged file goes through inspection and tissue detection in a process of its own, with a
   limit on time and memory (`tests/slide/judged_alone.py`).
4. One table of how they ended; what should not happen is listed by name, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image

_TESTS = Path(__file__).parents[1] / "tests" / "slide"
sys.path.insert(0, str(_TESTS))

from fuzzed_files import KINDS, plan_damage  # noqa: E402 - lies beside the tests
from slide_writers import painted_picture, write_generic, write_ome, write_strips, write_svs  # noqa: E402

LARGEST_BYTES = 5_000_000
SHOULD_NOT_BE = ("defect", "crash", "hang")


def write_sources(folder: Path) -> None:
    """One small slide of each format."""
    picture = painted_picture()
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 90}}
    write_svs(folder / "slide.svs", picture)
    write_svs(folder / "jpeg.svs", picture, **jpeg)
    write_generic(folder / "generic.tif", picture)
    write_generic(folder / "jpeg.tif", picture, **jpeg)
    write_ome(folder / "pyramid.ome.tif", picture)
    write_strips(folder / "strips.tif", picture)
    Image.fromarray(picture).save(folder / "field.png")
    Image.fromarray(picture).save(folder / "field.jpg", quality=90)


def judged(folder: Path, *, seconds: float, gib: float, mpp: float) -> list[dict[str, Any]]:
    """How each file of a folder ended."""
    command = [
        *(sys.executable, str(_TESTS / "judged_alone.py"), str(folder)),
        *("--seconds", str(seconds), "--gib", str(gib), "--mpp", str(mpp)),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def show_table(ends: list[dict[str, Any]]) -> None:
    """Kinds of damage against how the files ended."""
    columns = ("read", "refused", *SHOULD_NOT_BE)
    counts = Counter((end["name"].split("-")[0], end["end"]) for end in ends)
    print(f"{'damage':<8} {'files':>6} " + " ".join(f"{column:>8}" for column in columns))
    for kind in (*KINDS, "all"):
        row = [
            sum(n for (k, e), n in counts.items() if kind in (k, "all") and e == column)
            for column in columns
        ]
        print(f"{kind:<8} {sum(row):>6} " + " ".join(f"{n:>8}" for n in row))
    print(
        f"slowest {max(end['seconds'] for end in ends):.1f} s, "
        f"largest {max(end['mib'] for end in ends):.0f} MiB, "
        f"errors: {dict(Counter(e['kind'] for e in ends if e['end'] == 'refused').most_common())}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--slides", type=Path, help="Folder of small slides to damage as well.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="Limit per file.")
    parser.add_argument("--gib", type=float, default=4.0, help="Address space per file.")
    parser.add_argument("--keep", type=Path, help="Copy files that ended badly to this folder.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        whole, damaged = Path(name, "whole"), Path(name, "damaged")
        whole.mkdir()
        damaged.mkdir()
        write_sources(whole)
        extra = sorted(asked.slides.iterdir()) if asked.slides else []
        small = [path for path in extra if path.is_file() and path.stat().st_size < LARGEST_BYTES]
        for damage in plan_damage(
            [*sorted(whole.iterdir()), *small], count=asked.files, first_seed=asked.seed
        ):
            damage.write(damaged)
        ends = judged(damaged, seconds=asked.seconds, gib=asked.gib, mpp=0.5)
        bad = [end for end in ends if end["end"] in SHOULD_NOT_BE]
        if asked.keep and bad:
            asked.keep.mkdir(parents=True, exist_ok=True)
            for end in bad:
                shutil.copy2(damaged / end["name"], asked.keep)
    show_table(ends)
    for end in bad:
        print(f"\n{end['end']}: {end['name']} {end['kind']}\n{end['said']}".rstrip())
    sys.exit(os.EX_SOFTWARE if bad else 0)


if __name__ == "__main__":
    main()
