from __future__ import annotations

import ast
import dataclasses
import inspect
from typing import Any

import pytest

from wsi_pipeline import config
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import ConfigError


def test_nothing_chosen_gives_the_defaults() -> None:
    assert parse_config({}) == Config()


def test_a_choice_is_kept_and_the_rest_is_default() -> None:
    chosen = parse_config({"tiling": {"tile_px": 1024}, "tissue": {"mpp": 4}})
    assert chosen.tiling.tile_px == 1024
    assert chosen.tissue.mpp == 4.0
    assert isinstance(chosen.tissue.mpp, float)
    assert chosen.store == Config().store


def test_all_faults_are_named_at_once() -> None:
    raw = {
        "tissue": {"mpp": 1000.0, "colour": "red"},
        "segment": {"device": "abacus"},
        "nonsense": {},
        "store": 5,
    }
    with pytest.raises(ConfigError) as fault:
        parse_config(raw, source="settings.yaml")
    message = str(fault.value)
    for part in (
        "settings.yaml",
        "'tissue.mpp' must be at most 64",
        "unknown field 'tissue.colour'",
        "'segment.device' must be one of auto, cpu, cuda",
        "unknown section 'nonsense'",
        "section 'store' must hold fields",
    ):
        assert part in message


@pytest.mark.parametrize("value", ["512", True, None, 512.0])
def test_a_value_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"'tiling.tile_px' must be of type int"):
        parse_config({"tiling": {"tile_px": value}})


def test_tiles_must_fit_chunks() -> None:
    with pytest.raises(ConfigError, match=r"multiple of 'store.chunk_px'"):
        parse_config({"tiling": {"tile_px": 300}})


def test_a_scheduler_is_a_word_or_an_address() -> None:
    for word in ("slurm", "tcp://host:8786"):
        assert parse_config({"segment": {"scheduler": word}}).segment.scheduler == word
    with pytest.raises(ConfigError, match=r"'segment.scheduler' must be threads"):
        parse_config({"segment": {"scheduler": "condor"}})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ConfigError, match=r"'tissue.min_section_mm2' must be a finite number"):
        parse_config({"tissue": {"min_section_mm2": value}})


def test_every_field_says_what_it_is() -> None:
    """A docstring stands under each field of the settings tree."""
    tree = ast.parse(inspect.getsource(config))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, after in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr), f"{node.name}.{ast.unparse(field.target)}"
    assert dataclasses.is_dataclass(Config)
