"""Nothing that comes from outside is run: no pickles, no unsafe YAML, no shells, no escapes."""

from __future__ import annotations

import ast
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from wsi_pipeline.errors import ModelMismatchError, StoreError
from wsi_pipeline.segment.exported import load_exported
from wsi_pipeline.store import check_confined, read_arrays, write_arrays

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "wsi_pipeline").rglob("*.py"))
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "breakpoint"}
UNSAFE_CALLS = {
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all"),
    *("torch.hub.load", "torch.jit.load", "torch.export.load", "os.system", "os.popen"),
    *("numpy.fromregex", "pandas.read_pickle", "zipfile.ZipFile.extract"),
}


def faults_in(source: str) -> list[str]:
    """Every place in a module that could run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PICKLERS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLERS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            found += _faults_of_call(node)
    return found


def _faults_of_call(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    words = {word.arg: word.value for word in call.keywords}
    checks = {
        "runs text": isinstance(call.func, ast.Name) and name in RUNS_TEXT,
        "unsafe": name in UNSAFE_CALLS,
        "unpacks": name.rpartition(".")[2] in ("extractall", "extract", "unpack_archive"),
        "pickles": name == "torch.load" and not _is_true(words.get("weights_only")),
        "allow_pickle": "allow_pickle" in words and not _is_false(words["allow_pickle"]),
        "shell": "shell" in words and not _is_false(words["shell"]),
    }
    return [f"line {call.lineno}: {name} {fault}" for fault, is_so in checks.items() if is_so]


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_runs_what_a_file_says(path: Path) -> None:
    assert faults_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "eval('1')",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=asked)",
        "yaml.load(text, Loader=yaml.Loader)",
        "subprocess.run(text, shell=True)",
        "tarfile.open(path).extractall(folder)",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert faults_in(source)


@pytest.mark.parametrize(
    "source",
    ["network.eval()", "re.compile('a')", "torch.load(path, weights_only=True)", "np.load(path)"],
)
def test_the_search_leaves_the_harmless_alone(source: str) -> None:
    found = faults_in(source)
    assert found == []


def test_an_archive_cannot_name_a_place_outside(tmp_path: Path) -> None:
    """Members are read into memory and known by name; none is ever unpacked to a folder."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model/archive_format", "pt2")
        archive.writestr("model/../../escaped", "text")
    path = tmp_path / "inner" / "weights.pt2"
    path.parent.mkdir()
    path.write_bytes(packed.getvalue())
    with pytest.raises(ModelMismatchError, match=r"holds '\.\./\.\./escaped'"):
        load_exported(path)
    assert list(tmp_path.rglob("escaped")) == []


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(3):
            with archive.open(f"model/data/weights/weight_{number}", "w", force_zip64=True) as out:
                for _ in range(11):
                    out.write(bytes(64 << 20))
    assert path.stat().st_size < 20 << 20
    with pytest.raises(ModelMismatchError, match="unpacks to more than 2 GiB"):
        load_exported(path)


def test_a_store_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    store, secret = tmp_path / "truth.zarr", tmp_path / "secret"
    write_arrays(store, {"labels": np.ones((4, 4), np.uint8)}, attributes={})
    chunk = next(path for path in store.rglob("*") if path.is_file() and path.name == "0")
    chunk.rename(secret)
    chunk.symlink_to(secret)
    with pytest.raises(StoreError, match=r"is a link that leads out of the store; put the data"):
        read_arrays(store)


def test_links_within_a_store_are_its_own_affair(tmp_path: Path) -> None:
    store = tmp_path / "truth.zarr"
    write_arrays(store, {"a": np.ones((4, 4), np.uint8)}, attributes={})
    (store / "b").symlink_to(store / "a", target_is_directory=True)
    check_confined(store)
