"""`benchmarks/peers.py` is run by hand; what its table says of measured runs is checked here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "peers.py"


@pytest.fixture(scope="module")
def peers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_peers", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def runs(*seconds: float) -> list[dict[str, float]]:
    return [{"wall_s": s + 3, "inference_s": s, "cpu_s": 2 * s, "peak_mb": 1000} for s in seconds]


def test_medians_are_compared_with_the_engine(peers: ModuleType) -> None:
    rows = [
        peers.summarise("engine", runs(2, 1, 9), agreeing=0.998),
        peers.summarise("loop", runs(20, 18, 30), agreeing=0.98),
        peers.summarise("loop" + peers.TUNED, runs(5), agreeing=0.97),
    ]
    lines = peers.table(rows).splitlines()
    assert lines[2].startswith("| engine | 3 | 5.0 | 2.0 | 1.0 | 4.0 | 1.0 |")
    assert lines[3] == "| loop | 3 | 23.0 | 20.0 | 10.0 | 40.0 | 10.0 | 1,000 | 98.00 % |"
    assert lines[-1] == "Best with our precision: loop, our precision: 2.5, processor 2.5."


def test_agreement_counts_tissue_only(peers: ModuleType, tmp_path: Path) -> None:
    tissue = np.zeros((4, 4), bool)
    tissue[:2] = True
    reference, found = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    found[2:], found[0, 0] = 5, 1
    for name, values in {"tissue": tissue, "reference": reference, "loop": found}.items():
        np.save(tmp_path / f"{name}.npy", values)
    assert peers.agreement(tmp_path / "loop.npy", tmp_path) == 7 / 8


def test_each_peer_runs_as_installed_and_with_the_engines_precision(peers: ModuleType) -> None:
    found = peers.entries(Path("python"), only=["naive"])
    assert [(entry.script, entry.tuned) for entry in found] == [
        ("engine", False), ("naive", False), ("naive", True),
    ]  # fmt: skip
    assert len({entry.labels for entry in found}) == 3
    scripts = {path.stem for path in peers.CONTESTANTS.glob("*.py")}
    assert {peers.ENGINE, "reference", *peers.PEERS.values()} <= scripts
