"""How far from the truth are depths, full thickness and the Grenz zone?

    python benchmarks/measurements.py --labels truth [--phantoms 72] [--workers 2]
    python benchmarks/measurements.py --model ID [--phantoms 24]

Phantoms from seeds that are kept for testing, on which nothing was tuned, measured from their
true label map at 2 µm per pixel, or from what a model makes of their picture.  The truth comes
from `tests/measure/true_values.py`: the phantom's formulas, with none of the library's code.

(a) error of every headline value, beside the limit it must keep;
(b) what turning, mirroring and rescaling the glass changes: nothing but the pixels differ;
(c) time and memory for a vertical section 2 cm long.

Agreement with phantoms is metrology; it says nothing about human tissue.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "measure"))
from accuracy import segment_file
from true_values import paint_labels, true_values

from wsi_pipeline.classes import BACKGROUND, TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.geometry import Grid
from wsi_pipeline.labels import label_map, quantise
from wsi_pipeline.measure import SlideMeasurements, measure_slide
from wsi_pipeline.phantom import (
    PhantomSpec,
    paint_phantom,
    sample_spec,
    vary_lesion,
    write_slide_tiff,
)
from wsi_pipeline.segment import load_segmenter
from wsi_pipeline.stages.fields import FIRST_TEST_SEED
from wsi_pipeline.stages.resources import find_model

MPP = 2.0
ARCHITECTURES = ("solid-cord", "cord", "solid", "trabecular", "single-file", "glandular", "none")
Found = dict[str, tuple[Any, Any, Any]]  # name: truth, value, interval

# name, statistic of the error, limit with true labels, limit with a model's
LIMITS: tuple[tuple[str, str, float, float], ...] = (
    ("depth_max_um", "median", 10.0, 50.0),
    ("depth_max_um", "95th", 30.0, 150.0),
    ("relative_depth_max", "mean", 0.01, 0.03),
    ("full_thickness_fraction", "mean", 0.02, 0.05),
    ("full_thickness_call", "exact", 0.97, 0.90),
    ("grenz_median_um", "median", 5.0, 10.0),
    ("infiltration_fraction", "mean", 0.01, 0.05),
    ("full_thickness_run_um", "median", 30.0, 150.0),
    ("dermal_thickness_median_um", "median", 20.0, 50.0),
    ("subcutis_extension_um", "median", 20.0, 50.0),
    ("lateral_extent_mm", "median", 0.05, 0.2),
)
LEAST_KAPPA = 0.9
STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "median": lambda e: float(np.median(e)),
    "95th": lambda e: float(np.percentile(e, 95)),
    "mean": lambda e: float(e.mean()),
    "exact": lambda e: float((e == 0).mean()),
}


def spec_of(number: int) -> PhantomSpec:
    """Test phantom: growth patterns in turn, every third one turned, 2.4 to 4 mm of glass."""
    seed = FIRST_TEST_SEED + 40_000 + number
    rng = np.random.default_rng([seed, 99])
    width, height = float(rng.uniform(2.8, 4.0)), float(rng.uniform(2.4, 2.8))
    spec = sample_spec(
        seed,
        architecture=ARCHITECTURES[number % len(ARCHITECTURES)],
        width_mm=width,
        height_mm=height,
    )
    low = float(rng.uniform(0.0, 0.14))
    high = float(rng.choice([0.5, 0.8, 0.92, 0.97, 1.0, 1.15, 1.3]))
    spec = dataclasses.replace(vary_lesion(spec), depth_span=(low, high), mpp=MPP)
    if number % 3 == 0:
        edge = max(width, 3.4)
        angle = float(rng.uniform(0, 360))
        spec = dataclasses.replace(spec, rotation_deg=angle, width_mm=edge, height_mm=edge)
    return spec


def measure(
    labels: np.ndarray, mpp: float, probability: np.ndarray | None = None
) -> SlideMeasurements:
    """Measure a map that holds one vertical section."""
    grid = Grid(labels.shape, mpp)
    coarse = grid.at_mpp(4 * mpp)
    return measure_slide(
        labels,
        grid=grid,
        sections=np.ones(coarse.shape, np.uint8),
        sections_grid=coarse,
        declared_section="vertical",
        settings=MeasureSettings(),
        tumour_probability=probability,
    )


def compare(number: int, segment: Callable[..., Any] | None = None) -> tuple[int, Found]:
    """Truth and measurement of one phantom."""
    spec = spec_of(number)
    layout, labels = paint_labels(spec)
    truth = true_values(layout, labels)
    found = measure(labels, MPP) if segment is None else measure(*segment(spec))
    pairs = {}
    for name, value in truth.items():
        own = found.values[name]
        pairs[name] = (value, own.value, own.interval)
    return number, pairs


def with_model(model: str) -> Callable[[PhantomSpec], tuple[np.ndarray, float, np.ndarray]]:
    """Function that paints a phantom and segments its picture."""
    segmenter = load_segmenter(find_model(model))

    def segment(spec: PhantomSpec) -> tuple[np.ndarray, float, np.ndarray]:
        phantom = paint_phantom(dataclasses.replace(spec, mpp=0.5))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "phantom.tiff"
            write_slide_tiff(path, phantom.image, mpp=0.5, jpeg_quality=spec.jpeg_quality)
            probabilities, grid = segment_file(path, segmenter, None)
        stored = quantise(probabilities)
        tissue = np.ones(grid.shape, bool)
        return label_map(stored, tissue=tissue), grid.mpp, stored[TUMOUR]

    return segment


def accuracy(results: list[Found], *, is_model: bool) -> Iterator[str]:
    """Lines of table (a)."""
    yield "value                        statistic     error    limit   phantoms"
    for name, statistic, limit_truth, limit_model in LIMITS:
        limit = limit_model if is_model else limit_truth
        pairs = [found[name][:2] for found in results if name in found]
        known = [(true, own) for true, own in pairs if true is not None and own is not None]
        if isinstance(known[0][0], str):
            errors = np.array([float(true != own) for true, own in known])
        else:
            errors = np.abs(np.array([own - true for true, own in known]))
        value = STATISTICS[statistic](errors)
        good = value >= limit if statistic == "exact" else value <= limit
        yield (
            f"{name:28s} {statistic:9s} {value:9.4g} {limit:8g} {len(known):6d} of {len(pairs)}"
            f"{'' if good else '   MISSED'}"
        )
    calls = [found["full_thickness_call"][:2] for found in results]
    kappa = agreement([(true, own) for true, own in calls if own is not None])
    missed = is_model and kappa < LEAST_KAPPA
    yield (
        f"{'full_thickness_call':28s} {'kappa':9s} {kappa:9.4g} {LEAST_KAPPA:8g} {len(calls):6d}"
        f"{'   MISSED' if missed else ''}"
    )
    for (true, own), count in sorted(Counter(calls).items(), key=str):
        if true != own:
            yield f"    {count} called {own} for {true}"
    yield from coverage(results)


def agreement(pairs: list[tuple[str, str]]) -> float:
    """Cohen's kappa (doi:10.1177/001316446002000104): agreement beyond chance."""
    true, own = (Counter(side) for side in zip(*pairs, strict=True))
    met = sum(one == other for one, other in pairs) / len(pairs)
    chance = sum(true[word] * own[word] for word in true) / len(pairs) ** 2
    return (met - chance) / (1 - chance)


