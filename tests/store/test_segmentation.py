from __future__ import annotations

import errno
import json
import resource
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
    IMAGE,
    LABELS,
    PROBABILITIES,
    Segmentation,
    StoreLayout,
    create_segmentation,
    halve_image,
    halve_labels,
    plan_pyramid_level,
    read_arrays,
    write_arrays,
    write_pyramid_tile,
)
from wsi_pipeline.store.codecs import disk_faults

GRID = Grid((700, 530), 2.0)
LAYOUT = StoreLayout(shard_px=256, chunk_px=128)


@pytest.fixture(scope="module")
def planes() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "rgb": rng.integers(0, 256, (*GRID.shape, 3), dtype=np.uint8),
        "probabilities": rng.integers(0, 256, (8, *GRID.shape), dtype=np.uint8),
        "labels": rng.integers(0, 8, GRID.shape, dtype=np.uint8),
    }


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, planes: dict[str, np.ndarray]) -> Path:
    """A segmentation whose top-left tile was not computed."""
    path = tmp_path_factory.mktemp("store") / "segmentation.ome.zarr"
    create_segmentation(path, grid=GRID, layout=LAYOUT, attributes={"slide_id": "S1"})
    store = Segmentation(path, mode="r+")
    for top in range(0, GRID.shape[0], 256):
        for left in range(0, GRID.shape[1], 256):
            box = Box(top, left, top + 256, left + 256) & GRID.box
            if (top, left) != (0, 0):
                store.write_tile(
                    box,
                    rgb=planes["rgb"][box.slices],
                    probabilities=planes["probabilities"][(slice(None), *box.slices)],
                    labels=planes["labels"][box.slices],
                )
    for level in range(1, store.levels):
        for tile in plan_pyramid_level(path, level):
            write_pyramid_tile(tile)
    return path


def test_what_was_written_is_read(stored: Path, planes: dict[str, np.ndarray]) -> None:
    store = Segmentation(stored)
    box = Box(300, 200, 700, 530)
    np.testing.assert_array_equal(store.read_image()[box.slices], planes["rgb"][box.slices])
    np.testing.assert_array_equal(store.read_labels()[box.slices], planes["labels"][box.slices])
    np.testing.assert_allclose(
        store.read_probabilities(box),
        planes["probabilities"][(slice(None), *box.slices)] / 255.0,
        atol=1e-6,
    )


def test_what_was_not_computed_is_white_and_background(stored: Path) -> None:
    store, box = Segmentation(stored), Box(0, 0, 256, 256)
    assert (store.read_image()[box.slices] == 255).all()
    assert (store.read_labels()[box.slices] == 0).all()
    assert (store.read_probabilities(box) == 0).all()
    assert not list((stored / "0" / "c" / "0" / "0").glob("0"))


def test_a_shard_is_one_file_per_tile(stored: Path) -> None:
    assert len([path for path in (stored / "labels/tissue/0/c").rglob("*") if path.is_file()]) == 8


def test_the_grid_and_notes_come_back(stored: Path) -> None:
    store = Segmentation(stored)
    assert store.grid == GRID
    assert store.attributes["slide_id"] == "S1"
    Segmentation(stored, mode="r+").annotate({"tiles": 8})
    assert Segmentation(stored).attributes == {"slide_id": "S1", "tiles": 8, "grid": GRID.to_json()}


@pytest.mark.parametrize("level", [1, 2])
def test_the_pyramid_halves_each_level(stored: Path, level: int) -> None:
    store = Segmentation(stored)
    for plane, halve in (
        (IMAGE, halve_image),
        (LABELS, halve_labels),
        (PROBABILITIES, halve_image),
    ):
        below = np.asarray(store.array(plane, level - 1)[:])
        odd = [(0, 0)] * (below.ndim - 2) + [(0, n % 2) for n in below.shape[-2:]]
        expected = halve(np.pad(below, odd, mode="edge"))
        np.testing.assert_array_equal(store.array(plane, level)[:], expected)
    grid = store.level_grid(level)
    assert grid.mpp == 2.0 * 2**level
    assert grid.shape == store.read_labels(level).shape


