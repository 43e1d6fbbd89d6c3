"""How right are growth patterns, orientations and follicle counts, and what do they cost?

    python benchmarks/architecture.py [--phantoms 60] [--orientations 60]
                                      [--only abcdef] [--model ID]

(a) bias of the local thickness against strips and discs, and against the slow twin;
(b) growth pattern: confusion over phantoms of six families, and by family the least margin;
(c) orientation: confusion over vertical, horizontal and plain-stroma phantoms;
(d) follicles and follicular units on the horizontal ones of (c);
(e) spread of the shares over turns, mirror images and pixel widths;
(f) time and memory of a 2 cm section at 2 µm per pixel.

Labels are the true ones, drawn without painting a picture.  With ``--model``, (b) and (c)
paint each phantom and take the labels of that model instead.  Seeds from 900,000 on are for
testing: no limit was chosen on them.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from wsi_pipeline.classes import ADNEXA, CLASS_NAMES, TUMOUR
from wsi_pipeline.config import MeasureSettings, parse_config
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.measure import SlideMeasurements, measure_slide
from wsi_pipeline.measure.architecture import SHARE_UNITS, measure_architecture
from wsi_pipeline.measure.plane import SectionPlane, section_planes
from wsi_pipeline.measure.width import local_thickness_px, squared_distances
from wsi_pipeline.phantom import (
    PhantomSpec,
    paint_phantom,
    sample_spec,
    vary_lesion,
    write_slide_tiff,
)
from wsi_pipeline.phantom.adnexa import Kind, draw_adnexa_horizontal
from wsi_pipeline.phantom.block import label_block, read_block
from wsi_pipeline.phantom.spec import section_extent_um
from wsi_pipeline.phantom.tissue import Layout, lay_out
from wsi_pipeline.segment import Segmenter, load_segmenter
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import inspect_slide
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.segment import segment_whole
from wsi_pipeline.stages.tile import working_mpp
from wsi_pipeline.tiling import TileShape, plan_whole

FIRST_SEED = 910_000
MPP = 2.0
BLOCK_PX = 1024
PATTERNS = {
    "solid": "solid",
    "cord": "cord-trabecular",
    "solid-cord": "solid-cord",
    "trabecular": "cord-trabecular",
    "single-file": "single-file",
    "glandular": "glandular",
}
WORDS = ("solid", "solid-cord", "cord-trabecular", "single-file", "glandular", "mixed")
ORIENTATIONS = {
    "vertical": "vertical",
    "horizontal": "horizontal",
    "stroma": "indeterminate",
}


def true_labels(layout: Layout) -> np.ndarray:
    """Label plane of a phantom, block by block; its horn is whole."""
    plane = Box.of_shape(layout.nodes.frame.shape)
    labels = np.empty(plane.shape, np.uint8)
    for top in range(0, plane.height, BLOCK_PX):
        for left in range(0, plane.width, BLOCK_PX):
            box = Box(top, left, top + BLOCK_PX, left + BLOCK_PX) & plane
            horn = np.ones(box.shape, np.bool_)
            labels[box.slices] = label_block(read_block(layout, box), horn=horn)
    return labels


def labels_of(spec: PhantomSpec, segmenter: Segmenter | None) -> tuple[np.ndarray, Grid]:
    """True labels, or those of a model on the painted picture."""
    if segmenter is None:
        labels = true_labels(lay_out(dataclasses.replace(spec, mpp=MPP)))
        return labels, Grid(labels.shape, MPP)
    phantom, card = paint_phantom(spec), segmenter.card
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom.tiff"
        write_slide_tiff(path, phantom.image, mpp=spec.mpp, jpeg_quality=spec.jpeg_quality)
        record = inspect_slide(path, declared=Declared("p"), mpp=None, config=parse_config({}))
        with record.open() as slide:
            grid = slide.grid.at_mpp(working_mpp(slide.grid.mpp, card))
        plan = plan_whole(grid, shape=TileShape(1024, card.halo_px, card.stride_px))
        return segment_whole(record, plan, segmenter).argmax(axis=0).astype(np.uint8), grid


def whole_section(grid: Grid) -> tuple[np.ndarray, Grid]:
    """Section map that takes all of a plane for one section."""
    coarse = grid.at_mpp(8 * grid.mpp)
    return np.ones(coarse.shape, np.uint8), coarse


def plane_of(labels: np.ndarray, grid: Grid) -> SectionPlane:
    sections, sections_grid = whole_section(grid)
    (plane,) = section_planes(
        labels,
        grid=grid,
        sections=sections,
        sections_grid=sections_grid,
        mpp=MeasureSettings().mpp,
        margin_um=0.0,
    )
    return plane


def shares_of(labels: np.ndarray, grid: Grid) -> dict[str, float]:
    found = measure_architecture(plane_of(labels, grid))
    return {name: float(found[name].value or 0) for name in SHARE_UNITS}


def measure(labels: np.ndarray, grid: Grid, never_called: tuple[str, ...]) -> SlideMeasurements:
    sections, sections_grid = whole_section(grid)
    return measure_slide(
        labels,
        grid=grid,
        sections=sections,
        sections_grid=sections_grid,
        declared_section="auto",
        settings=MeasureSettings(),
        never_called=never_called,
    )


# ------------------------------------------------------------------ (a) thickness


def strip(width_px: float, angle: float, shift: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:200, :200] - 100 + shift[:, None, None]
    return np.abs(y * math.cos(angle) - x * math.sin(angle)) < width_px / 2


def disc(diameter_px: float, shift: np.ndarray) -> np.ndarray:
    side = math.ceil(diameter_px) + 6
    y, x = np.mgrid[:side, :side] - side / 2 + shift[:, None, None]
    return np.hypot(y, x) < diameter_px / 2


def slow_thickness(mask: np.ndarray) -> np.ndarray:
    """Every disc of every pixel, one after the other."""
    squares = squared_distances(np.pad(mask, 1))[1:-1, 1:-1]
    rows, columns = np.indices(mask.shape)
    largest = np.zeros(mask.shape, np.int64)
    for row, column in np.argwhere(mask):
        near = (rows - row) ** 2 + (columns - column) ** 2 < squares[row, column]
        largest[near] = np.maximum(largest[near], squares[row, column])
    return 2 * np.sqrt(largest)


def on_thickness() -> Iterator[str]:
    rng = np.random.default_rng(FIRST_SEED)
    yield f"{'µm':>6} {'strips: bias, SD, extremes':>34} {'discs: bias, SD':>20}   at {MPP:g} µm/px"
    middle = (slice(70, 130), slice(70, 130))
    for width_um in (20, 30, 45, 60, 100, 150):
        strips, discs = [], []
        for angle in rng.uniform(0, math.pi, 24):
            size, shift = width_um / MPP + rng.uniform(-0.5, 0.5), rng.uniform(0, 1, 2)
            mask = strip(size, angle, shift)
            strips.append(local_thickness_px(mask)[middle][mask[middle]].mean() / size - 1)
            mask = disc(size, shift)
            discs.append(local_thickness_px(mask)[mask].mean() / size - 1)
        yield (
            f"{width_um:6d} {np.mean(strips):+12.1%} {np.std(strips):7.1%} "
            f"{min(strips):+6.1%} {max(strips):+6.1%} {np.mean(discs):+12.1%} {np.std(discs):6.1%}"
        )
    worst = 0.0
    for sigma in (1, 2, 4, 6):
        mask = ndimage.gaussian_filter(rng.standard_normal((60, 70)), sigma) > 0
        worst = max(worst, float(np.abs(local_thickness_px(mask) - slow_thickness(mask)).max()))
    yield f"largest difference to the slow twin: {worst:.1g} px"


# -------------------------------------------------------------------- (b) pattern


def pattern_spec(number: int) -> PhantomSpec:
    """Families in turn; every third horizontal, every second with a varied lesion."""
    family = [*PATTERNS][number % len(PATTERNS)]
    turn = number // len(PATTERNS)
    section = "horizontal" if turn % 3 == 0 else "vertical"
    seed = FIRST_SEED + number
    spec = sample_spec(seed, section=section, architecture=family, width_mm=3.0, height_mm=2.6)
    return vary_lesion(spec) if turn % 2 else spec


def on_patterns(count: int, segmenter: Segmenter | None) -> Iterator[str]:
    found: dict[str, Counter[str]] = {family: Counter() for family in PATTERNS}
    margins: dict[str, list[float]] = {family: [] for family in PATTERNS}
    for number in range(count):
        spec = pattern_spec(number)
        values = measure_architecture(plane_of(*labels_of(spec, segmenter)))
        word = str(values["architecture"].value or "no tumour")
        found[spec.architecture][word] += 1
        if word == PATTERNS[spec.architecture]:
            margins[spec.architecture].append(float(values["architecture_margin"].value))
    words = [*WORDS, *({w for row in found.values() for w in row} - {*WORDS})]
    yield " ".join([f"{'true':>12}", *(f"{word:>15}" for word in words), "  least margin"])
    for family, row in found.items():
        least = f"{min(margins[family]):.2f}" if margins[family] else "-"
        yield " ".join([f"{family:>12}", *(f"{row[word]:15d}" for word in words), f"{least:>14}"])
    exact = sum(found[family][word] for family, word in PATTERNS.items())
    yield f"exact {exact} of {count} ({exact / count:.1%})"


# ---------------------------------------------------- (c) orientation, (d) follicles


def orientation_spec(number: int) -> PhantomSpec:
    """Two vertical, two horizontal, then one of plain stroma; turned by any angle."""
    section = ("vertical", "horizontal", "vertical", "horizontal", "stroma")[number % 5]
    family = ("none", *PATTERNS)[number % 7]
    seed = FIRST_SEED + 50_000 + number
    size = {"vertical": (4.0, 3.0), "horizontal": (4.0, 4.0), "stroma": (3.0, 3.0)}[section]
    spec = sample_spec(
        seed, section=section, architecture=family, width_mm=size[0], height_mm=size[1]
    )
    turn = float(np.random.default_rng(seed).uniform(0, 360)) if number % 2 else spec.rotation_deg
    return dataclasses.replace(spec, rotation_deg=turn)


def true_follicles(layout: Layout) -> tuple[int, int]:
    """Follicles that were drawn, and the units they stand in, as far as the section shows them."""
    spec, nodes = layout.spec, layout.nodes
    radii_um = tuple(extent / 2 for extent in section_extent_um(spec))
    shown = (layout.adnexa.kind == Kind.FOLLICLE) & (layout.adnexa.inside_um > 0)
    shown &= layout.outline_um > 0
    follicles = units = 0
    for group in draw_adnexa_horizontal(spec, nodes, radii_um=radii_um):
        own = sum(
            bool(shown[patch.window][patch.inside_um >= patch.inside_um.max() - 1].all())
            for patch in group
            if patch.kind == Kind.FOLLICLE
        )
        follicles, units = follicles + own, units + bool(own)
    return follicles, units


def on_orientation(count: int, segmenter: Segmenter | None) -> Iterator[str]:
    found: dict[str, Counter[str]] = {section: Counter() for section in ORIENTATIONS}
    pairs = []
    never_called = () if segmenter is None else tuple(segmenter.card.never_called)
    for number in range(count):
        spec = orientation_spec(number)
        values = measure(*labels_of(spec, segmenter), never_called).values
        found[spec.section][str(values["orientation_computed"].value)] += 1
        if values["follicle_count"].value is not None and spec.section == "horizontal":
            truth = true_follicles(lay_out(dataclasses.replace(spec, mpp=MPP)))
            names = ("follicle_count", "follicular_unit_count")
            pairs.append((*truth, *(float(values[name].value) for name in names)))
    known = [*ORIENTATIONS.values()]
    words = known + sorted({word for row in found.values() for word in row} - {*known})
    yield " ".join([f"{'true':>12}", *(f"{word:>14}" for word in words)])
    for section, row in found.items():
        yield " ".join([f"{section:>12}", *(f"{row[word]:14d}" for word in words)])
    skin = [section for section in ORIENTATIONS if section != "stroma"]
    exact, total = sum(found[s][s] for s in skin), sum(found[s].total() for s in skin)
    yield f"exact on skin {exact} of {total} ({exact / max(total, 1):.1%})"
    yield from on_follicles(np.array(pairs))


def on_follicles(pairs: np.ndarray) -> Iterator[str]:
    """Counts summed over sections, and how far a single section is off."""
    if not len(pairs):
        yield f"no horizontal section tells {CLASS_NAMES[ADNEXA]}"
        return
    for column, name in enumerate(("follicles", "follicular units")):
        true, counted = pairs[:, column], pairs[:, column + 2]
        off = np.abs(counted - true) / np.maximum(true, 1)
        yield (
            f"{name}: {counted.sum():.0f} counted, {true.sum():.0f} drawn "
            f"({counted.sum() / true.sum() - 1:+.1%}); single sections off by "
            f"{off.mean():.0%} on average, {off.max():.0%} at most ({len(pairs)} sections)"
        )


# ----------------------------------------------------------------- (e) invariance


def on_invariance() -> Iterator[str]:
    yield f"{'':>12} {'largest change of a share':>44}"
    yield f"{'':>12} {'90° and mirror':>14} {'30° turned':>14} {'1-2 µm/px':>14}"
    for number, family in enumerate(PATTERNS):
        spec = sample_spec(
            FIRST_SEED + 8000 + number,
            section="horizontal",
            architecture=family,
            width_mm=1.6,
            height_mm=1.6,
        )
        fine = true_labels(lay_out(dataclasses.replace(spec, mpp=0.5)))
        labels = fine[2::4, 2::4]
        base = shares_of(labels, Grid(labels.shape, MPP))
        quarter = spread(base, [labels[::-1], np.rot90(labels)], [MPP, MPP])
        # Turned where pixels are a quarter as wide, so that the turn itself adds no error.
        turned = ndimage.rotate(fine, 30, order=0, reshape=True)[2::4, 2::4]
        mpps = [1.0, 1.5, 2.0]
        widths = [fine[int(m) :: int(2 * m), int(m) :: int(2 * m)] for m in mpps]
        changes = (quarter, spread(base, [turned], [MPP]), spread(base, widths, mpps))
        yield " ".join([f"{family:>12}", *(f"{change:14.3f}" for change in changes)])


def spread(base: dict[str, float], planes: list[np.ndarray], mpps: list[float]) -> float:
    """Largest change of any share."""
    return max(
        abs(share - base[name])
        for labels, mpp in zip(planes, mpps, strict=True)
        for name, share in shares_of(np.ascontiguousarray(labels), Grid(labels.shape, mpp)).items()
    )


# ----------------------------------------------------------------------- (f) cost


def on_cost() -> Iterator[str]:
    """A section of 20 × 5 mm, tiled from phantoms of the kind."""
    for family in ("solid-cord", "cord", "single-file", "glandular"):
        spec = sample_spec(
            FIRST_SEED + 9000, section="horizontal", architecture=family, width_mm=3, height_mm=3
        )
        piece = true_labels(lay_out(dataclasses.replace(spec, mpp=MPP)))[250:1250, 250:1250]
        labels = np.tile(piece, (3, 10))[:2500]
        plane = plane_of(labels, Grid(labels.shape, MPP))
        before_mb, start = peak_mb(), time.process_time()
        measure_architecture(plane)
        seconds = time.process_time() - start
        share = (labels == TUMOUR).mean()
        yield (
            f"{family:>12}: {labels.shape[1]} × {labels.shape[0]} px, {share:.0%} tumour: "
            f"{seconds:.1f} s of one core, peak memory {before_mb:.0f} → {peak_mb():.0f} MB"
        )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=60, help="of growth patterns")
    parser.add_argument("--orientations", type=int, default=60, help="of orientations")
    parser.add_argument("--model", help="take the labels of this model, not the true ones")
    parser.add_argument("--only", default="abcdef", help="letters of the parts to run")
    chosen = parser.parse_args()
    segmenter = None if chosen.model is None else load_segmenter(find_model(chosen.model))
    parts = {
        "a": ("local thickness", on_thickness()),
        "b": ("growth pattern", on_patterns(chosen.phantoms, segmenter)),
        "cd": ("orientation and follicles", on_orientation(chosen.orientations, segmenter)),
        "e": ("invariance", on_invariance()),
        "f": ("cost", on_cost()),
    }
    start, used = time.perf_counter(), time.process_time()
    print(f"labels: {chosen.model or 'true'}")
    for letters, (title, lines) in parts.items():
        if not {*letters} & {*chosen.only}:
            continue
        print(f"\n{title}")
        for line in lines:
            print("  " + line, flush=True)
    spent = time.process_time() - used
    print(f"\n{time.perf_counter() - start:.0f} s in all, {spent:.0f} s of one core")


if __name__ == "__main__":
    main()
