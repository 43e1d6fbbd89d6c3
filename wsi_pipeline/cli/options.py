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
    typer.Option("--model", "-m", help="Model id or folder.", show_default="skin-tumour-2"),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"] | None,
    typer.Option(help="Numbers the network computes in.", show_default="auto"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
