"""Memory that was used once is not asked for again."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

from wsi_pipeline.segment.memory import _tell_allocator

# A thread of a fresh process uses the same blocks again and again, as layers do.
COUNT_FAULTS = """
import json, resource, sys, threading
from wsi_pipeline.segment import keep_memory

told = keep_memory() if sys.argv[1] == "kept" else None
faults = []

def work():
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for mib in (3, 80, 100):
            bytearray(mib << 20)
        faults.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
print(json.dumps([told, faults[-1]]))
"""


def count_faults(mode: str) -> tuple[bool | None, int]:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS, mode], capture_output=True, text=True, check=True
    )
    told, faults = json.loads(done.stdout)
    return told, faults


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_pages_are_kept_also_for_threads() -> None:
    _, before = count_faults("plain")
    told, after = count_faults("kept")
    assert told
    assert before > 40
    assert after <= before / 20


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert _tell_allocator.__wrapped__() is False
