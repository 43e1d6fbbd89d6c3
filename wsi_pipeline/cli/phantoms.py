"""The verb ``phantom``: slides whose truth is known, and a case table for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from wsi_pipeline.cli.options import AsJson
from wsi_pipeline.cli.output import answer
from wsi_pipeline.cli.progress import show_progress
from wsi_pipeline.stages.artefacts import write_text

Section = Literal["vertical", "horizontal", "oblique", "stroma"]
_SECTIONS: tuple[Section, ...] = ("vertical", "horizontal")
Architecture = Literal[
    "none", "solid", "cord", "solid-cord", "trabecular", "single-file", "glandular"
]
_GRADES: dict[int, Literal[1, 2, 3]] = {1: 1, 2: 2, 3: 3}


def phantom(
    *,
    out: Annotated[Path, typer.Option(help="Folder for slides, truth and cases.tsv.")],
    cases: Annotated[int, typer.Option(min=1, max=10_000, help="Number of cases.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same slides.")] = 1,
    section: Annotated[
        Section | None,
        typer.Option(help="Plane of all; else vertical, and odd cases also a horizontal one."),
    ] = None,
    architecture: Annotated[Architecture, typer.Option(help="Growth pattern.")] = "solid-cord",
    grade: Annotated[int, typer.Option(min=1, max=3, help="Nuclear grade.")] = 2,
    artefacts: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How much may be wrong with slide and scan.")
    ] = 0.0,
    pieces: Annotated[int, typer.Option(min=1, max=6, help="Serial sections on a slide.")] = 1,
    width_mm: Annotated[float, typer.Option(min=1.0, max=40.0, help="Width of a section.")] = 4.0,
    height_mm: Annotated[float, typer.Option(min=1.0, max=40.0, help="Height of a section.")] = 3.0,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes; the slides are the same.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Paint phantom slides of scalp skin with a carcinoma, and a case table for them."""
    from wsi_pipeline.stages.phantom import paint_slides, sample_spec  # noqa: PLC0415

    lines, wanted = ["case_id\tslide_id\tpath\tblock\tsection\tprimary_site"], {}
    for number in range(1, cases + 1):
        for plane in _SECTIONS[: 1 + number % 2] if section is None else (section,):
            name = f"phantom-{number}-{plane}"
            wanted[name] = sample_spec(
                seed + number,
                section=plane,
                architecture=architecture,
                grade=_GRADES[grade],
                width_mm=width_mm,
                height_mm=height_mm,
                artefacts=artefacts,
            )
            # A case table knows no other plane; what is slanted must be found out.
            declared = plane if plane in _SECTIONS else "auto"
            lines.append(f"phantom-{number}\t{name}\t{name}.tiff\tA\t{declared}\tbreast")
    painted: list[Path] = []
    with show_progress("phantoms", unit="slides") as tell:
        for slide in paint_slides(wanted, folder=out, sections=pieces, workers=workers):
            painted.append(slide)
            tell(len(painted), len(wanted))
    table = out / "cases.tsv"
    write_text(table, "\n".join(lines) + "\n")
    told = {"slides": painted, "cases": table}
    answer(told, *(f"{path}" for path in (*painted, table)), as_json=as_json)
