"""Folder of results → a local web server that shows slides at full resolution with overlays."""

from __future__ import annotations

import csv
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from wsi_pipeline.classes import TUMOUR
from wsi_pipeline.errors import ConfigError, SlideReadError, StoreError, WsiPipelineError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.report import (
    ValuePlane,
    plane_of_classes,
    plane_of_probability,
    planes_of_depth,
)
from wsi_pipeline.serve import (
    CaseEntry,
    Contents,
    Guard,
    Library,
    Overlay,
    SlideEntry,
    Specimen,
    is_loopback,
    is_plain_name,
    listen,
    make_app,
    place_in,
    run_until_interrupted,
)
from wsi_pipeline.stages.artefacts import file_sha256
from wsi_pipeline.stages.inspect import SlideRecord, read_record
from wsi_pipeline.stages.measure import DEPTH
from wsi_pipeline.store import LABELS, PROBABILITIES, Segmentation

SEGMENTATION, RECORD, FAILURE = "segmentation.ome.zarr", "slide.json", "failure.json"
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is reached.

    Parameters
    ----------
    host
        Name or address to listen on.
    port
        0 for any that is free.
    token
        First part of every address.
    origins
        Web pages elsewhere that may read the zarr stores.
    """

    host: str
    port: int
    token: str
    origins: tuple[str, ...] = ()


def view_results(
    root: Path,
    address: Address,
    *,
    on_ready: Callable[[str], None],
    tell: Callable[[str], None],
) -> None:
    """Serve a folder of results until Ctrl-C.

    Parameters
    ----------
    root
        Folder of a run's results.
    address
        Where to listen.
    on_ready : callable
        Takes the address of the first page, once it works.
    tell : callable
        Takes lines for the terminal: which slide cannot be shown, and why.

    Raises
    ------
    ConfigError
        If the folder holds no results, or the port cannot be had.
    """
    library = open_library(root, tell=tell)
    app = make_app(library, script=read_openseadragon(), origins=address.origins)
    guard = Guard(app, token=address.token, host=address.host)
    if not is_loopback(address.host):
        tell(
            f"{address.host} can be reached from other computers, and what is sent is not "
            "encrypted: an SSH tunnel to 127.0.0.1 is safer"
        )
    with listen(address.host, address.port) as listening:
        name = f"[{address.host}]" if ":" in address.host else address.host
        on_ready(f"http://{name}:{listening.getsockname()[1]}/{address.token}/")
        run_until_interrupted(guard, listening)


def open_library(root: Path, *, tell: Callable[[str], None]) -> Library:
    """Find what a folder of results holds.

    Raises
    ------
    ConfigError
        If it holds no results.
    """
    contents = list_contents(root)
    if not (contents.slides or contents.cases):
        raise ConfigError(
            f"{root} holds no results (no slides/SLIDE/{RECORD}, no cases/CASE/report.html); name "
            "the folder that 'wsi-pipeline run' was given as --out"
        )
    return Library(
        root,
        list_contents=lambda: list_contents(root),
        stamp=lambda slide_id: _stamp(root, slide_id),
        open_specimen=lambda slide_id: open_specimen(root, slide_id, tell=tell),
        tell=tell,
    )


def list_contents(root: Path) -> Contents:
    """List slides and cases of a folder of results."""
    cases = _cases_by_slide(root / "cohort.csv")
    slides = tuple(
        SlideEntry(
            folder.name,
            cases.get(folder.name, ""),
            is_segmented=(folder / SEGMENTATION).is_dir(),
            has_failed=(folder / FAILURE).is_file(),
        )
        for folder in _folders(root, "slides", holding=RECORD)
    )
    reports = tuple(CaseEntry(f.name) for f in _folders(root, "cases", holding="report.html"))
    return Contents(slides, reports, (root / "cohort.html").is_file())


def open_specimen(root: Path, slide_id: str, *, tell: Callable[[str], None]) -> Specimen:
    """Open a slide of the results with its overlays.

    Raises
    ------
    SlideReadError
        If the file is gone, is another one now, or cannot be read.  The message names the
        slide by its id; the name of the file, which may be a patient's, goes to ``tell``.
    """
    folder = root / "slides" / slide_id
    record = _read_record(folder / RECORD, tell=tell)
    overlays, note = _overlays(folder, record)
    try:
        _check_unchanged(record, inspected=folder / RECORD)
        slide = record.open()
    except WsiPipelineError as fault:
        tell(f"slide '{slide_id}' is {record.path}")
        raise SlideReadError(_without_file(str(fault), record, slide_id)) from fault
    return Specimen(slide_id, slide.grid, slide.read_region, overlays, note, slide.close)


def read_openseadragon() -> str:
    """Script of the zoomable view, less the line that names a source map."""
    library = files("wsi_pipeline.report").joinpath("assets", "openseadragon.min.js")
    return library.read_text(encoding="utf-8").partition("//# sourceMappingURL")[0]


def _folders(root: Path, part: str, *, holding: str) -> Sequence[Path]:
    """Folders of slides or cases, by name; those that lie elsewhere are left out."""
    if not (root / part).is_dir():
        return ()
    return sorted(
        folder
        for folder in (root / part).iterdir()
        if is_plain_name(folder.name)
        and (folder / holding).is_file()
        and place_in(root, f"{part}/{folder.name}") is not None
    )


def _cases_by_slide(table: Path) -> dict[str, str]:
    """Case of each slide of the cohort; nothing while there is no cohort."""
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {row.get("slide_id", ""): row.get("case_id", "") for row in csv.DictReader(file)}


def _read_record(path: Path, *, tell: Callable[[str], None]) -> SlideRecord:
    """Read what was found out about a slide; what is wrong with it is for the terminal."""
    try:
        return read_record(path)
    except StoreError as fault:
        tell(str(fault))
        raise SlideReadError(
            f"The record of slide '{path.parent.name}' cannot be read: run 'wsi-pipeline run' "
            "again. The terminal says more."
        ) from fault


def _stamp(root: Path, slide_id: str) -> Hashable | None:
    """Times and sizes of the files of a slide; None where there is no such slide."""
    folder = place_in(root, f"slides/{slide_id}")
    if folder is None or not (folder / RECORD).is_file():
        return None
    try:
        record = read_record(folder / RECORD)
    except StoreError:
        return slide_id, None  # opening it will say what is wrong
    stores = [folder / name / "zarr.json" for name in (SEGMENTATION, DEPTH)]
    return slide_id, *map(_state, (record.path, folder / RECORD, *stores))


def _state(path: Path) -> tuple[int, int] | None:
    """Time and size of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _check_unchanged(record: SlideRecord, *, inspected: Path) -> None:
    """Refuse a file that is not the one that was inspected.

    Its checksum takes a reading of all of it, so it is compared only where the file was
    written to after the inspection.
    """
    state, slide_id = _state(record.path), record.declared.slide_id
    if state is None:
        raise SlideReadError(
            f"The file of slide '{slide_id}' is no longer where it was when the slide was "
            "inspected: put it back there, or correct its path in the case table and run "
            "'wsi-pipeline run' again. The terminal names the place."
        )
    same_length = state[1] == record.input.get("bytes")
    is_later = state[0] > inspected.stat().st_mtime_ns
    if same_length and not (is_later and file_sha256(record.path) != record.input.get("sha256")):
        return
    raise SlideReadError(
        f"The file of slide '{slide_id}' has changed since the slide was inspected, so the "
        "results may not belong to it: put the earlier file back, or run 'wsi-pipeline run' again."
    )


