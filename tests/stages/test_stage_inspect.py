from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from stage_makers import blob_picture, damage_tiles, settings, write_tiff

from wsi_pipeline.config import Config
from wsi_pipeline.errors import InvalidMppError, MissingMppError, SlideReadError, StoreError
from wsi_pipeline.geometry import Box
from wsi_pipeline.stages.artefacts import file_sha256
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.inspect import (
    SCHEMA,
    SlideRecord,
    inspect_slide,
    read_record,
    write_record,
)


def test_the_record_says_what_the_file_and_the_table_say(
    record: SlideRecord, slide_folder: Path, slide_file: Path, config: Config
) -> None:
    raw = json.loads((slide_folder / "slide.json").read_text(encoding="utf-8"))
    assert raw["schema"] == SCHEMA
    assert raw["path"] == str(slide_file.resolve())
    assert raw["declared"] == {"slide_id": "p1", "section": "vertical"}
    assert raw["info"]["mpp"] == pytest.approx(0.5)
    assert raw["info"]["mpp_source"] == "tiff.XResolution"
    assert raw["info"]["level_shapes"][0] == [2600, 3200]
    assert raw["input"] == {
        "bytes": slide_file.stat().st_size,
        "sha256": file_sha256(slide_file),
    }
    assert raw["provenance"]["stage"] == "inspect"
    assert raw["provenance"]["settings"] == {"slide": asdict(config.slide)}


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
    record = inspect_slide(slide_file, declared=Declared("s"), mpp=0.25, config=settings())
    write_record(record, out, config=settings())
    again = read_record(out)
    assert again.info["mpp"] == 0.25
    assert again.info["mpp_source"] == "given"
    assert again.info["mpp_stated"] == pytest.approx(0.5)
    assert again.info["mpp_disagrees"] is True
    with again.open() as slide:
        assert slide.grid.mpp == 0.25


def test_inspecting_hashes_and_writes_nothing(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tiff", blob_picture(), mpp=2.0)
    record = inspect_slide(path, declared=Declared("s"), mpp=None, config=settings())
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
    with pytest.raises(fault, match=message):
        inspect_slide(path, declared=Declared("s"), mpp=mpp, config=settings())


def test_a_readable_header_does_not_make_a_readable_slide(slide_file: Path, tmp_path: Path) -> None:
    path = shutil.copy(slide_file, tmp_path / "damaged.tiff")
    damage_tiles(path, page=0)
    with pytest.raises(SlideReadError, match=r"'damaged.tiff' cannot be decoded"):
        inspect_slide(path, declared=Declared("s"), mpp=None, config=settings())


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


def test_an_artefact_of_another_slide_is_refused(record: SlideRecord) -> None:
    record.check_same({"slide_id": "p1", "input": dict(record.input)}, what="the plan")
    for slide_id, facts in (("p2", dict(record.input)), ("p1", {"bytes": 1, "sha256": "0"})):
        with pytest.raises(StoreError, match="the plan belongs to slide"):
            record.check_same({"slide_id": slide_id, "input": facts}, what="the plan")


def test_a_slide_that_was_replaced_is_another_slide(record: SlideRecord) -> None:
    earlier = {"slide_id": "p1", "input": {**record.input, "sha256": "f" * 64}}
    with pytest.raises(StoreError, match="as it is now"):
        replace(record).check_same(earlier, what="the segmentation")
