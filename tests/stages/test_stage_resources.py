from __future__ import annotations

from pathlib import Path

import pytest

from wsi_pipeline.errors import ConfigError
from wsi_pipeline.stages.resources import find_model, share_folder


def test_what_the_package_brings_is_there() -> None:
    for name in ("Snakefile", "workflows/schemas/cases.schema.yaml", "models"):
        assert (share_folder() / name).exists()


def test_a_model_is_found_by_its_id() -> None:
    assert find_model("colour-baseline") == (share_folder() / "models/colour-baseline").resolve()


def test_a_model_is_found_by_its_folder(unet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model(str(unet)) == unet.resolve()
    monkeypatch.chdir(unet.parent)
    assert find_model(unet.name) == unet.resolve()


@pytest.mark.parametrize("name", ["resnet", "", "models", "/nowhere", "colour-baseline/model.toml"])
def test_an_unknown_model_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match=r"no model .*there are: .*colour-baseline") as fault:
        find_model(name)
    assert f"'{name}'" in str(fault.value)
