"""Slide file → ``slide.json``: what the file says of itself, and can it be read at all?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wsi_pipeline.config import Config, config_sha256
from wsi_pipeline.errors import StoreError
from wsi_pipeline.geometry import Box
from wsi_pipeline.slide import Slide, open_slide
from wsi_pipeline.stages.artefacts import file_sha256, provenance, read_json, write_json
from wsi_pipeline.stages.declared import Declared

SCHEMA = "wsi_pipeline/slide/1"


@dataclass(frozen=True, slots=True)
class SlideRecord:
    """A slide as later stages find it.

    Parameters
    ----------
    path
        The slide file.
    declared
        What the case table says.
    info
        What the file says: format, back-end, mpp and its source, levels.
    input
        Size and checksum of the file.
    """

    path: Path
    declared: Declared
    info: Mapping[str, Any]
    input: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> Slide:
        """Open the slide as it was opened when it was inspected."""
        return open_slide(self.path, mpp=self.info["mpp"], backend=self.info["backend"])


def inspect_slide(
    path: Path, *, declared: Declared, mpp: float | None, config: Config, out: Path | None
) -> SlideRecord:
    """Open a slide, read one region as a trial, and record what was found.

    Parameters
    ----------
    path
        Slide file.
    declared
        What the case table says.
    mpp
        Pixel width of level 0 in µm, where the file does not state it or states it wrongly.
    config
        Settings.
    out
        Where to write ``slide.json``; None to write nothing.

    Raises
    ------
    SlideReadError, MissingMppError, InvalidMppError
        If the slide cannot be used.
    """
    with open_slide(path, mpp=mpp, backend=config.slide.backend) as slide:
        _read_trial_region(slide)
        info = slide.info.to_json()
    record = SlideRecord(path.resolve(), declared, info, _input_facts(path) if out else {})
    if out is not None:
        content = {
            "schema": SCHEMA,
            "path": str(record.path),
            "declared": asdict(declared),
            "info": info,
            "input": dict(record.input),
            "provenance": provenance("inspect", config_sha256=config_sha256(config)),
        }
        write_json(out, content)
    return record


def read_record(path: Path) -> SlideRecord:
    """Read ``slide.json``.

    Raises
    ------
    StoreError
        If it is missing or incomplete.
    """
    raw = read_json(path, made_by="wsi-pipeline inspect")
    try:
        declared = Declared(**raw["declared"])
        return SlideRecord(Path(raw["path"]), declared, raw["info"], raw["input"])
    except (KeyError, TypeError) as fault:
        raise StoreError(
            f"{path} is not a slide record ({fault}); run 'wsi-pipeline inspect' again"
        ) from fault


def _read_trial_region(slide: Slide) -> None:
    """Decode a little at the centre: a header alone does not make a readable slide."""
    rows, columns = slide.grid.shape
    top, left = max(0, rows // 2 - 32), max(0, columns // 2 - 32)
    slide.read_region(Box(top, left, top + 64, left + 64), slide.grid.mpp)


def _input_facts(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
