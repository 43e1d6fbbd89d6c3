from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.cli.inputs import format_settings, merge_overrides, read_settings, read_yaml
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import ConfigError

names = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.booleans() | numbers | st.text()
trees = st.dictionaries(names, st.dictionaries(names, values, min_size=1))


def test_nothing_given_are_the_defaults() -> None:
    assert read_settings(None) == Config()


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("tiling:\n  tile_px: 1024\nstore: {chunk_px: 128}\n")
    config = read_settings(path, ["tiling.tile_px=256", "segment.scheduler=tcp://host:8786"])
    assert config.tiling.tile_px == 256
    assert config.store.chunk_px == 128
    assert config.segment.scheduler == "tcp://host:8786"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=1", 1),
        ("a.b=1.5", 1.5),
        ("a.b=1e-5", 1e-5),
        ("a.b=true", True),
        ("a.b=null", None),
        ("a.b=word", "word"),
        ('a.b="1"', "1"),
        ("a.b=x=y", "x=y"),
        ("a.b=models/my.model", "models/my.model"),
        ("a.b=", None),
        ("a.b=NaN", "NaN"),  # no number, so no setting takes it
    ],
)
def test_values_are_read_as_they_are_written(text: str, value: Any) -> None:
    assert merge_overrides({}, [text]) == {"a": {"b": value}}


def test_merging_leaves_the_file_as_it_was() -> None:
    tree = {"store": {"chunk_px": 64}}
    assert merge_overrides(tree, ["store.chunk_px=32", "store.chunk_px=16", "a.b=1"]) == {
        "store": {"chunk_px": 16},
        "a": {"b": 1},
    }
    assert tree == {"store": {"chunk_px": 64}}


@given(trees)
def test_written_settings_read_back_as_they_were(tree: dict[str, dict[str, Any]]) -> None:
    assert merge_overrides({}, format_settings(tree)) == tree


def test_defaults_survive_a_file_and_the_command_line(tmp_path: Path) -> None:
    tree = dataclasses.asdict(Config())
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(tree))
    assert read_settings(path) == Config()
    assert parse_config(merge_overrides({}, format_settings(tree))) == Config()


@pytest.mark.parametrize("text", ["tile_px=3", "tiling.tile_px", "tiling=3", ".x=3", "a.=3", ""])
def test_an_override_of_another_form_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write it as section\.field=value") as fault:
        merge_overrides({}, [text])
    assert f"'--set {text}'" in str(fault.value)


def test_an_override_that_is_no_yaml_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'--set a\.b=\[1': the value is not valid YAML"):
        merge_overrides({}, ["a.b=[1"])


@pytest.mark.parametrize("section", [None, 5, "x", [1]])
def test_an_override_needs_a_section_of_fields(section: object) -> None:
    with pytest.raises(ConfigError, match="section 'store' must hold fields"):
        merge_overrides({"store": section}, ["store.chunk_px=64"])


def test_sections_without_fields_cannot_be_written() -> None:
    with pytest.raises(ConfigError, match="store, tissue must hold fields"):
        format_settings({"store": 5, "tiling": {}, "tissue": None})


def test_all_faults_of_file_and_command_line_are_named_together(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("tiling: {tile_px: 3}\n")
    with pytest.raises(ConfigError) as fault:
        read_settings(path, ["store.colour=red", "tissue.mpp=word"])
    for part in (str(path), "'tiling.tile_px' must be at least", "'store.colour'", "'tissue.mpp'"):
        assert part in str(fault.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"a: [1", "cannot be read"),
        (b"\xff\xfe\xff", "cannot be read"),
        (b"- 1\n- 2\n", "must hold sections, not list"),
        (b"text", "must hold sections, not str"),
    ],
)
def test_a_file_that_holds_no_settings_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "settings.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as fault:
        read_yaml(path)
    assert str(path) in str(fault.value)


def test_an_empty_file_holds_no_settings(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("# all as it comes\n")
    assert read_settings(tmp_path / "settings.yaml") == Config()
