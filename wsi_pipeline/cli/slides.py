"""The verbs that work on one slide: inspect, tile, segment, nuclei, measure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from wsi_pipeline.cli.describe import describe_plan, describe_slide
from wsi_pipeline.cli.guard import FAILED, explain
from wsi_pipeline.cli.inputs import read_settings
from wsi_pipeline.cli.options import (
    AsJson,
    Jobs,
    Model,
    Mpp,
    Overrides,
    Precision,
    Runtime,
    Scheduler,
    SettingsFile,
    SlideArgument,
)
from wsi_pipeline.cli.output import answer
from wsi_pipeline.cli.progress import show_progress
from wsi_pipeline.errors import ConfigError, ModelMismatchError, TissueError
from wsi_pipeline.stages.artefacts import read_json

if TYPE_CHECKING:
    from wsi_pipeline.config import Config
    from wsi_pipeline.stages.inspect import SlideRecord

Section = Literal["vertical", "horizontal", "auto"]

# Stages are imported inside the verbs, so that `--help` loads neither torch nor a back-end.


def inspect(
    slide: Annotated[Path, typer.Argument(metavar="SLIDE", help="Slide file.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Write slide.json here.")] = None,
    slide_id: Annotated[str, typer.Option(help="Name of the slide in results.")] = "",
    section: Annotated[Section, typer.Option(help="Plane of the cut.")] = "auto",
    plan: Annotated[
        bool | None,
        typer.Option(
            "--plan/--no-plan",
            help="Plan the tiles and time the network on one.",
            show_default="unless --out is given",
        ),
    ] = None,
    model: Model = None,
    mpp: Mpp = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Say what a slide is (format, levels, mpp and its source) and what would be done with it."""
    from wsi_pipeline.stages.declared import Declared  # noqa: PLC0415
    from wsi_pipeline.stages.inspect import (  # noqa: PLC0415
        inspect_slide,
        with_checksum,
        write_record,
    )

    declared = Declared(slide_id or slide.stem, section=section)
    settings = _settings(config, overrides, {"model": model})
    record = inspect_slide(slide, declared=declared, mpp=mpp, config=settings)
    if out is not None:
        write_record(with_checksum(record), out, config=settings)
    wanted = plan if plan is not None else out is None
    found = _foresee(record, settings) if wanted else None
    told = {**record.info, **({"plan": found[0], "stops": found[1]} if found else {})}
    answer(
        told, *describe_slide(record), *(describe_plan(*found) if found else ()), as_json=as_json
    )
    if found and found[1]:
        raise typer.Exit(FAILED)