def test_glass_has_no_files_on_any_level(tmp_path: Path) -> None:
    path, grid = tmp_path / "s.ome.zarr", Grid((1024, 1024), 2.0)
    create_segmentation(path, grid=grid, layout=StoreLayout(128, 64), attributes={})
    box = Box(256, 128, 384, 256)
    Segmentation(path, mode="r+").write_tile(
        box,
        rgb=np.full((128, 128, 3), 90, np.uint8),
        probabilities=np.full((8, 128, 128), 32, np.uint8),
        labels=np.full((128, 128), 2, np.uint8),
    )
    for level in (1, 2):
        tiles = list(plan_pyramid_level(path, level))
        assert len(tiles) == 3  # one shard of each multiscale, of 16 and of 4
        for tile in tiles:
            write_pyramid_tile(tile)
    store = Segmentation(path)
    assert (store.read_labels(2)[64:96, 32:64] == 2).all()
    assert store.read_labels(2).sum() == 2 * 32 * 32
    assert (store.read_image(2)[:32] == 255).all()


def test_a_full_disk_is_the_systems_own_error(stored: Path) -> None:
    torn = stored / "probabilities" / "0" / "torn"
    torn.write_bytes(b"half")
    with (
        pytest.raises(OSError, match="No space left") as raised,
        disk_faults([torn]),
    ):
        raise RuntimeError("io error: No space left on device (os error 28)")
    assert raised.value.errno == errno.ENOSPC
    assert not torn.exists()
    with pytest.raises(RuntimeError, match="something else"), disk_faults([torn]):
        raise RuntimeError("something else")


