"""MONAI's `sliding_window_inference` over the whole plane, four windows at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from contest import Job, Network, batch_of, contest, read_plane
from monai.inferers import sliding_window_inference

# It must be told; its documentation's examples take 4.
BATCH = 4


def prepare(job: Job) -> Callable[[], None]:
    network = Network(job.model, tuned=job.tuned)

    @torch.inference_mode()
    def run() -> None:
        logits = sliding_window_inference(
            batch_of(read_plane(job)).float(),
            roi_size=(job.window_px, job.window_px),
            sw_batch_size=BATCH,
            predictor=network,
            overlap=job.overlap_px / job.window_px,
        )
        np.save(job.labels, logits[0].argmax(0).to(torch.uint8).numpy())

    return run


if __name__ == "__main__":
    contest(prepare, packages=["torch", "monai"])
