"""What does a model make of phantoms it never saw, clean and under stress?

Used by ``accuracy.py``.  The test set has its own seeds and all growth patterns, among them
trabeculae and cords alone, which no training phantom has.  Every stress factor is applied alone to
the same slides, so that the drop is that factor's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from wsi_pipeline.classes import CLASS_NAMES, TUMOUR
from wsi_pipeline.phantom import (
    Architecture,
    Artefacts,
    PhantomSpec,
    Section,
    paint_phantom,
    sample_spec,
    vary_lesion,
    write_slide_tiff,
)
from wsi_pipeline.stages.fields import FIRST_TEST_SEED, TRAINING_PATTERNS

PATTERNS: tuple[Architecture, ...] = (
    "solid",
    "trabecular",
    "solid-cord",
    "none",
    "cord",
    "glandular",
    "single-file",
)
SECTIONS: tuple[Section, ...] = ("vertical", "vertical", "horizontal", "vertical", "stroma")
STRESSED = 10

SegmentFile = Callable[[Path], tuple[np.ndarray, float]]
"""A slide file becomes labels (Y, X) and the width of their pixels, µm."""

STRESS: dict[str, Callable[[PhantomSpec], PhantomSpec]] = {
    "none": lambda spec: spec,
    "haematoxylin x 0.6": lambda spec: replace(spec, haematoxylin=0.6 * spec.haematoxylin),
    "haematoxylin x 1.5": lambda spec: replace(spec, haematoxylin=1.5 * spec.haematoxylin),
    "eosin x 0.6": lambda spec: replace(spec, eosin=0.6 * spec.eosin),
    "stain turned 8°": lambda spec: replace(spec, stain_rotation_deg=8.0),
    "tinted glass": lambda spec: replace(spec, glass_rgb=(228, 214, 230)),
    "blur 2.5 µm": lambda spec: replace(spec, psf_um=2.5),
    "JPEG quality 25": lambda spec: replace(spec, jpeg_quality=25),
    "pen": lambda spec: defects(spec, pen_strokes=2),
    "folds and tears": lambda spec: defects(spec, folds=4, tears=4),
    "bubbles and dust": lambda spec: defects(spec, bubbles=3, dust=12),
    "frozen section": lambda spec: replace(spec, frozen=0.7),
    "tone curve": lambda spec: replace(
        spec, artefacts=Artefacts(seed=spec.seed, gamma=(1.3, 1.4, 1.25), vignette=0.3)
    ),
}


def defects(spec: PhantomSpec, **counts: int) -> PhantomSpec:
    return replace(spec, artefacts=Artefacts(seed=spec.seed, **counts))


def spec_of(number: int) -> PhantomSpec:
    """The test phantom of a number: every pattern, four of five sections of skin."""
    seed = FIRST_TEST_SEED + number
    spec = sample_spec(
        seed,
        section=SECTIONS[number % len(SECTIONS)],
        architecture=PATTERNS[number % len(PATTERNS)],
        width_mm=2.2,
        height_mm=2.0,
    )
    return vary_lesion(spec)


def count_overlaps(
    segment_file: SegmentFile, spec: PhantomSpec, folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Per class pixels in both, found, true (C, 3); and the confusion matrix (true, found)."""
    phantom = paint_phantom(spec)
    path = folder / "phantom.tiff"
    write_slide_tiff(path, phantom.image, mpp=spec.mpp, jpeg_quality=spec.jpeg_quality)
    found, mpp = segment_file(path)
    centres = [
        np.minimum(((np.arange(count) + 0.5) * mpp / spec.mpp).astype(int), limit - 1)
        for count, limit in zip(found.shape, phantom.labels.shape, strict=True)
    ]
    truth = phantom.labels[np.ix_(*centres)]
    kinds = len(CLASS_NAMES)
    confusion = np.bincount(
        truth.ravel().astype(int) * kinds + found.ravel(), minlength=kinds * kinds
    ).reshape(kinds, kinds)
    counts = np.stack([confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)], axis=-1)
    return counts, confusion


def dice(counts: np.ndarray) -> float:
    both, found, wanted = counts
    return float(2 * both / (found + wanted)) if found + wanted else float("nan")


def jaccard(counts: np.ndarray) -> float:
    both, found, wanted = counts
    return float(both / (found + wanted - both)) if found + wanted else float("nan")


def mean_iou(counts: np.ndarray) -> float:
    return float(np.nanmean([jaccard(row) for row in counts]))


def on_phantoms(segment_file: SegmentFile, count: int) -> Iterator[str]:
    """Dice, IoU and Jaccard over all pixels of the clean test phantoms together."""
    kinds = len(CLASS_NAMES)
    counts, confusion = np.zeros((kinds, 3), np.int64), np.zeros((kinds, kinds), np.int64)
    unseen = np.zeros((kinds, 3), np.int64)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            spec = spec_of(number)
            one, matrix = count_overlaps(segment_file, spec, Path(folder))
            counts, confusion = counts + one, confusion + matrix
            if spec.architecture not in TRAINING_PATTERNS:
                unseen += one
    scores = "  ".join(
        f"{name} {dice(row):.3f}" for name, row in zip(CLASS_NAMES, counts, strict=True)
    )
    yield f"Dice: {scores}"
    yield (
        f"mean IoU {mean_iou(counts):.3f}, tumour Jaccard {jaccard(counts[TUMOUR]):.3f} "
        f"({count} slides); patterns never trained on: tumour Jaccard "
        f"{jaccard(unseen[TUMOUR]):.3f}"
    )
    yield "confusion, % of each true class (rows) called each class (columns):"
    for name, row in zip(CLASS_NAMES, confusion, strict=True):
        shares = " ".join(f"{100 * value / max(1, row.sum()):5.1f}" for value in row)
        yield f"  {name:<12} {shares}"


def under_stress(segment_file: SegmentFile) -> Iterator[str]:
    """The same slides with one thing changed at a time."""
    base = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, change in STRESS.items():
            counts = np.zeros((len(CLASS_NAMES), 3), np.int64)
            for number in range(STRESSED):
                spec = change(replace(spec_of(number), width_mm=1.8, height_mm=1.6))
                counts += count_overlaps(segment_file, spec, Path(folder))[0]
            score = mean_iou(counts)
            base = base or score
            yield (
                f"{name:<20} mean IoU {score:.3f} ({score - base:+.3f}), "
                f"tumour Jaccard {jaccard(counts[TUMOUR]):.3f}"
            )
