"""What did the user hand in?

1. The case table (tab-separated) is checked row by row against its JSON schema, and as a
   whole for duplicate slides and missing files; every fault is reported at once.
2. The table of annotated slides is checked likewise.
3. Settings come from a YAML file and from ``section.field=value`` on the command line.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import CaseTableError, ConfigError
from wsi_pipeline.stages.declared import AnnotatedSlide, Declared
from wsi_pipeline.stages.resources import share_folder


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One line of the case table: one slide.

    Parameters
    ----------
    path
        Absolute path of the slide file.
    declared
        What the table says about it.
    mpp
        Pixel width of level 0 in µm if the table gives it.
    """

    path: Path
    declared: Declared
    mpp: float | None


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the table with its number in the file."""

    number: int
    cells: tuple[str, ...]


def read_cases(path: Path, *, check_files: bool = True) -> tuple[CaseRow, ...]:
    """Read and check a case table.

    Parameters
    ----------
    path
        Tab-separated text with a header; relative slide paths are taken from its folder.
    check_files
        Whether slide files must be there.

    Raises
    ------
    CaseTableError
        Naming every fault: unknown or missing columns, ids that are empty, path-like or used
        twice, values out of range, files that are not there.
    """
    header, *lines = _read_lines(path, what="case table")
    schema = _read_schema("cases.schema.yaml")
    faults = _header_faults(header.cells, schema)
    faults += [fault for line in lines for fault in _line_faults(line, header, schema)]
    records = {line.number: _record(line, header) for line in lines}
    faults += _slide_faults(records, base=path.parent, check_files=check_files)
    faults += _case_faults(records.values())
    if faults:
        raise CaseTableError(f"{path}:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return tuple(_case_row(record, base=path.parent) for record in records.values())


def read_annotated_table(path: Path) -> tuple[AnnotatedSlide, ...]:
    """Read and check a table of annotated slides.

    Parameters
    ----------
    path
        Tab-separated text with the columns ``path``, ``annotations`` and, where a slide does not
        state it, ``mpp``; relative paths are taken from its folder.

    Raises
    ------
    CaseTableError
        Naming every fault: columns, values, files that are not there, slides named twice.
    """
    header, *lines = _read_lines(path, what="table of annotated slides")
    schema = _read_schema("annotated.schema.yaml")
    faults = _header_faults(header.cells, schema)
    faults += [fault for line in lines for fault in _line_faults(line, header, schema)]
    records = {line.number: _record(line, header) for line in lines}
    faults += _annotated_faults(records, base=path.parent)
    if faults:
        raise CaseTableError(f"{path}:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return tuple(
        AnnotatedSlide(
            (path.parent / record["path"]).absolute(),
            (path.parent / record["annotations"]).absolute(),
            float(record["mpp"]) if "mpp" in record else None,
        )
        for record in records.values()
    )


def read_settings(
    path: Path | None,
    overrides: Sequence[str] = (),
    *,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> Config:
    """Settings from a YAML file with changes from the command line on top.

    Parameters
    ----------
    path
        YAML file; None for the defaults.
    overrides
        Texts ``section.field=value``; the value is read as JSON or YAML.
    defaults
        Sections and fields that neither of them names; None for those of `Config`.

    Raises
    ------
    ConfigError
        Naming every fault at once.
    """
    tree = read_yaml(path) if path else {}
    for section, fields in (defaults or {}).items():
        given = tree.get(section, {})
        tree[section] = {**fields, **given} if isinstance(given, Mapping) else given
    return parse_config(merge_overrides(tree, overrides), source=str(path or "settings"))


def merge_overrides(tree: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Put ``section.field=value`` texts over a settings tree.

    Raises
    ------
    ConfigError
        If a text does not have that form, or its section holds no fields.
    """
    merged = {
        name: dict(section) if isinstance(section, Mapping) else section
        for name, section in tree.items()
    }
    for text in overrides:
        place, equals, value = text.partition("=")
        section, _, field = place.partition(".")
        if not (equals and section and field):
            raise ConfigError(f"'--set {text}': write it as section.field=value")
        fields = merged.setdefault(section, {})
        if not isinstance(fields, dict):
            raise ConfigError(f"section '{section}' must hold fields, not {fields!r}")
        fields[field] = _read_value(value, text)
    return merged


def _read_value(value: str, text: str) -> Any:
    """Value of an override: JSON, whose numbers (1e-5) YAML takes for text, or else YAML."""
    try:
        return json.loads(value, parse_constant=int)  # which refuses NaN and Infinity
    except ValueError:
        pass
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as fault:
        raise ConfigError(f"'--set {text}': the value is not valid YAML ({fault})") from fault


def format_settings(tree: Mapping[str, Any]) -> list[str]:
    """Settings as ``section.field=value`` texts, which `merge_overrides` reads back.

    Raises
    ------
    ConfigError
        If a section does not hold fields.
    """
    faults = [name for name, fields in tree.items() if not isinstance(fields, Mapping)]
    if faults:
        raise ConfigError(f"settings: {', '.join(faults)} must hold fields")
    return [
        f"{section}.{field}={json.dumps(value)}"
        for section, fields in tree.items()
        for field, value in fields.items()
    ]


