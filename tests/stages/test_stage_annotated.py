from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stage_makers import write_tiff
from torch import nn

from wsi_pipeline.annotate import NOT_ANNOTATED
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.stages import annotated
from wsi_pipeline.stages.annotated import (
    AnnotatedSlides,
    draw_annotated,
    read_annotated,
    read_annotation_text,
    validate_annotated,
)
from wsi_pipeline.stages.declared import AnnotatedSlide

TRAIN = {"mpp": 2.0, "tile_px": 32}


def config(**train: Any) -> Config:
    return parse_config({"train": {**TRAIN, **train}})


def feature(name: str | None, *, left: int, top: int, edge: int) -> dict[str, Any]:
    """A square annotation, in level-0 pixels."""
    ends = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
    ring = [[left + edge * x, top + edge * y] for x, y in ends]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": name and {"name": name}},
    }


def write_slide(folder: Path, name: str, features: list[dict[str, Any]]) -> AnnotatedSlide:
    """Slide of 600 × 400 px at 1 µm, its colour telling the place, with annotations."""
    folder.mkdir(exist_ok=True)
    rows, columns = np.mgrid[:400, :600]
    rgb = np.stack((rows // 2, columns // 3, np.full_like(rows, 90)), axis=-1).astype(np.uint8)
    slide = write_tiff(folder / f"{name}.tiff", rgb, mpp=1.0)
    path = folder / f"{name}.geojson"
    path.write_text(json.dumps(features))
    return AnnotatedSlide(slide, path)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> list[AnnotatedSlide]:
    folder = tmp_path_factory.mktemp("annotated")
    one = [
        feature("dermis", left=100, top=60, edge=200),
        feature("tumour", left=160, top=120, edge=40),
        feature(None, left=0, top=0, edge=50),
    ]
    two = [feature("epidermis", left=20, top=20, edge=30)]
    return [write_slide(folder, "one", one), write_slide(folder, "two", two)]


@pytest.fixture(scope="module")
def slides(table: list[AnnotatedSlide]) -> AnnotatedSlides:
    return read_annotated(table, config=config(held_out_share=0.0))


def test_annotated_pixels_are_counted_once_and_the_rest_is_unknown(slides: AnnotatedSlides) -> None:
    assert slides.counts.sum(axis=0).tolist() == [0, 15**2, 100**2 - 20**2, 0, 0, 20**2, 0, 0]
    for field in slides.fields:
        assert set(np.unique(field.labels)) <= {1, 2, 5, NOT_ANNOTATED}
        assert (field.labels[0] == NOT_ANNOTATED).all()
    assert slides.left_out == (1, 0)


def test_image_and_labels_show_the_same_place(slides: AnnotatedSlides) -> None:
    first = slides.fields[0]
    rows, columns = np.nonzero(first.labels == 5)
    shown = first.rgb[rows, columns].astype(float)
    # The tumour is annotated at rows 120-160 and columns 160-200 of level 0.
    assert 59 <= shown[:, 0].min() <= shown[:, 0].max() <= 80
    assert 53 <= shown[:, 1].min() <= shown[:, 1].max() <= 67


def test_large_annotations_are_cut_into_blocks(
    table: list[AnnotatedSlide], monkeypatch: pytest.MonkeyPatch, slides: AnnotatedSlides
) -> None:
    monkeypatch.setattr(annotated, "_BLOCK_PX", 64)
    many = read_annotated(table[:1], config=config())
    assert len(many.fields) > 3
    assert many.counts.sum(axis=0).tolist() == slides.counts[:1].sum(axis=0).tolist()


def test_windows_show_each_class_alike_in_their_middle_half(slides: AnnotatedSlides) -> None:
    rng = np.random.default_rng(1)
    shown = np.zeros(256)
    for _ in range(300):
        window = draw_annotated(slides, rng, edge=32)
        assert window.rgb.shape == (32, 32, 3)
        assert window.labels.shape == (32, 32)
        middle = window.labels[8:24, 8:24]
        assert (middle != NOT_ANNOTATED).any()
        shown[np.unique(middle)] += 1
    assert min(shown[[1, 2, 5]]) > 70


@pytest.mark.parametrize(
    ("count", "share", "held_out"),
    [(1, 0.2, 0), (2, 0.2, 1), (2, 0.0, 0), (3, 0.9, 2), (6, 0.3, 2)],
)
def test_the_last_slides_are_held_out(
    table: list[AnnotatedSlide], count: int, share: float, held_out: int
) -> None:
    rows = [table[0]] * (count - 1) + [table[1]]
    read = read_annotated(rows, config=config(held_out_share=share))
    assert (read.slides, len(read.held_out)) == (count, held_out)
    assert read.fields
    if held_out:
        assert np.unique(read.held_out[-1][0].labels).tolist() == [1, NOT_ANNOTATED]
        assert read.counts[:, 1].sum() == 0


def test_the_fingerprint_follows_the_content(table: list[AnnotatedSlide], tmp_path: Path) -> None:
    prints = {read_annotated(table[:1], config=config()).fingerprint}
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(table[0].annotations.read_bytes()))
    same = AnnotatedSlide(table[0].path, packed)
    assert read_annotated([same], config=config()).fingerprint in prints
    others = [
        AnnotatedSlide(table[0].path, table[1].annotations),
        AnnotatedSlide(table[0].path, table[0].annotations, mpp=1.1),
    ]
    for other in others:
        prints.add(read_annotated([other], config=config()).fingerprint)
    prints.add(read_annotated(table, config=config()).fingerprint)
    assert len(prints) == 4


class Constant(nn.Module):
    """Calls one class everywhere."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(8))
        self.bias.data[value] = 1.0

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return self.bias.view(1, 8, 1, 1).expand(1, 8, *rgb.shape[2:])


@pytest.mark.parametrize(("value", "dice"), [(1, 1.0), (2, 0.0)])
def test_only_annotated_pixels_of_held_out_slides_are_judged(
    table: list[AnnotatedSlide], value: int, dice: float
) -> None:
    slides = read_annotated(table, config=config())
    assert validate_annotated(slides, Constant(value), stride_px=16) == pytest.approx(dice)


def test_dice_is_the_mean_over_classes(table: list[AnnotatedSlide]) -> None:
    slides = read_annotated(table[::-1], config=config())
    tumour, all_known = 20**2, 100**2
    wanted = (2 * (all_known - tumour) / (2 * all_known - tumour) + 0.0) / 2
    assert validate_annotated(slides, Constant(2), stride_px=16) == pytest.approx(wanted)


def test_annotations_of_another_slide_are_refused(
    table: list[AnnotatedSlide], tmp_path: Path
) -> None:
    far = write_slide(tmp_path, "far", [feature("dermis", left=9000, top=0, edge=50)])
    with pytest.raises(ConfigError, match=r"cover nothing of slide 'far\.tiff' \(1 with a class"):
        read_annotated([far], config=config())


@pytest.mark.parametrize("content", [b"\x1f\x8bnothing", b"\x1f\x8b\x08\x00", b"\xff\xfe\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.geojson.gz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"annotations .*a\.geojson\.gz cannot be read"):
        read_annotation_text(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.geojson cannot be read"):
        read_annotation_text(tmp_path / "none.geojson")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Any
) -> None:
    monkeypatch.setattr(annotated, "MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.gz"
    path.write_bytes(pack(b" " * (2 << 20)))
    with pytest.raises(ConfigError, match="hold more than 1 MiB"):
        read_annotation_text(path)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text("[]", encoding="utf-8-sig")
    assert read_annotation_text(path) == "[]"
