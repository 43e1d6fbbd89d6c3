"""How does a batch system bring Dask workers?

1. The scheduler runs here; each job brings one worker process with a thread per core.
2. There are as many jobs as the tiles that wait are worth, up to a limit; those that are lost are
   replaced.
3. What a site needs (queue, account, interface, local folder, …) stands in Dask's own settings,
   ``jobqueue.slurm``; only what it must have and lacks is filled in here.
4. Scheduler and workers know each other by certificates made for this one run: nobody else on the
   network can send them work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from dask_jobqueue import SLURMCluster
from distributed import Security

_SITE = "jobqueue.slurm"
_CORES = 4
"""Of a job, where neither user nor site say: half of what a step asks for."""
_ROLES = ("scheduler", "worker", "client")
_MB_PER_JOB, _MB_PER_CORE = 2000, 1000


@contextmanager
def open_cluster(*, jobs: int, cores: int, folder: Path) -> Iterator[str]:
    """Have Slurm start Dask workers for as long as the context lasts.

    Parameters
    ----------
    jobs
        Most jobs at a time.
    cores
        Cores of each; 0 leaves it to the site's Dask settings, or takes four.
    folder
        For logs of the jobs and the certificates; all nodes must see it.

    Yields
    ------
    str
        Address of the scheduler, for `cover_plane`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    security = _certificates(folder)
    # A tile that only waits at a worker that dies must not pass for the one that killed it.
    with (
        dask.config.set({"distributed.scheduler.worker-saturation": 1.0}),
        SLURMCluster(security=security, **_chosen(cores), **_elsewhere(folder)) as cluster,
    ):
        cluster.adapt(minimum_jobs=1, maximum_jobs=jobs)
        with dask.config.set(_let_in(security)):
            yield cluster.scheduler_address


def _chosen(cores: int) -> dict[str, Any]:
    """Size of a job."""
    cores = cores or dask.config.get(f"{_SITE}.cores", None) or _CORES
    memory = dask.config.get(f"{_SITE}.memory", None)
    processes = dask.config.get(f"{_SITE}.processes", None)
    return {
        "cores": cores,
        "memory": memory or f"{_MB_PER_JOB + _MB_PER_CORE * cores} MB",
        "processes": processes or 1,  # they would each load the model
    }


def _elsewhere(folder: Path) -> dict[str, Any]:
    """Where logs lie, and what is said before a job and its scheduler begin."""
    site = dask.config.get(f"{_SITE}.scheduler-options", {})
    prologue = dask.config.get(f"{_SITE}.job-script-prologue", [])
    return {
        "log_directory": str(folder),
        "scheduler_options": {"dashboard_address": None, **site},
        # Threads are there before a worker can be told to keep its memory (docs/performance.md).
        "job_script_prologue": [*prologue, "export MALLOC_ARENA_MAX=1"],
    }


def _certificates(folder: Path) -> Security:
    """Certificates and keys for one run, in files that only its user can read."""
    made, files = Security.temporary(), {}
    for part in ("ca_file", *(f"{role}_{kind}" for role in _ROLES for kind in ("cert", "key"))):
        files[f"tls_{part}"] = str(folder / f"{part}.pem")
        path = Path(files[f"tls_{part}"])
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(getattr(made, f"tls_{part}"), encoding="utf-8")
    return Security(require_encryption=True, **files)


def _let_in(security: Security) -> dict[str, Any]:
    """Dask settings by which a client is let in."""
    return {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": security.tls_ca_file,
        "distributed.comm.tls.client.cert": security.tls_client_cert,
        "distributed.comm.tls.client.key": security.tls_client_key,
    }