def read_yaml(path: Path) -> dict[str, Any]:
    """Sections of a settings file.

    Raises
    ------
    ConfigError
        If the file cannot be read or does not hold sections.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise ConfigError(f"settings file {path} cannot be read: {fault}") from fault
    if not isinstance(tree, dict):
        raise ConfigError(f"settings file {path} must hold sections, not {type(tree).__name__}")
    return tree


def _read_schema(name: str) -> dict[str, Any]:
    text = (share_folder() / "workflows" / "schemas" / name).read_text(encoding="utf-8")
    schema: dict[str, Any] = yaml.safe_load(text)
    return schema


def _read_lines(path: Path, *, what: str) -> list[_Line]:
    """Header and rows with their numbers in the file; comments and blank lines are left out."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise CaseTableError(f"{what} {path} cannot be read: {fault}") from fault
    lines = [
        _Line(number, _cells(line, where=f"line {number} of the {what}"))
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if len(lines) < 2:
        raise CaseTableError(f"{what} {path} holds no slides: one header line, one line each")
    return lines


def _cells(line: str, *, where: str) -> tuple[str, ...]:
    """Cells of a line without surrounding blanks; empty ones at its end are left out."""
    try:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter="\t", strict=True))]
    except csv.Error as fault:
        raise CaseTableError(
            f"{where}: {fault}; a cell that holds quotes must be quoted as a whole, on one line"
        ) from fault
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def _record(line: _Line, header: _Line) -> dict[str, str]:
    """What one row says, by column; empty cells are left out."""
    cells = zip(header.cells, line.cells, strict=False)
    return {name: cell for name, cell in cells if cell}


def _header_faults(names: Sequence[str], schema: Mapping[str, Any]) -> list[str]:
    known = tuple(schema["properties"])
    unknown = dict.fromkeys(name for name in names if name not in known)
    missing = [name for name in schema["required"] if name not in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [
        *(f"unknown column '{name}' (there are: {', '.join(known)})" for name in unknown),
        *(f"column '{name}' is missing" for name in missing),
        *(f"column '{name}' is there twice" for name in twice),
    ]


def _line_faults(line: _Line, header: _Line, schema: Mapping[str, Any]) -> list[str]:
    """Faults of one row by itself; what the header lacks is not said again."""
    where, properties = f"line {line.number}", schema["properties"]
    record = {name: cell for name, cell in _record(line, header).items() if name in properties}
    faults = [
        f"{where}: column '{name}' is empty"
        for name in schema["required"]
        if name in header.cells and name not in record
    ]
    if len(line.cells) > len(header.cells):
        faults.append(
            f"{where}: {len(line.cells)} cells for {len(header.cells)} columns; columns are "
            "separated by tabs"
        )
    typed = {
        name: _number(cell) if properties[name].get("type") == "number" else cell
        for name, cell in record.items()
    }
    for error in Draft202012Validator(schema).iter_errors(typed):
        if error.validator != "required":
            hint = error.schema["description"]
            faults.append(f"{where}: column '{error.path[0]}': {error.message} ({hint})")
    return faults


def _number(cell: str) -> float | str:
    """Number of a cell; the text itself if it is none, for the schema to refuse."""
    try:
        value = float(cell)
    except ValueError:
        return cell
    return value if math.isfinite(value) else cell


def _slide_faults(
    records: Mapping[int, Mapping[str, str]], *, base: Path, check_files: bool
) -> list[str]:
    """Faults that only show between rows or on disk."""
    faults, seen = [], dict[str, int]()
    for number, record in records.items():
        slide_id = record.get("slide_id", "")
        first = seen.setdefault(slide_id.casefold(), number)
        if slide_id and first != number:
            faults.append(
                f"line {number}: slide_id '{slide_id}' is used on line {first} already (letter "
                "case does not count)"
            )
        path = record.get("path", "")
        if {"{", "}"} & set(str(base / path)):
            faults.append(
                f"line {number}: the path {base / path} holds braces, which Snakemake takes for "
                "wildcards; rename the file or folder"
            )
        if path and check_files and not os.path.exists(base / path):  # noqa: PTH110 - never raises
            faults.append(f"line {number}: no file {base / path}; correct column 'path'")
    return faults


def _annotated_faults(records: Mapping[int, Mapping[str, str]], *, base: Path) -> list[str]:
    """Faults of a table of annotated slides that only show between rows or on disk."""
    faults, seen = [], dict[Path, int]()
    for number, record in records.items():
        for column in ("path", "annotations"):
            if column in record and not os.path.exists(base / record[column]):  # noqa: PTH110
                file = base / record[column]
                faults.append(f"line {number}: no file {file}; correct column '{column}'")
        first = seen.setdefault((base / record.get("path", "")).absolute(), number)
        if "path" in record and first != number:
            faults.append(
                f"line {number}: the slide is on line {first} already; a slide has one file of "
                "annotations"
            )
    return faults


def _case_faults(records: Iterable[Mapping[str, str]]) -> list[str]:
    """Faults that only show between the slides of one case."""
    sites, spellings = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for record in records:
        case_id = record.get("case_id", "")
        spellings[case_id.casefold()].add(case_id)
        sites[case_id].update({record.get("primary_site", "")} - {""})
    return [
        *(
            f"case '{case_id}' has several primary sites ({', '.join(sorted(names))}); a case "
            "has one"
            for case_id, names in sites.items()
            if len(names) > 1
        ),
        *(
            f"cases {', '.join(sorted(names))} differ in letter case only; spell them alike"
            for names in spellings.values()
            if len(names) > 1
        ),
    ]


def _case_row(record: Mapping[str, str], *, base: Path) -> CaseRow:
    declared = Declared(
        slide_id=record["slide_id"],
        case_id=record["case_id"],
        block=record.get("block", ""),
        section=record.get("section", "auto"),
        primary_site=record.get("primary_site", ""),
        stain=record.get("stain", "H&E"),
    )
    mpp = float(record["mpp"]) if "mpp" in record else None
    return CaseRow((base / record["path"]).absolute(), declared, mpp)