def coverage(results: list[Found]) -> Iterator[str]:
    """How often the truth lies within the interval."""
    names = [name for name in results[0] if any(f.get(name, (0, 0, 0))[2] for f in results)]
    for name in names:
        held = [
            interval[0] <= true <= interval[1]
            for true, _, interval in (found[name] for found in results if name in found)
            if interval is not None
        ]
        yield f"{name:28s} within its interval on {sum(held)} of {len(held)}"


VARIED = (
    "depth_max_um",
    "relative_depth_max",
    "infiltration_fraction",
    "full_thickness_fraction",
    "full_thickness_run_um",
    "grenz_median_um",
    "dermal_thickness_median_um",
    "lateral_extent_mm",
    "front_roughness",
    "tumour_stroma_ratio",
)


def invariance(numbers: tuple[int, ...]) -> Iterator[str]:
    """Lines of table (b)."""
    kinds = ("turned by 0-315°", "mirrored", "1-4 µm/px")
    spreads: dict[str, list[list[float]]] = {name: [[], [], []] for name in VARIED}
    calls = set()
    for number in numbers:
        spec = dataclasses.replace(spec_of(number), mpp=1.0)
        _, fine = paint_labels(spec)
        variants = (
            [rescanned(fine, angle=a, mpp=MPP) for a in (0, 17, 45, 90, 133, 200, 315)],
            [rescanned(fine, angle=8, mpp=MPP)[:, ::step] for step in (1, -1)],
            [rescanned(fine, angle=8, mpp=mpp) for mpp in (1.0, 2.0, 3.0, 4.0)],
        )
        for kind, (maps, mpps) in enumerate(
            zip(variants, ([MPP] * 7, [MPP] * 2, (1.0, 2.0, 3.0, 4.0)), strict=True)
        ):
            found = [measure(labels, mpp).values for labels, mpp in zip(maps, mpps, strict=True)]
            calls.add((number, *sorted({f["full_thickness_call"].value for f in found})))
            for name in VARIED:
                values = [f[name].value for f in found]
                if None not in values:
                    spreads[name][kind].append(max(values) - min(values))
    yield "largest minus smallest        " + "  ".join(f"{kind:>18s}" for kind in kinds)
    for name, kinds_of in spreads.items():
        yield f"{name:28s}  " + "  ".join(f"{max(s, default=np.nan):18.4g}" for s in kinds_of)
    yield f"phantoms whose call changed: {sum(len(c) > 2 for c in calls)}"


