"""A Slurm of one node that lives as long as the tests that ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SETUP = Path(__file__).parent / "slurm" / "setup.sh"
TOOLS = ("slurmctld", "slurmd", "sbatch", "squeue", "munged")


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a running Slurm; `squeue` and its like find it."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: see tests/install-system-packages.sh")
    if os.geteuid() != 0:
        pytest.skip("only root can start a Slurm")
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("there is a Slurm here already")
    root = tmp_path_factory.mktemp("slurm")
    for folder in (root, *root.parents[:2]):
        folder.chmod(0o755)  # munge wants its socket within reach of everybody
    done = subprocess.run([SETUP, "start", root], capture_output=True, text=True, check=False)
    os.environ["SLURM_CONF"] = str(root / "slurm.conf")
    try:
        assert done.returncode == 0, done.stderr
        yield root
    finally:
        subprocess.run([SETUP, "stop", root], check=True, capture_output=True)
        del os.environ["SLURM_CONF"]
