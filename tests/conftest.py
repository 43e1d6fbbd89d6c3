"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster
from hypothesis import settings

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of optional real slides; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("WSI_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "slides").is_dir():
        pytest.skip("no shared data: set WSI_SHARED_DATA to a folder that holds slides/")
    return folder


# Times vary on shared machines; speed is measured in benchmarks, not asserted in tests.
settings.register_profile("project", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("project")


@pytest.fixture(scope="session")
def dask_address() -> Iterator[str]:
    """Address of a real Dask scheduler with two worker processes."""
    # A port of its own for the dashboard: tests run side by side.
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster.scheduler_address