def tile(
    slide: SlideArgument,
    *,
    out: Annotated[Path, typer.Option(help="Write tiles.json here, sections.png beside it.")],
    picture: Annotated[
        Path | None, typer.Option(help="Draw sections and tiles over the slide (PNG).")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the RGB tiles: NAME.zarr for one array, else a folder of PNG."),
    ] = None,
    model: Model = None,
    mpp: Mpp = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Find the tissue and plan the tiles that cover it."""
    from wsi_pipeline.cores import available_cores  # noqa: PLC0415
    from wsi_pipeline.stages.export_tiles import export_tiles  # noqa: PLC0415
    from wsi_pipeline.stages.tile import tile_slide  # noqa: PLC0415

    settings = _settings(config, overrides, {"model": model})
    record = _open_record(slide, mpp, settings)
    tiled = tile_slide(record, config=settings, out=out, picture=picture)
    rows, columns = tiled.plan.lattice
    told = {"out": out, "tiles": len(tiled.plan), "lattice": [rows, columns], "picture": picture}
    lines = [f"{out}: {len(tiled.plan)} of {rows * columns} tiles show tissue"]
    if export is not None:
        with show_progress("export") as tell:
            count = export_tiles(
                record, tiled.plan, out=export, workers=available_cores(), on_progress=tell
            )
        told |= {"export": export, "exported": count}
        lines.append(f"{export}: {count} RGB tiles")
    answer(told, *lines, as_json=as_json)


def segment(
    slide: SlideArgument,
    *,
    out: Annotated[Path, typer.Option(help="Write segmentation.ome.zarr here.")],
    tiles: Annotated[
        Path | None, typer.Option(help="tiles.json; planned beside the output if not given.")
    ] = None,
    model: Model = None,
    precision: Precision = None,
    runtime: Runtime = None,
    mpp: Mpp = None,
    workers: Annotated[int | None, typer.Option(help="Dask workers.", show_default="all")] = None,
    scheduler: Scheduler = None,
    jobs: Jobs = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute also what a stopped run had finished.")
    ] = False,
    config: SettingsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Run the model over the tiles of a slide and write an OME-Zarr; go on if it was stopped."""
    from wsi_pipeline.stages.segment import segment_slide  # noqa: PLC0415
    from wsi_pipeline.stages.tile import tile_slide  # noqa: PLC0415
    from wsi_pipeline.stages.workers import with_workers  # noqa: PLC0415

    named = {
        "model": model, "precision": precision, "runtime": runtime, "workers": workers,
        "scheduler": scheduler, "jobs": jobs,
    }  # fmt: skip
    settings = _settings(config, overrides, named)
    record = _open_record(slide, mpp, settings)
    if tiles is None:
        tiles = out.with_name("tiles.json")
        tile_slide(record, config=settings, out=tiles)
    with (
        with_workers(settings, out=out) as chosen,
        show_progress(record.declared.slide_id) as tell,
    ):
        note = segment_slide(
            record, tiles=tiles, config=chosen, out=out, fresh=fresh, on_progress=tell
        )
    kept = f"; {note.kept} of them kept from a run that was stopped" if note.kept else ""
    document = {"out": out, "tiles": tiles, "count": note.tiles, "kept": note.kept}
    answer(document, f"{out}: {note.tiles} tiles{kept}", as_json=as_json)


def nuclei(
    slide: SlideArgument,
    *,
    out: Annotated[Path, typer.Option(help="Write nuclei.parquet here.")],
    segmentation: Annotated[
        Path | None, typer.Option(help="segmentation.ome.zarr: nuclei in its tumour only.")
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Nuclei of the whole slide.")
    ] = False,
    instances: Annotated[
        Path | None,
        typer.Option(help="Also map the nuclei on level 0 (.npy, uint32), up to 10,000² px."),
    ] = None,
    mpp: Mpp = None,
    workers: Annotated[int | None, typer.Option(help="Dask workers.", show_default="all")] = None,
    scheduler: Scheduler = None,
    jobs: Jobs = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Find the nuclei of the tumour, or of the whole slide, and write a table of them."""
    from wsi_pipeline.stages.nuclei import find_nuclei  # noqa: PLC0415
    from wsi_pipeline.stages.nuclei_tile import Gate  # noqa: PLC0415
    from wsi_pipeline.stages.workers import with_workers  # noqa: PLC0415

    if segmentation is None and not everywhere:
        raise ConfigError("say where: give --segmentation for its tumour, or --everywhere")
    settings = _settings(
        config, overrides, {"workers": workers, "scheduler": scheduler, "jobs": jobs}
    )
    record = _open_record(slide, mpp, settings)
    with (
        with_workers(settings, out=out) as chosen,
        show_progress(record.declared.slide_id) as tell,
    ):
        about = find_nuclei(
            record,
            gate=Gate(segmentation, only_tumour=not everywhere),
            config=chosen,
            out=out,
            instances=instances,
            on_progress=tell,
        )
    why = f" ({about['status'].replace('_', ' ')}: {about['reason']})" if about["reason"] else ""
    told = {name: about[name] for name in ("count", "status", "reason")}
    line = f"{out}: {about['count']} nuclei{why}"
    answer({"out": out, **told, "instances": instances}, line, as_json=as_json)


def measure(
    slide: SlideArgument,
    *,
    tiles: Annotated[Path, typer.Option(help="tiles.json of the slide.")],
    segmentation: Annotated[Path, typer.Option(help="segmentation.ome.zarr of the slide.")],
    out: Annotated[Path, typer.Option(help="Write measurements.json here.")],
    nuclei: Annotated[
        Path | None, typer.Option(help="nuclei.parquet of the slide, for its nuclear grade.")
    ] = None,
    mpp: Mpp = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Measure a segmented slide."""
    from wsi_pipeline.stages.measure import measure_segmentation  # noqa: PLC0415

    settings = read_settings(config, overrides or ())
    record = _open_record(slide, mpp, settings)
    measure_segmentation(
        record,
        tiles=tiles,
        segmentation=segmentation,
        config=settings,
        out=out,
        nuclei=nuclei,
    )
    answer({"out": out, **read_json(out, made_by="measure")}, f"{out}", as_json=as_json)


def _settings(
    path: Path | None, overrides: list[str] | None, named: Mapping[str, str | int | None]
) -> Config:
    """Settings with the options that have a name of their own put last."""
    texts = [
        f"segment.{name}={json.dumps(value)}" for name, value in named.items() if value is not None
    ]
    return read_settings(path, [*(overrides or ()), *texts])


def _open_record(slide: Path, mpp: float | None, settings: Config) -> SlideRecord:
    """Record of an inspected slide, or of a slide file that is inspected now."""
    from wsi_pipeline.stages.declared import Declared  # noqa: PLC0415
    from wsi_pipeline.stages.inspect import (  # noqa: PLC0415
        inspect_slide,
        read_record,
        with_checksum,
    )

    if slide.suffix == ".json":
        if mpp is not None:
            raise ConfigError(f"{slide} holds the mpp already; give --mpp to 'inspect' instead")
        return read_record(slide)
    record = inspect_slide(slide, declared=Declared(slide.stem), mpp=mpp, config=settings)
    return with_checksum(record)


def _foresee(record: SlideRecord, settings: Config) -> tuple[Mapping[str, Any] | None, str]:
    """What would be done with a slide; None and the reason where the pipeline would stop."""
    from wsi_pipeline.stages.forecast import foresee  # noqa: PLC0415

    try:
        return foresee(record, config=settings).to_json(), ""
    except (TissueError, ModelMismatchError) as fault:
        return None, explain(fault)
