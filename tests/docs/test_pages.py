"""The examples on the pages run, and no link on them leads nowhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from wsi_pipeline.cli.inputs import read_settings
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import inspect_slide, with_checksum, write_record
from wsi_pipeline.stages.measure import measure_segmentation
from wsi_pipeline.stages.nuclei import find_nuclei
from wsi_pipeline.stages.nuclei_tile import Gate
from wsi_pipeline.stages.phantom import paint_slide, sample_spec
from wsi_pipeline.stages.segment import segment_slide
from wsi_pipeline.stages.tile import tile_slide

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "gallery" not in path.parts)
LINK = re.compile(r"\]\(([^)\s]+)\)")
GALLERY = "gallery/index.md"  # made with the site


def examples(page: str) -> list[str]:
    """Python blocks of a page, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run_examples(page: str) -> None:
    """Run the blocks of a page, one after the other, in one namespace."""
    place: dict[str, object] = {"__name__": page}
    blocks = examples(page)
    assert len(blocks) > 1
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"{page}, block {number}", "exec"), place)  # noqa: S102


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a slide ``A.tiff`` and its artefacts, where the examples look for them."""
    root = tmp_path_factory.mktemp("docs")
    spec = sample_spec(31, section="vertical", width_mm=1.2, height_mm=1.0)
    slide = paint_slide(spec, folder=root, name="A")
    config = read_settings(None, ["segment.model=colour-baseline", "segment.workers=1"])
    out = root / "results" / "slides" / "A"
    tiles, store = out / "tiles.json", out / "segmentation.ome.zarr"
    record = with_checksum(inspect_slide(slide, declared=Declared("A"), mpp=None, config=config))
    write_record(record, out / "slide.json", config=config)
    tile_slide(record, config=config, out=tiles)
    segment_slide(record, tiles=tiles, config=config, out=store)
    nuclei = out / "nuclei.parquet"
    find_nuclei(record, gate=Gate(store, only_tumour=True), config=config, out=nuclei)
    measure_segmentation(
        record,
        tiles=tiles,
        segmentation=store,
        config=config,
        out=out / "measurements.json",
        nuclei=nuclei,
    )
    return root


@pytest.fixture
def work(results: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(results)
    yield results
    shutil.rmtree(results / "mine", ignore_errors=True)


def test_the_examples_in_python_run(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_examples("python.md")
    told = capsys.readouterr().out
    assert "(256, 256, 3) uint8" in told
    assert "tiles" in told


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_network_of_ones_own_becomes_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours").mkdir()
    run_examples("own-model.md")
    assert capsys.readouterr().out == "(8, 64, 64)\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        target = link.partition("#")[0]
        if "://" in link or not target:
            continue
        path = (page.parent / target).resolve()
        assert path.is_file() or path == DOCS / GALLERY, f"{page.name}: {link}"


def test_links_of_the_readme_lead_somewhere() -> None:
    for link in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        assert "://" in link or (ROOT / link.partition("#")[0]).exists(), link


def test_every_page_is_in_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w./-]+\.md", yaml.dump(yaml.safe_load(text)["nav"])))
    assert named == {str(page.relative_to(DOCS)) for page in PAGES} | {GALLERY}


def test_the_site_fetches_nothing() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert site["strict"] is True
    assert site["theme"]["font"] is False
    assert {name if isinstance(name, str) else next(iter(name)) for name in site["plugins"]} == {
        "search",
        "mkdocstrings",
    }
