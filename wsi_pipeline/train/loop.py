"""How is a network fitted?

1. A batch is a function of the step alone, and so is the learning rate.
2. A moving average of the weights is what is validated and kept.
3. The next batches are drawn while the network learns from this one.
4. After each validation the whole state is written; a run that is started again goes on from
   there and ends in the same weights.
5. Training stops when validation has not improved for a while.
"""

from __future__ import annotations

import copy
import csv
import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsi_pipeline.config import TrainSettings
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.train.checkpoint import (
    Learner,
    Standing,
    read_checkpoint,
    write_checkpoint,
    write_tensors,
)
from wsi_pipeline.train.loss import segmentation_loss

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""RGB (N, Y, X, 3) and labels (N, Y, X), both uint8."""
Progress = Callable[[int, int], None]
_WARM_UP_STEPS = 50
_LOOK_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Fit:
    """What came out of a training run.

    Parameters
    ----------
    score
        Best validation score.
    steps
        Steps done until training stopped.
    weights
        File with the weights of that score.
    before
        Validation score of the weights that training started from, where they were learnt.
    """

    score: float
    steps: int
    weights: Path
    before: float | None = None


def fit(
    network: nn.Module,
    *,
    draw_batch: Callable[[int], Batch],
    validate: Callable[[nn.Module], float],
    settings: TrainSettings,
    folder: Path,
    data: str = "",
    on_progress: Progress | None = None,
) -> Fit:
    """Train a network.

    Parameters
    ----------
    network
        Takes normalised RGB (N, 3, Y, X), gives logits (N, C, Y, X); changed in place.
    draw_batch
        Batch of a step; must depend on nothing else.
    validate
        Score of a network, higher is better.
    settings
        How long, how fast.
    folder
        Keeps ``checkpoint.safetensors``, ``best.safetensors`` and ``log.csv``.
    data
        Checksum of what the run depends on besides settings and network; "" for nothing.
    on_progress
        Called after each step with (steps done, steps in all).

    Raises
    ------
    ConfigError
        If the margin leaves nothing of a tile.
    StoreError
        If the folder holds a run with other settings or data.
    """
    if 2 * settings.margin_px >= settings.tile_px:
        raise ConfigError(
            f"train.margin_px = {settings.margin_px} leaves nothing of tiles of "
            f"{settings.tile_px} px; make it smaller than half of train.tile_px"
        )
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        _paced(network, settings), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    learner = Learner(network, copy.deepcopy(network).eval(), optimiser)
    run = _Run(learner, settings, data=data, folder=folder)
    standing = run.resume()
    while standing.step < settings.steps and standing.stale < settings.patience:
        standing = run.advance(standing, draw_batch, on_progress=on_progress)
        standing = run.judge(standing, validate(run.learner.average))
    return Fit(standing.best_score, standing.step, folder / "best.safetensors")


def _paced(network: nn.Module, settings: TrainSettings) -> list[dict[str, Any]]:
    """Weights that learn at the full rate, and those of an encoder that has learnt before."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, value in network.named_parameters():
        pace = settings.encoder_pace if name.startswith("encoder.") else 1.0
        groups.setdefault(pace, []).append(value)
    return [{"params": values, "pace": pace} for pace, values in groups.items()]


class _Run:
    """A training run between validations."""

    def __init__(
        self, learner: Learner, settings: TrainSettings, *, data: str, folder: Path
    ) -> None:
        self.learner, self.settings, self.folder = learner, settings, folder
        self.text = json.dumps({**asdict(settings), "data": data}, sort_keys=True)
        self.device = next(learner.network.parameters()).device
        self.loss, self.start = math.nan, time.perf_counter()

    def resume(self) -> Standing:
        """Go back to the last checkpoint, if there is one."""
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return Standing()
        return read_checkpoint(path, self.learner, settings=self.text)

    def advance(
        self,
        standing: Standing,
        draw_batch: Callable[[int], Batch],
        *,
        on_progress: Progress | None,
    ) -> Standing:
        """Train until the next validation."""
        last = min(standing.step + self.settings.validate_every, self.settings.steps)
        losses = []
        self.learner.network.train()
        for step, batch in _drawn_ahead(draw_batch, range(standing.step, last)):
            losses.append(self._step(step, batch))
            if on_progress:
                on_progress(step + 1, self.settings.steps)
        self.loss = float(np.mean(losses))
        return replace(standing, step=last)

    def _step(self, step: int, batch: Batch) -> float:
        network, optimiser = self.learner.network, self.learner.optimiser
        rgb, labels = (torch.from_numpy(np.ascontiguousarray(part)) for part in batch)
        for group in optimiser.param_groups:
            group["lr"] = group["pace"] * learning_rate(step, self.settings)
        halved = self.settings.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=halved):
            logits = network(normalised(rgb.to(self.device)))
        # What lies outside a training tile is zeros, outside a slide's tile it is tissue.
        inner = (..., *[slice(self.settings.margin_px, -self.settings.margin_px or None)] * 2)
        loss = segmentation_loss(logits.float()[inner], labels.to(self.device, torch.int64)[inner])
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        self._follow(step)
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """Move the average towards the network, faster at first; counters are taken over."""
        keep = min(self.settings.average, (1 + step) / (10 + step))
        averages = self.learner.average.state_dict().values()
        for mean, value in zip(averages, self.learner.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1.0 - keep)
            else:
                mean.copy_(value)

    def judge(self, standing: Standing, score: float) -> Standing:
        """Note a validation; keep the weights if they are the best, and the state anyway."""
        if score > standing.best_score:
            best = self.folder / "best.safetensors"
            write_tensors(best, self.learner.average.state_dict(), header={})
            standing = Standing(standing.step, score, 0)
        else:
            standing = replace(standing, stale=standing.stale + 1)
        self._log(standing.step, score)
        path = self.folder / "checkpoint.safetensors"
        write_checkpoint(path, self.learner, standing=standing, settings=self.text)
        return standing

    def _log(self, step: int, score: float) -> None:
        """Add a line; a line that a killed run left for the same step is written over."""
        path = self.folder / "log.csv"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        rows = list(csv.reader(text.splitlines()))
        kept = [row for row in rows[1:] if int(row[0]) < step]
        seconds = time.perf_counter() - self.start
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "loss", "score", "seconds"])
            writer.writerows(kept)
            writer.writerow([step, f"{self.loss:.5f}", f"{score:.5f}", f"{seconds:.1f}"])


def _drawn_ahead(draw_batch: Callable[[int], Batch], steps: range) -> Iterator[tuple[int, Batch]]:
    """Each step with its batch, while a thread draws the ones that follow."""
    with ThreadPoolExecutor(1) as pool:
        ahead: deque[Future[Batch]] = deque()
        for step in steps:
            while len(ahead) < _LOOK_AHEAD and step + len(ahead) < steps.stop:
                ahead.append(pool.submit(draw_batch, step + len(ahead)))
            yield step, ahead.popleft().result()


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Rise over the first steps, then fall along a cosine to zero."""
    rise = min(1.0, (step + 1) / _WARM_UP_STEPS)
    return settings.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * step / settings.steps))


def normalised(rgb: Tensor) -> Tensor:
    """RGB (N, Y, X, 3) uint8 as the network takes it: (value / 255 - 0.5) / 0.25."""
    scaled = rgb.permute(0, 3, 1, 2).to(torch.float32) / 255.0
    return ((scaled - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
