"""How much faster is the engine than what one would pick instead?

    python benchmarks/peers.py FOLDER --environment ~/.cache/wsi-peers [--rounds 5] [--only naive …]

1. A slide is painted, inspected and tiled, once per FOLDER, as for `benchmarks/run.py`; its label
   map is computed once in float32 as if in one pass (``reference.py``).
2. The peers are installed into an environment of their own, once; this project lends them its
   source tree, from which they take the network, and nothing else is changed.
3. Each contestant (`benchmarks/contestants`) runs in a process of its own, rounds interleaved:
   as installed (float32, NCHW) and again with the engine's precision and memory format.
4. The medians make one table: time, the ratio to the engine's, memory, and on how many pixels of
   tissue the label map agrees with the reference.

All get the same slide, weights, tissue mask, processor cores and windows.  ``--prepare-only`` stops
after 2.  Pin the run to share a machine: ``taskset -c 1 …``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent
CONTESTANTS = HERE / "contestants"

ENGINE = "engine"
PEERS = {
    "tiatoolbox SemanticSegmentor": "tiatoolbox_segmentor",
    "MONAI, whole plane": "monai_plane",
    "MONAI, tissue only": "monai_gated",
    "dask map_overlap": "dask_overlap",
    "naive loop": "naive",
}
TUNED = ", our precision"

TORCH = "torch==2.13.0"
PACKAGES = ("monai==1.6.1", "openslide-python", "openslide-bin", "dask[array]", "safetensors")
# tiatoolbox asks for torch below 2.13, which it runs with all the same; so it comes without its
# requirements, and those of them that it imports come by name, within its bounds.
TIATOOLBOX = "tiatoolbox==2.1.3"
TORCHVISION = "torchvision==0.28.0"
TIMM = "timm==1.0.27"
TIATOOLBOX_NEEDS = (
    "bokeh<3.9.1", "Click<8.4.2", "dask<2026.7.1,>=2026.1.2", "defusedxml", "flask<3.1.3",
    "flask-cors<6.0.5", "glymur<0.14.8", "huggingface_hub<1.24", "imagecodecs<2026.3.6",
    "joblib<1.5.3", "matplotlib<3.11.1", "numba<0.66", "numpy<2.4.4", "opencv-python-headless<5",
    "pandas<3.0.3", "pillow<12.2", "psutil", "pydicom<3.0.2", "requests<2.34.2",
    "scikit-image<0.26.1", "scikit-learn<1.9", "scipy<1.17.1", "shapely<=2.1.2",
    "SimpleITK<2.5.5", "tifffile<2026.3.3", "tqdm<4.69", "transformers<5.14.1",
    "umap-learn<0.5.12", "universal-pathlib", "wsidicom<0.34", "zarr<3.2,>=3.0.8",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One row of the table: which script runs, in which interpreter, how."""

    name: str
    script: str
    python: Path
    tuned: bool = False

    @property
    def labels(self) -> str:
        return f"{self.script}{'-tuned' if self.tuned else ''}.npy"


@dataclass(frozen=True)
class Row:
    """Medians of an entry's rounds.

    Parameters
    ----------
    wall_s
        Of the whole process.
    inference_s
        From the slide on the disk to the result on the disk, with everything loaded.
    cpu_s
        Processor seconds of that, all threads: what a machine with other work leaves comparable.
    peak_mb
        Largest resident memory.
    agreement
        Share of tissue pixels with the label of the reference.
    """

    name: str
    wall_s: float
    inference_s: float
    cpu_s: float
    peak_mb: float
    agreement: float
    rounds: int


def make_environment(folder: Path) -> Path:
    """Interpreter of the peers' environment, which is made if it is not there."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True)
        # A local build for processors, where there is one, is 2 GB smaller than the usual one.
        install = [str(python), "-m", "pip", "install"]
        subprocess.run([*install, TORCH, *PACKAGES, *TIATOOLBOX_NEEDS], check=True)
        subprocess.run([*install, "--no-deps", TIATOOLBOX, TORCHVISION, TIMM], check=True)
        ready.touch()
    return python


def prepare(folder: Path, options: argparse.Namespace) -> Path:
    """Slide, tissue and job; the path of the job."""
    import run  # noqa: PLC0415 - a test of the table needs no pipeline
    from PIL import Image  # noqa: PLC0415

    from wsi_pipeline.labels import tissue_within  # noqa: PLC0415
    from wsi_pipeline.stages.inspect import read_record  # noqa: PLC0415
    from wsi_pipeline.stages.resources import find_model  # noqa: PLC0415
    from wsi_pipeline.stages.tile import read_tiled  # noqa: PLC0415

    run.prepare(folder, options)
    record, tiled = read_record(folder / "slide.json"), read_tiled(folder / "tiles.json")
    grid = tiled.plan.grid
    tissue = tissue_within(
        grid.box, grid=grid, sections=tiled.sections, sections_grid=tiled.sections_grid
    )
    np.save(folder / "tissue.npy", tissue)
    Image.fromarray(np.uint8(255) * tissue[::4, ::4]).save(folder / "tissue.png")
    job = {
        "folder": str(folder),
        "slide": str(record.path),
        "level": round(np.log2(grid.mpp / record.info["mpp"])),
        "slide_mpp": record.info["mpp"],
        "model": str(find_model(options.model)),
        "mpp": grid.mpp,
        "window_px": options.window_px,
        "overlap_px": options.overlap_px,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job, indent=1), encoding="utf-8")
    return path


def entries(peers_python: Path, *, only: Sequence[str]) -> list[Entry]:
    """The engine first, then each peer as installed and with the engine's precision."""
    found = [Entry(ENGINE, ENGINE, Path(sys.executable))]
    for name, script in PEERS.items():
        if not only or script in only:
            entry = Entry(name, script, peers_python)
            found += [entry, replace(entry, name=name + TUNED, tuned=True)]
    return found


