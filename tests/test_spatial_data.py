"""Does SpatialData open what we write for it, with everything in its place?

Its library asks for other versions than the tests' environment has: this runs where the extra
``spatialdata`` is installed.
"""

from __future__ import annotations

import numpy as np
import pytest

spatialdata = pytest.importorskip(
    "spatialdata", reason="the extra 'spatialdata' is not installed here"
)

from spatialdata.transformations import get_transformation  # noqa: E402

from wsi_pipeline.classes import CLASS_NAMES  # noqa: E402
from wsi_pipeline.geometry import Grid  # noqa: E402
from wsi_pipeline.spatial_data import Rasters, write_spatialdata  # noqa: E402
from wsi_pipeline.store import write_areas, write_points  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of that library's own dependencies

GRID = Grid((600, 500), 2.0, (10.0, 24.0))
SQUARE_PX = np.array([(100, 200), (100, 260), (140, 260), (140, 200), (100, 200)], float)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> spatialdata.SpatialData:
    """One square of tumour, outlined, with a nucleus in its middle."""
    folder, square_um = tmp_path_factory.mktemp("sd"), SQUARE_PX * GRID.mpp + GRID.origin_um
    labels = np.zeros(GRID.shape, np.uint8)
    labels[100:140, 200:260] = 5
    image = np.random.default_rng(0).integers(0, 256, (3, *GRID.shape), dtype=np.uint8)
    probabilities = np.stack([(labels == value) * np.uint8(255) for value in range(8)])
    middle_um = square_um[:4].mean(axis=0, keepdims=True)
    columns = {"area_um2": np.array([50.0])}
    write_points(folder / "nuclei.parquet", columns, places_um=middle_um, attributes={})
    write_areas(folder / "nests.parquet", columns, areas_um=[[[square_um]]], attributes={})
    tables = {name: folder / f"{name}.parquet" for name in ("nuclei", "nests")}
    rasters = Rasters(image, labels, probabilities, GRID, levels=2)
    write_spatialdata(folder / "s.zarr", rasters, tables=tables, attributes={"slide_id": "S"})
    return spatialdata.read_zarr(folder / "s.zarr")


def test_everything_is_there(opened: spatialdata.SpatialData) -> None:
    assert opened.attrs["wsi_pipeline"] == {"slide_id": "S"}
    assert set(opened.images) == {"image", "probabilities"}
    assert set(opened.labels) == {"tissue"}
    assert set(opened.shapes) == {"nuclei", "nests"}
    channels = spatialdata.get_pyramid_levels(opened["probabilities"], n=0).coords["c"]
    assert tuple(channels.values.tolist()) == CLASS_NAMES


def test_rasters_and_shapes_meet_in_micrometres(opened: spatialdata.SpatialData) -> None:
    finest = spatialdata.get_pyramid_levels(opened["tissue"], n=0)
    down, right = np.nonzero(np.asarray(finest.data) == 5)
    corners_px = [[right.min(), down.min(), 1], [right.max() + 1, down.max() + 1, 1]]
    matrix = get_transformation(opened["tissue"], "global").to_affine_matrix(("x", "y"), ("x", "y"))
    found_um = (np.array(corners_px) @ matrix.T)[:, :2].ravel()
    nests = spatialdata.transform(opened["nests"], to_coordinate_system="global")
    np.testing.assert_allclose(found_um, nests.total_bounds)
    nucleus = opened["nuclei"].iloc[0]
    assert nests.geometry.contains(nucleus.geometry).all()
    assert np.pi * nucleus["radius"] ** 2 == pytest.approx(50.0)


def test_a_query_by_place_finds_the_labels(opened: spatialdata.SpatialData) -> None:
    left, top, right, bottom = opened["nests"].total_bounds
    around = spatialdata.bounding_box_query(
        opened,
        axes=("x", "y"),
        min_coordinate=[left, top],
        max_coordinate=[right, bottom],
        target_coordinate_system="global",
    )
    pixels = np.asarray(spatialdata.get_pyramid_levels(around["tissue"], n=0).data)
    assert (pixels == 5).mean() > 0.95
    assert len(around["nuclei"]) == 1


def test_levels_are_halved(opened: spatialdata.SpatialData) -> None:
    levels = list(spatialdata.get_pyramid_levels(opened["image"]))
    assert [level.shape[-2:] for level in levels] == [(600, 500), (300, 250)]
