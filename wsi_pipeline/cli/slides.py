"""The verbs that work on one slide: inspect, tile, segment, nuclei, measure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wsi_pipeline.cli.inputs import read_settings
from wsi_pipeline.cli.options import (
    AsJson,
    Model,
    Mpp,
    Overrides,
    Precision,
    SettingsFile,
    SlideArgument,
)
from wsi_pipeline.cli.progress import show_progress
from wsi_pipeline.errors import ConfigError

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
    mpp: Mpp = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Open a slide and say what it is: format, levels, mpp and where that comes from."""
    from wsi_pipeline.stages.declared import Declared  # noqa: PLC0415
    from wsi_pipeline.stages.inspect import (  # noqa: PLC0415
        inspect_slide,
        with_checksum,
        write_record,
    )

    declared = Declared(slide_id or slide.stem, section=section)
    settings = read_settings(config, overrides or ())
    record = inspect_slide(slide, declared=declared, mpp=mpp, config=settings)
    if out is not None:
        write_record(with_checksum(record), out, config=settings)
    _tell_slide(record, as_json=as_json)


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
) -> None:
    """Find the tissue and plan the tiles that cover it."""
    from wsi_pipeline.stages.export_tiles import export_tiles  # noqa: PLC0415
    from wsi_pipeline.stages.segment import available_cores  # noqa: PLC0415
    from wsi_pipeline.stages.tile import tile_slide  # noqa: PLC0415

    settings = _settings(config, overrides, {"model": model})
    record = _open_record(slide, mpp, settings)
    tiled = tile_slide(record, config=settings, out=out, picture=picture)
    rows, columns = tiled.plan.lattice
    typer.echo(f"{out}: {len(tiled.plan)} of {rows * columns} tiles show tissue")
    if export is not None:
        with show_progress("export") as tell:
            count = export_tiles(
                record, tiled.plan, out=export, workers=available_cores(), on_progress=tell
            )
        typer.echo(f"{export}: {count} RGB tiles")


def segment(
    slide: SlideArgument,
    *,
    out: Annotated[Path, typer.Option(help="Write segmentation.ome.zarr here.")],
    tiles: Annotated[
        Path | None, typer.Option(help="tiles.json; planned beside the output if not given.")
    ] = None,
    model: Model = None,
    precision: Precision = None,
    mpp: Mpp = None,
    workers: Annotated[int | None, typer.Option(help="Dask workers.", show_default="all")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="threads, processes, sync or tcp://…", show_default="threads"),
    ] = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
) -> None:
    """Run the model over the tiles of a slide and write an OME-Zarr."""
    from wsi_pipeline.stages.segment import segment_slide  # noqa: PLC0415
    from wsi_pipeline.stages.tile import tile_slide  # noqa: PLC0415

    named = {
        "model": model, "precision": precision, "workers": workers, "scheduler": scheduler,
    }  # fmt: skip
    settings = _settings(config, overrides, named)
    record = _open_record(slide, mpp, settings)
    if tiles is None:
        tiles = out.with_name("tiles.json")
        tile_slide(record, config=settings, out=tiles)
    with show_progress(record.declared.slide_id) as tell:
        segment_slide(record, tiles=tiles, config=settings, out=out, on_progress=tell)
    typer.echo(f"{out}")


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
    scheduler: Annotated[
        str | None,
        typer.Option(help="threads, processes, sync or tcp://…", show_default="threads"),
    ] = None,
    config: SettingsFile = None,
    overrides: Overrides = None,
) -> None:
    """Find the nuclei of the tumour, or of the whole slide, and write a table of them."""
    from wsi_pipeline.stages.nuclei import Gate, find_nuclei  # noqa: PLC0415

    if segmentation is None and not everywhere:
        raise ConfigError("say where: give --segmentation for its tumour, or --everywhere")
    settings = _settings(config, overrides, {"workers": workers, "scheduler": scheduler})
    record = _open_record(slide, mpp, settings)
    with show_progress(record.declared.slide_id) as tell:
        about = find_nuclei(
            record,
            gate=Gate(segmentation, only_tumour=not everywhere),
            config=settings,
            out=out,
            instances=instances,
            on_progress=tell,
        )
    why = f" ({about['status'].replace('_', ' ')}: {about['reason']})" if about["reason"] else ""
    typer.echo(f"{out}: {about['count']} nuclei{why}")


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
    typer.echo(f"{out}")


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


def _tell_slide(record: SlideRecord, *, as_json: bool) -> None:
    info = record.info
    if as_json:
        typer.echo(json.dumps(dict(info), indent=1))
        return
    rows, columns = info["level_shapes"][0]
    levels = ", ".join(f"{factor:g}×" for factor in info["level_downsamples"])
    typer.echo(f"{record.path.name}: {info['vendor']}, read with {info['backend']}")
    typer.echo(f"  {columns} × {rows} px at {info['mpp']:g} µm/px (from {info['mpp_source']})")
    width_mm, height_mm = columns * info["mpp"] / 1000, rows * info["mpp"] / 1000
    typer.echo(f"  {width_mm:.2f} × {height_mm:.2f} mm, levels {levels}")
