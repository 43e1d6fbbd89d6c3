"""Slide file → ``slide.json``: what the file says of itself, and can it be read at all?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wsi_pipeline.config import Config
from wsi_pipeline.errors import SlideReadError, StoreError
from wsi_pipeline.geometry import Box
from wsi_pipeline.slide import Slide, open_slide
from wsi_pipeline.stages.artefacts import (
    file_sha256,
    provenance,
    read_json,
    used_settings,
    write_json,
)
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

    def check_same(self, other: Mapping[str, Any], *, what: str) -> None:
        """Refuse an artefact that was made from another slide.

        Parameters
        ----------
        other
            What the artefact says: ``slide_id``, and ``input`` as this record has it.
        what
            The artefact, for the error message.

        Raises
        ------
        StoreError
            If it is of another slide, or of an earlier state of this one.
        """
        if (self.declared.slide_id, dict(self.input)) != (other["slide_id"], other["input"]):
            raise StoreError(
                f"{what} belongs to slide '{other['slide_id']}' as it was when it was made, not to "
                f"'{self.declared.slide_id}' as it is now; make it again from this slide"
            )

    def open(self) -> Slide:
        """Open the slide as it was opened when it was inspected.

        Raises
        ------
        SlideReadError
            If it cannot be opened, or its size is no longer that of the file that was inspected.
        """
        self.check_unchanged()
        return open_slide(self.path, mpp=self.info["mpp"], backend=self.info["backend"])

    def check_unchanged(self) -> None:
        """Refuse a file that was exchanged meanwhile, as far as its length tells.

        Raises
        ------
        SlideReadError
            If its size is not what it was.
        """
        if "bytes" not in self.input or not self.path.is_file():
            return
        now, before = self.path.stat().st_size, self.input["bytes"]
        if now != before:
            raise SlideReadError(
                f"slide '{self.path.name}' has changed since it was inspected: it has {now:,} "
                f"bytes and had {before:,}; let copying finish, then run the same command again"
            )


def inspect_slide(
    path: Path, *, declared: Declared, mpp: float | None, config: Config
) -> SlideRecord:
    """Open a slide, read one region as a trial, and say what was found.

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

    Raises
    ------
    SlideReadError, MissingMppError, InvalidMppError
        If the slide cannot be used.
    """
    with open_slide(path, mpp=mpp, backend=config.slide.backend) as slide:
        _read_trial_region(slide)
        info = slide.info.to_json()
    return SlideRecord(path.resolve(), declared, info)


def with_checksum(record: SlideRecord) -> SlideRecord:
    """Record that also knows size and checksum of its file, which takes one reading of it.

    Of a DICOM series it is the checksum of the one file that was named.
    """
    facts = {"bytes": record.path.stat().st_size, "sha256": file_sha256(record.path)}
    return replace(record, input=facts)


def write_record(record: SlideRecord, out: Path, *, config: Config) -> None:
    """Write ``slide.json``."""
    content = {
        "schema": SCHEMA,
        "path": str(record.path),
        # Block, site and stain reach the reports from the table: they decide nothing here.
        "declared": {
            "slide_id": record.declared.slide_id,
            "section": record.declared.section,
        },
        "info": dict(record.info),
        "input": dict(record.input),
        "provenance": provenance("inspect", settings=used_settings(config, "slide")),
    }
    write_json(out, content)


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
