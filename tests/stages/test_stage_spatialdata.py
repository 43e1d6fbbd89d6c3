"""What does SpatialData itself find in our store, in an environment of its own?

Chosen by ``make spatialdata`` (``pytest -m spatialdata``): an environment with this package and its
extra is made once, in the folder that ``WSI_SPATIALDATA_ENV`` names or in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
from numpy.typing import NDArray

from wsi_pipeline.classes import CLASS_NAMES, TUMOUR
from wsi_pipeline.config import Config
from wsi_pipeline.geometry import Grid
from wsi_pipeline.stages.export_tables import export_nests
from wsi_pipeline.store import IMAGE, LABELS, PROBABILITIES, Segmentation

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
MINUTES = 60.0
pytestmark = pytest.mark.spatialdata

# Runs in that environment: what it finds, in its own words.
READER = """
import json, sys
import numpy as np
import spatialdata as sd
from spatialdata.transformations import get_transformation

store = sd.read_zarr(sys.argv[1])
found = {"attrs": store.attrs["wsi_pipeline"], "parts": {}}
for name in ("image", "probabilities", "tissue"):
    levels = list(sd.get_pyramid_levels(store[name]))
    matrix = get_transformation(store[name], "global").to_affine_matrix(("x", "y"), ("x", "y"))
    found["parts"][name] = {
        "shapes": [list(level.shape) for level in levels],
        "channels": [str(c) for c in levels[0].coords["c"].values] if "c" in levels[0].dims else [],
        "to_um": matrix.tolist(),
    }
    np.save(f"{sys.argv[2]}/{name}.npy", np.asarray(levels[0].data))
shapes = {
    name: sd.transform(store[name], to_coordinate_system="global") for name in store.shapes
}
for name, frame in shapes.items():
    frame.attrs = {}  # no plain data
    frame.to_parquet(f"{sys.argv[2]}/{name}.parquet")
left, top, right, bottom = shapes["nests"].geometry.iloc[0].bounds
around = sd.bounding_box_query(
    store, axes=("x", "y"), min_coordinate=[left, top], max_coordinate=[right, bottom],
    target_coordinate_system="global",
)
pixels = np.asarray(next(iter(sd.get_pyramid_levels(around["tissue"]))).data)
found["tumour_in_first_nest"] = int((pixels == int(sys.argv[3])).sum())
json.dump(found, open(f"{sys.argv[2]}/found.json", "w"))
"""


def run(*words: str | Path) -> None:
    """Run a program of that environment, but with this copy of the package."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    kept["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [*map(str, words)],
        env=kept,
        capture_output=True,
        text=True,
        timeout=MINUTES * 60,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")


@pytest.fixture(scope="module")
def own_python() -> Path:
    """Interpreter of the environment; made where it is missing, or of other requirements."""
    place = Path(os.environ.get("WSI_SPATIALDATA_ENV", CACHE / "wsi-pipeline" / "spatialdata-env"))
    python, stamp = place / "bin" / "python", place / "made-of"
    made_of = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest() + sys.version
    if not (stamp.is_file() and stamp.read_text() == made_of):
        try:
            venv.create(place, with_pip=True, clear=True)
            run(python, "-m", "pip", "install", "--quiet", f"{ROOT}[spatialdata]")
        except (AssertionError, OSError, subprocess.SubprocessError) as fault:
            pytest.skip(f"no environment with the extra 'spatialdata' can be made: {fault}")
        stamp.write_text(made_of)
    return python


@pytest.fixture(scope="module")
def exported(
    own_python: Path, segmentation: Path, tiles: Path, nuclei: Path, config: Config
) -> Path:
    folder = segmentation.parent
    export_nests(folder, config=config)
    run(own_python.with_name("wsi-pipeline"), "export", folder, "--format", "spatialdata")
    return folder / "spatialdata.zarr"


@pytest.fixture(scope="module")
def read(own_python: Path, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what was read."""
    out = tmp_path_factory.mktemp("read")
    run(own_python, "-c", READER, exported, out, str(TUMOUR))
    return out


@pytest.fixture(scope="module")
def found(read: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((read / "found.json").read_text())
    return content


@pytest.fixture(scope="module")
def store(segmentation: Path) -> Segmentation:
    return Segmentation(segmentation)


def um_of(grid: Grid, row_px: float, column_px: float) -> NDArray[np.float64]:
    """(x, y) of a corner of pixels, worked out without the package's own `Grid` methods."""
    down_um, right_um = grid.origin_um
    return np.array([right_um + column_px * grid.mpp, down_um + row_px * grid.mpp])


@pytest.mark.parametrize(
    ("name", "plane"), [("image", IMAGE), ("probabilities", PROBABILITIES), ("tissue", LABELS)]
)
def test_every_pixel_is_the_same_and_in_its_place(
    read: Path, found: dict[str, Any], store: Segmentation, name: str, plane: str
) -> None:
    np.testing.assert_array_equal(np.load(read / f"{name}.npy"), store.array(plane)[:])
    part, (rows, columns) = found["parts"][name], store.grid.shape
    for row, column in ((0, 0), (rows, columns), (7, 311)):
        x, y, _ = np.array(part["to_um"]) @ (column, row, 1)
        np.testing.assert_allclose((x, y), um_of(store.grid, row, column))
    assert len(part["shapes"]) == store.levels
    assert part["shapes"][1][-2] in (rows // 2, rows - rows // 2)


def test_channels_are_classes_and_the_origin_is_told(found: dict[str, Any]) -> None:
    assert tuple(found["parts"]["probabilities"]["channels"]) == CLASS_NAMES
    assert found["parts"]["image"]["channels"] == ["red", "green", "blue"]
    assert found["attrs"]["slide_id"] == "p1"
    assert found["attrs"]["model"]["id"] == "colour-baseline"


def test_nests_and_nuclei_lie_where_the_pixels_say(
    read: Path, found: dict[str, Any], store: Segmentation, exported: Path
) -> None:
    nests, nuclei = (geopandas.read_parquet(read / f"{n}.parquet") for n in ("nests", "nuclei"))
    ours = geopandas.read_parquet(exported.with_name("nuclei.parquet"))
    assert len(nuclei) == len(ours) > 0
    np.testing.assert_allclose(nuclei.geometry.get_coordinates(), ours.get_coordinates())
    np.testing.assert_allclose(np.pi * nuclei["radius"] ** 2, ours["area_um2"])
    labels, grid = store.read_labels(), store.grid
    x, y = nuclei.get_coordinates().to_numpy().T
    down, right = ((at - o) / grid.mpp for at, o in zip((y, x), grid.origin_um, strict=True))
    called = labels[down.astype(int), right.astype(int)]
    # Looked for in tumour only; the centre of one at the border may lie just outside.
    assert np.mean(called == TUMOUR) > 0.95
    tumour_um2 = (labels == TUMOUR).sum() * grid.pixel_area_um2
    assert 0.9 * tumour_um2 < nests["area_um2"].sum() < 1.3 * tumour_um2
    first = nests.iloc[0]
    in_box_um2 = found["tumour_in_first_nest"] * grid.pixel_area_um2
    assert in_box_um2 > 0.9 * (first["area_um2"] - first["lumen_um2"])
