"""``measurements.json`` + ``segmentation.ome.zarr`` of all slides → one page per case."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.config import GradeSettings, parse_config
from wsi_pipeline.errors import StoreError, WsiPipelineError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure import CaseSlide, SectionMeasurements, call_case, read_values
from wsi_pipeline.report import (
    CaseReport,
    CohortRow,
    SlideFailure,
    SlideReport,
    cohort_columns,
    cohort_csv,
    compose_finding,
    paint_glass,
    render_case,
    render_cohort,
)
from wsi_pipeline.stages.artefacts import provenance, read_json, whole, write_json, write_text
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.failure import read_failure
from wsi_pipeline.stages.inspect import read_record
from wsi_pipeline.stages.resume import read_run_note
from wsi_pipeline.stages.tile import TiledSlide, read_tiled
from wsi_pipeline.stages.zoom import nuclear_areas, read_grades, read_zoom
from wsi_pipeline.store import Segmentation, TableColumn, write_table

SCHEMA = "wsi_pipeline/case/1"
_OVERVIEW_PX = 1600


@dataclass(frozen=True, slots=True)
class SlideFolder:
    """Where the artefacts of one slide lie, and what the case table says about it.

    Parameters
    ----------
    path
        Folder of the slide.
    declared
        Its line of the case table.
    file
        The slide file, whose name must not reach a page.
    """

    path: Path
    declared: Declared
    file: Path

    @property
    def failure(self) -> Path:
        """Note of a failed step."""
        return self.path / "failure.json"

    @property
    def is_measured(self) -> bool:
        """Whether the slide went through without a failure."""
        parts = ("slide.json", "tiles.json", "segmentation.ome.zarr", "measurements.json")
        return not self.failure.exists() and all((self.path / part).exists() for part in parts)


def report_case(
    case_id: str, slides: Sequence[SlideFolder], *, primary_site: str, html: Path, json: Path
) -> int:
    """Write the page and the data of one case.

    Parameters
    ----------
    case_id
        Name of the case.
    slides
        Every slide of the case, measured or failed.
    primary_site
        Origin of the tumour as declared; "" where it was not.
    html, json
        Where to write ``report.html`` and ``report.json``.

    Returns
    -------
    int
        Number of slides that failed.
    """
    results = [_read_or_fail(slide, beside=html.parent) for slide in slides]
    done = [result for result in results if not isinstance(result, SlideFailure)]
    case = CaseReport(
        case_id,
        primary_site,
        slides=tuple(slide for slide, _ in done),
        failures=tuple(result for result in results if isinstance(result, SlideFailure)),
        provenance=_dated_provenance(),
        calls={name: call.to_json() for name, call in call_case([own for _, own in done]).items()},
    )
    write_text(html, render_case(case))
    write_json(json, _case_data(case))
    return len(case.failures)


def _case_data(case: CaseReport) -> dict[str, Any]:
    """What ``report.json`` holds."""
    finding = compose_finding(case)
    return {
        "schema": SCHEMA,
        "case_id": case.case_id,
        "primary_site": case.primary_site,
        "finding": None if finding is None else finding.to_json(),
        "slides": [dict(slide.measurements) for slide in case.slides],
        "failures": [asdict(failure) for failure in case.failures],
        "provenance": case.provenance,
    }


def report_cohort(
    cases: Mapping[str, Sequence[str]],
    *,
    case_json: Mapping[str, Path],
    html: Path,
    csv: Path,
    parquet: Path | None = None,
) -> list[CohortRow]:
    """Write the page and the table over all cases.

    Parameters
    ----------
    cases
        Slide ids of each case, in the order of the case table.
    case_json
        ``report.json`` of each case; the page ``report.html`` lies beside it.
    html, csv
        Where to write ``cohort.html`` and ``cohort.csv``.
    parquet
        Where to write the table with types and units; None writes none.

    Returns
    -------
    list of CohortRow
        One row per slide.
    """
    rows = [
        row
        for case_id, slide_ids in cases.items()
        for row in _cohort_rows(case_id, slide_ids, case_json[case_id], beside=html.parent)
    ]
    write_text(csv, cohort_csv(rows))
    if parquet is not None:
        _write_parquet(parquet, rows)
    write_text(html, render_cohort(rows, provenance=_dated_provenance()))
    return rows


def _write_parquet(path: Path, rows: Sequence[CohortRow]) -> None:
    """The cohort as typed columns."""
    columns = [
        TableColumn(
            column.name,
            column.kind,
            {"unit": column.unit, "meaning": column.meaning},
            column.values,
        )
        for column in cohort_columns(rows)
    ]
    with whole(path) as partial:
        write_table(partial, columns, attributes=provenance("report", settings={}))


def _dated_provenance() -> dict[str, Any]:
    """Provenance with the time: pages say when they were made, results do not depend on it."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {**provenance("report", settings={}), "created": now}


