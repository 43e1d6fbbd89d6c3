"""How well does a model segment phantoms it never saw, and real tissue?

    python benchmarks/accuracy.py [--models ID …] [--data FOLDER] [--phantoms 60]

One table per kind of evidence, model by model:

(a) phantoms from seeds and growth patterns that are kept for testing: Dice per class, mean IoU,
    tumour Jaccard, and what each stress factor costs (``phantom_accuracy.py``);
(b) ``breast_spots``: rank correlation and AUC of the mean tumour probability in each 100 µm
    spot against the share of epithelium that its RNA tells;
(c) ``skin_fields``: balanced accuracy inside hand-drawn scribbles, and the share of tissue
    called tumour on these tumour-free fields;
(d) ``skin_pas``: Dice of epidermis and dermis under another stain;
(e) ``fat``: tiles of fat called subcutis, empty tiles called background;
(f) the novelty score on all of these, on glass and on pen (``novelty_accuracy.py``).

The real images are for evaluation only: nothing may be trained, tuned or stopped on them.
None of them is a scalp metastasis.  Parts whose folder is missing are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from novelty_accuracy import on_ood
from phantom_accuracy import dice, on_phantoms, under_stress
from PIL import Image
from scipy import stats
from skimage.draw import polygon2mask

from wsi_pipeline.classes import (
    ADNEXA,
    BACKGROUND,
    CLASS_NAMES,
    DERMIS,
    EPIDERMIS,
    KERATIN,
    SUBCUTIS,
    TUMOUR,
)
from wsi_pipeline.config import parse_config
from wsi_pipeline.geometry import Grid
from wsi_pipeline.segment import ModelCard, Segmenter, load_segmenter
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.fields import FIRST_TEST_SEED
from wsi_pipeline.stages.inspect import inspect_slide
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.segment import segment_whole
from wsi_pipeline.stages.tile import working_mpp
from wsi_pipeline.tiling import TileShape, plan_whole

SPOT_UM = 100.0
PAS_MPP = 0.325  # not stated for these tiles; the middle of the plausible 0.25-0.4 µm
PAS_COLOURS = {EPIDERMIS: (112, 48, 160), DERMIS: (190, 255, 0), KERATIN: (224, 224, 224)}
FIELD_CLASSES = {
    "background": {BACKGROUND},
    "epidermis": {EPIDERMIS},
    "epithelium": {EPIDERMIS, ADNEXA},
    "adnexa": {ADNEXA},
    "dermis": {DERMIS},
    "keratin": {KERATIN},
}


def segment_file(path: Path, segmenter: Segmenter, mpp: float | None) -> tuple[np.ndarray, Grid]:
    """Float32 probabilities (C, Y, X) of a whole image, and their plane."""
    record = inspect_slide(path, declared=Declared(path.stem), mpp=mpp, config=parse_config({}))
    card = segmenter.card
    with record.open() as slide:
        grid = slide.grid.at_mpp(working_mpp(slide.grid.mpp, card))
    plan = plan_whole(grid, shape=TileShape(1024, card.halo_px, card.stride_px))
    return segment_whole(record, plan, segmenter), grid


def read_file(path: Path, card: ModelCard, mpp: float | None) -> np.ndarray:
    """RGB (Y, X, 3) of a whole image at the model's mpp."""
    record = inspect_slide(path, declared=Declared(path.stem), mpp=mpp, config=parse_config({}))
    with record.open() as slide:
        grid = slide.grid.at_mpp(working_mpp(slide.grid.mpp, card))
        return slide.read_region(grid.box, grid.mpp)


def overlap(found: np.ndarray, wanted: np.ndarray) -> tuple[int, int, int]:
    """Pixels in both, in the first, in the second."""
    return int((found & wanted).sum()), int(found.sum()), int(wanted.sum())


def on_breast_spots(segmenter: Segmenter, folder: Path) -> Iterator[str]:
    """Rank correlation and AUC of the tumour probability in spots, per slide and on average."""
    scores = []
    for path in sorted(folder.glob("*.tiff")):
        with path.with_name(f"{path.stem}_spots.tsv").open(encoding="utf-8") as file:
            spots = list(csv.DictReader(file, delimiter="\t"))
        probabilities, grid = segment_file(path, segmenter, None)
        mpp0 = inspect_slide(path, declared=Declared("s"), mpp=None, config=parse_config({})).info[
            "mpp"
        ]
        means = np.array([spot_mean(probabilities[TUMOUR], spot, grid, mpp0) for spot in spots])
        share = np.array([float(spot["epithelial"]) for spot in spots])
        rho = float(stats.spearmanr(means, share).statistic)
        scores.append((rho, auc(means[share > 0.5], means[share < 0.2])))
        yield f"{path.stem}: Spearman {rho:.3f}, AUC {scores[-1][1]:.3f} ({len(spots)} spots)"
    rho, area = np.mean(scores, axis=0)
    yield f"mean: Spearman {rho:.3f}, AUC {area:.3f}"


def spot_mean(tumour: np.ndarray, spot: dict[str, str], grid: Grid, mpp0: float) -> float:
    """Mean probability in the 100 µm box around a spot."""
    row, column = (float(spot[name]) * mpp0 / grid.mpp for name in ("y_px0", "x_px0"))
    half = SPOT_UM / grid.mpp / 2
    rows = slice(max(0, round(row - half)), round(row + half))
    columns = slice(max(0, round(column - half)), round(column + half))
    return float(tumour[rows, columns].mean())


