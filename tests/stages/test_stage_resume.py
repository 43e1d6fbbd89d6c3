"""A run that was stopped goes on, and ends as if it had never been stopped."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from stage_makers import damage_tiles, open_record, settings, write_scoring_unet

from wsi_pipeline.config import Config
from wsi_pipeline.errors import SlideReadError, StoreError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.slide.base import PyramidSlide
from wsi_pipeline.stages import segment as stage
from wsi_pipeline.stages.inspect import SlideRecord
from wsi_pipeline.stages.resume import describe_place, peak_memory_mb, read_run_note
from wsi_pipeline.stages.segment import segment_slide
from wsi_pipeline.stages.tile import tile_slide
from wsi_pipeline.store import Segmentation
from wsi_pipeline.tiling import Tile

NAME = "segmentation.ome.zarr"


class StopError(Exception):
    """Ends a run at a chosen place."""


def content_of(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes, and every folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@dataclasses.dataclass(frozen=True)
class Work:
    """A slide with its plan, and what a run that is not stopped makes of it."""

    record: SlideRecord
    tiles: Path
    config: Config
    stopped: Path
    undisturbed: dict[str, bytes | None]

    def run(self, folder: Path, *, fresh: bool = False) -> int:
        """Segment; give how many tiles were kept."""
        note = segment_slide(
            self.record, tiles=self.tiles, config=self.config, out=folder / NAME, fresh=fresh
        )
        assert {path.name for path in folder.iterdir()} == {NAME, NAME + ".run.json"}
        return note.kept

    def copy_stopped(self, folder: Path) -> Path:
        """What a run that had finished all tiles left, and its ledger."""
        shutil.copytree(self.stopped, folder, dirs_exist_ok=True)
        return folder / (NAME + ".ledger")


def stop(*_: object) -> None:
    raise StopError


@pytest.fixture(scope="session")
def work(slide_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder = tmp_path_factory.mktemp("resume")
    (folder / "model").mkdir()
    model = write_scoring_unet(folder / "model")
    config = settings(model=str(model), precision="float32")
    record, tiles = open_record(slide_file), folder / "tiles.json"
    tile_slide(record, config=config, out=tiles)
    segment_slide(record, tiles=tiles, config=config, out=folder / NAME)
    (folder / "stopped").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "_write_pyramid", stop)
        with pytest.raises(StopError):
            segment_slide(record, tiles=tiles, config=config, out=folder / "stopped" / NAME)
    return Work(record, tiles, config, folder / "stopped", content_of(folder / NAME))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_result_depends_on_nothing_but_the_work(work: Work, folder: Path) -> None:
    assert work.run(folder) == 0
    assert content_of(folder / NAME) == work.undisturbed
    assert json.loads(work.undisturbed["zarr.json"] or b"")["attributes"]["wsi_pipeline"]["novelty"]


@options(max_examples=8)
@given(data=st.data())
def test_any_part_of_the_ledger_leads_to_the_same_result(
    work: Work, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever lies in the store besides what the ledger vouches for."""
    folder = tmp_path_factory.mktemp("part")
    ledger = work.copy_stopped(folder)
    content = ledger.read_bytes()
    part = content[: data.draw(st.integers(0, len(content)))]
    ledger.write_bytes(part)
    shards = sorted(
        path for path in (folder / (NAME + ".partial")).rglob("c/**/*") if path.is_file()
    )
    spoilt = data.draw(st.lists(st.sampled_from(shards), max_size=3, unique=True))
    for shard in spoilt:
        shard.write_bytes(shard.read_bytes()[:100])
    kept = work.run(folder)
    vouched = max(0, part.count(b"\n") - 1)
    assert vouched - len(spoilt) <= kept <= vouched
    assert content_of(folder / NAME) == work.undisturbed


def test_a_fresh_run_computes_everything(work: Work, folder: Path) -> None:
    work.copy_stopped(folder)
    assert work.run(folder, fresh=True) == 0
    assert content_of(folder / NAME) == work.undisturbed


@pytest.mark.parametrize("change", ["model", "compression", "plan", "input"])
def test_what_was_done_for_other_work_is_not_taken(
    work: Work, folder: Path, tmp_path: Path, change: str
) -> None:
    config, record = work.config, work.record
    if change == "model":
        config = settings(model="colour-baseline")
    if change == "compression":
        config = dataclasses.replace(config, store=dataclasses.replace(config.store, compression=2))
    if change == "plan":
        config = dataclasses.replace(
            config, tiling=dataclasses.replace(config.tiling, min_tissue_fraction=0.3)
        )
    if change == "input":
        record = dataclasses.replace(record, input={**record.input, "sha256": "0" * 64})
    tiles = tmp_path / "tiles.json"
    tile_slide(record, config=config, out=tiles)
    work.copy_stopped(folder)
    note = segment_slide(record, tiles=tiles, config=config, out=folder / NAME)
    assert note.kept == 0


