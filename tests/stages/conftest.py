"""One phantom, taken through all stages once, for every test that looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stage_makers import settings, write_unet

from wsi_pipeline.config import Config
from wsi_pipeline.phantom import sample_spec
from wsi_pipeline.slide import Slide
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import SlideRecord, inspect_slide, with_checksum, write_record
from wsi_pipeline.stages.measure import measure_segmentation
from wsi_pipeline.stages.nuclei import find_nuclei
from wsi_pipeline.stages.nuclei_tile import Gate
from wsi_pipeline.stages.phantom import paint_slide
from wsi_pipeline.stages.segment import segment_slide
from wsi_pipeline.stages.tile import TiledSlide, tile_slide

DECLARED = Declared("p1", "case-1", "A2", "vertical", "breast", "HE")
INSPECTED = Declared("p1", section="vertical")


@pytest.fixture(scope="session")
def config() -> Config:
    return settings()


@pytest.fixture(scope="session")
def slide_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantom slide; not square, so that rows cannot pass for columns."""
    spec = sample_spec(3, grade=2, width_mm=1.6, height_mm=1.3)
    return paint_slide(spec, folder=tmp_path_factory.mktemp("phantom"), name="p1")


@pytest.fixture(scope="session")
def slide_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the phantom's artefacts; filled by the fixtures below."""
    return tmp_path_factory.mktemp("slides") / "p1"


@pytest.fixture(scope="session")
def record(slide_file: Path, slide_folder: Path, config: Config) -> SlideRecord:
    inspected = inspect_slide(slide_file, declared=INSPECTED, mpp=None, config=config)
    record = with_checksum(inspected)
    write_record(record, slide_folder / "slide.json", config=config)
    return record


@pytest.fixture(scope="session")
def slide(record: SlideRecord) -> Iterator[Slide]:
    with record.open() as opened:
        yield opened


@pytest.fixture(scope="session")
def tiled(record: SlideRecord, slide_folder: Path, config: Config) -> TiledSlide:
    return tile_slide(
        record,
        config=config,
        out=slide_folder / "tiles.json",
        picture=slide_folder / "tiles.png",
    )


@pytest.fixture(scope="session")
def tiles(tiled: TiledSlide, slide_folder: Path) -> Path:
    return slide_folder / "tiles.json"


@pytest.fixture(scope="session")
def segmentation(record: SlideRecord, tiles: Path, config: Config) -> Path:
    out = tiles.with_name("segmentation.ome.zarr")
    segment_slide(record, tiles=tiles, config=config, out=out)
    return out


@pytest.fixture(scope="session")
def measurements(record: SlideRecord, tiles: Path, segmentation: Path, config: Config) -> Path:
    out = tiles.with_name("measurements.json")
    measure_segmentation(record, tiles=tiles, segmentation=segmentation, config=config, out=out)
    return out


@pytest.fixture(scope="session")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_unet(tmp_path_factory.mktemp("random-unet"))


@pytest.fixture(scope="module")
def nuclei(record: SlideRecord, segmentation: Path, config: Config) -> Path:
    out = segmentation.with_name("nuclei.parquet")
    find_nuclei(record, gate=Gate(segmentation, only_tumour=True), config=config, out=out)
    return out


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what makes an environment of its own, unless it was asked for."""
    if "spatialdata" in config.getoption("-m"):
        return
    reason = "makes an environment of its own, minutes: run 'make spatialdata'"
    for item in items:
        if item.get_closest_marker("spatialdata"):
            item.add_marker(pytest.mark.skip(reason=reason))
