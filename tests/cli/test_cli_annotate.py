"""Export, correct, train: the loop that a laboratory goes through."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from calling import FAST, Call, Called, run_main
from numpy.typing import NDArray

from wsi_pipeline.annotate import (
    NOT_ANNOTATED,
    ViewerFrame,
    fill_regions,
    format_regions,
    outline_regions,
    parse_regions,
)
from wsi_pipeline.cli.inputs import read_annotated_table, read_settings
from wsi_pipeline.errors import CaseTableError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.phantom import sample_spec
from wsi_pipeline.segment import read_card
from wsi_pipeline.stages.annotated import read_annotated, validate_annotated
from wsi_pipeline.stages.phantom import paint_slide
from wsi_pipeline.stages.start import start_from
from wsi_pipeline.store import Segmentation, read_arrays

NAMES = ("one", "two")
TINY = [
    word
    for text in (
        *("phantoms=1", "validation_phantoms=1", "mpp=4.0", "network=unet", "width=8", "depth=2"),
        *("fold=1", "tile_px=64", "margin_px=8", "batch=4"),
        *("learning_rate=0.01", "average=0.9", "mix_share=0", "precision=float32"),
    )
    for word in ("--set", f"train.{text}")
]


def steps(count: int) -> tuple[str, ...]:
    return ("--set", f"train.steps={count}", "--set", f"train.validate_every={count}")


Labels = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks on several threads wait for each other more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of two slides with their truth."""
    folder = tmp_path_factory.mktemp("lab")
    for seed, name in enumerate(NAMES, start=21):
        spec = sample_spec(seed, architecture="solid", width_mm=1.2, height_mm=1.1)
        paint_slide(spec, folder=folder, name=name)
    return folder


def truth_of(lab: Path, name: str) -> Labels:
    arrays, _ = read_arrays(lab / f"{name}.truth.zarr")
    return arrays["labels"][2::4, 2::4]


def correct(text: str, truth: Labels) -> str:
    """Put the truth for what the model called, as a pathologist would; QuPath keeps its form."""
    content = json.loads(text)
    regions = outline_regions(truth, grid=Grid(truth.shape, 2.0), tolerance_um=2, min_piece_um2=200)
    content["features"] = [
        json.loads(feature) for feature in format_regions(regions, frame=ViewerFrame(0.5))
    ]
    return json.dumps(content["features"])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was hardly trained."""
    out = tmp_path_factory.mktemp("models") / "base"
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        assert run_main(patch, ("train", "--out", out, "--workers", 1, *TINY, *steps(8))) == 0
    return out


@pytest.fixture(scope="module")
def table(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both slides, segmented, exported and corrected."""
    work = tmp_path_factory.mktemp("work")
    lines = ["path\tannotations"]
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            record, store = work / name / "slide.json", work / name / "segmentation.ome.zarr"
            for words in (
                ("inspect", lab / f"{name}.tiff", "--out", record),
                ("segment", record, "--out", store, *FAST),
                ("export", work / name),
            ):
                assert run_main(patch, words) == 0
            exported = work / name / "annotations.geojson.gz"
            check_round_trip(exported, store)
            text = gzip.decompress(exported.read_bytes()).decode()
            (lab / f"{name}.geojson").write_text(correct(text, truth_of(lab, name)))
            lines.append(f"{name}.tiff\t{name}.geojson")
    path = lab / "annotated.tsv"
    path.write_text("\n".join(lines))
    return path


def check_round_trip(exported: Path, store: Path) -> None:
    """Nearly every pixel comes back as it was."""
    segmentation = Segmentation(store)
    text = gzip.decompress(exported.read_bytes()).decode()
    parsed = parse_regions(text, name="a", frame=ViewerFrame(0.5))
    back = fill_regions(parsed.regions, grid=segmentation.grid)
    labels = segmentation.read_labels()
    assert (back == np.where(labels == 0, NOT_ANNOTATED, labels)).mean() > 0.99


def with_phantoms(out: Path, base: Path) -> Path:
    """Model folder beside which the phantoms of another model lie, painted already."""
    painted = base.with_name(base.name + ".training") / "phantoms"
    shutil.copytree(painted, out.with_name(out.name + ".training") / "phantoms")
    return out


def train_on(call: Call, table: Path, base: Path, out: Path) -> Called:
    words = ("train", "--out", out, "--workers", 1, "--annotations", table, "--from", base)
    return call(*words, *TINY, *steps(100), "--set", "train.annotated_share=0.9")


