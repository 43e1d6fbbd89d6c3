"""With ``--json`` stdout is one document; what a program reads is what was written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from calling import FAST, Call
from typer.main import get_command

from wsi_pipeline.cli.app import app
from wsi_pipeline.stages.tile import read_tiled


def document(called: Any) -> dict[str, Any]:
    """The one document on stdout; anything beside it is a fault."""
    told = json.loads(called.out)
    assert isinstance(told, dict)
    return told


def leaves(command: Any, name: str = "") -> list[tuple[str, Any]]:
    """Every verb with its command."""
    if not hasattr(command, "commands"):
        return [(name, command)]
    return [
        leaf for verb, own in command.commands.items() for leaf in leaves(own, f"{name} {verb}")
    ]


@pytest.mark.parametrize(("name", "command"), leaves(get_command(app)))
def test_every_verb_whose_output_is_data_has_json(
    name: str, command: typer.core.TyperCommand
) -> None:
    if name == " view":  # serves until it is stopped
        return
    assert "--json" in {text for option in command.params for text in option.opts}


def test_each_step_answers_with_a_document(
    call: Call, slides: Path, slide: Path, phantoms: Path, tmp_path: Path
) -> None:
    folder = tmp_path / slide.stem
    shutil.copytree(slides / slide.stem, folder)
    record, tiles = folder / "slide.json", folder / "tiles.json"
    store = folder / "segmentation.ome.zarr"

    told = document(call("tile", record, "--out", tiles, "--json", *FAST))
    assert (told["out"], told["tiles"]) == (str(tiles), len(read_tiled(tiles).plan))
    told = document(call("segment", record, "--tiles", tiles, "--out", store, "--json", *FAST))
    assert told["out"] == str(store)
    table = folder / "nuclei.parquet"
    told = document(
        call("nuclei", record, "--segmentation", store, "--out", table, "--workers", 1, "--json")
    )
    assert told["status"] == "measured"
    assert told["count"] > 0
    numbers = folder / "measurements.json"
    told = document(
        call(
            *("measure", record, "--tiles", tiles, "--segmentation", store),
            *("--out", numbers, "--json"),
        )
    )
    assert told["values"] == json.loads(numbers.read_text(encoding="utf-8"))["values"]
    told = document(call("export", folder, "--json"))
    assert told == {"written": [str(folder / "annotations.geojson.gz")], "failed": []}

    html = tmp_path / "one" / "report.html"
    rows = ("case_id\tslide_id\tpath", f"one\t{slide.stem}\t{slide}", f"one\tgone\t{slide}")
    cases = tmp_path / "cases.tsv"
    cases.write_text("\n".join(rows))
    data = html.with_suffix(".json")
    told = document(
        call(
            *("report", "case", cases, "one", "--slides", tmp_path / "{slide_id}"),
            *("--html", html, "--data", data, "--json"),
        )
    )
    assert told == {"html": str(html), "data": str(data), "slides": 2, "failed": 1}
    told = document(
        call(
            *("report", "cohort", cases, "--cases", tmp_path / "{case_id}" / "report.json"),
            *("--html", tmp_path / "c.html", "--csv", tmp_path / "c.csv", "--json"),
        )
    )
    assert [failed["slide_id"] for failed in told["failed"]] == ["gone"]


def test_phantoms_are_listed(call: Call, tmp_path: Path) -> None:
    words = ("--cases", 1, "--section", "vertical", "--width-mm", 1, "--height-mm", 1)
    told = document(call("phantom", "--out", tmp_path, *words, "--json"))
    assert told["slides"] == [str(tmp_path / "phantom-1-vertical.tiff")]
    assert told["cases"] == str(tmp_path / "cases.tsv")


def test_after_an_error_stdout_is_empty(call: Call, tmp_path: Path) -> None:
    called = call("inspect", tmp_path / "none.svs", "--json")
    assert (called.code, called.out) == (1, "")
    assert "error: " in called.err
