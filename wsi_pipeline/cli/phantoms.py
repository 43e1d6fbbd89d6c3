"""The verb ``phantom``: slides whose truth is known, and a case table for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from wsi_pipeline.stages.artefacts import write_text

_SECTIONS: tuple[Literal["vertical", "horizontal"], ...] = ("vertical", "horizontal")
Architecture = Literal[
    "none", "solid", "cord", "solid-cord", "trabecular", "single-file", "glandular"
]
_GRADES: dict[int, Literal[1, 2, 3]] = {1: 1, 2: 2, 3: 3}


def phantom(
    *,
    out: Annotated[Path, typer.Option(help="Folder for slides, truth and cases.tsv.")],
    cases: Annotated[int, typer.Option(min=1, max=10_000, help="Number of cases.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same slides.")] = 1,
    architecture: Annotated[Architecture, typer.Option(help="Growth pattern.")] = "solid-cord",
    grade: Annotated[int, typer.Option(min=1, max=3, help="Nuclear grade.")] = 2,
    width_mm: Annotated[float, typer.Option(min=1.0, max=40.0, help="Width of a slide.")] = 4.0,
    height_mm: Annotated[float, typer.Option(min=1.0, max=40.0, help="Height of a slide.")] = 3.0,
) -> None:
    """Paint phantom slides of scalp skin with a carcinoma; odd cases also get a horizontal one."""
    from wsi_pipeline.stages.phantom import paint_slide, sample_spec  # noqa: PLC0415

    lines = ["case_id\tslide_id\tpath\tblock\tsection\tprimary_site"]
    for number in range(1, cases + 1):
        for section in _SECTIONS[: 1 + number % 2]:
            name = f"phantom-{number}-{section}"
            spec = sample_spec(
                seed + number,
                section=section,
                architecture=architecture,
                grade=_GRADES[grade],
                width_mm=width_mm,
                height_mm=height_mm,
            )
            slide = paint_slide(spec, folder=out, name=name)
            lines.append(f"phantom-{number}\t{name}\t{slide.name}\tA\t{section}\tbreast")
            typer.echo(f"{slide}")
    write_text(out / "cases.tsv", "\n".join(lines) + "\n")
    typer.echo(f"{out / 'cases.tsv'}")
