"""How is a bring-your-own network read without running code from its file?

A ``torch.export`` archive is a zip of a graph in JSON and of raw weights, but torch also
allows pickles inside it, and unpickling runs whatever its author wrote.  So

1. an archive whose weights or constants are pickled, or that holds compiled code, is refused;
2. the pickled sample inputs, which inference does not need, are emptied;
3. only what is left is handed to torch.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import torch
from torch import nn

from wsi_pipeline.errors import ModelMismatchError

_MAX_ARCHIVE_BYTES = 2 << 30
"""Larger than any segmentation network this pipeline is meant for, unpacked."""


def load_exported(path: Path) -> nn.Module:
    """Network of a ``torch.export`` archive.

    Raises
    ------
    ModelMismatchError
        If the file is no such archive, or holds pickles or compiled code.
    """
    try:
        archive = _without_pickles(path)
        network: nn.Module = torch.export.load(archive).module()
    except (zipfile.BadZipFile, RuntimeError, ValueError, KeyError, AssertionError) as fault:
        if isinstance(fault, ModelMismatchError):
            raise
        raise ModelMismatchError(f"{path} is not a torch.export archive: {fault}") from fault
    return network


def _without_pickles(path: Path) -> io.BytesIO:
    """Copy of the archive in memory that nothing can be unpickled from."""
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        if sum(item.file_size for item in source.infolist()) > _MAX_ARCHIVE_BYTES:
            raise ModelMismatchError(f"{path} unpacks to more than {_MAX_ARCHIVE_BYTES >> 30} GiB")
        for item in source.infolist():
            content = source.read(item)
            _check_member(path, item.filename, content)
            is_sample = "/sample_inputs/" in item.filename
            target.writestr(item.filename, b"" if is_sample else content)
    copy.seek(0)
    return copy


def _check_member(path: Path, name: str, content: bytes) -> None:
    if "/aotinductor/" in name:
        raise ModelMismatchError(
            f"{path} holds compiled code ({name}); export the model without it"
        )
    if not name.endswith(("weights_config.json", "constants_config.json")):
        return
    entries = json.loads(content).get("config", {})
    pickled = [key for key, entry in entries.items() if entry.get("use_pickle", True)]
    if pickled:
        raise ModelMismatchError(
            f"{path} holds pickled tensors ({', '.join(pickled[:3])}), which are not read; export "
            "the model with plain contiguous tensors"
        )
