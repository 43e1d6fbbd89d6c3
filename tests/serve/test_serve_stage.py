"""From a folder of results to slides that are open: what is there, gone, changed or missing."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree

import httpx
import numpy as np
import pytest
from serving import MARK_UM, PATIENT, SHAPE_PX0, SLIDE_MPP, Serve, Served

from wsi_pipeline.errors import ConfigError, SlideReadError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.serve import CaseEntry, SlideEntry, Specimen
from wsi_pipeline.serve.leases import Leases, Remembered
from wsi_pipeline.stages.view import list_contents, open_library, open_specimen


def slide_file(results: Path) -> Path:
    return results.parent / f"{PATIENT}.tiff"


def test_what_is_there_is_listed(results: Path, tmp_path: Path) -> None:
    contents = list_contents(results)
    assert contents.slides == (SlideEntry("s1", "c1", is_segmented=True, has_failed=False),)
    assert contents.cases == (CaseEntry("c1"),)
    assert contents.has_cohort
    with pytest.raises(ConfigError, match=r"holds no results.*'wsi-pipeline run' was given"):
        open_library(tmp_path, tell=print)


def test_a_slide_comes_with_its_overlays(results: Path) -> None:
    specimen = open_specimen(results, "s1", tell=print)
    try:
        assert specimen.plane.shape == SHAPE_PX0
        assert specimen.plane.mpp == pytest.approx(SLIDE_MPP)
        names = [overlay.name for overlay in specimen.overlays if overlay.is_shown]
        assert names == ["classes", "probability", "depth"]
        top, left = (round(edge / SLIDE_MPP) for edge in MARK_UM[:2])
        corner = specimen.read(Box(top - 1, left - 1, top + 2, left + 2), SLIDE_MPP)
        assert corner[0, 0].tolist() == [230, 170, 200]
        assert corner[2, 2].tolist() == [0, 0, 0]
        assert specimen.note == ""
    finally:
        specimen.close()


@pytest.mark.parametrize(
    ("missing", "names", "note"),
    [
        ("segmentation.ome.zarr", [], "not segmented"),
        ("depth.zarr", ["classes", "probability"], "No depth"),
    ],
)
def test_a_slide_is_shown_with_what_there_is(
    own_results: Path, missing: str, names: list[str], note: str
) -> None:
    rmtree(own_results / "slides" / "s1" / missing)
    specimen = open_specimen(own_results, "s1", tell=print)
    specimen.close()
    assert [overlay.name for overlay in specimen.overlays] == names
    assert note in specimen.note


def test_results_of_another_state_of_the_slide_are_left_out(own_results: Path) -> None:
    record = own_results / "slides" / "s1" / "slide.json"
    store = own_results / "slides" / "s1" / "segmentation.ome.zarr" / "zarr.json"
    digest = record.read_text().split('"sha256": "')[1][:64]
    store.write_text(store.read_text().replace(digest, "0" * 64))
    specimen = open_specimen(own_results, "s1", tell=print)
    specimen.close()
    assert specimen.overlays == ()
    assert "The overlays are left out: the segmentation belongs to" in specimen.note


def moved(file: Path) -> None:
    file.rename(file.with_name("elsewhere.tiff"))


def longer(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"\0")


def another(file: Path) -> None:
    """Same length, one byte different."""
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 10**10))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (moved, "no longer where it was when the slide was inspected: put it back"),
        (longer, "has changed since the slide was inspected"),
        (another, "has changed since the slide was inspected"),
    ],
)
def test_a_slide_that_is_not_what_it_was_is_a_page_that_says_so(
    own_results: Path, serve: Serve, spoil: object, said: str
) -> None:
    assert callable(spoil)
    served = serve(own_results)
    with httpx.Client(base_url=served.url) as client:
        assert client.get("view/s1/").status_code == 200
        spoil(slide_file(own_results))
        for path in ("view/s1/", "view/s1/slide/0/0_0.jpg", "view/s1/at.json?down_um=1&right_um=1"):
            answer = client.get(path)
            assert answer.status_code == 409
            assert said in " ".join(answer.text.replace("&#39;", "'").split())
            assert "Traceback" not in answer.text
            assert PATIENT not in answer.text
            assert str(own_results.parent) not in answer.text
        assert client.get("").status_code == 200
        assert any(str(slide_file(own_results)) in line for line in served.told)


def test_a_slide_that_was_only_touched_is_the_same(own_results: Path) -> None:
    later = slide_file(own_results).stat().st_mtime_ns + 10**11
    os.utime(slide_file(own_results), ns=(later, later))
    open_specimen(own_results, "s1", tell=print).close()


def test_a_damaged_slide_is_told_without_its_name(own_results: Path) -> None:
    record = own_results / "slides" / "s1" / "slide.json"
    record.write_text(record.read_text().replace('"openslide"', '"image"'))
    record.write_text(record.read_text().replace('"tiffslide"', '"image"'))
    file = slide_file(own_results)
    file.write_bytes(bytes(file.stat().st_size))
    os.utime(file, ns=(1, 1))
    with pytest.raises(SlideReadError, match="slide 's1' cannot be opened") as fault:
        open_specimen(own_results, "s1", tell=print)
    assert PATIENT not in str(fault.value)


def test_many_viewers_see_the_same(served: Served) -> None:
    """Six at once over all tiles of a level: as one after the other."""
    paths = [f"view/s1/slide/3/{row}_{column}.jpg" for row in range(3) for column in range(5)]
    paths += [path.replace("slide/", "classes/").replace("jpg", "png") for path in paths]
    with httpx.Client(base_url=served.url, timeout=60) as client:
        alone = [client.get(path).content for path in paths]
        with ThreadPoolExecutor(6) as pool:
            for found in pool.map(lambda _: [client.get(p).content for p in paths], range(6)):
                assert found == alone


def specimen_of(name: str, closed: list[str]) -> Specimen:
    plane = Grid((4, 4), 1.0)
    return Specimen(
        name,
        plane,
        lambda box, _: np.zeros((*box.shape, 3), np.uint8),
        (),
        note="",
        close=lambda: closed.append(name),
    )


def test_what_is_lent_stays_open_and_the_oldest_idle_one_is_closed() -> None:
    closed: list[str] = []
    leases = Leases(2)

    def lent(name: str) -> object:
        return leases.lent(name, lambda: specimen_of(name, closed))

    with lent("a"):  # type: ignore[attr-defined]
        for name in "bcd":
            with lent(name):  # type: ignore[attr-defined]
                assert name not in closed
        assert closed == ["b", "c"]
        assert len(leases) == 2
    leases.close()
    assert sorted(closed) == ["a", "b", "c", "d"]


def test_a_slide_is_opened_once_for_many() -> None:
    opened: list[str] = []
    leases, start = Leases(1), threading.Barrier(8)

    def read(_: int) -> None:
        start.wait()
        with leases.lent("a", lambda: opened.append("a") or specimen_of("a", [])):  # type: ignore[func-returns-value]
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    assert opened == ["a"]


def test_what_cannot_be_opened_is_tried_again() -> None:
    leases = Leases(1)

    def fail() -> Specimen:
        raise SlideReadError("no")

    with pytest.raises(SlideReadError), leases.lent("a", fail):
        pass
    with leases.lent("a", lambda: specimen_of("a", [])) as specimen:
        assert specimen.slide_id == "a"


def test_tiles_are_remembered_up_to_a_number_of_bytes() -> None:
    made: list[str] = []
    tiles = Remembered(100)

    def recall(key: str) -> bytes:
        return tiles.recall(key, lambda: made.append(key) or bytes(40))  # type: ignore[func-returns-value]

    for key in "abacab":
        recall(key)
    # c sends b away, the least recently used; b sends c away; a stays.
    assert made == ["a", "b", "c", "b"]