def test_corrected_slides_make_a_model_better(
    call: Call, table: Path, base: Path, tmp_path: Path
) -> None:
    out = with_phantoms(tmp_path / "tuned", base)
    done = train_on(call, table, base, out)
    assert done.code == 0, done.err
    assert "2 annotated slides, 1 of them held out" in done.out
    after, before = (float(number) for number in re.findall(r"\d\.\d{3}", done.out))
    assert after > before + 0.15
    settings = read_settings(None, [word for word in TINY if "=" in word])
    slides = read_annotated(read_annotated_table(table), config=settings)
    scores = [
        validate_annotated(
            slides, start_from(str(model), settings.train).network.eval(), stride_px=4
        )
        for model in (base, out)
    ]
    assert scores[1] > scores[0] + 0.15

    card = tomllib.loads((out / "model.toml").read_text())
    assert (
        "2 annotated slides, 1 of them held out; they gave 90% of the tiles"
        in card["training_data"]
    )
    assert (
        f"Started from model 'base' 1.0.0 (sha256 {read_card(base).sha256})"
        in card["training_data"]
    )
    assert card["limits"].startswith("Learnt on painted phantoms and 2 annotated slides, starting")
    assert "before training: " in (out / "CARD.md").read_text()
    for text in (out / "model.toml", out / "CARD.md"):
        assert "geojson" not in text.read_text()
        assert ".tiff" not in text.read_text()

    # A finished run is not done again; one with other annotations is another run.
    weights = (out / "weights.safetensors").read_bytes()
    assert train_on(call, table, base, out).code == 0
    assert (out / "weights.safetensors").read_bytes() == weights
    other = table.with_name("swapped.tsv")
    other.write_text("\n".join([(lines := table.read_text().split("\n"))[0], *lines[:0:-1]]))
    refused = train_on(call, other, base, out)
    assert refused.code == 1
    assert "other settings or data" in refused.err


def test_what_teaches_nothing_is_told(call: Call, table: Path, base: Path, tmp_path: Path) -> None:
    lone = {"type": "Feature", "geometry": None, "properties": {}}
    features = json.loads((table.parent / "one.geojson").read_text())
    (tmp_path / "a.geojson").write_text(json.dumps([lone, *features]))
    alone = tmp_path / "alone.tsv"
    alone.write_text(f"path\tannotations\tmpp\n{table.parent / 'one.tiff'}\ta.geojson\t0.5\n")
    out = with_phantoms(tmp_path / "m", base)
    words = ("train", "--out", out, "--workers", 1, "--annotations", alone)
    done = call(*words, *TINY, *steps(1))
    assert done.code == 0, done.err
    assert "1 annotated slides, 0 of them held out" in done.out
    assert "left out: 1 annotations without a class" in done.err


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (("--from", "colour-baseline"), "cannot be trained further", 1),
        (("--from", "nowhere"), "no model 'nowhere'", 2),
    ],
)
def test_only_own_networks_are_trained_further(
    call: Call, tmp_path: Path, words: tuple[str, ...], message: str, code: int
) -> None:
    called = call("train", "--out", tmp_path / "m", *words)
    assert (called.code, message in called.err) == (code, True)


def test_a_model_is_trained_further_at_its_own_mpp(call: Call, base: Path, tmp_path: Path) -> None:
    called = call("train", "--out", tmp_path / "m", "--from", base)
    assert called.code == 2
    assert "--set train.mpp=4" in called.err


def test_several_slides_are_exported_and_failed_ones_named(
    call: Call, slides: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "slide"
    shutil.copytree(next(path for path in slides.iterdir() if path.is_dir()), folder)
    empty = tmp_path / "nothing-here"
    empty.mkdir()
    called = call("export", folder, empty, "--format", "annotations")
    assert called.code == 1
    assert called.out.strip() == str(folder / "annotations.geojson.gz")
    assert f"failed: {empty}: " in called.err
    assert call("export", empty).code == 1


@pytest.mark.parametrize(
    "words", [(), ("no-such-folder",), (".", "--format", "paper"), (".", "--set", "annotate.x=1")]
)
def test_bad_usage_of_export_ends_with_2(call: Call, words: tuple[str, ...]) -> None:
    assert call("export", *words).code == 2


def test_a_table_of_annotated_slides_is_read(tmp_path: Path) -> None:
    for name in ("a.svs", "b.svs", "a.geojson", "b.geojson"):
        (tmp_path / name).touch()
    path = tmp_path / "t.tsv"
    path.write_text("path\tannotations\tmpp\na.svs\ta.geojson\nb.svs\tb.geojson\t0.25\n")
    one, two = read_annotated_table(path)
    assert (one.path, one.annotations, one.mpp) == (
        tmp_path / "a.svs",
        tmp_path / "a.geojson",
        None,
    )
    assert two.mpp == 0.25


def test_every_fault_of_that_table_is_named(tmp_path: Path) -> None:
    for name in ("a.svs", "a.geojson"):
        (tmp_path / name).touch()
    path = tmp_path / "t.tsv"
    rows = ["a.svs\ta.geojson\t9", "a.svs\tgone.geojson", "\ta.geojson"]
    path.write_text("\n".join(["path\tannotations\tmpp", *rows]))
    with pytest.raises(CaseTableError) as fault:
        read_annotated_table(path)
    for part in (
        "line 2: column 'mpp'",
        "line 3: no file",
        "column 'annotations'",
        "line 3: the slide is on line 2 already",
        "line 4: column 'path' is empty",
    ):
        assert part in str(fault.value)
    path.write_text("path\n")
    with pytest.raises(CaseTableError, match=r"table of annotated slides .* holds no slides"):
        read_annotated_table(path)
