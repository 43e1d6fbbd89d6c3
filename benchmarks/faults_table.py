"""Fault of a slide → where it stops → message → what was kept.

    python benchmarks/faults_table.py [--markdown]

The faults are those of the tests (`tests/workflow/fault_makers.py`), each on a copy of the same
small slide, which passes all steps when nothing is done to it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "workflow"))

from fault_makers import FAULTS, stopped, write_good_slide


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="Print a table for the docs.")
    asked = parser.parse_args()
    line = "| {} | {} ({}) | {} | {} |" if asked.markdown else "{}\n  {} ({})\n  {}\n  kept: {}\n"
    if asked.markdown:
        print("| fault | stops in (exit code) | message | kept |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        good = write_good_slide(Path(name, "slide.tiff"))
        for number, fault in enumerate(FAULTS):
            end = stopped(fault, folder=Path(name, str(number)), good=good)
            kept = ", ".join(end.kept) or "nothing was there yet"
            said = end.noted.replace(str(Path(name, str(number))), "FOLDER")
            print(line.format(fault.name, end.step, end.code, said, kept))


if __name__ == "__main__":
    main()
