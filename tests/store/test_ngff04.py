"""Do programs that know only OME-Zarr 0.4 read what we write for them?"""

from __future__ import annotations

import json
import warnings
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import zarr
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from wsi_pipeline.classes import CLASS_NAMES, TISSUE_CLASSES
from wsi_pipeline.errors import StoreError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.store import (
    Segmentation,
    StoreLayout,
    copy_as_ngff04,
    create_segmentation,
    plan_pyramid_level,
    write_pyramid_tile,
)

GRID = Grid((700, 530), 2.0, (10.0, 24.0))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Segmentation:
    """A segmentation of which only the top-left tile was computed."""
    path, rng = tmp_path_factory.mktemp("store") / "s.ome.zarr", np.random.default_rng(5)
    layout = StoreLayout(shard_px=256, chunk_px=128)
    create_segmentation(path, grid=GRID, layout=layout, attributes={"slide_id": "S1"})
    Segmentation(path, mode="r+").write_tile(
        Box(0, 0, 256, 256),
        rgb=rng.integers(0, 256, (256, 256, 3), dtype=np.uint8),
        probabilities=rng.integers(0, 256, (8, 256, 256), dtype=np.uint8),
        labels=rng.integers(0, 8, (256, 256), dtype=np.uint8),
    )
    for level in range(1, 3):
        for tile in plan_pyramid_level(path, level):
            write_pyramid_tile(tile)
    return Segmentation(path)


@pytest.fixture(scope="module")
def copied(source: Segmentation) -> Path:
    out = source.path.with_name("s-0.4.ome.zarr")
    copy_as_ngff04(source, out)
    return out


def test_every_level_holds_the_same_numbers(source: Segmentation, copied: Path) -> None:
    root = zarr.open_group(copied, mode="r")
    assert root.metadata.zarr_format == 2
    for plane in ("", "labels/tissue", "probabilities"):
        for level in range(source.levels):
            array, wanted = root[f"{plane}/{level}".strip("/")], source.array(plane, level)
            assert (array.chunks, array.fill_value) == (wanted.chunks, wanted.fill_value)
            np.testing.assert_array_equal(array[:], wanted[:])
    assert root.attrs["wsi_pipeline"] == source.attributes


def test_glass_takes_no_room(copied: Path) -> None:
    stored = {path.relative_to(copied / "0").as_posix() for path in (copied / "0").rglob("*")}
    assert {"0/0/0", "0/1/1"} <= stored
    assert not {"0/3/3", "0/5/0"} & stored


@pytest.mark.parametrize(
    ("place", "schema"),
    [
        *(
            (place, f"{how}image")
            for place in ("", "labels/tissue", "probabilities")
            for how in ("", "strict_")
        ),
        ("labels/tissue", "label"),
        ("labels/tissue", "strict_label"),
    ],
)
def test_metadata_follow_the_official_schema(copied: Path, place: str, schema: str) -> None:
    folder = files("ngff_zarr") / "spec" / "0.4" / "schemas"
    schemas = {
        item.name.removesuffix(".schema"): json.loads(item.read_text())
        for item in folder.iterdir()
        if item.name.endswith(".schema")
    }
    resources = [(one["$id"], DRAFT202012.create_resource(one)) for one in schemas.values()]
    validator = Draft202012Validator(schemas[schema], registry=Registry().with_resources(resources))
    attributes = json.loads((copied / place / ".zattrs").read_text())
    assert [fault.message for fault in validator.iter_errors(attributes)] == []


def test_ome_zarr_models_accept_all_groups(copied: Path) -> None:
    from ome_zarr_models.v04 import Image, ImageLabel  # noqa: PLC0415 - slow to import

    Image.from_zarr(zarr.open_group(copied, mode="r"))
    Image.from_zarr(zarr.open_group(copied / "probabilities", mode="r"))
    label = ImageLabel.from_zarr(zarr.open_group(copied / "labels/tissue", mode="r"))
    described = label.attributes.image_label
    assert described is not None
    assert len(described.colors or ()) == len(described.properties or ()) == len(TISSUE_CLASSES)


def test_ome_zarr_py_finds_image_and_labels(copied: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the reader's own dependencies
        from ome_zarr.io import parse_url  # noqa: PLC0415 - slow to import
        from ome_zarr.reader import Reader  # noqa: PLC0415

        location = parse_url(copied)
        nodes = [node for node in Reader(location)() if node.data]
    assert location.fmt.version == "0.4"
    shapes = [[level.shape for level in node.data] for node in nodes]
    assert shapes[0] == [(3, 700, 530), (3, 350, 265), (3, 175, 133)]
    assert shapes[1] == [(700, 530), (350, 265), (175, 133)]


def test_ngff_zarr_validates_it_in_its_place(copied: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ngff_zarr import from_ngff_zarr  # noqa: PLC0415 - slow to import

        multiscales = from_ngff_zarr(copied, validate=True, version="0.4")
    first, second = multiscales.images[:2]
    assert first.data.shape == (3, *GRID.shape)
    assert first.translation == {"c": 0.0, "y": 10.0, "x": 24.0}
    assert second.scale == {"c": 1.0, "y": 4.0, "x": 4.0}


def test_channels_are_named_after_classes(copied: Path) -> None:
    channels = zarr.open_group(copied / "probabilities", mode="r").attrs["omero"]["channels"]
    assert tuple(channel["label"] for channel in channels) == CLASS_NAMES


def test_an_existing_folder_is_not_overwritten(source: Segmentation, copied: Path) -> None:
    with pytest.raises(StoreError, match="exists already"):
        copy_as_ngff04(source, copied)
