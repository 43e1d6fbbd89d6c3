from __future__ import annotations

import importlib.metadata
import json
import os
from collections import namedtuple
from dataclasses import asdict
from pathlib import Path

import pytest

from wsi_pipeline.stages import doctor, machine
from wsi_pipeline.stages.doctor import examine
from wsi_pipeline.stages.machine import Finding, cpu_flags, examine_machine

Usage = namedtuple("Usage", "total used free")


def with_room(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    usage = Usage(0, 0, int(gib * 2**30))
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)


def by_subject(findings: list[Finding]) -> dict[str, Finding]:
    named = {finding.subject: finding for finding in findings}
    assert len(named) == len(findings)
    return named


def test_this_installation_is_fit_to_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_room(monkeypatch, 100)
    findings = examine(tmp_path)
    json.dumps([asdict(finding) for finding in findings])
    assert [finding for finding in findings if finding.status == "fail"] == []
    named = by_subject(findings)
    assert {
        *("python", "torch", "command", "back-end openslide", "back-end tiffslide"),
        *("model colour-baseline", "processor", "GPU", "Slurm", "memory", "disk for results"),
    } <= set(named)
    assert all(finding.remedy for finding in findings if finding.status != "ok")


def test_what_is_missing_or_broken_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "model.toml").write_text("id = 3")
    monkeypatch.setattr(doctor, "share_folder", lambda: tmp_path)
    with_room(monkeypatch, 0.5)
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "dask":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.1" if name == "zarr" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    named = by_subject(examine(tmp_path))
    failed = {name for name, finding in named.items() if finding.status == "fail"}
    assert failed == {"dask", "model broken", "disk for results", "disk for temporary files"}
    assert named["dask"].remedy.startswith("pip install 'dask")
    assert named["zarr"].status == "warn"
    assert "'id' must be a text" in named["model broken"].detail


def test_a_library_that_reads_something_else_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_COLOUR", (10, 200, 10))
    path = tmp_path / "plain.tiff"
    doctor._paint(path)
    monkeypatch.setattr(doctor, "_COLOUR", (200, 10, 10))
    found = doctor._try("back-end", lambda: doctor._read(path, "tiffslide"), "reinstall")
    assert (found.status, found.remedy) == ("fail", "reinstall")


@pytest.mark.parametrize(("gib", "status"), [(0.5, "fail"), (5, "warn"), (50, "ok")])
def test_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gib: float, status: str
) -> None:
    with_room(monkeypatch, gib)
    found = by_subject(list(examine_machine(tmp_path / "a" / "b")))["disk for results"]
    assert found.status == status
    assert found.detail.endswith(f"GiB free at {tmp_path}")


def test_a_folder_that_cannot_be_written_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert machine._room("disk", tmp_path).status == "fail"


def test_features_of_the_processor_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags\t\t: fpu amx_bf16\nflags : fpu\n")
    assert cpu_flags(path) == {"fpu", "amx_bf16"}
    assert cpu_flags(tmp_path / "none") == frozenset()
    assert "amx_bf16" in machine._processor(frozenset({"amx_bf16"})).detail
    slow = machine._processor(frozenset({"avx2"}))
    assert (slow.status, "float32" in slow.detail) == ("warn", True)


@pytest.mark.parametrize(
    ("there", "status", "part"),
    [
        (set(), "ok", "none here"),
        ({"sbatch", "squeue"}, "warn", "no scancel, srun"),
        ({"sbatch", "squeue", "scancel", "srun"}, "warn", "plug-in"),
    ],
)
def test_slurm(monkeypatch: pytest.MonkeyPatch, there: set[str], status: str, part: str) -> None:
    monkeypatch.setattr(machine, "_PLUGIN", "no_such_plugin")
    found = machine._slurm(lambda name: name if name in there else None)
    assert found.status == status
    assert part in found.detail


@pytest.mark.parametrize(("answers", "status"), [(True, "ok"), (False, "warn")])
def test_slurm_without_accounting(
    monkeypatch: pytest.MonkeyPatch, answers: bool, status: str
) -> None:
    monkeypatch.setattr(machine, "_PLUGIN", "json")
    monkeypatch.setattr(machine, "_answers", lambda _: answers)
    assert machine._slurm(lambda name: name).status == status
    assert ("squeue" in machine._slurm(lambda name: name).remedy) is not answers


def test_a_command_that_is_not_there_gives_no_answer() -> None:
    assert machine._answers("no-such-command") is False
    assert machine._answers("true") is True
