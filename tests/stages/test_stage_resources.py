from __future__ import annotations

import importlib.metadata
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from wsi_pipeline.errors import ConfigError
from wsi_pipeline.stages import doctor
from wsi_pipeline.stages.doctor import examine
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


def test_this_installation_is_fit_to_work(tmp_path: Path) -> None:
    findings = examine(tmp_path)
    json.dumps([asdict(finding) for finding in findings])
    # How much room there is on the disk is not the installation's doing.
    assert [
        finding for finding in findings if not finding.is_good and finding.subject != "disk"
    ] == []
    subjects = [finding.subject for finding in findings]
    assert len(set(subjects)) == len(subjects)
    assert {"python", "OpenSlide", "model colour-baseline", "compute", "disk"} <= set(subjects)


def test_a_folder_that_is_yet_to_be_made_has_a_disk(tmp_path: Path) -> None:
    disk = next(f for f in examine(tmp_path / "a" / "b") if f.subject == "disk")
    assert disk.detail.endswith(f"GiB free at {tmp_path}")


def test_what_is_missing_or_broken_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "model.toml").write_text("id = 3")
    monkeypatch.setattr(doctor, "share_folder", lambda: tmp_path)
    monkeypatch.setattr(doctor, "_MIN_FREE_GIB", 1e9)

    def version(name: str) -> str:
        if name == "dask":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    bad = {finding.subject: finding.detail for finding in examine(tmp_path) if not finding.is_good}
    assert set(bad) == {"dask", "model broken", "disk"}
    assert bad["dask"] == "not installed; pip install dask"
    assert "'id' must be a text" in bad["model broken"]
