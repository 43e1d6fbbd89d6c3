"""What did the user hand in?

1. The case table (tab-separated) is checked row by row against its JSON schema, and as a
   whole for duplicate slides and missing files; every fault is reported at once.
2. Settings come from a YAML file and from ``section.field=value`` on the command line.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import CaseTableError, ConfigError
from wsi_pipeline.stages.declared import Declared
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
    records = _read_records(path)
    schema = _read_schema("cases.schema.yaml")
    faults = _column_faults(records, schema) or [
        fault
        for number, record in enumerate(records, start=2)
        for fault in _row_faults(record, schema, number=number)
    ]
    if not faults:
        faults = _table_faults(records, base=path.parent, check_files=check_files)
    if faults:
        raise CaseTableError(f"{path}:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return tuple(_case_row(record, base=path.parent) for record in records)


def read_settings(path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """Settings from a YAML file with changes from the command line on top.

    Parameters
    ----------
    path
        YAML file; None for the defaults.
    overrides
        Texts ``section.field=value``; the value is read as YAML.

    Raises
    ------
    ConfigError
        Naming every fault at once.
    """
    tree = read_yaml(path) if path else {}
    return parse_config(merge_overrides(tree, overrides), source=str(path or "settings"))


def merge_overrides(tree: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Put ``section.field=value`` texts over a settings tree.

    Raises
    ------
    ConfigError
        If a text does not have that form.
    """
    merged = {
        name: dict(section) if isinstance(section, Mapping) else section
        for name, section in tree.items()
    }
    for text in overrides:
        place, equals, value = text.partition("=")
        section, dot, field = place.partition(".")
        if not (equals and dot and field):
            raise ConfigError(f"'--set {text}': write it as section.field=value")
        merged.setdefault(section, {})[field] = yaml.safe_load(value)
    return merged


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


def _read_records(path: Path) -> list[dict[str, str]]:
    """Rows as dictionaries; empty cells are left out, comment and blank lines skipped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise CaseTableError(f"case table {path} cannot be read: {fault}") from fault
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rows = list(csv.reader(lines, delimiter="\t", strict=True))
    if len(rows) < 2:
        raise CaseTableError(f"case table {path} holds no slides: one header line, one line each")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) < len(header):
        raise CaseTableError(f"case table {path} names a column twice: {', '.join(header)}")
    return [_record(header, row, number=number) for number, row in enumerate(rows[1:], start=2)]


def _record(header: list[str], row: list[str], *, number: int) -> dict[str, str]:
    if len(row) > len(header):
        raise CaseTableError(
            f"line {number} of the case table has {len(row)} cells for {len(header)} columns; "
            "columns are separated by tabs"
        )
    cells = zip(header, row, strict=False)
    return {name: cell.strip() for name, cell in cells if cell.strip()}


def _column_faults(records: Iterable[Mapping[str, str]], schema: Mapping[str, Any]) -> list[str]:
    known = set(schema["properties"])
    unknown = sorted({name for record in records for name in record} - known)
    return [
        f"unknown column '{name}' (there are: {', '.join(schema['properties'])})"
        for name in unknown
    ]


def _row_faults(record: Mapping[str, str], schema: Mapping[str, Any], *, number: int) -> list[str]:
    typed = {
        name: _number(cell) if schema["properties"][name].get("type") == "number" else cell
        for name, cell in record.items()
    }
    faults = []
    for error in Draft202012Validator(schema).iter_errors(typed):
        field = f"column '{error.path[0]}': " if error.path else ""
        hint = error.schema.get("description", "") if error.path else ""
        faults.append(f"line {number}: {field}{error.message}" + (f" ({hint})" if hint else ""))
    return faults


def _number(cell: str) -> float | str:
    """Number of a cell; the text itself if it is none, for the schema to refuse."""
    try:
        return float(cell)
    except ValueError:
        return cell


def _table_faults(
    records: Sequence[Mapping[str, str]], *, base: Path, check_files: bool
) -> list[str]:
    """Faults that only show between rows or on disk."""
    faults, seen = [], dict[str, int]()
    for number, record in enumerate(records, start=2):
        slide_id = record["slide_id"]
        first = seen.setdefault(slide_id.casefold(), number)
        if first != number:
            faults.append(
                f"line {number}: slide_id '{slide_id}' is used on line {first} already (letter "
                "case does not count)"
            )
        if check_files and not (base / record["path"]).exists():
            faults.append(f"line {number}: no file {base / record['path']}; correct column 'path'")
    return faults + _case_faults(records)


def _case_faults(records: Sequence[Mapping[str, str]]) -> list[str]:
    sites: dict[str, set[str]] = {}
    for record in records:
        sites.setdefault(record["case_id"], set()).add(record.get("primary_site", ""))
    return [
        f"case '{case_id}' has several primary sites ({', '.join(sorted(names - {''}))}); a case "
        "has one"
        for case_id, names in sites.items()
        if len(names - {""}) > 1
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
