"""What does the pipeline make of two phantoms?

Paints them, runs every step on them, and writes pictures, the reports and the page that shows both
into ``docs/gallery``, which is not kept: ``make docs`` makes it anew.  Sections between ``--8<--``
marks are shown on that page, so what is read there is what was run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_pipeline.classes import CLASS_NAMES, TUMOUR
from wsi_pipeline.cli.inputs import read_settings
from wsi_pipeline.config import Config
from wsi_pipeline.geometry import Grid
from wsi_pipeline.report import (
    ValuePlane,
    plane_of_classes,
    plane_of_probability,
    planes_of_depth,
)
from wsi_pipeline.report.planes import palette_of
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import inspect_slide, read_record, with_checksum, write_record
from wsi_pipeline.stages.measure import measure_segmentation, read_depth
from wsi_pipeline.stages.nuclei import find_nuclei
from wsi_pipeline.stages.nuclei_tile import Gate
from wsi_pipeline.stages.phantom import paint_slide, sample_spec
from wsi_pipeline.stages.report import SlideFolder, report_case
from wsi_pipeline.stages.segment import segment_slide
from wsi_pipeline.stages.tile import tile_slide
from wsi_pipeline.store import PROBABILITIES, Segmentation, read_arrays

GALLERY = Path(__file__).parent / "gallery"
LONGEST_PX = 900
VEIL = 0.6
"""How much of a colour lies over the slide."""
NOT_TISSUE = "Phantoms prove nothing about human tissue."

Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shown:
    """One phantom of the gallery: what is painted, and what is seen of it in words."""

    name: str
    title: str
    seen: str
    section: str
    architecture: str
    seed: int


PHANTOMS = (
    Shown(
        "vertical",
        "A vertical section, painted with a solid and cord-like carcinoma",
        "epidermis along one edge, pink collagen below it, crowded purple cells of tumour in it",
        section="vertical",
        architecture="solid-cord",
        seed=5001,
    ),
    Shown(
        "horizontal",
        "A horizontal section, painted with a glandular carcinoma",
        "collagen with follicles cut across, and purple glands of tumour with pale lumina",
        section="horizontal",
        architecture="glandular",
        seed=5002,
    ),
)


def run_all(shown: Shown, folder: Path, *, config: Config) -> Path:
    """Paint one phantom and take it through every step; give the folder of its artefacts."""
    # --8<-- [start:paint]
    spec = sample_spec(
        shown.seed,
        section=shown.section,
        architecture=shown.architecture,
        width_mm=1.8,
        height_mm=1.6,
    )
    slide = paint_slide(spec, folder=folder, name=shown.name)
    # --8<-- [end:paint]
    results = folder / "slides" / shown.name
    # --8<-- [start:run]
    tiles, store = results / "tiles.json", results / "segmentation.ome.zarr"
    declared = Declared(shown.name, case_id=shown.name, section=shown.section)
    record = with_checksum(inspect_slide(slide, declared=declared, mpp=None, config=config))
    write_record(record, results / "slide.json", config=config)
    tile_slide(record, config=config, out=tiles)
    segment_slide(record, tiles=tiles, config=config, out=store)
    nuclei = results / "nuclei.parquet"
    find_nuclei(record, gate=Gate(store, only_tumour=True), config=config, out=nuclei)
    measure_segmentation(
        record,
        tiles=tiles,
        segmentation=store,
        nuclei=nuclei,
        config=config,
        out=results / "measurements.json",
    )
    report_case(
        shown.name,
        [SlideFolder(results, declared, file=slide)],
        primary_site="breast",
        html=GALLERY / f"{shown.name}.html",
        json=results / "report.json",
    )
    # --8<-- [end:run]
    return results


def draw(shown: Shown, folder: Path, results: Path) -> None:
    """Write the stills of one phantom."""
    # --8<-- [start:draw]
    store = Segmentation(results / "segmentation.ome.zarr")
    photo, labels = store.read_image(), store.read_labels()
    painted = painted_labels(shown, folder, store)
    stored = np.asarray(store.array(PROBABILITIES)[TUMOUR], np.uint8)
    # --8<-- [end:draw]
    save(shown, "slide", photo)
    save(shown, "classes", lay_over(photo, plane_of_classes(labels, store.grid)))
    save(shown, "truth", lay_over(photo, plane_of_classes(painted, store.grid)))
    save(shown, "probability", lay_over(photo, plane_of_probability(stored, store.grid)))
    depth = read_depth(results / "depth.zarr", read_record(results / "slide.json"))
    if depth is not None:
        plane = planes_of_depth(depth.depth_um, depth.relative, depth.grid)[0]
        save(shown, "depth", lay_over(shrink(photo, store.grid, depth.grid), plane))


def shrink(rgb: Rgb, fine: Grid, coarse: Grid) -> Rgb:
    """The same picture on a coarser plane; its last pixels reach beyond the finer one."""
    rows, columns = coarse.shape
    ratio = coarse.mpp / fine.mpp
    box = (0.0, 0.0, min(columns * ratio, rgb.shape[1]), min(rows * ratio, rgb.shape[0]))
    image = Image.fromarray(rgb).resize((columns, rows), Image.Resampling.BOX, box=box)
    return np.asarray(image, np.uint8)


def lay_over(photo: Rgb, plane: ValuePlane) -> Rgb:
    """A slide with the colours of a plane over it, where the plane has values."""
    values = plane.values.astype(np.int64)
    step = values - 1 if plane.is_named else values * 254 // max(plane.top, 1)
    colours = palette_of(plane)[np.clip(step, 0, 254)]
    veil = VEIL * ((values != plane.none) & (values >= plane.bottom))[..., None]
    return np.asarray(photo * (1 - veil) + colours * veil, np.uint8)


def save(shown: Shown, name: str, rgb: Rgb) -> None:
    """Write one still, `LONGEST_PX` long, without the glass around, which is not stored."""
    rows, columns = (np.flatnonzero((rgb < 255).any(axis=(1 - axis, 2))) for axis in (0, 1))
    rgb = rgb[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ratio = LONGEST_PX / max(rgb.shape[:2])
    size = (round(rgb.shape[1] * ratio), round(rgb.shape[0] * ratio))
    Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS).save(
        GALLERY / f"{shown.name}-{name}.png", optimize=True
    )


def compare(results: Path, folder: Path, shown: Shown) -> tuple[float, str]:
    """Share of the tissue that is called as it was painted, and the commonest mistake in words."""
    store = Segmentation(results / "segmentation.ome.zarr")
    labels = store.read_labels()
    painted = painted_labels(shown, folder, store)
    rows, columns = (min(a, b) for a, b in zip(painted.shape, labels.shape, strict=True))
    painted, labels = painted[:rows, :columns], labels[:rows, :columns]
    tissue = (painted > 0) | (labels > 0)
    pairs = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
    np.add.at(pairs, (painted[tissue], labels[tissue]), 1)
    wrong = np.where(np.eye(len(pairs), dtype=bool), 0, pairs)
    true, called = np.unravel_index(wrong.argmax(), wrong.shape)
    share = wrong.max() / pairs.sum()
    mistake = f"{CLASS_NAMES[true]} is called {CLASS_NAMES[called]} on {share:.1%}"
    return float(np.trace(pairs) / pairs.sum()), mistake


def painted_labels(shown: Shown, folder: Path, store: Segmentation) -> NDArray[np.uint8]:
    """The classes as they were painted, on the plane of the segmentation."""
    truth, about = read_arrays(folder / f"{shown.name}.truth.zarr")
    step = round(store.grid.mpp / about["spec"]["mpp"])
    return np.asarray(truth["labels"][step // 2 :: step, step // 2 :: step], np.uint8)


def describe(shown: Shown, folder: Path, results: Path) -> str:
    """The part of the page that shows one phantom."""
    report = json.loads((results / "report.json").read_text(encoding="utf-8"))
    sentence = report["finding"]["text"] if report["finding"] else "No finding."
    alike, mistake = compare(results, folder, shown)
    stills = {
        "slide": f"The painted slide, as the network sees it: {shown.seen}.",
        "truth": "The classes as they were painted: what is true of this slide.",
        "classes": f"The classes as the network calls them, like those painted on {alike:.1%} of "
        f"the tissue; the commonest mistake: {mistake}.",
        "probability": "The probability of tumour, from 5 % (dark) to 100 % (yellow).",
        "depth": "Depth below the dermo-epidermal junction, from the surface (dark) downwards.",
    }
    lines = [
        f"## {shown.title}",
        "",
        f"> {sentence}",
        "",
        f"[The whole report]({shown.name}.html)",
        "",
    ]
    for name, words in stills.items():
        if (GALLERY / f"{shown.name}-{name}.png").is_file():
            said = f"{words} {NOT_TISSUE}"
            picture = f"{shown.name}-{name}.png"
            lines += [f"![{words}]({picture}){{ loading=lazy }}", "", f"*{said}*", ""]
    return "\n".join(lines)


def page(parts: Mapping[str, str]) -> str:
    """The page of the gallery."""
    # --8<-- is split so that this text is not taken for a mark itself.
    marks = {name: f'--8<-- "docs/gallery.py:{name}"' for name in ("paint", "run", "draw")}
    code = [f"```python\n{mark}\n```" for mark in marks.values()]
    return (
        "\n\n".join(
            [
                "# Gallery",
                "Two phantoms (painted slides whose truth is known), made, segmented, measured and "
                "reported while these pages were built, with the model that comes with the "
                f"package. **{NOT_TISSUE}** They show what comes out, and that the software "
                "measures what was drawn. A heading says what was painted; the sentence below it "
                "is what the software concludes, and need not say the same.",
                *parts.values(),
                "## How it was made",
                "Each phantom is painted from a specification:",
                code[0],
                "Then every step of the pipeline is called, as the command line calls it:",
                code[1],
                "and the results are read back for the pictures:",
                code[2],
            ]
        )
        + "\n"
    )


def main(work: Path) -> None:
    """Make the gallery; slides and stores go to ``work``."""
    GALLERY.mkdir(exist_ok=True)
    config = read_settings(None, ["segment.workers=2"])
    parts = {}
    for shown in PHANTOMS:
        results = run_all(shown, work, config=config)
        draw(shown, work, results)
        parts[shown.name] = describe(shown, work, results)
    (GALLERY / "index.md").write_text(page(parts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