def _without_file(text: str, record: SlideRecord, slide_id: str) -> str:
    """Put the slide's id for its file: scanners name files after patients."""
    for name in (str(record.path), record.path.name, str(record.path.parent)):
        text = text.replace(name, slide_id)
    return text


def _overlays(folder: Path, record: SlideRecord) -> tuple[tuple[Overlay, ...], str]:
    """What can be laid over a slide, and why it is less than usual."""
    if not (folder / SEGMENTATION).is_dir():
        return (), "This slide was not segmented (yet): there is nothing to lay over it."
    try:
        store = Segmentation(folder / SEGMENTATION)
        record.check_same(store.attributes, what="the segmentation")
        planes = (*_label_overlays(store), *_depth_overlays(folder / DEPTH, record))
    except (StoreError, KeyError) as fault:
        return (), f"The overlays are left out: {_without_file(str(fault), record, folder.name)}"
    has_depth = any(plane.name == "depth" for plane in planes)
    return planes, "" if has_depth else "No depth was measured on this slide."


def _label_overlays(store: Segmentation) -> tuple[Overlay, Overlay]:
    """Classes and probability of tumour, on all levels of the store."""
    grids = tuple(store.level_grid(level) for level in range(store.levels))
    empty = np.zeros((0, 0), np.uint8)
    labels = [store.array(LABELS, level) for level in range(store.levels)]
    chances = [store.array(PROBABILITIES, level) for level in range(store.levels)]
    return (
        _overlay(
            plane_of_classes(empty, store.grid),
            grids,
            read=lambda level, box: np.asarray(labels[level][box.slices], np.uint8),
        ),
        _overlay(
            plane_of_probability(empty, store.grid),
            grids,
            read=lambda level, box: np.asarray(chances[level][(TUMOUR, *box.slices)], np.uint8),
        ),
    )


