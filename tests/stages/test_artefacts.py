from __future__ import annotations

import errno
import json
import math
from pathlib import Path

import pytest
import zarr

import wsi_pipeline
from wsi_pipeline.config import Config, parse_config
from wsi_pipeline.errors import StoreError
from wsi_pipeline.stages.artefacts import (
    file_sha256,
    provenance,
    read_json,
    remove,
    used_settings,
    whole,
    write_json,
    write_text,
)
from wsi_pipeline.stages.failure import FailureNote, read_failure, write_failure


def test_what_is_written_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with whole(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def write_half(path: Path) -> None:
    with whole(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError


def test_a_failure_leaves_nothing_that_passes_for_a_result(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(ZeroDivisionError):
        write_half(path)
    assert not path.exists()


def test_a_failure_keeps_the_result_of_an_earlier_run(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "earlier")
    with pytest.raises(ZeroDivisionError):
        write_half(path)
    assert path.read_text() == "earlier"


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path, is_folder: bool) -> None:
    left = tmp_path / "a.txt.partial"
    if is_folder:
        left.mkdir()
        (left / "chunk").touch()
    else:
        left.write_text("half")
    write_text(tmp_path / "a.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_store_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    for name in ("old", "new"):
        with whole(path) as partial:
            zarr.create_group(partial, zarr_format=3).create_group(name)
    assert sorted(item.name for item in path.iterdir()) == ["new", "zarr.json"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole(tmp_path / "out") as partial:
        partial.mkdir()
        (partial / "a.png").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_a_folder_of_other_files_is_never_replaced(tmp_path: Path) -> None:
    """``--out`` that names a folder of the user's must not cost the files in it."""
    mine = tmp_path / "results" / "thesis.docx"
    mine.parent.mkdir()
    mine.write_text("three years")
    with pytest.raises(StoreError, match="choose another output"), whole(mine.parent) as partial:
        partial.mkdir()
    with pytest.raises(StoreError, match="choose another output"):
        write_json(mine.parent, {})
    assert mine.read_text() == "three years"


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), zarr.create_group])
def test_a_file_never_replaces_a_folder(tmp_path: Path, make: object) -> None:
    path = tmp_path / "folder"
    make(path)  # type: ignore[operator]
    with pytest.raises(StoreError, match="cannot be written"):
        write_text(path, "text")
    assert path.is_dir()


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/a\.json cannot be written"):
        write_json(tmp_path / "file" / "a.json", {})


def test_remove_follows_no_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "a").touch()
    (tmp_path / "link").symlink_to(kept)
    remove(tmp_path / "link")
    remove(tmp_path / "never there")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (kept / "a").exists()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, number: float) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"depth_um": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"depth_um": number})
    assert read_json(path, made_by="x") == {"depth_um": 1.0}


def test_json_round_trips_in_plain_text(tmp_path: Path) -> None:
    content = {"unit": "µm²", "values": [1.5, None, True]}
    write_json(tmp_path / "a.json", content)
    assert "µm²" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json", made_by="x") == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot be read .* run 'wsi-pipeline tile' first"),
        (b"{", r"cannot be read .* run 'wsi-pipeline tile' first"),
        (b"\xff\xfe", r"cannot be read .* run 'wsi-pipeline tile' first"),
        (b"[1]", r"does not hold an object; run 'wsi-pipeline tile' again"),
    ],
)
def test_json_that_cannot_be_used_names_its_maker(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=message):
        read_json(path, made_by="wsi-pipeline tile")


def test_provenance_says_what_made_an_artefact() -> None:
    settings = used_settings(Config(), "tissue")
    about = provenance("tile", settings=settings)
    assert about["stage"] == "tile"
    assert about["pipeline_version"] == wsi_pipeline.__version__
    assert about["settings"]["tissue"]["mpp"] == Config().tissue.mpp
    assert set(about) == {
        *("stage", "pipeline", "pipeline_version", "python", "settings", "settings_sha256")
    }


def test_the_fingerprint_follows_what_decides_a_result() -> None:
    def fingerprint(raw: dict[str, dict[str, object]], *sections: str) -> object:
        settings = used_settings(parse_config(raw), *sections)
        return provenance("x", settings=settings)["settings_sha256"]

    changed = {"tissue": {"mpp": 4.0}}
    assert fingerprint(changed, "tissue") != fingerprint({}, "tissue")
    assert fingerprint(changed, "measure") == fingerprint({}, "measure")
    assert fingerprint({"segment": {"workers": 7}}, "segment") == fingerprint({}, "segment")


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the disk is full"), whole(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_of_the_body_keeps_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="slide"), whole(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "Permission denied", "slide.svs")


def test_the_checksum_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_note_of_failure_round_trips(tmp_path: Path) -> None:
    note = FailureNote("segment", "slide 'ä' is damaged", "logs/a.log")
    write_failure(tmp_path / "failure.json", note)
    assert read_failure(tmp_path / "failure.json") == note


@pytest.mark.parametrize("content", [None, "", "[]", '{"stage": "tile"}', json.dumps("x")])
def test_no_note_means_a_job_that_was_killed(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "failure.json"
    if content is not None:
        path.write_text(content)
    note = read_failure(path)
    assert note.stage == "unknown"
    assert "was killed" in note.reason
