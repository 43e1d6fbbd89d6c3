"""How does a training run rest on disk?

Network, moving average and optimiser are tensors of one ``safetensors`` file; step and scores
are text in its header.  It is written beside the old one and renamed, and nothing in it runs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wsi_pipeline.errors import StoreError


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run has come.

    Parameters
    ----------
    step
        Steps done.
    best_score
        Best validation score so far.
    stale
        Validations since then.
    """

    step: int = 0
    best_score: float = -1.0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Learner:
    """What changes while learning.

    Parameters
    ----------
    network
        The network that is trained.
    average
        Moving average of its weights.
    optimiser
        Optimiser of the network's weights.
    """

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer


def write_checkpoint(path: Path, learner: Learner, *, standing: Standing, settings: str) -> None:
    """Write the whole state of a run, or nothing."""
    tensors = {f"network.{name}": value for name, value in learner.network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in learner.average.state_dict().items()}
    for number, state in learner.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in state.items()}
    header = {"standing": json.dumps(asdict(standing)), "settings": settings}
    write_tensors(path, tensors, header=header)


def write_tensors(path: Path, tensors: dict[str, Tensor], *, header: dict[str, str]) -> None:
    """Write tensors to one file that appears only when it is whole."""
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    partial = path.with_name(path.name + ".partial")
    save_file(plain, partial, header)
    partial.replace(path)


def read_checkpoint(path: Path, learner: Learner, *, settings: str) -> Standing:
    """Put the state of a run back; give how far it had come.

    Raises
    ------
    StoreError
        If the file is damaged or of a run with other settings or data.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as fault:
        raise StoreError(f"{path} is no checkpoint ({fault}); delete it to start anew") from fault
    if header["settings"] != settings:
        raise StoreError(
            f"{path} is of a run with other settings or data; choose another output folder"
        )
    learner.network.load_state_dict(_part(tensors, "network."))
    learner.average.load_state_dict(_part(tensors, "average."))
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimiser.").items():
        number, field = name.split(".", 1)
        states.setdefault(int(number), {})[field] = value
    learner.optimiser.load_state_dict({**learner.optimiser.state_dict(), "state": states})
    return Standing(**json.loads(header["standing"]))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