def rescanned(fine: np.ndarray, *, angle: float, mpp: float) -> np.ndarray:
    """Label map at 1 µm/px, seen turned by an angle on other pixels."""
    edge = int(np.ceil(np.hypot(*fine.shape) / mpp)) + 40
    at = (np.arange(edge) + 0.5 - edge / 2) * mpp
    down, right = np.meshgrid(at, at, indexing="ij")
    turn = np.radians(angle)
    row = np.floor(down * np.cos(turn) - right * np.sin(turn) + fine.shape[0] / 2).astype(int)
    column = np.floor(down * np.sin(turn) + right * np.cos(turn) + fine.shape[1] / 2).astype(int)
    on = (row >= 0) & (column >= 0) & (row < fine.shape[0]) & (column < fine.shape[1])
    seen = np.zeros(on.shape, np.uint8)
    seen[on] = fine[row[on], column[on]]
    return seen


def long_section() -> np.ndarray:
    """Label map of 2 cm of skin at 2 µm/px: a phantom and its mirror image in turn."""
    spec = dataclasses.replace(spec_of(1), rotation_deg=0.0, ulceration=False)
    _, labels = paint_labels(spec)
    tissue = np.flatnonzero((labels != BACKGROUND).mean(axis=0) > 0.5)
    own = labels[:, tissue[60] : tissue[-60]]
    count = int(np.ceil(20_000 / MPP / own.shape[1]))
    row = np.concatenate([own[:, :: 1 if n % 2 else -1] for n in range(count)], axis=1)
    return np.pad(row[:, : int(20_000 / MPP)], 50)


def cost() -> tuple[float, float, float, tuple[int, ...]]:
    """Seconds (wall, processor) for it, and the most memory in GB that is held on the way."""
    labels = long_section()
    wall, own = time.perf_counter(), time.process_time()
    measure(labels, MPP)
    spent = time.perf_counter() - wall, time.process_time() - own
    tracemalloc.start()
    measure(labels, MPP)
    peak = tracemalloc.get_traced_memory()[1] / 1e9
    tracemalloc.stop()
    return (*spent, peak, labels.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--labels", choices=["truth"], default="truth")
    source.add_argument("--model", help="model id: measure what it makes of painted phantoms")
    parser.add_argument("--phantoms", type=int, default=72)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    numbers = range(options.phantoms)
    if options.model:
        segment = with_model(options.model)
        results = [compare(number, segment)[1] for number in numbers]
    else:
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            results = [found for _, found in pool.imap(compare, numbers)]
    print(f"(a) {options.phantoms} phantoms, {options.model or 'true'} labels")
    print("\n".join(accuracy(results, is_model=bool(options.model))), flush=True)
    if options.model:
        return
    print("(b) the same tissue, scanned otherwise")
    print("\n".join(invariance((1, 2, 7))))
    wall, own, gigabytes, shape = cost()
    print(f"(c) 2 cm at {MPP:g} µm/px, {shape[0]} × {shape[1]} px: {wall:.1f} s ({own:.1f} s of")
    print(f"    processor time), {gigabytes:.2f} GB of memory beside the label map")


if __name__ == "__main__":
    main()
