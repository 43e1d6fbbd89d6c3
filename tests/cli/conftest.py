"""The command line, called in this process, and a slide for it to work on."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import FAST, Call, Called, run_main


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call ``wsi-pipeline`` with arguments."""
    for name in ("WSI_FAILURE_NOTE", "WSI_FAILURE_LOG", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def call_main(*words: object) -> Called:
        capsys.readouterr()
        code = run_main(monkeypatch, words)
        return Called(code, *capsys.readouterr())

    return call_main


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one case of two slides, painted by the verb itself."""
    folder = tmp_path_factory.mktemp("phantoms")
    words = ("phantom", "--out", folder, "--cases", 1, "--width-mm", 1.2, "--height-mm", 1.0)
    with pytest.MonkeyPatch.context() as patch:
        assert run_main(patch, words) == 0
    return folder


@pytest.fixture(scope="session")
def slide(phantoms: Path) -> Path:
    return phantoms / "phantom-1-vertical.tiff"


@pytest.fixture(scope="session")
def slides(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the artefacts of that slide, each made by its verb."""
    root = tmp_path_factory.mktemp("slides")
    folder = root / slide.stem
    record, tiles = folder / "slide.json", folder / "tiles.json"
    store = folder / "segmentation.ome.zarr"
    verbs: tuple[tuple[object, ...], ...] = (
        ("inspect", slide, "--out", record, "--section", "vertical"),
        ("tile", record, "--out", tiles, "--picture", folder / "tiles.png", *FAST),
        ("segment", record, "--tiles", tiles, "--out", store, "--workers", 2, *FAST),
        (
            *("measure", record, "--tiles", tiles, "--segmentation", store),
            *("--out", folder / "measurements.json"),
        ),
    )
    with pytest.MonkeyPatch.context() as patch:
        for words in verbs:
            assert run_main(patch, words) == 0
    return root
