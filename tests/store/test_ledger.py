from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_pipeline.errors import StoreError
from wsi_pipeline.store import checksum, open_ledger
from wsi_pipeline.store.ledger import Ledger, read_records

RECORDS = [
    {"tile": [row, 0], "files": [row * 7919, None], "novelty": "x" * row} for row in range(6)
]


class StopError(Exception):
    """Ends a run with its ledger in place."""


def write_ledger(
    path: Path, *, work: str = "a", records: list[dict[str, object]] = RECORDS
) -> bytes:
    with suppress(StopError), open_ledger(path, work=work) as ledger:
        for record in records:
            ledger.append(record)
        raise StopError
    return path.read_bytes()


def reopen(path: Path, *, work: str = "a", fresh: bool = False) -> list[dict[str, object]]:
    with suppress(StopError), open_ledger(path, work=work, fresh=fresh) as ledger:
        found = [dict(record) for record in ledger.records]
        raise StopError
    return found


def test_what_was_recorded_is_found_again(tmp_path: Path) -> None:
    write_ledger(tmp_path / "new" / "ledger")
    assert reopen(tmp_path / "new" / "ledger") == RECORDS


def test_records_are_added_to_those_there(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger", records=RECORDS[:2])
    write_ledger(tmp_path / "ledger", records=RECORDS[2:])
    assert reopen(tmp_path / "ledger") == RECORDS


def test_a_ledger_that_has_done_its_duty_goes(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger", work="a") as ledger:
        ledger.append({"tile": 1})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("work", "fresh"), [("b", False), ("a", True)])
def test_other_work_and_a_fresh_start_forget_what_was_there(
    tmp_path: Path, work: str, fresh: bool
) -> None:
    write_ledger(tmp_path / "ledger")
    assert reopen(tmp_path / "ledger", work=work, fresh=fresh) == []
    assert reopen(tmp_path / "ledger", work="a") == []


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_ledger(tmp_path_factory.mktemp("ledger") / "ledger")


@given(data=st.data())
def test_of_any_part_the_whole_lines_count(content: bytes, data: st.DataObject) -> None:
    part = content[: data.draw(st.integers(0, len(content)))]
    records, length = read_records(part, work="a")
    whole_lines = part.count(b"\n")
    assert records == RECORDS[: max(0, whole_lines - 1)]
    assert part[:length] == b"".join(content.splitlines(keepends=True)[:whole_lines])


@given(data=st.data())
def test_nothing_counts_from_a_damaged_byte_on(content: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(content) - 1))
    changed = bytes([content[place] ^ data.draw(st.integers(1, 255))])
    records, _ = read_records(content[:place] + changed + content[place + 1 :], work="a")
    assert records == RECORDS[: max(0, content[:place].count(b"\n") - 1)]


@given(junk=st.binary(max_size=200))
def test_any_file_may_be_in_its_place(junk: bytes) -> None:
    assert read_records(junk, work="a") == ([], 0)


def test_a_torn_record_is_cut_off_before_the_next(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(content[:-5])
    write_ledger(path, records=RECORDS[-1:])
    assert path.read_bytes() == content


def test_two_at_a_time_refuse_each_other(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with (
        open_ledger(path, work="a") as first,
        pytest.raises(StoreError, match="another process is writing"),
        open_ledger(path, work="a", fresh=True),
    ):
        raise AssertionError(first)
    assert reopen(path) == []


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    code = (
        "import os, pathlib, sys; from wsi_pipeline.store import open_ledger\n"
        "with open_ledger(pathlib.Path(sys.argv[1]), work='a') as ledger:\n"
        "    ledger.append({'tile': 1}); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == -9
    assert reopen(path) == [{"tile": 1}]


def test_a_ledger_that_was_deleted_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last owner deletes it between our opening and our locking: we must lock a new one."""
    path, opened = tmp_path / "ledger", os.open

    def open_and_lose(name: Path, *flags: int) -> int:
        number = opened(name, *flags)
        monkeypatch.setattr(os, "open", opened)
        path.unlink()
        return number

    monkeypatch.setattr(os, "open", open_and_lose)
    with open_ledger(path, work="a"):
        assert path.exists()


class FullFile:
    """A file on a disk that takes a few more bytes."""

    def __init__(self, file: object, room: int) -> None:
        self.file, self.room = file, room

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)

    def write(self, line: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = line[: self.room]
        self.room -= len(part)
        return int(self.file.write(part))  # type: ignore[attr-defined]


def test_a_disk_that_fills_up_leaves_the_ledger_as_it_was(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(content)
    with path.open("r+b", buffering=0) as file:
        ledger = Ledger(FullFile(file, 9), work="a", fresh=False)  # type: ignore[arg-type]
        with pytest.raises(OSError, match="No space left"):
            ledger.append({"tile": 9})
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StoreError, match=r"file/ledger cannot be written"),
        open_ledger(tmp_path / "file" / "ledger", work="a"),
    ):
        pass


def test_the_checksum_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123456789")
    assert checksum(tmp_path / "a") == 0xCBF43926
    assert checksum(tmp_path / "none") is None


def test_a_line_can_be_read_by_eye(content: bytes) -> None:
    crc, _, body = content.splitlines()[1].partition(b" ")
    assert len(crc) == 8
    assert json.loads(body) == RECORDS[0]
