"""Which options do several verbs share?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

SettingsFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Settings file (YAML).", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="SECTION.FIELD=VALUE",
        help="Change one setting; may be repeated.",
        show_default=False,
    ),
]
SlideArgument = Annotated[
    Path, typer.Argument(metavar="SLIDE", help="Slide file, or the slide.json of one.")
]
Mpp = Annotated[
    float | None,
    typer.Option(
        help="Width of a level-0 pixel in µm, where the file does not state it.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Model id or folder.", show_default="skin-tumour-5"),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16", "int8"] | None,
    typer.Option(help="Numbers the network computes in.", show_default="auto"),
]
Runtime = Annotated[
    Literal["torch", "openvino", "onnxruntime"] | None,
    typer.Option(help="Library that runs the network.", show_default="torch"),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        "--dask",
        help="threads, processes, sync, tcp://…, or slurm: workers are jobs.",
        show_default="threads",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="With slurm: jobs at a time; --workers are the cores of each.", show_default="4"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")]
