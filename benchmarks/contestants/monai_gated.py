"""MONAI's `PatchInferer` over the windows that touch tissue."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from contest import Job, Network, batch_of, contest, read_plane
from monai.inferers import PatchInferer, SlidingWindowSplitter
from torch import Tensor


def prepare(job: Job) -> Callable[[], None]:
    network, tissue, edge = Network(job.model, tuned=job.tuned), job.tissue, job.window_px

    def touches_tissue(patch: Tensor, location: Sequence[int]) -> bool:
        del patch
        top, left = location
        return bool(tissue[top : top + edge, left : left + edge].any())

    inferer = PatchInferer(
        SlidingWindowSplitter(
            edge, overlap=job.overlap_px / edge, filter_fn=touches_tissue, pad_value=255
        )
    )

    @torch.inference_mode()
    def run() -> None:
        logits = inferer(batch_of(read_plane(job)).float(), network)
        np.save(job.labels, logits[0].argmax(0).to(torch.uint8).numpy())

    return run


if __name__ == "__main__":
    contest(prepare, packages=["torch", "monai"])
