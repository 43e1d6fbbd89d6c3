"""How does an artefact come to be whole?

1. Everything is written under ``….partial`` and renamed when it is complete, so what exists
   is whole and a killed stage leaves nothing that could be taken for a result.
2. Every artefact carries its provenance.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import wsi_pipeline
from wsi_pipeline.config import Config
from wsi_pipeline.errors import StoreError

_ELSEWHERE = ("device", "scheduler", "workers", "jobs", "look_ahead", "model")
"""Settings that must not change a result, and the model, which is named by its checksum."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole(path: Path, *, keep: bool = False) -> Iterator[Path]:
    """Give a partial path to write to; move it to ``path`` if nothing went wrong.

    Parameters
    ----------
    path
        Where the artefact shall be.
    keep
        Whether what an earlier run left at the partial path is left there.

    Raises
    ------
    StoreError
        If the folder cannot be written to, or ``path`` is a folder that is no earlier result:
        only a store is ever replaced.
    """
    partial = path.with_name(path.name + ".partial")
    if path.is_dir() and not _is_replaceable(path):
        raise StoreError(f"{path} is a folder with other files in it; choose another output")
    with _told_as_store_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not keep:
            remove(partial)
    try:
        yield partial
    except OSError as fault:
        # What the body reads may fail in its own words; a full disk is always ours to tell.
        if fault.errno not in _FULL:
            raise
        raise StoreError(
            f"{path} cannot be written: the disk is full; make room and run the same again"
        ) from fault
    with _told_as_store_error(path):
        if path.is_dir() and partial.is_dir():
            remove(path)
        partial.replace(path)


@contextmanager
def _told_as_store_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise StoreError(f"{path} cannot be written: {fault.strerror}") from fault


def _is_replaceable(folder: Path) -> bool:
    """Whether a folder is empty or a store."""
    is_store = any((folder / name).is_file() for name in ("zarr.json", ".zgroup"))
    return is_store or not any(folder.iterdir())


def remove(path: Path) -> None:
    """Delete a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all; numbers that are not finite are refused."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, *, made_by: str) -> dict[str, Any]:
    """Read a JSON artefact.

    Parameters
    ----------
    path
        File to read.
    made_by
        Command that writes it, for the error message.

    Raises
    ------
    StoreError
        If the file is missing or not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise StoreError(f"{path} cannot be read ({fault}); run '{made_by}' first") from fault
    if not isinstance(content, dict):
        raise StoreError(f"{path} does not hold an object; run '{made_by}' again")
    return content


def file_sha256(path: Path) -> str:
    """Checksum of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def used_settings(config: Config, *sections: str) -> dict[str, Any]:
    """Settings of some sections, without those that decide only where it runs."""
    tree = asdict(config)
    return {
        section: {name: value for name, value in tree[section].items() if name not in _ELSEWHERE}
        for section in sections
    }


def provenance(stage: str, *, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What an artefact says about how it was made.

    Parameters
    ----------
    stage
        Step that made it.
    settings
        The settings it depends on, see `used_settings`.
    """
    text = json.dumps(settings, sort_keys=True)
    return {
        "stage": stage,
        "pipeline": "wsi_pipeline",
        "pipeline_version": wsi_pipeline.__version__,
        "python": platform.python_version(),
        "settings": dict(settings),
        "settings_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
