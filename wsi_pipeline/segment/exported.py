"""How is a bring-your-own network read without running code from its file?

A ``torch.export`` archive is a zip of a graph in JSON and of raw weights, but torch also
reads pickles, compiled libraries and older layouts from it, and all of these run whatever
their author wrote.  So nothing is taken from the archive but what is known to be inert:

1. a member whose name is not on the list is refused, and so is any other layout;
2. graph and tables of weights are copied after each part has been checked (`graph`);
3. the pickled sample inputs, which inference does not need, are emptied;
4. only that copy is handed to torch.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from torch import nn
from torch._export.verifier import SpecViolationError
from torch.export.pt2_archive._package import load_pt2

from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment.graph import plain_payload, plain_program

_MAX_ARCHIVE_BYTES = 2 << 30
"""Larger than any segmentation network this pipeline is meant for, unpacked."""
_FORMAT = b"pt2"
_PROGRAM = "models/model.json"
_TABLES = (
    "data/weights/model_weights_config.json",
    "data/constants/model_constants_config.json",
)
_SAMPLE = "data/sample_inputs/model.pt"
_RAW = re.compile(
    r"archive_format|archive_version|version|byteorder|\.data/(version|serialization_id)"
    r"|data/weights/weight_[0-9]+|data/constants/tensor_[0-9]+"
)
_FAULTS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, SpecViolationError, RuntimeError,
    ValueError, TypeError, LookupError, AttributeError, NameError, AssertionError, SyntaxError,
    ArithmeticError, MemoryError,
)  # fmt: skip
"""What zipfile, json and torch raise for a file that is broken or was not meant for them."""


def load_exported(path: Path) -> nn.Module:
    """Network of a ``torch.export`` archive, one tensor in and one tensor out.

    Raises
    ------
    ModelMismatchError
        If the file is no such archive, or holds anything that a plain network does not need.

    Notes
    -----
    No code from the file runs.  It is still a program in torch's own operations, which may be
    slow or large; and torch itself is trusted to compute with any numbers it is given.
    """
    try:
        # Not torch.export.load, which falls back on an older layout that is pickled.
        copy = _pack(_plain(_read_members(path)))
        network: nn.Module = load_pt2(copy).exported_programs["model"].module()
    except ModelMismatchError as fault:
        raise ModelMismatchError(f"{path} is not read: {fault}") from fault
    except _FAULTS as fault:
        raise ModelMismatchError(
            f"{path} is not a torch.export archive that can be read: {_reason(fault)}; save the "
            "network again with torch.export.save"
        ) from fault
    return network


def _reason(fault: BaseException) -> str:
    """Kind and last line: torch puts whole tracebacks into its messages."""
    lines = str(fault).strip().splitlines()
    return f"{type(fault).__name__}: {lines[-1]}" if lines else type(fault).__name__


def _read_members(path: Path) -> dict[str, bytes]:
    """Contents by name below the archive's top folder."""
    members: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as archive:
        if sum(item.file_size for item in archive.infolist()) > _MAX_ARCHIVE_BYTES:
            raise ModelMismatchError(f"it unpacks to more than {_MAX_ARCHIVE_BYTES >> 30} GiB")
        top = archive.namelist()[0].partition("/")[0]
        for item in archive.infolist():
            name = item.filename.removeprefix(f"{top}/")
            _check_member(name, twice=name in members)
            members[name] = archive.read(item)
    return members


def _check_member(name: str, *, twice: bool) -> None:
    known = name in (_PROGRAM, *_TABLES, _SAMPLE) or _RAW.fullmatch(name)
    if not known or twice:
        raise ModelMismatchError(
            f"it holds '{name[:80]}'{' twice' if twice else ''}, which a plain torch.export "
            "archive does not; export the network alone with torch.export.save"
        )


def _plain(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same network without anything that torch would execute."""
    if members.get("archive_format") != _FORMAT:
        raise ModelMismatchError(
            "it is not in the pt2 format; save it again with torch.export.save of this torch"
        )
    tables = {name: _dump(plain_payload(json.loads(members[name]))) for name in _TABLES}
    program = _dump(plain_program(json.loads(members[_PROGRAM])))
    return {**members, **tables, _PROGRAM: program, _SAMPLE: b""}


def _dump(value: object) -> bytes:
    return json.dumps(value).encode()


def _pack(members: Mapping[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"model/{name}", content)
    packed.seek(0)
    return packed
