"""The stored OME-Zarr equals what the model says of the whole plane in one pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stage_makers import arrays_of, open_record, settings

from wsi_pipeline.config import parse_config
from wsi_pipeline.labels import label_map, quantise, tissue_within
from wsi_pipeline.segment import load_segmenter
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resources import find_model
from wsi_pipeline.stages.segment import segment_slide, segment_whole
from wsi_pipeline.stages.tile import TiledSlide, tile_slide
from wsi_pipeline.store import Segmentation

# Half a step of the stored byte, and the rounding of float32 sums in another order.
PROBABILITY_ERROR = 0.5 / 255 + 1e-4
LABEL_ERROR = 1e-5


def computed_px(tiled: TiledSlide) -> NDArray[np.bool_]:
    """Pixels that some tile decides."""
    mask = np.zeros(tiled.plan.grid.shape, bool)
    for tile in tiled.plan:
        mask[tile.write.slices] = True
    return mask


def assert_tiled_is_whole(
    record: SlideRecord, tiled: TiledSlide, stored: Path, *, model: Path, precision: str = "auto"
) -> None:
    segmenter = load_segmenter(model, device="cpu", precision=precision)
    whole = segment_whole(record, tiled.plan, segmenter)
    store, computed = Segmentation(stored), computed_px(tiled)
    probabilities = store.read_probabilities(store.grid.box)
    assert np.abs(probabilities - whole)[:, computed].max() <= PROBABILITY_ERROR
    assert not probabilities[:, ~computed].any()
    tissue = tissue_within(
        store.grid.box,
        grid=store.grid,
        sections=tiled.sections,
        sections_grid=tiled.sections_grid,
    )
    expected = label_map(quantise(whole), tissue=tissue & computed)
    labels = store.read_labels()
    assert len(np.unique(labels)) > 3  # a map of one class would agree with anything
    assert (labels != expected).mean() <= LABEL_ERROR


@pytest.mark.parametrize("tile_px", [128, 256])
@pytest.mark.parametrize(
    ("model", "precision"),
    [("colour-baseline", "auto"), ("unet", "float32"), ("unet", "bfloat16")],
)
def test_tiled_is_whole_on_a_phantom(
    record: SlideRecord, unet: Path, tmp_path: Path, model: str, precision: str, tile_px: int
) -> None:
    folder = unet if model == "unet" else find_model(model)
    config = parse_config(
        {
            "tiling": {"tile_px": tile_px},
            "store": {"chunk_px": 64},
            "segment": {"device": "cpu", "model": str(folder), "precision": precision},
        }
    )
    tiles, out = tmp_path / "tiles.json", tmp_path / "segmentation.ome.zarr"
    tiled = tile_slide(record, config=config, out=tiles)
    rows, columns = tiled.plan.lattice
    assert 4 < len(tiled.plan) < rows * columns
    segment_slide(record, tiles=tiles, config=config, out=out)
    assert_tiled_is_whole(record, tiled, out, model=folder, precision=precision)


@pytest.mark.parametrize("model", ["colour-baseline", "unet"])
def test_tiled_is_whole_on_a_real_slide(
    shared_data: Path, unet: Path, tmp_path: Path, model: str
) -> None:
    record = open_record(shared_data / "slides" / "CMU-1-Small-Region.svs")
    folder = unet if model == "unet" else find_model(model)
    config = settings(model=str(folder))
    tiles, out = tmp_path / "tiles.json", tmp_path / "segmentation.ome.zarr"
    tiled = tile_slide(record, config=config, out=tiles)
    segment_slide(record, tiles=tiles, config=config, out=out)
    assert_tiled_is_whole(record, tiled, out, model=folder)


@pytest.mark.parametrize(
    ("scheduler", "workers"), [("sync", 1), ("threads", 1), ("threads", 2), ("processes", 2)]
)
def test_the_scheduler_does_not_show_in_the_arrays(
    record: SlideRecord,
    tiles: Path,
    segmentation: Path,
    tmp_path: Path,
    scheduler: str,
    workers: int,
) -> None:
    out = tmp_path / "segmentation.ome.zarr"
    config = settings(scheduler=scheduler, workers=workers)
    segment_slide(record, tiles=tiles, config=config, out=out)
    expected = arrays_of(segmentation)
    for name, values in arrays_of(out).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_a_remote_scheduler_does_not_show_either(
    record: SlideRecord, tiles: Path, segmentation: Path, tmp_path: Path, dask_address: str
) -> None:
    out = tmp_path / "segmentation.ome.zarr"
    config = settings(scheduler=dask_address)
    segment_slide(record, tiles=tiles, config=config, out=out)
    expected = arrays_of(segmentation)
    for name, values in arrays_of(out).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
