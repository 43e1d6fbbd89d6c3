"""What of an unfinished store can be relied on?

A `Ledger` is a file beside the store, to which one line is added for each finished piece:

1. A line is a CRC-32 and a JSON object.  It is on the disk before `Ledger.append` returns; a last
   line that was cut short, or any line that is not what its CRC says, ends what counts.
2. The first line names the work; the lines of other work do not count.
3. While it is open it is locked.  The lock is the kernel's: it ends with the process, however that
   ends, so there are no stale ones.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from wsi_pipeline.errors import StoreError

Record = Mapping[str, Any]


class Ledger:
    """An open ledger; made by `open_ledger`.

    Parameters
    ----------
    file
        Open for reading and writing, without a buffer, and locked.
    work
        Fingerprint of all that the result depends on.
    fresh
        Whether to forget what it holds.
    """

    def __init__(self, file: FileIO, *, work: str, fresh: bool) -> None:
        file.seek(0)
        records, self._length = read_records(b"" if fresh else file.readall(), work=work)
        self.records: tuple[Record, ...] = tuple(records)
        """What was recorded before it was opened."""
        self._file = file
        self._cut()
        if not self._length:
            self.append({"work": work})

    def append(self, record: Record) -> None:
        """Add a record; it survives whatever happens after this returns.

        Raises
        ------
        OSError
            If it cannot be written, for instance because the disk is full; the ledger is then as
            it was before.
        """
        line = memoryview(_line(record))
        try:
            rest = line
            while rest:  # a disk that fills up takes a part and then refuses the rest
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            with suppress(OSError):  # what was added counts for nothing in any case
                self._cut()
            raise
        self._length += len(line)

    def _cut(self) -> None:
        """Drop what lies behind the last good record."""
        self._file.truncate(self._length)
        self._file.seek(self._length)


@contextmanager
def open_ledger(path: Path, *, work: str, fresh: bool = False) -> Iterator[Ledger]:
    """Open a ledger, made if need be, and keep others out; delete it if nothing goes wrong.

    Parameters
    ----------
    path
        Where it lies; its folder is made.
    work
        Fingerprint of all that the result depends on; a ledger of other work is begun anew.
    fresh
        Begin anew in any case.

    Raises
    ------
    StoreError
        If another process has it open, or it cannot be written.
    """
    try:
        file = _locked(path)
        ledger = Ledger(file, work=work, fresh=fresh)
        sync_file(path.parent)
    except BlockingIOError as fault:
        raise StoreError(
            f"another process is writing what {path} accounts for; wait for it or stop it"
        ) from fault
    except OSError as fault:
        raise StoreError(f"{path} cannot be written and locked: {fault.strerror}") from fault
    with file:
        yield ledger
        path.unlink()


def read_records(content: bytes, *, work: str) -> tuple[list[Record], int]:
    """Records of a ledger's content, and how many bytes of it count.

    Returns
    -------
    records
        In the order they were made; none if they are of other work.
    length
        Bytes up to the end of the last good record; 0 if they are of other work.
    """
    records: list[Record] = []
    length = 0
    for line in content.splitlines(keepends=True):
        record = _parse(line)
        if record is None or (not length and record != {"work": work}):
            break
        records.append(record)
        length += len(line)
    return records[1:], length


def checksum(path: Path) -> int | None:
    """CRC-32 of a file; None if there is none."""
    try:
        return zlib.crc32(path.read_bytes())
    except FileNotFoundError:
        return None


def sync_file(path: Path) -> None:
    """Wait until a file, if there is one, is on the disk; of a folder, its list of names."""
    with suppress(FileNotFoundError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _line(record: Record) -> bytes:
    body = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _parse(line: bytes) -> Record | None:
    """Record of a line; None if it is not whole."""
    crc, _, body = line.partition(b" ")
    if not body.endswith(b"\n") or crc != b"%08x" % zlib.crc32(body[:-1]):
        return None
    record = json.loads(body)
    return record if isinstance(record, dict) else None


def _locked(path: Path) -> FileIO:
    """Open and lock a file under its name: one that its last owner has just deleted is no lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except OSError:
            file.close()
            raise
        file.close()
