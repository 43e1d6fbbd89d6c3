"""A folder of results as a run leaves it, made of a slide whose every pixel is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from wsi_pipeline.config import Config
from wsi_pipeline.geometry import Grid
from wsi_pipeline.stages.artefacts import write_text
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import (
    SlideRecord,
    inspect_slide,
    with_checksum,
    write_record,
)
from wsi_pipeline.store import (
    IMAGE,
    LABELS,
    PROBABILITIES,
    Segmentation,
    StoreLayout,
    create_segmentation,
    plan_pyramid_level,
    write_arrays,
    write_pyramid_tile,
)

TOKEN = "-".join(("a", "token", "that", "is", "long", "enough"))
SLIDE_MPP, WORK_MPP, DEPTH_MPP = 0.47, 1.9, 7.6  # neither is a whole multiple of the slide's
SHAPE_PX0 = (1500, 2300)
ORIGIN_UM = (38.0, 57.0)
PATIENT = "Smith^Jane 1961"
MARK_UM = (300.0, 300.0, 420.0, 460.0)
"""Top, left, bottom, right of a black box painted on the slide and called tumour."""


def in_mark(grid: Grid) -> NDArray[np.bool_]:
    """Pixels whose centres lie in the mark."""
    down, right = (
        grid.origin_um[axis] + (np.arange(grid.shape[axis]) + 0.5) * grid.mpp for axis in (0, 1)
    )
    top, left, bottom, right_end = MARK_UM
    rows, columns = (down >= top) & (down < bottom), (right >= left) & (right < right_end)
    return np.outer(rows, columns)


def write_slide(path: Path) -> Path:
    """Pink plane with the mark in black and a white margin."""
    grid = Grid(SHAPE_PX0, SLIDE_MPP)
    rgb = np.full((*SHAPE_PX0, 3), (230, 170, 200), np.uint8)
    rgb[in_mark(grid)] = 0
    per_cm = 10_000 / SLIDE_MPP
    tifffile.imwrite(
        path,
        rgb,
        tile=(256, 256),
        photometric="rgb",
        compression="deflate",
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )
    return path


def write_segmentation(path: Path, record: SlideRecord) -> Segmentation:
    """Dermis everywhere, the mark tumour, probabilities a ramp; ends before the slide does."""
    grid = Grid((340, 520), WORK_MPP, ORIGIN_UM)
    about = {"slide_id": record.declared.slide_id, "input": dict(record.input)}
    create_segmentation(path, grid=grid, layout=StoreLayout(128, 64), attributes=about)
    store = Segmentation(path, mode="r+")
    labels = np.where(in_mark(grid), 5, 2).astype(np.uint8)
    chances = np.zeros((8, *grid.shape), np.uint8)
    chances[5] = np.arange(grid.shape[1]) * 255 // grid.shape[1]
    store.array(LABELS)[:] = labels
    store.array(PROBABILITIES)[:] = chances
    store.array(IMAGE)[:] = 200
    for level in range(1, store.levels):
        for tile in plan_pyramid_level(path, level):
            write_pyramid_tile(tile)
    return Segmentation(path)


def write_depth(path: Path, record: SlideRecord) -> None:
    grid = Grid((85, 130), DEPTH_MPP, ORIGIN_UM)
    depth = np.repeat(np.arange(85.0)[:, None] * DEPTH_MPP, 130, axis=1).astype(np.float32)
    depth[:10] = np.nan
    about = {
        "slide_id": record.declared.slide_id,
        "input": dict(record.input),
        "grid": grid.to_json(),
    }
    write_arrays(path, {"depth_um": depth, "relative": depth / 646}, attributes=about)


def write_results(root: Path, slide_id: str = "s1", *, config: Config | None = None) -> Path:
    """Folder of results of one slide, with its case and cohort, and what must not be shown."""
    root.mkdir(parents=True, exist_ok=True)
    file = write_slide(root.parent / f"{PATIENT}.tiff")
    folder = root / "slides" / slide_id
    folder.mkdir(parents=True)
    settings = config or Config()
    record = with_checksum(
        inspect_slide(file, declared=Declared(slide_id), mpp=None, config=settings)
    )
    write_record(record, folder / "slide.json", config=settings)
    write_segmentation(folder / "segmentation.ome.zarr", record)
    write_depth(folder / "depth.zarr", record)
    write_text(folder / "measurements.json", "{}")
    write_text(folder / "tiles.json", "{}")
    (folder / "annotations.geojson.gz").write_bytes(b"\x1f\x8b")
    (folder / "nuclei.parquet").write_bytes(b"PAR1" + bytes(range(256)) + b"PAR1")
    (folder / "label.png").write_bytes(b"\x89PNG")
    write_text(root / "cases" / "c1" / "report.html", "<!doctype html><title>case</title>")
    write_text(root / "cases" / "c1" / "report.json", "{}")
    write_text(root / "cohort.html", "<!doctype html><title>cohort</title>")
    write_text(root / "cohort.csv", f"case_id,slide_id\nc1,{slide_id}\n")
    write_text(root / "logs" / "inspect" / "s1.log", PATIENT)
    write_text(root / "run.yaml", f"cases: {PATIENT}")
    return root


@dataclass
class Served:
    """A server that runs, and what it told the terminal."""

    port: int
    told: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Address of the first page."""
        return f"http://127.0.0.1:{self.port}/{TOKEN}/"


Serve = Callable[..., Served]


def write_real_results(root: Path, file: Path) -> Path:
    """Results of a real slide whose label map calls tumour what is darker than its middle."""
    folder = root / "slides" / "real"
    folder.mkdir(parents=True)
    inspected = inspect_slide(file, declared=Declared("real"), mpp=None, config=Config())
    record = with_checksum(inspected)
    write_record(record, folder / "slide.json", config=Config())
    path = folder / "segmentation.ome.zarr"
    about = {"slide_id": "real", "input": dict(record.input)}
    with record.open() as slide:
        grid = slide.grid.at_mpp(WORK_MPP)
        grey = slide.read_region(grid.box, WORK_MPP).sum(axis=2)
    create_segmentation(path, grid=grid, layout=StoreLayout(256, 128), attributes=about)
    store = Segmentation(path, mode="r+")
    store.array(LABELS)[:] = np.where(grey < np.median(grey), 5, 0).astype(np.uint8)
    for level in range(1, store.levels):
        for tile in plan_pyramid_level(path, level):
            write_pyramid_tile(tile)
    return root
