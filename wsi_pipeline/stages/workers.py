"""Settings → settings: who computes the tiles?

``segment.scheduler: slurm`` stands for Dask workers that are jobs of a cluster; while they are
there, it is their scheduler's address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from wsi_pipeline.config import Config
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.stages.artefacts import remove


@contextmanager
def with_workers(config: Config, *, out: Path) -> Iterator[Config]:
    """Start the workers that the settings ask for, and end them.

    Parameters
    ----------
    config
        Settings.
    out
        Artefact they work on; logs of the jobs lie beside it as ``….dask`` until it is done.

    Yields
    ------
    Config
        The settings, with the address of a scheduler if there is one now.

    Raises
    ------
    ConfigError
        If the package that submits the jobs is not installed.
    """
    run = config.segment
    if run.scheduler != "slurm":
        yield config
        return
    if find_spec("dask_jobqueue") is None:
        raise ConfigError(
            "scheduler 'slurm' needs dask-jobqueue; pip install 'wsi-pipeline[cluster]'"
        )
    from wsi_pipeline.blockwise.cluster import open_cluster  # noqa: PLC0415 - optional

    logs = out.absolute().with_name(out.name + ".dask")
    with open_cluster(jobs=run.jobs, cores=run.workers, folder=logs) as address:
        yield replace(config, segment=replace(run, scheduler=address))
    remove(logs)
