"""The rules of the house: who may import whom, and what an import may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "wsi_pipeline"
FOUNDATION = {"geometry", "errors", "values", "classes", "config", "cores"}
ALLOWED_LIBRARIES = {
    **{name: set() for name in FOUNDATION},
    "slide": {"openslide", "tiffslide", "tifffile", "PIL"},
    "tissue": {"scipy", "skimage"},
    "tiling": set(),
    "segment": {"torch", "safetensors", "onnx", "onnxruntime"},
    "annotate": {"shapely", "skimage"},
    "dicom_seg": {"highdicom", "pydicom"},
    "spatial_data": {"spatialdata", "geopandas", "dask"},
    "blockwise": {"dask", "distributed", "dask_jobqueue"},
    "labels": {"scipy", "skimage"},
    "nuclei": {"scipy", "skimage"},
    "store": {"zarr", "numcodecs", "pyarrow"},
    "measure": {"scipy", "skimage"},
    "report": {"jinja2", "markupsafe", "PIL"},
    "serve": {"starlette", "uvicorn", "jinja2", "markupsafe", "PIL"},
    "train": {"torch", "safetensors"},
    "phantom": {"scipy", "skimage", "tifffile"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """First part of a module's place inside the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Every absolute import of a module, also inside functions and for types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_used(path: Path) -> set[str]:
    own = [name.split(".") for name in imports_of(path) if name.split(".")[0] == "wsi_pipeline"]
    return {parts[1] for parts in own if len(parts) > 1 and parts[1] != "__version__"}


def test_every_room_is_known() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms == set(ALLOWED_LIBRARIES) | {"stages", "cli"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_no_other_room(path: Path) -> None:
    room = room_of(path)
    others = rooms_used(path) - FOUNDATION - {room}
    if room == "cli":
        assert others <= {"stages"}
    elif room == "stages":
        assert "cli" not in others
    elif room != "__init__":
        assert not others


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if room_of(path) in ALLOWED_LIBRARIES],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_room_keeps_to_its_libraries(path: Path) -> None:
    """Stages and the command line may use any dependency."""
    room = room_of(path)
    libraries = {name.split(".")[0] for name in imports_of(path)} - set(sys.stdlib_module_names)
    assert libraries - {"wsi_pipeline", "numpy"} <= ALLOWED_LIBRARIES[room]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("wsi_pipeline", ("torch", "openslide", "zarr", "dask", "scipy")),
        (
            "wsi_pipeline.cli",
            ("torch", "openslide", "zarr", "dask", "skimage", "starlette", "uvicorn"),
        ),
    ],
)
def test_importing_is_cheap(module: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([n for n in {forbidden!r} if n in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


def test_nothing_unpickles() -> None:
    for path in MODULES:
        names = {name.split(".")[0] for name in imports_of(path)}
        assert not names & {"pickle", "cloudpickle", "dill", "joblib", "shelve"}, path
        assert "allow_pickle" not in path.read_text(encoding="utf-8"), path
