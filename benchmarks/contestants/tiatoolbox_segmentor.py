"""tiatoolbox's `SemanticSegmentor`, its defaults, over the tissue mask that all are given."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import lone_torchvision  # noqa: F401 - before tiatoolbox, which imports torchvision
import numpy as np
import torch
import zarr
from contest import Job, Network, contest
from tiatoolbox.models.engine.io_config import IOSegmentorConfig
from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor
from tiatoolbox.models.models_abc import ModelABC
from torch import Tensor, nn


class Model(ModelABC):
    """The network in tiatoolbox's terms: batches (N, Y, X, 3) in, probabilities out."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.network = Network(job.model, tuned=job.tuned)

    def forward(self, rgb: Tensor) -> Tensor:
        return self.network(rgb)

    @staticmethod
    @torch.inference_mode()
    def infer_batch(model: nn.Module, batch_data: Tensor, *, device: str) -> np.ndarray:
        model.eval()
        rgb = batch_data.to(device=device, dtype=torch.float32).permute(0, 3, 1, 2)
        return model(rgb).softmax(1).permute(0, 2, 3, 1).cpu().numpy()

    @staticmethod
    def postproc(image: np.ndarray) -> np.ndarray:
        return np.argmax(image, axis=-1)


def prepare(job: Job) -> Callable[[], Callable[[], np.ndarray]]:
    segmentor = SemanticSegmentor(Model(job), verbose=False)
    resolution = [{"units": "mpp", "resolution": job.mpp}]
    windows = IOSegmentorConfig(
        input_resolutions=resolution,
        output_resolutions=resolution,
        save_resolution=resolution[0],
        patch_input_shape=(job.window_px, job.window_px),
        patch_output_shape=(job.window_px, job.window_px),
        stride_shape=(job.step_px, job.step_px),
    )
    out = job.labels.with_suffix(".tiatoolbox")
    shutil.rmtree(out, ignore_errors=True)

    def run() -> Callable[[], np.ndarray]:
        found = segmentor.run(
            [job.slide],
            masks=[job.folder / "tissue.png"],
            patch_mode=False,
            ioconfig=windows,
            save_dir=out,
            output_type="zarr",
            wsireader_kwargs={"mpp": (job.slide_mpp, job.slide_mpp)},
        )
        stored = next(iter(found.values()))
        return lambda: np.asarray(zarr.open(str(stored), mode="r")["predictions"]).astype(np.uint8)

    return run


if __name__ == "__main__":
    contest(prepare, packages=["torch", "tiatoolbox", "torchvision"])
