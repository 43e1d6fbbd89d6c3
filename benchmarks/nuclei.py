"""How well are nuclei found, outlined and graded?

    python benchmarks/nuclei.py [--model nuclei-1|none] [--data FOLDER] [--phantoms 36]
        [--first-seed 900000] [--fields]

(a) phantoms from seeds that are kept for testing, gated by their true labels: detection,
    outlines, and whether the grade is the one that was painted;
(b) with --fields: the fields of ``nuclei/`` (MoNuSeg, 0.25 µm/px, several organs), one by one, the
    breast fields also by themselves.

How it is scored, after Kumar et al. 2017 (doi:10.1109/TMI.2017.2677499) and Graham et al. 2019
(doi:10.1016/j.media.2019.101563):

F1 centre   found and true nuclei paired one to one, nearest first, if their centroids lie
            within 3 µm
F1 overlap  paired if intersection over union is above 0.5
AJI         aggregated Jaccard index
Dice        of all nuclear pixels
area        mean area of all found over that of all true nuclei, less one

The fields are for evaluation only: nothing may be tuned on them.  None shows skin.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.measure import measure_nuclei
from wsi_pipeline.measure.nuclear_grade import grade_of
from wsi_pipeline.phantom import Phantom, number_nuclei, paint_phantom, sample_spec, vary_lesion
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.fields import FIRST_TEST_SEED
from wsi_pipeline.stages.inspect import inspect_slide
from wsi_pipeline.stages.nuclei import find_nuclei
from wsi_pipeline.stages.nuclei_tile import Gate
from wsi_pipeline.store import read_points

FIELD_MPP = 0.25
BREAST = ("TCGA-A7-A13E", "TCGA-AR-A1AK", "TCGA-AR-A1AS", "TCGA-E2-A1B5")
NEAR_UM = 3.0
PATTERNS = ("solid", "cord", "solid-cord", "trabecular", "glandular", "single-file")
Nuclei = dict[str, np.ndarray]


class Score(NamedTuple):
    true: int
    found: int
    f1_centre: float
    f1_overlap: float
    aji: float
    dice: float
    area: float

    def __str__(self) -> str:
        return (
            f"{self.true:5d} true {self.found:5d} found   F1 centre {self.f1_centre:.3f}  "
            f"F1 overlap {self.f1_overlap:.3f}  AJI {self.aji:.3f}  Dice {self.dice:.3f}  "
            f"area {self.area:+.1%}"
        )


class Overlaps(NamedTuple):
    """Pairs of true and found nuclei that share pixels; areas by number, 0 for none."""

    true: np.ndarray
    found: np.ndarray
    shared_px: np.ndarray
    true_px: np.ndarray
    found_px: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        union = self.true_px[self.true] + self.found_px[self.found] - self.shared_px
        return self.shared_px / union


def overlaps_of(true: np.ndarray, found: np.ndarray) -> Overlaps:
    count = int(found.max()) + 1
    keys, shared = np.unique(true.astype(np.int64) * count + found, return_counts=True)
    one, two = np.divmod(keys, count)
    both = (one > 0) & (two > 0)
    true_px, found_px = np.bincount(true.ravel()), np.bincount(found.ravel())
    true_px[0] = found_px[0] = 0
    return Overlaps(one[both], two[both], shared[both], true_px, found_px)


def aggregated_jaccard(pairs: Overlaps) -> float:
    """Each true nucleus with the found one it overlaps best; found ones never used count whole."""
    order = np.lexsort((pairs.iou, pairs.true))
    best = np.full(len(pairs.true_px), -1)
    best[pairs.true[order]] = order
    met = best[best >= 0]
    unmet_px = pairs.true_px[best < 0].sum()
    shared = pairs.shared_px[met].sum()
    used = pairs.found[met]
    union = (pairs.true_px[pairs.true[met]] + pairs.found_px[used]).sum() - shared
    unused_px = pairs.found_px.sum() - pairs.found_px[np.unique(used)].sum()
    return float(shared / (union + unmet_px + unused_px))


def centres(labels: np.ndarray) -> np.ndarray:
    row, column = np.nonzero(labels)
    number = labels[row, column]
    area = np.bincount(number)
    keep = area > 0
    return np.stack(
        [np.bincount(number, places)[keep] / area[keep] for places in (row, column)], axis=1
    )


def paired_centres(true: np.ndarray, found: np.ndarray, reach_px: float) -> int:
    """Pairs within reach, nearest first, each nucleus once."""
    distances = cKDTree(true).sparse_distance_matrix(
        cKDTree(found), reach_px, output_type="ndarray"
    )
    ones, twos = set(), set()
    for pair in np.sort(distances, order="v"):
        if pair["i"] not in ones and pair["j"] not in twos:
            ones.add(pair["i"])
            twos.add(pair["j"])
    return len(ones)


def score(true: np.ndarray, found: np.ndarray, mpp: float) -> Score:
    pairs = overlaps_of(true, found)
    trues, founds = (int((px > 0).sum()) for px in (pairs.true_px, pairs.found_px))
    near = paired_centres(centres(true), centres(found), NEAR_UM / mpp)
    mean_true = pairs.true_px.sum() / trues
    mean_found = pairs.found_px.sum() / max(founds, 1)
    return Score(
        trues,
        founds,
        2 * near / (trues + founds),
        2 * int((pairs.iou > 0.5).sum()) / (trues + founds),
        aggregated_jaccard(pairs),
        float(2 * pairs.shared_px.sum() / (pairs.true_px.sum() + pairs.found_px.sum())),
        float(mean_found / mean_true - 1),
    )


def mean_score(scores: list[Score]) -> Score:
    rows = np.array(scores, float)
    totals = rows[:, :2].sum(axis=0).astype(int).tolist()
    return Score(*totals, *rows[:, 2:].mean(axis=0).tolist())


def find(rgb: np.ndarray, mpp: float, config: Config) -> tuple[np.ndarray, Nuclei, float]:
    """Nuclei of a picture, as a slide of it would give them: map, columns, and time spent, s."""
    with tempfile.TemporaryDirectory() as name:
        slide, out = Path(name, "slide.png"), Path(name, "nuclei.parquet")
        Image.fromarray(rgb).save(slide)
        record = inspect_slide(slide, declared=Declared("slide"), mpp=mpp, config=config)
        start = time.process_time()
        find_nuclei(
            record,
            gate=Gate(None, only_tumour=False),
            config=config,
            out=out,
            instances=out.with_suffix(".npy"),
        )
        spent = time.process_time() - start
        return np.load(out.with_suffix(".npy")).astype(np.int64), read_points(out)[0], spent


def paint(seed: int) -> Phantom:
    """Small phantom with the optics and noise of an ordinary scanner."""
    rng = np.random.default_rng([seed, 51])
    spec = sample_spec(
        seed,
        section="stroma" if seed % 2 else "horizontal",
        architecture=PATTERNS[seed % len(PATTERNS)],
        grade=(1, 2, 3)[seed // len(PATTERNS) % 3],
        width_mm=0.8,
        height_mm=0.8,
    )
    spec = replace(
        vary_lesion(spec),
        margin_mm=0.03,
        lateral_span=0.95,
        psf_um=float(rng.uniform(0.25, 0.55)),
        noise=float(rng.uniform(0.004, 0.012)),
        jpeg_quality=int(rng.integers(65, 93)),
    )
    return paint_phantom(spec)


def compressed(phantom: Phantom) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(phantom.image).save(file, "JPEG", quality=phantom.spec.jpeg_quality)
    return np.asarray(Image.open(file))


def on_phantoms(first_seed: int, count: int, config: Config) -> Iterator[str]:
    scores, exact, words, seconds, area_mm2 = [], [], [], 0.0, 0.0
    for seed in range(first_seed, first_seed + count):
        phantom = paint(seed)
        mpp, grade = phantom.spec.mpp, phantom.spec.grade
        labels, table, spent = find(compressed(phantom), mpp, config)
        seconds, area_mm2 = seconds + spent, area_mm2 + labels.size * mpp**2 / 1e6
        true = number_nuclei(phantom.nuclei, phantom.labels, mpp=mpp)
        scores.append(score(true, labels, mpp))
        row, column = (np.floor(table[name] / mpp).astype(int) for name in ("down_um", "right_um"))
        in_tumour = phantom.labels[row, column] == TUMOUR
        tumour = {name: values[in_tumour] for name, values in table.items()}
        values = measure_nuclei(tumour, settings=config.grade)
        mean, cv = (values[name].value for name in ("nuclear_area_mean_um2", "nuclear_area_cv"))
        word = str(values["nuclear_grade"].value)
        true_mean = phantom.truth["nuclear_area_mean_um2"]
        if mean is not None:
            exact.append(grade_of(mean, cv, settings=config.grade) == grade)
            words.append((word, str(grade)))
        yield (
            f"{seed} {phantom.spec.architecture:11} grade {grade}: {word:14} mean "
            f"{mean or float('nan'):5.1f} µm² (true {true_mean:5.1f}), "
            f"CV {cv or float('nan'):.2f}  {scores[-1]}"
        )
    sure = [one == other for one, other in words if "borderline" not in one]
    borderline = len(words) - len(sure)
    yield f"mean of {count}: {mean_score(scores)}"
    yield (
        f"grade exact {np.mean(exact):.3f} of {len(exact)} that could be graded; {borderline} said "
        f"to be borderline, {sum(other in one for one, other in words) / len(words):.3f} name the "
        f"true grade; {area_mm2 / seconds:.2f} mm²/s on one core at 0.5 µm/px"
    )


def on_fields(folder: Path, config: Config) -> Iterator[str]:
    scores = {}
    for path in sorted(folder.glob("*_instances.png")):
        name = path.name.removesuffix("_instances.png")
        true = np.asarray(Image.open(path)).astype(np.int64)
        rgb = np.asarray(Image.open(folder / f"{name}.png").convert("RGB"))
        labels, _, _ = find(rgb, FIELD_MPP, config)
        scores[name] = score(true, labels, FIELD_MPP)
        yield f"{name:24}{scores[name]}"
    if scores:
        yield f"{'mean of all':24}{mean_score(list(scores.values()))}"
        breast = [value for name, value in scores.items() if name.startswith(BREAST)]
        yield f"{'mean of breast':24}{mean_score(breast)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--phantoms", type=int, default=36)
    parser.add_argument("--first-seed", type=int, default=FIRST_TEST_SEED)
    parser.add_argument("--fields", action="store_true", help="also score the real fields")
    parser.add_argument("--model", default="nuclei-1", help="id or folder, or none")
    options = parser.parse_args()
    config = parse_config({"nuclei": {"model": options.model}})
    if options.phantoms:
        print("(a) phantoms")
        for line in on_phantoms(options.first_seed, options.phantoms, config):
            print("   ", line, flush=True)
    if options.fields and (options.data / "nuclei").is_dir():
        print("(b) MoNuSeg fields; for evaluation only")
        for line in on_fields(options.data / "nuclei", config):
            print("   ", line, flush=True)


if __name__ == "__main__":
    main()