def test_processes_go_on_too(work: Work, folder: Path) -> None:
    ledger = work.copy_stopped(folder)
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:-3]))
    segment_config = dataclasses.replace(work.config.segment, scheduler="processes")
    other = dataclasses.replace(
        work, config=dataclasses.replace(work.config, segment=segment_config)
    )
    assert other.run(folder) == len(lines) - 4
    assert content_of(folder / NAME) == work.undisturbed


def test_what_a_run_took_is_told_beside_the_result(work: Work, folder: Path) -> None:
    work.copy_stopped(folder)
    work.run(folder)
    note = read_run_note(folder / NAME)
    assert note is not None
    assert note.kept == note.tiles == Segmentation(folder / NAME).attributes["tiles"]
    assert note.seconds > 0
    assert 50 < note.peak_memory_mb <= peak_memory_mb()
    assert read_run_note(folder / "none") is None


def test_metadata_cut_short_are_written_anew(work: Work, folder: Path) -> None:
    work.copy_stopped(folder)
    for path in (folder / (NAME + ".partial")).rglob("zarr.json"):
        path.write_bytes(path.read_bytes()[:20])
    assert work.run(folder) > 0
    assert content_of(folder / NAME) == work.undisturbed


def test_two_runs_on_one_output_refuse_each_other(
    work: Work, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, leave = threading.Event(), threading.Event()
    write_pyramid = stage._write_pyramid

    def wait(path: Path, workers: int) -> None:
        inside.set()
        assert leave.wait(60)
        write_pyramid(path, workers)

    monkeypatch.setattr(stage, "_write_pyramid", wait)
    first = threading.Thread(target=work.run, args=(folder,))
    first.start()
    try:
        assert inside.wait(60)
        with pytest.raises(StoreError, match="another process is writing"):
            segment_slide(
                work.record, tiles=work.tiles, config=work.config, out=folder / NAME, fresh=True
            )
    finally:
        leave.set()
        first.join()
    assert content_of(folder / NAME) == work.undisturbed


def failing(monkeypatch: pytest.MonkeyPatch, *, place: int, times: int) -> list[Box]:
    """Reading fails, so many times, from the read with this number on; the boxes that failed."""
    reads, failed = [0], []
    read_region = PyramidSlide.read_region

    def read(slide: PyramidSlide, box: Box, mpp: float) -> object:
        reads[0] += 1
        if reads[0] >= place and len(failed) < times:
            failed.append(box)
            raise SlideReadError("the file server does not answer")
        return read_region(slide, box, mpp)

    monkeypatch.setattr(PyramidSlide, "read_region", read)
    return failed


def test_a_read_that_fails_twice_is_tried_again(
    work: Work, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failing(monkeypatch, place=5, times=2)
    assert work.run(folder) == 0
    assert len(failed) == 2
    assert content_of(folder / NAME) == work.undisturbed


def test_a_read_that_fails_on_names_its_place_and_keeps_the_rest(
    work: Work, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(**{**dataclasses.asdict(work.config.segment), "scheduler": "sync"})
    sync = dataclasses.replace(work, config=config)
    with monkeypatch.context() as patch:
        failed = failing(patch, place=5, times=3)
        with pytest.raises(SlideReadError, match="does not answer") as fault:
            sync.run(folder)
    assert len(set(failed)) == 1
    assert "of level 0 (" in fault.value.__notes__[0]
    assert not (folder / NAME).exists()
    assert sync.run(folder) == 4
    assert content_of(folder / NAME) == work.undisturbed


def test_a_mended_slide_needs_only_what_is_missing(slide_file: Path, tmp_path: Path) -> None:
    """The file was damaged while it lay on the server, and is copied back."""
    path = Path(shutil.copy(slide_file, tmp_path / "slide.tiff"))
    record, tiles, out = open_record(path), tmp_path / "tiles.json", tmp_path / NAME
    config = settings(workers=1, look_ahead=0)
    plan = tile_slide(record, config=config, out=tiles).plan
    damage_tiles(path, page=2, first=8)  # the last row of them
    with pytest.raises(SlideReadError, match="cannot be decoded"):
        segment_slide(record, tiles=tiles, config=config, out=out)
    shutil.copy(slide_file, path)
    done = out.with_name(NAME + ".ledger").read_bytes().count(b"\n") - 1  # in no set order
    note = segment_slide(record, tiles=tiles, config=config, out=out)
    assert note.kept == done < len(plan)


def test_a_place_is_told_in_pixels_of_level_0_and_in_micrometres() -> None:
    tile = Tile(1, 2, Box(256, 512, 300, 600), Box(0, 0, 0, 0))
    text = describe_place(tile, grid=Grid((300, 600), 2.0), level_0=Grid((1199, 2400), 0.5))
    assert text == (
        "in the tile of rows 1024 to 1199 and columns 2048 to 2400 of level 0 (512 to 600 µm down, "
        "1024 to 1200 µm right)"
    )
