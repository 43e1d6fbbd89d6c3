"""A loop: read a window that touches tissue, run the network, write the middle of the result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import openslide
import torch
from contest import Job, Network, batch_of, contest, tissue_windows


def prepare(job: Job) -> Callable[[], None]:
    network = Network(job.model, tuned=job.tuned)

    @torch.inference_mode()
    def run() -> None:
        slide = openslide.OpenSlide(job.slide)
        width, height = slide.level_dimensions[job.level]
        labels = np.lib.format.open_memmap(job.labels, "w+", np.uint8, (height, width))
        down, edge = round(slide.level_downsamples[job.level]), job.window_px
        for top, left in tissue_windows(job):
            picture = slide.read_region((left * down, top * down), job.level, (edge, edge))
            rgb = np.array(picture.convert("RGB"))
            found = network(batch_of(rgb))[0].argmax(0).to(torch.uint8).numpy()
            # Where windows overlap, each is right in its half; borders of the plane stay.
            cut_y, cut_x = (job.overlap_px // 2 if start else 0 for start in (top, left))
            labels[top + cut_y : top + edge, left + cut_x : left + edge] = found[cut_y:, cut_x:]
        labels.flush()

    return run


if __name__ == "__main__":
    contest(prepare, packages=["torch", "openslide-python"])
