"""What float32 says of the whole plane: the label map that contestants are compared with.

The plane is passed in bands that are as wide as it is, each with so many rows above and below that
no pixel of its middle sees the cut: the same as one pass, in memory that a laptop has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from contest import Job, Network, batch_of, contest

from wsi_pipeline.geometry import Box
from wsi_pipeline.segment import read_card
from wsi_pipeline.slide import open_slide

BAND_PX = 512


def prepare(job: Job) -> Callable[[], None]:
    network, card = Network(job.model, tuned=False), read_card(job.model)
    halo, stride = card.halo_px, card.stride_px
    assert BAND_PX % stride == halo % stride == 0

    @torch.inference_mode()
    def run() -> None:
        rows, columns = job.tissue.shape
        right = -(-(columns + halo) // stride) * stride
        labels = np.zeros((rows, columns), np.uint8)
        with open_slide(job.slide, mpp=job.slide_mpp) as slide:
            for top in range(0, rows, BAND_PX):
                box = Box(top - halo, -halo, top + BAND_PX + halo, right)
                logits = network(batch_of(slide.read_region(box, job.mpp)))[0]
                found = logits.argmax(0).numpy()[halo : halo + BAND_PX, halo : halo + columns]
                labels[top : top + BAND_PX] = found[: rows - top]
        np.save(job.labels, labels)

    return run


if __name__ == "__main__":
    contest(prepare, packages=["torch"])
