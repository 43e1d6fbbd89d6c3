"""The engine of this project: `wsi-pipeline segment`, in the precision it chooses here."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from contest import Job, contest

from wsi_pipeline.config import parse_config
from wsi_pipeline.stages.inspect import read_record
from wsi_pipeline.stages.segment import segment_slide
from wsi_pipeline.store import Segmentation


def prepare(job: Job) -> Callable[[], Callable[[], np.ndarray]]:
    config = parse_config(json.loads((job.folder / "settings.json").read_text(encoding="utf-8")))
    record = read_record(job.folder / "slide.json")
    out = job.labels.with_suffix(".ome.zarr")

    def run() -> Callable[[], np.ndarray]:
        segment_slide(record, tiles=job.folder / "tiles.json", config=config, out=out, fresh=True)
        return lambda: Segmentation(out).read_labels()

    return run


if __name__ == "__main__":
    contest(prepare, packages=["torch", "dask", "zarr"])
