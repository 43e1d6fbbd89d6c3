"""`dask.array.map_overlap` over the level, as documented; blocks of glass are skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import tifffile
import torch
import zarr
from contest import Job, Network, batch_of, contest

STRIDE_PX = 16


def prepare(job: Job) -> Callable[[], None]:
    network, tissue = Network(job.model, tuned=job.tuned), job.tissue
    depth, step = job.overlap_px // 2, job.step_px

    @torch.inference_mode()
    def classify(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        rows, columns = (edge - 2 * depth for edge in block.shape[:2])
        top, left = (step * place for place in block_info[0]["chunk-location"][:2])
        if not tissue[top : top + rows, left : left + columns].any():
            return np.zeros((rows, columns), np.uint8)
        missing = [(0, -edge % STRIDE_PX) for edge in block.shape[:2]]
        found = network(batch_of(np.pad(block, [*missing, (0, 0)], mode="edge")))[0]
        labels = found.argmax(0).to(torch.uint8).numpy()
        return labels[depth : depth + rows, depth : depth + columns]

    def run() -> None:
        level = zarr.open(tifffile.imread(job.slide, aszarr=True, level=job.level), mode="r")
        plane = da.from_array(level, chunks=(step, step, 3))
        labels = da.map_overlap(
            classify, plane, depth=(depth, depth, 0), boundary="reflect", trim=False,
            dtype=np.uint8, drop_axis=2, chunks=plane.chunks[:2], meta=np.empty((0, 0), np.uint8),
        )  # fmt: skip
        out = np.lib.format.open_memmap(job.labels, "w+", np.uint8, plane.shape[:2])
        da.store(labels, out)
        out.flush()

    return run


if __name__ == "__main__":
    contest(prepare, packages=["torch", "dask", "tifffile"])
