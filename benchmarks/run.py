"""How close does the engine come to what the machine allows?

    python benchmarks/run.py FOLDER [--model lite-unet] [--edge-px 20000] [--workers 2] [--rounds 3]

1. A slide is painted, inspected and tiled, once per FOLDER; a model id, or ``lite-unet`` for the
   default network with a random decoder (its speed is that of any weights).
2. Forward pass, decoding, writing (`benchmarks/floor.py`) and the whole engine run one after the
   other, each in a process of its own, in rounds: what else the machine does disturbs all alike.
3. The medians make one table; its last column is the time over that of the slowest of the three
   floors, which no pipeline that overlaps them perfectly could undercut.

Processor seconds stand beside the wall clock, for a machine that is shared.  Pin the run and give
as many workers: ``taskset -c 1 … --workers 1``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from painted_slide import painted_slide

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.config import parse_config
from wsi_pipeline.tiling import TilePlan

CARD = """
id = "random-lite-unet"
version = "0"
licence = "BSD-3-Clause"
loader = "builtin"
classes = {classes}
mpp = 2.0
stride_px = 16
halo_px = 224
training_data = "none: a random decoder"
intended_use = "timing"
limits = "knows nothing"
[architecture]
name = "lite-unet"
width = {width}
[normalisation]
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
[weights]
file = "weights.safetensors"
sha256 = "{sha256}"
"""
ROWS: dict[str, tuple[str, ...]] = {
    "forward float32, as trained, NCHW": ("forward", "--precision", "float32", "--plain"),
    "forward float32": ("forward", "--precision", "float32"),
    "forward bfloat16": ("forward", "--precision", "bfloat16"),
    "forward bfloat16, whole squares": ("forward", "--precision", "bfloat16", "--squares"),
    "decode": ("decode",),
    "engine bfloat16, whole squares": ("engine", "--precision", "bfloat16", "--squares"),
    "engine float32": ("engine", "--precision", "float32"),
    "engine bfloat16": ("engine", "--precision", "bfloat16"),
    "write": ("write",),
}
OTHER_RUNTIMES = {"openvino": ("float32", "bfloat16", "int8"), "onnxruntime": ("float32", "int8")}


def rows_of_runtimes(*, int8: bool) -> dict[str, tuple[str, ...]]:
    """Forward pass and engine by each other runtime that is installed."""
    return {
        f"{part} {precision}, {runtime}": (part, "--precision", precision, "--runtime", runtime)
        for runtime, precisions in OTHER_RUNTIMES.items()
        if find_spec(runtime) and find_spec("onnx")
        for precision in precisions
        if int8 or precision != "int8"
        for part in ("forward", "engine")
    }


def random_model(folder: Path) -> Path:
    """Model folder of the default network with a random decoder."""
    from safetensors.torch import save_file  # noqa: PLC0415 - the parent must not load torch

    from wsi_pipeline.stages.start import new_start  # noqa: PLC0415

    start = new_start(parse_config({}).train)
    model = folder / "random-lite-unet"
    model.mkdir(exist_ok=True)
    weights = model / "weights.safetensors"
    save_file(start.network.state_dict(), weights)
    card = CARD.format(
        classes=json.dumps(list(CLASS_NAMES)),
        width=start.architecture["width"],
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
    )
    (model / "model.toml").write_text(card, encoding="utf-8")
    return model


def prepare(folder: Path, options: argparse.Namespace) -> None:
    from wsi_pipeline.stages.artefacts import read_json, write_json  # noqa: PLC0415

    slide = painted_slide(
        folder,
        edge_px=options.edge_px,
        phantom_mm=tuple(options.phantom_mm),
        tissue=options.tissue,
    )
    model = str(random_model(folder)) if options.model == "lite-unet" else options.model
    settings = {
        "segment": {"model": model, "device": "cpu"},
        "tiling": {"tile_px": options.tile_px},
    }
    plan = plan_slide(folder, slide, settings)
    squares = read_json(folder / "tiles.json", made_by="tile") | {"plan": plan.squares.to_json()}
    write_json(folder / "squares.json", squares)


def plan_slide(folder: Path, slide: Path, settings: dict[str, Any]) -> TilePlan:
    """Write what `floor.py` needs of a slide: settings, record, tile plan."""
    from wsi_pipeline.stages.artefacts import write_json  # noqa: PLC0415
    from wsi_pipeline.stages.declared import Declared  # noqa: PLC0415
    from wsi_pipeline.stages.inspect import (  # noqa: PLC0415
        inspect_slide,
        with_checksum,
        write_record,
    )
    from wsi_pipeline.stages.tile import tile_slide  # noqa: PLC0415

    write_json(folder / "settings.json", settings)
    config = parse_config(settings)
    record = inspect_slide(slide, declared=Declared(slide.stem), mpp=None, config=config)
    record = with_checksum(record)
    write_record(record, folder / "slide.json", config=config)
    return tile_slide(record, config=config, out=folder / "tiles.json").plan


def measure(folder: Path, words: tuple[str, ...], *, workers: int) -> dict[str, Any]:
    script = Path(__file__).with_name("floor.py")
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(script), str(folder), *words, "--workers", str(workers)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout) | {"process_s": time.perf_counter() - start}


def start_up_s() -> float:
    """Until `wsi-pipeline segment` has everything imported."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import wsi_pipeline.cli\n"
                    "import wsi_pipeline.stages.segment, wsi_pipeline.stages.tile\n"
                    "from wsi_pipeline.segment import load_segmenter"], check=True)  # fmt: skip
    return time.perf_counter() - start