def _case_slide(slide: SlideReport) -> CaseSlide:
    """What a slide brings to the roll-up of its case."""
    numbers = slide.measurements
    named = {name: raw for name, raw in numbers["values"].items() if name.startswith("nucle")}
    return CaseSlide(
        slide.slide_id,
        tuple(SectionMeasurements.from_json(raw) for raw in numbers["sections"]),
        read_values(named),
        _grading(numbers, slide_id=slide.slide_id),
        # Measurements of earlier versions do not say it.
        float(numbers["model"].get("false_tumour", 0.0)),
    )


def _grading(numbers: Mapping[str, Any], *, slide_id: str) -> GradeSettings:
    """Limits by which the nuclei of a slide were graded; the defaults where they were not."""
    limits = {"grade": numbers["provenance"]["settings"].get("grade", {})}
    return parse_config(limits, source=f"the measurements of slide {slide_id}").grade


def _read_or_fail(
    slide: SlideFolder, *, beside: Path
) -> tuple[SlideReport, CaseSlide] | SlideFailure:
    """What a slide brings to page and case; artefacts that do not fit together are a failure."""
    if not slide.is_measured:
        note = read_failure(slide.failure)
        log = os.path.relpath(note.log, beside) if note.log else ""
        reason = _without_names(note.reason, slide)
        return SlideFailure(slide.declared.slide_id, note.stage, reason, log)
    try:
        read = _read_slide(slide)
        return read, _case_slide(read)
    except WsiPipelineError as fault:
        reason = _without_names(str(fault), slide)
        return SlideFailure(slide.declared.slide_id, "report", reason, "")


def _without_names(text: str, slide: SlideFolder) -> str:
    """Put the slide's id for its file: scanners name files after patients."""
    for name in (str(slide.file), slide.file.name, str(slide.file.parent)):
        text = text.replace(name, slide.declared.slide_id)
    return text


def _read_slide(slide: SlideFolder) -> SlideReport:
    """Gather what the page shows of one slide."""
    record = read_record(slide.path / "slide.json")
    store = Segmentation(slide.path / "segmentation.ome.zarr")
    tiled = read_tiled(slide.path / "tiles.json")
    record.check_same(tiled.source, what="the tile plan")
    record.check_same(store.attributes, what="the segmentation")
    numbers = read_json(slide.path / "measurements.json", made_by="wsi-pipeline measure")
    numbers["declared"] = asdict(slide.declared)
    level = _overview_level(store)
    grid = store.level_grid(level)
    sections = _sections_on(grid, tiled)
    overview = store.read_image(level)
    glass = _glass(overview, sections=sections)
    grading = _grading(numbers, slide_id=slide.declared.slide_id)
    run = read_run_note(slide.path / "segmentation.ome.zarr")
    grades = read_grades(slide.path / "nuclei.parquet", record, store=store, settings=grading)
    return SlideReport(
        slide_id=slide.declared.slide_id,
        block=slide.declared.block,
        stain=slide.declared.stain,
        measurements=numbers,
        slide={**record.info, "sha256": record.input.get("sha256", "")},
        flags=tuple(numbers["flags"]),
        overview=paint_glass(overview, glass)[0],
        overview_mpp=grid.mpp,
        overview_origin_um=grid.origin_um,
        labels=store.read_labels(level),
        sections=sections,
        model=numbers["model"],
        provenance=numbers["provenance"],
        curves=[section["curves"] for section in numbers["sections"] if section["curves"]],
        run_seconds=None if run is None else run.seconds,
        zoom=read_zoom(slide.path, record, store=store, glass=glass, grades=grades),
        nuclear_areas=nuclear_areas(grades, grading),
    )