def measure(entry: Entry, job: Path) -> dict[str, Any]:
    """Run one contestant once."""
    words = [str(entry.python), str(CONTESTANTS / f"{entry.script}.py"), str(job)]
    words += [str(job.with_name(entry.labels)), *(["--tuned"] if entry.tuned else [])]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    start = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    wall = time.perf_counter() - start
    return json.loads(done.stdout.splitlines()[-1]) | {"wall_s": wall}


def agreement(labels: Path, folder: Path) -> float:
    """Share of tissue pixels on which a label map and the reference agree."""
    tissue, reference = np.load(folder / "tissue.npy"), np.load(folder / "reference.npy")
    found = np.load(labels)
    if found.shape != reference.shape:
        raise SystemExit(f"{labels} is {found.shape}, the plane {reference.shape}")
    return float(np.mean(found[tissue] == reference[tissue]))


def summarise(name: str, runs: Sequence[Mapping[str, Any]], *, agreeing: float) -> Row:
    middle = {
        key: statistics.median(run[key] for run in runs)
        for key in ("wall_s", "inference_s", "cpu_s", "peak_mb")
    }
    return Row(name, **middle, agreement=agreeing, rounds=len(runs))


def table(rows: Sequence[Row]) -> str:
    """Rows as Markdown; the first one is what the others are compared with."""
    engine = rows[0]
    lines = [
        "| contestant | rounds | process s | inference s | ÷ engine | processor s | ÷ engine "
        "| peak MB | agreement |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.rounds} | {row.wall_s:.1f} "
        f"| {row.inference_s:.1f} | {row.inference_s / engine.inference_s:.1f} "
        f"| {row.cpu_s:.1f} | {row.cpu_s / engine.cpu_s:.1f} "
        f"| {row.peak_mb:,.0f} | {100 * row.agreement:.2f} % |"
        for row in rows
    ]
    tuned = [row for row in rows if row.name.endswith(TUNED)]
    if tuned:
        best = min(tuned, key=lambda row: row.inference_s)
        wall, cpu = best.inference_s / engine.inference_s, best.cpu_s / engine.cpu_s
        lines += ["", f"Best with our precision: {best.name}: {wall:.1f}, processor {cpu:.1f}."]
    return "\n".join(lines)


def compete(job: Path, contestants: Sequence[Entry], *, rounds: int) -> None:
    found: dict[Entry, list[dict[str, Any]]] = {entry: [] for entry in contestants}
    for number in range(rounds):
        for entry in contestants:
            run = measure(entry, job)
            found[entry].append(run)
            print(f"round {number + 1}: {entry.name}: {run['wall_s']:.1f} s", file=sys.stderr)
        write_results(job.with_name("peers.json"), found)
        print(table_of(found, job.parent), file=sys.stderr)
    print(table_of(found, job.parent))
    versions = {name: v for runs in found.values() for name, v in runs[0]["versions"].items()}
    print("\n" + ", ".join(f"{name} {v}" for name, v in sorted(versions.items())))
    print(f"{len(os.sched_getaffinity(0))} core(s), load {os.getloadavg()[0]:.1f}")


def table_of(found: Mapping[Entry, Sequence[Mapping[str, Any]]], folder: Path) -> str:
    return table(
        [
            summarise(entry.name, runs, agreeing=agreement(folder / entry.labels, folder))
            for entry, runs in found.items()
        ]
    )


def write_results(path: Path, found: Mapping[Entry, Sequence[Mapping[str, Any]]]) -> None:
    runs = {entry.name: list(runs) for entry, runs in found.items()}
    path.write_text(json.dumps(runs, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--environment", type=Path, default=Path("~/.cache/wsi-pipeline-peers"))
    parser.add_argument("--model", default="skin-tumour-5")
    parser.add_argument("--edge-px", type=int, default=20_000)
    parser.add_argument("--phantom-mm", type=float, nargs=2, default=(5.5, 4.0))
    parser.add_argument("--tissue", type=float, default=0.4, help="share of the slide, about")
    parser.add_argument("--tile-px", type=int, default=1024, help="the engine's tiles")
    parser.add_argument("--window-px", type=int, default=512, help="the peers' windows")
    parser.add_argument("--overlap-px", type=int, default=64, help="of the peers' windows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=(), choices=PEERS.values(), metavar="PEER")
    parser.add_argument("--prepare-only", action="store_true")
    options = parser.parse_args()
    folder = options.folder.resolve()
    python = make_environment(options.environment.expanduser().resolve())
    job = prepare(folder, options)
    reference = Entry("reference", "reference", Path(sys.executable))
    if not (folder / reference.labels).exists():
        measure(reference, job)
    if not options.prepare_only:
        compete(job, entries(python, only=options.only), rounds=options.rounds)


if __name__ == "__main__":
    main()