def test_a_write_that_fails_leaves_no_half_shard(stored: Path) -> None:
    """As zarrs tells of it, and as a disk quota ends a write: the file may not grow further."""
    store, box = Segmentation(stored, mode="r+"), Box(0, 0, 64, 64)
    values = np.random.default_rng(0).integers(0, 9, (64, 64), dtype=np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            store.write(LABELS, 0, box, values)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG
    assert not any(file.exists() for file in store.tile_files(box) if "labels" in file.parts)
    store.write(LABELS, 0, box, values)
    np.testing.assert_array_equal(store.read_labels()[box.slices], values)


def test_bytes_do_not_depend_on_the_settings_of_zarr(tmp_path: Path) -> None:
    rng, grid, files = np.random.default_rng(0), Grid((256, 256), 2.0), []
    rgb = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    probabilities = rng.integers(0, 256, (8, 256, 256), dtype=np.uint8)
    before = zarr.config.get("threading.max_workers"), zarr.config.get("codec_pipeline.path")
    for threads in (None, 1, 4):
        path = tmp_path / f"{threads}.ome.zarr"
        with zarr.config.set({"threading.max_workers": threads}):
            create_segmentation(path, grid=grid, layout=StoreLayout(256, 32), attributes={})
            store = Segmentation(path, mode="r+")
            store.write_tile(
                grid.box, rgb=rgb, probabilities=probabilities, labels=probabilities[0]
            )
        files.append([file.read_bytes() for file in store.tile_files(grid.box)])
    assert files[0] == files[1] == files[2]
    now = zarr.config.get("threading.max_workers"), zarr.config.get("codec_pipeline.path")
    assert now == before


def test_halving_an_image_is_the_rounded_mean() -> None:
    fine = np.random.default_rng(0).integers(0, 256, (3, 8, 6), dtype=np.uint8)
    mean = fine.reshape(3, 4, 2, 3, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(halve_image(fine), np.floor(mean + 0.5))


def test_halving_labels_takes_the_majority() -> None:
    fine = np.random.default_rng(0).integers(0, 4, (40, 40), dtype=np.uint8)
    halved = halve_labels(fine)
    for row in range(20):
        for column in range(20):
            block = fine[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            counts = np.bincount(block.ravel())
            assert counts[halved[row, column]] == counts.max()


def ome(path: Path) -> dict[str, object]:
    return json.loads((path / "zarr.json").read_text())["attributes"]


def schema_registry() -> tuple[Registry, dict[str, dict]]:
    """Official OME-NGFF 0.5 schemas, as ngff-zarr ships them."""
    folder = files("ngff_zarr") / "spec" / "0.5" / "schemas"
    schemas = {
        item.name.removesuffix(".schema"): json.loads(item.read_text())
        for item in folder.iterdir()
        if item.name.endswith(".schema")
    }
    resources = [
        (schema["$id"], DRAFT202012.create_resource(schema)) for schema in schemas.values()
    ]
    return Registry().with_resources(resources), schemas


@pytest.mark.parametrize(
    ("place", "schema"),
    [
        ("", "image"),
        ("", "strict_image"),
        ("labels/tissue", "label"),
        ("labels/tissue", "strict_label"),
        ("labels/tissue", "image"),
        ("probabilities", "image"),
        ("probabilities", "strict_image"),
    ],
)
def test_metadata_follow_the_official_schema(stored: Path, place: str, schema: str) -> None:
    registry, schemas = schema_registry()
    validator = Draft202012Validator(schemas[schema], registry=registry)
    assert list(validator.iter_errors(ome(stored / place))) == []


def test_ome_zarr_models_accept_all_groups(stored: Path) -> None:
    from ome_zarr_models.v05 import Image, ImageLabel  # noqa: PLC0415 - slow to import

    Image.from_zarr(zarr.open_group(stored, mode="r"))
    Image.from_zarr(zarr.open_group(stored / "probabilities", mode="r"))
    label = ImageLabel.from_zarr(zarr.open_group(stored / "labels/tissue", mode="r"))
    described = label.attributes.ome.image_label
    assert len(described.colors) == len(described.properties) == len(TISSUE_CLASSES)


def test_ome_zarr_py_finds_image_and_labels(stored: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the reader's own dependencies
        from ome_zarr.io import parse_url  # noqa: PLC0415 - slow to import
        from ome_zarr.reader import Reader  # noqa: PLC0415

        nodes = list(Reader(parse_url(stored))())
    shapes = [[level.shape for level in node.data] for node in nodes if node.data]
    assert shapes[0] == [(3, 700, 530), (3, 350, 265), (3, 175, 133)]
    assert shapes[1] == [(700, 530), (350, 265), (175, 133)]


def test_napari_reads_image_and_labels_in_place(stored: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from napari_ome_zarr import napari_get_reader  # noqa: PLC0415 - slow to import

        layers = napari_get_reader(str(stored))(str(stored))
    kinds = {kind: options for _, options, kind in layers}
    assert set(kinds) == {"image", "labels"}
    assert kinds["image"]["scale"] == kinds["labels"]["scale"] == [2.0, 2.0]


def test_ngff_zarr_validates_what_we_write(stored: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ngff_zarr import from_ngff_zarr  # noqa: PLC0415 - slow to import

        multiscales = from_ngff_zarr(stored, validate=True)
    assert multiscales.images[0].data.shape == (3, 700, 530)
    assert multiscales.images[1].scale == {"c": 1.0, "y": 4.0, "x": 4.0}


def test_channels_are_named_after_classes(stored: Path) -> None:
    channels = ome(stored / "probabilities")["ome"]["omero"]["channels"]
    assert tuple(channel["label"] for channel in channels) == CLASS_NAMES


def test_an_existing_folder_is_not_overwritten(stored: Path) -> None:
    with pytest.raises(StoreError, match="exists already"):
        create_segmentation(stored, grid=GRID, layout=LAYOUT, attributes={})


def test_something_else_is_not_a_segmentation(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run 'wsi-pipeline segment' again"):
        Segmentation(tmp_path / "missing.zarr")
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(StoreError, match="is not a segmentation"):
        Segmentation(tmp_path / "other.zarr")


def test_plain_arrays_round_trip(tmp_path: Path) -> None:
    arrays = {"labels": np.arange(6, dtype=np.uint8).reshape(2, 3), "nuclei/area": np.ones(4)}
    write_arrays(tmp_path / "truth.zarr", arrays, attributes={"seed": 3})
    back, attributes = read_arrays(tmp_path / "truth.zarr")
    assert attributes == {"seed": 3}
    assert set(back) == set(arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(back[name], values)