def _overview_level(store: Segmentation) -> int:
    """Finest level that fits the page."""
    return next(
        (
            level
            for level in range(store.levels)
            if max(store.level_grid(level).shape) <= _OVERVIEW_PX
        ),
        store.levels - 1,
    )


def _glass(rgb: NDArray[np.uint8], *, sections: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Colour of the glass beside the sections; what was not computed is pure white there."""
    missing = (rgb == 255).all(axis=-1)
    glass = rgb[~missing & (sections == 0)]
    red, green, blue = (int(c) for c in (np.median(glass, axis=0) if len(glass) else [255] * 3))
    return red, green, blue


def _sections_on(grid: Grid, tiled: TiledSlide) -> NDArray[np.uint8]:
    """Section ids at the centres of another plane's pixels."""
    rows, columns = (
        np.clip(
            (((np.arange(count) + 0.5) * grid.mpp) / tiled.sections_grid.mpp).astype(int),
            0,
            limit - 1,
        )
        for count, limit in zip(grid.shape, tiled.sections.shape, strict=True)
    )
    return tiled.sections[np.ix_(rows, columns)]


def _cohort_rows(
    case_id: str, slide_ids: Sequence[str], path: Path, *, beside: Path
) -> list[CohortRow]:
    """Rows of one case; a case without a report counts as failed."""
    try:
        raw = _read_case(path)
    except StoreError as fault:
        reason = f"the case has no report: {fault}"
        return [
            CohortRow(case_id, slide_id, "failed", "report", reason, "", {}, "")
            for slide_id in slide_ids
        ]
    measured = {slide["slide_id"]: slide for slide in raw["slides"]}
    failed = {failure["slide_id"]: failure for failure in raw["failures"]}
    page = path.with_suffix(".html")
    rows = [
        _done_row(case_id, measured[slide_id], page=os.path.relpath(page, beside))
        if slide_id in measured
        else _failed_row(case_id, slide_id, failed.get(slide_id), page=page, beside=beside)
        for slide_id in slide_ids
    ]
    return [replace(row, primary_site=raw["primary_site"]) for row in rows]


def _read_case(path: Path) -> dict[str, Any]:
    raw = read_json(path, made_by="wsi-pipeline report")
    if raw.get("schema") != SCHEMA:
        raise StoreError(f"{path} does not hold '{SCHEMA}'; run 'wsi-pipeline report' again")
    return raw


def _done_row(case_id: str, slide: Mapping[str, Any], *, page: str) -> CohortRow:
    return CohortRow(
        case_id,
        slide["slide_id"],
        "done",
        stage="",
        reason="",
        log="",
        values=slide["values"],
        report=page,
        model_id=slide["model"]["id"],
        model_version=slide["model"]["version"],
        is_baseline=slide["model"]["is_baseline"],
        flags=tuple(flag["code"] for flag in slide["flags"]),
        pipeline_version=slide["provenance"]["pipeline_version"],
        mpp=slide["provenance"]["mpp"],
    )


def _failed_row(
    case_id: str, slide_id: str, failure: Mapping[str, str] | None, *, page: Path, beside: Path
) -> CohortRow:
    said = failure or {"stage": "report", "reason": "the slide is not in the report", "log": ""}
    log = os.path.relpath(page.parent / said["log"], beside) if said["log"] else ""
    return CohortRow(
        case_id,
        slide_id,
        "failed",
        stage=said["stage"],
        reason=said["reason"],
        log=log,
        values={},
        report=os.path.relpath(page, beside),
    )
