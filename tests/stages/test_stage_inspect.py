from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from stage_makers import blob_picture, damage_tiles, settings, write_tiff

from wsi_pipeline.config import Config, config_sha256
from wsi_pipeline.errors import InvalidMppError, MissingMppError, SlideReadError, StoreError
from wsi_pipeline.geometry import Box
from wsi_pipeline.stages.artefacts import file_sha256
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import SCHEMA, SlideRecord, inspect_slide, read_record


def test_the_record_says_what_the_file_and_the_table_say(
    record: SlideRecord, slide_folder: Path, slide_file: Path, config: Config
) -> None:
    raw = json.loads((slide_folder / "slide.json").read_text(encoding="utf-8"))
    assert raw["schema"] == SCHEMA
    assert raw["path"] == str(slide_file.resolve())
    assert raw["declared"]["case_id"] == "case-1"
    assert raw["declared"]["block"] == "A2"
    assert raw["info"]["mpp"] == pytest.approx(0.5)
    assert raw["info"]["mpp_source"] == "tiff.XResolution"
    assert raw["info"]["level_shapes"][0] == [2600, 3200]
    assert raw["input"] == {
        "bytes": slide_file.stat().st_size,
        "sha256": file_sha256(slide_file),
    }
    assert raw["provenance"]["stage"] == "inspect"
    assert raw["provenance"]["config_sha256"] == config_sha256(config)


def test_a_record_reads_back_as_it_was(record: SlideRecord, slide_folder: Path) -> None:
    back = read_record(slide_folder / "slide.json")
    assert back.path == record.path
    assert back.declared == record.declared
    assert back.input == record.input
    assert dict(back.info) == json.loads(json.dumps(record.info))


def test_a_slide_opens_from_its_record_as_it_was_inspected(
    slide_folder: Path, record: SlideRecord
) -> None:
    with read_record(slide_folder / "slide.json").open() as one, record.open() as two:
        assert one.grid == two.grid
        assert one.info.backend == record.info["backend"]
        box = Box(200, 240, 232, 300)
        np.testing.assert_array_equal(one.read_region(box, 2.0), two.read_region(box, 2.0))


def test_a_given_mpp_wins_and_is_recorded(slide_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "slide.json"
    inspect_slide(slide_file, declared=Declared("s"), mpp=0.25, config=settings(), out=out)
    again = read_record(out)
    assert again.info["mpp"] == 0.25
    assert again.info["mpp_source"] == "given"
    assert again.info["mpp_stated"] == pytest.approx(0.5)
    assert again.info["mpp_disagrees"] is True
    with again.open() as slide:
        assert slide.grid.mpp == 0.25


def test_without_an_output_nothing_is_hashed_or_written(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tiff", blob_picture(), mpp=2.0)
    record = inspect_slide(path, declared=Declared("s"), mpp=None, config=settings(), out=None)
    assert record.input == {}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("mpp", "fault", "message"),
    [
        (None, MissingMppError, "set column 'mpp'"),
        (40.0, InvalidMppError, "40"),
    ],
)
def test_a_slide_without_a_pixel_size_is_refused(
    tmp_path: Path, mpp: float | None, fault: type[Exception], message: str
) -> None:
    path = write_tiff(tmp_path / "a.tiff", blob_picture())
    out = tmp_path / "out" / "slide.json"
    with pytest.raises(fault, match=message):
        inspect_slide(path, declared=Declared("s"), mpp=mpp, config=settings(), out=out)
    assert not out.parent.exists()


def test_a_readable_header_does_not_make_a_readable_slide(slide_file: Path, tmp_path: Path) -> None:
    path = shutil.copy(slide_file, tmp_path / "damaged.tiff")
    damage_tiles(path, page=0)
    out = tmp_path / "slide.json"
    with pytest.raises(SlideReadError, match=r"'damaged.tiff' cannot be decoded"):
        inspect_slide(path, declared=Declared("s"), mpp=None, config=settings(), out=out)
    assert not out.exists()


@pytest.mark.parametrize(
    "change", [{"declared": {"colour": "red"}}, {"declared": None}, {"path": None}]
)
def test_another_file_is_not_a_record(
    slide_folder: Path, record: SlideRecord, tmp_path: Path, change: dict[str, object]
) -> None:
    raw = json.loads((slide_folder / "slide.json").read_text(encoding="utf-8"))
    (tmp_path / "slide.json").write_text(json.dumps(raw | change))
    with pytest.raises(StoreError, match="run 'wsi-pipeline inspect' again"):
        read_record(tmp_path / "slide.json")