def print_table(found: dict[str, list[dict[str, Any]]], *, workers: int) -> None:
    middle = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in found.items()
    }
    print(
        f"{'':36}{'wall s':>8}{'cpu s':>8}{'tiles/s':>9}{'mm²/s':>8}{'faults':>10}"
        f"{'MiB':>7}{'wall/floor':>12}{'cpu/floor':>11}"
    )
    for name, row in middle.items():
        precision = "float32" if "float32" in name else "bfloat16"
        kinds = [f"forward {precision}", "decode", "write"]
        wall, cpu = (max(middle[kind][key] for kind in kinds) for key in ("wall_s", "cpu_s"))
        print(
            f"{name:36}{row['wall_s']:8.2f}{row['cpu_s']:8.2f}{row['tiles'] / row['wall_s']:9.2f}"
            f"{row['mm2'] / row['wall_s']:8.2f}{row['faults']:10.0f}{row['peak_mib']:7.0f}"
            f"{row['wall_s'] / wall:12.2f}{row['cpu_s'] / cpu:11.2f}"
        )
    own, squares = middle["engine bfloat16"], middle["engine bfloat16, whole squares"]
    print(
        f"{workers} worker(s); {own['tiles']:.0f} tiles; computed per decided pixel "
        f"{own['computed_px'] / own['needed_px']:.2f}; computed {own['computed_px'] / 1e6:.1f} "
        f"Mpx, {squares['computed_px'] / 1e6:.1f} Mpx with whole squares"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="lite-unet")
    parser.add_argument("--edge-px", type=int, default=20_000)
    parser.add_argument("--phantom-mm", type=float, nargs=2, default=(5.5, 4.0))
    parser.add_argument("--tissue", type=float, default=0.4, help="share of the slide, about")
    parser.add_argument("--tile-px", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--int8", action="store_true", help="the model has its network in int8")
    options = parser.parse_args()
    prepare(options.folder, options)
    card = Path(json.loads((options.folder / "settings.json").read_text())["segment"]["model"])
    quantised = options.int8 or (card / "int8.onnx").exists()
    rows = ROWS | rows_of_runtimes(int8=quantised)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
    starts = []
    for number in range(options.rounds):
        starts.append(start_up_s())
        for name, words in rows.items():
            found[name].append(measure(options.folder, words, workers=options.workers))
            print(f"round {number + 1}: {name}: {found[name][-1]['wall_s']:.2f} s", file=sys.stderr)
    print_table(found, workers=options.workers)
    print(f"start-up {statistics.median(starts):.1f} s; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