def auc(high: np.ndarray, low: np.ndarray) -> float:
    """Chance that a value of the first set is larger than one of the second."""
    return float(stats.mannwhitneyu(high, low).statistic / (len(high) * len(low)))


def on_skin_fields(segmenter: Segmenter, folder: Path) -> Iterator[str]:
    """Balanced accuracy inside scribbles; share of tissue called tumour where there is none."""
    scribbles = json.loads((folder / "scribbles.json").read_text())
    # CMU-1-Small-Region has scribbles too, but the shipped model has learnt from it.
    mpps = {"44yr_4x.png": 2.21, "44yr_20x.png": 0.44}
    for name, mpp in mpps.items():
        probabilities, grid = segment_file(folder / name, segmenter, mpp)
        labels = probabilities.argmax(axis=0)
        tumour = float((labels == TUMOUR).sum() / max(1, (labels != BACKGROUND).sum()))
        recalls = {}
        if name in scribbles:
            factor = scribbles[name]["mpp"] / grid.mpp
            recalls = dict(recalls_of(labels, scribbles[name]["scribbles"], factor))
        said = ", ".join(f"{kind} {recall:.2f}" for kind, recall in recalls.items())
        if said:
            said = f"balanced accuracy {np.mean(list(recalls.values())):.3f} ({said}); "
        yield f"{name}: {said}{100 * tumour:.1f} % of tissue called tumour"


def recalls_of(
    labels: np.ndarray, polygons: dict[str, list[list[list[float]]]], factor: float
) -> Iterator[tuple[str, float]]:
    """Share of the pixels inside the scribbles of each kind that got an accepted class."""
    for kind, shapes in polygons.items():
        mask = np.zeros(labels.shape, bool)
        for shape in shapes:
            mask |= polygon2mask(labels.shape, np.array(shape)[:, ::-1] * factor)
        yield kind, float(np.isin(labels[mask], list(FIELD_CLASSES[kind])).mean())


def on_skin_pas(segmenter: Segmenter, folder: Path) -> Iterator[str]:
    """Dice of two layers under periodic acid-Schiff, over all tiles together."""
    counts = {value: np.zeros(3, np.int64) for value in PAS_COLOURS}
    paths = sorted(folder.glob("*.jpg"))
    for path in paths:
        probabilities, grid = segment_file(path, segmenter, PAS_MPP)
        labels = probabilities.argmax(axis=0)
        with Image.open(path.with_name(f"{path.stem}_mask.png")) as image:
            mask = np.asarray(image.convert("RGB").resize(grid.shape[::-1], Image.NEAREST))
        for value, colour in PAS_COLOURS.items():
            counts[value] += overlap(labels == value, (mask == colour).all(axis=-1))
    scores = ", ".join(f"{CLASS_NAMES[value]} {dice(row):.3f}" for value, row in counts.items())
    yield f"Dice: {scores} ({len(paths)} tiles, taken as {PAS_MPP} µm/px)"


def on_fat(segmenter: Segmenter, folder: Path) -> Iterator[str]:
    """Tiles whose most frequent class is the right one."""
    for kind, value in (("adipocyte", SUBCUTIS), ("empty", BACKGROUND)):
        paths = sorted((folder / kind).glob("*.jpg"))
        hits = 0
        for path in paths:
            labels = segment_file(path, segmenter, 0.49)[0].argmax(axis=0)
            hits += int(np.bincount(labels.ravel(), minlength=8).argmax() == value)
        yield f"{kind}: {hits} of {len(paths)} tiles called {CLASS_NAMES[value]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["skin-tumour-5"])
    parser.add_argument("--data", type=Path, help="folder with breast_spots, skin_fields, …")
    parser.add_argument("--phantoms", type=int, default=60)
    parser.add_argument("--stress", action="store_true", help="also what each defect costs")
    options = parser.parse_args()
    for model in options.models:
        segmenter = load_segmenter(find_model(model))
        print(f"\n{model} {segmenter.card.version}, sha256 {segmenter.card.sha256[:16]}…")
        print("(a) phantoms")

        def labels_of(path: Path, segmenter: Segmenter = segmenter) -> tuple[np.ndarray, float]:
            probabilities, grid = segment_file(path, segmenter, None)
            return probabilities.argmax(axis=0), grid.mpp

        print_lines(on_phantoms(labels_of, options.phantoms))
        if options.stress:
            print_lines(under_stress(labels_of))
        if options.data:
            print_real(segmenter, options.data)
        print("(f) novelty")

        def read(path: Path, mpp: float | None, card: ModelCard = segmenter.card) -> np.ndarray:
            return read_file(path, card, mpp)

        novelty = on_ood(
            segmenter,
            options.data,
            read_file=read,
            first_seed=FIRST_TEST_SEED,
            pas_mpp=PAS_MPP,
        )
        print_lines(novelty)


def print_real(segmenter: Segmenter, data: Path) -> None:
    """What the model makes of the real images that are there."""
    parts: dict[str, Callable[[Segmenter, Path], Iterator[str]]] = {
        "breast_spots": on_breast_spots,
        "skin_fields": on_skin_fields,
        "skin_pas": on_skin_pas,
        "fat": on_fat,
    }
    for letter, (name, part) in zip("bcde", parts.items(), strict=True):
        if (data / name).is_dir():
            print(f"({letter}) {name}")
            print_lines(part(segmenter, data / name))


def print_lines(lines: Iterator[str]) -> None:
    for line in lines:
        print(f"    {line}", flush=True)


if __name__ == "__main__":
    main()
