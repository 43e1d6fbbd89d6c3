"""What do all contestants of `benchmarks/peers.py` share?

The job, the network as a plain float32 `torch.nn.Module`, the windows that touch tissue, and the
clock.  Nothing here is fast or slow by intention: each contestant's own file is what its
documentation would have one write.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openslide
import torch
from torch import Tensor, nn

from wsi_pipeline.segment import read_card
from wsi_pipeline.segment.loading import load_trainable


@dataclass(frozen=True)
class Job:
    """What is segmented, how, and where the label map goes.

    Parameters
    ----------
    folder
        Prepared by `benchmarks/peers.py`: ``tissue.npy``, bool (Y, X) at the working mpp, and
        ``tissue.png``, the same at a quarter of that.
    slide, level, slide_mpp
        File, its level at the working mpp, and µm/px at level 0.
    model, mpp
        Folder of the model, and its working mpp.
    window_px, overlap_px
        Windows of those that must be told.
    labels
        Where the contestant writes its label map, uint8 (Y, X) at the working mpp.
    tuned
        Whether the network computes in bfloat16 with channels last.
    """

    folder: Path
    slide: Path
    level: int
    slide_mpp: float
    model: Path
    mpp: float
    window_px: int
    overlap_px: int
    labels: Path
    tuned: bool

    @property
    def tissue(self) -> np.ndarray:
        return np.load(self.folder / "tissue.npy")

    @property
    def step_px(self) -> int:
        return self.window_px - self.overlap_px


class Network(nn.Module):
    """RGB (N, 3, Y, X), 0 to 255, in; logits (N, C, Y, X) float32 out.

    The weights as they were trained, batch normalisation apart; with ``tuned`` also the engine's
    precision and memory format.
    """

    def __init__(self, model: Path, *, tuned: bool) -> None:
        super().__init__()
        card = read_card(model)
        self.network = load_trainable(card).eval().to(memory_format=torch.contiguous_format)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
        self.register_buffer("mean", mean * 255)
        self.register_buffer("std", std * 255)
        self.tuned = tuned
        if tuned:
            self.network.to(torch.bfloat16).to(memory_format=torch.channels_last)

    def forward(self, rgb: Tensor) -> Tensor:
        normal = (rgb.float() - self.mean) / self.std
        if self.tuned:
            normal = normal.to(torch.bfloat16, memory_format=torch.channels_last)
        else:
            normal = normal.contiguous()
        return self.network(normal).float()


def batch_of(rgb: np.ndarray) -> Tensor:
    """RGB (Y, X, 3) uint8 as (1, 3, Y, X)."""
    return torch.from_numpy(rgb).permute(2, 0, 1)[None]


def read_plane(job: Job) -> np.ndarray:
    """The whole level as OpenSlide gives it."""
    with openslide.OpenSlide(job.slide) as slide:
        picture = slide.read_region((0, 0), job.level, slide.level_dimensions[job.level])
    return np.array(picture.convert("RGB"))


def tissue_windows(job: Job) -> list[tuple[int, int]]:
    """Upper left corners of the windows that touch tissue; the last ones end at the border."""
    tissue, edge = job.tissue, job.window_px
    starts = [
        sorted({min(start, max(0, length - edge)) for start in range(0, length, job.step_px)})
        for length in tissue.shape
    ]
    return [
        (top, left)
        for top in starts[0]
        for left in starts[1]
        if tissue[top : top + edge, left : left + edge].any()
    ]


LabelsLater = Callable[[], np.ndarray]
"""Reads a label map back from where the contestant stores its own; not timed."""


def contest(
    prepare: Callable[[Job], Callable[[], LabelsLater | None]], *, packages: list[str]
) -> None:
    """Get ready, run against the clock, and say what it took.

    ``prepare`` loads the network and returns what is timed: from the slide on the disk to the
    result on the disk, which is the label map itself or can be turned into it afterwards.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("job", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--tuned", action="store_true")
    options = parser.parse_args()
    raw = json.loads(options.job.read_text(encoding="utf-8"))
    paths = {name: Path(raw.pop(name)) for name in ("folder", "slide", "model")}
    job = Job(**paths, **raw, labels=options.labels, tuned=options.tuned)
    timed = prepare(job)
    start, used = time.perf_counter(), time.process_time()
    later = timed()
    seconds, used = time.perf_counter() - start, time.process_time() - used
    # Not `ru_maxrss`, which begins at that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    if later is not None:
        np.save(job.labels, later())
    found = {
        "inference_s": seconds,
        "cpu_s": used,
        "peak_mb": peak_mb,
        "versions": {name: version(name) for name in packages},
    }
    print(json.dumps(found))