def _depth_overlays(path: Path, record: SlideRecord) -> tuple[Overlay, ...]:
    """Depth, and relative depth, which is only told; nothing where there is none."""
    if not (path / "zarr.json").is_file():
        return ()
    group = zarr.open_group(path, mode="r")
    about: dict[str, Any] = dict(group.attrs)
    if about.get("grid") is None or about.get("input") != dict(record.input):
        return ()
    grid = Grid.from_json(about["grid"])
    deep, share = (_array(group, name) for name in ("depth_um", "relative"))

    def planes(box: Box) -> tuple[ValuePlane, ...]:
        depth_um, relative = (np.asarray(a[box.slices], np.float32) for a in (deep, share))
        return planes_of_depth(depth_um, relative, grid)

    most = np.full((1, 1), _greatest(deep), np.float32)
    shown = planes_of_depth(most, most, grid)
    return (
        _overlay(shown[0], (grid,), read=lambda _, box: planes(box)[0].values),
        _overlay(shown[1], (grid,), read=lambda _, box: planes(box)[1].values, is_shown=False),
    )


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    node = group[name]
    if not isinstance(node, zarr.Array):
        raise StoreError(f"the depth maps hold no '{name}'; run 'wsi-pipeline measure' again")
    return node


def _greatest(array: zarr.Array[Any]) -> float:
    """Largest number that is one, read in strips."""
    strips = (
        np.asarray(array[top : top + _ROWS_AT_ONCE])
        for top in range(0, array.shape[0], _ROWS_AT_ONCE)
    )
    return max((float(np.nanmax(s, initial=0.0)) for s in strips), default=0.0)


def _overlay(
    plane: ValuePlane,
    grids: tuple[Grid, ...],
    *,
    read: Callable[[int, Box], NDArray[Any]],
    is_shown: bool = True,
) -> Overlay:
    """Give a plane of the reports, whatever its values, others to be read."""
    return Overlay(
        plane.name,
        plane.title,
        grids,
        read,
        names=plane.names,
        colours=plane.colours,
        step=plane.step,
        unit=plane.unit,
        none=plane.none,
        top=plane.top,
        bottom=plane.bottom,
        is_shown=is_shown,
    )
