"""Damaged slides end as a slide or as an error of ours: no crash, no hang, no other exception.

`benchmarks/fuzz.py` does the same with as many files as one likes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from fuzzed_files import KINDS, Damage, plan_damage
from numpy.typing import NDArray
from PIL import Image
from slide_writers import write_generic, write_svs

from wsi_pipeline.errors import SlideReadError
from wsi_pipeline.slide import open_slide
from wsi_pipeline.slide.base import MAX_GLASS_MM2

COUNT = 60
JUDGE = Path(__file__).with_name("judged_alone.py")
SECONDS = 60.0
"""Far above the second that a file takes, for machines that do other things besides."""


def judged(folder: Path, *, gib: float = 4.0) -> list[dict[str, Any]]:
    """How each file of a folder ended."""
    words = (JUDGE, folder, "--seconds", SECONDS, "--gib", gib, "--mpp", 0.5)
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_damaged_slides_are_read_or_refused(slide_files: dict[str, Path], tmp_path: Path) -> None:
    for damage in plan_damage(sorted(slide_files.values()), count=COUNT, first_seed=20_000):
        damage.write(tmp_path)
    ends = judged(tmp_path)
    assert len(ends) == COUNT
    assert [end for end in ends if end["end"] not in ("read", "refused")] == []
    said = [end["said"] for end in ends if end["kind"] == "SlideReadError"]
    assert len(said) > COUNT / 4
    assert {end["end"] for end in ends} == {"read", "refused"}
    for text in said:
        assert text.startswith("slide '")
        assert "Traceback" not in text
        assert "copy" in text or "convert" in text or "correct" in text or "export" in text, text


def test_real_slides_too(shared_data: Path, tmp_path: Path) -> None:
    small = sorted((shared_data / "slides").glob("*.*"))
    small = [path for path in small if path.stat().st_size < 100_000]
    for damage in plan_damage(small, count=24, first_seed=30_000):
        damage.write(tmp_path)
    assert {end["end"] for end in judged(tmp_path)} <= {"read", "refused"}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_the_same_each_time(slide_files: dict[str, Path], kind: str) -> None:
    source = slide_files["generic.tif"]
    damage = Damage(source, kind, 3)
    assert damage.bytes() == damage.bytes() != source.read_bytes()


def test_the_judge_tells_what_must_not_be(tmp_path: Path) -> None:
    """Were it blind to crashes and hangs, the tests above would prove nothing."""
    text = (
        "import sys, os, signal, time\n"
        f"sys.path.insert(0, {str(JUDGE.parent)!r})\n"
        "import judged_alone as j\nfrom pathlib import Path\n"
        "acts = {'crash': lambda: os.kill(os.getpid(), signal.SIGSEGV), 'hang': lambda:"
        " time.sleep(60), 'defect': lambda: bytearray(2**33)}\n"
        "def act(path, **_):\n    acts[path.name]()\n"
        "j.inspect_slide = act\n"
        "for name in acts:\n"
        "    e = j.judge_alone(Path(name), seconds=1.0, gib=4.0, mpp=None)\n"
        "    print(name, e['end'], e['kind'])\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == [
        "crash crash SIGSEGV", "hang hang ", "defect defect MemoryError",
    ]  # fmt: skip


def overwritten(path: Path, **tags: int) -> None:
    """Change numbers of the first directory of a TIFF."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name, value in tags.items():
            file.pages[0].tags[name].overwrite(value)


BLACK = {"photometric": "rgb", "compression": "deflate", "metadata": None}
EDGE = 9000
"""A black square of this edge is 243 MB, and packed 240 kB."""


def test_a_tile_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    black = np.broadcast_to(np.zeros(3, np.uint8), (EDGE, EDGE, 3))
    for name, options in {
        "tile.tif": {"tile": (9008, 9008)},
        "strip.tif": {"rowsperstrip": EDGE},
    }.items():
        tifffile.imwrite(tmp_path / name, black, **BLACK, **options)
        with pytest.raises(SlideReadError, match=rf"'{name}'.*decoded at once.*tiled TIFF"):
            open_slide(tmp_path / name, mpp=0.5)


def test_a_picture_larger_than_its_tiles_is_refused(
    tmp_path: Path, picture: NDArray[np.uint8]
) -> None:
    path = tmp_path / "huge.svs"
    write_svs(path, picture)
    overwritten(path, ImageWidth=60_000, ImageLength=60_000)
    with pytest.raises(SlideReadError, match=r"needs 219,961 tiles; there are places of 63"):
        open_slide(path)


def test_a_plane_larger_than_any_glass_is_refused(
    tmp_path: Path, picture: NDArray[np.uint8]
) -> None:
    """Every tile may be the same one: a small file that would be read for days."""
    path = tmp_path / "glass.tif"
    write_generic(path, picture)
    data, edge = bytearray(path.read_bytes()), 262_144
    tiles = (edge // 8192) ** 2
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        place, length = page.dataoffsets[0], page.databytecounts[0]
    end = len(data)
    data += np.full(tiles, place, "<u4").tobytes() + np.full(tiles, length, "<u4").tobytes()
    path.write_bytes(data)
    overwritten(
        path, ImageWidth=edge, ImageLength=edge, TileWidth=8192, TileLength=8192,
    )  # fmt: skip
    with tifffile.TiffFile(path, mode="r+b") as file:
        entries = [file.pages[0].tags[name] for name in ("TileOffsets", "TileByteCounts")]
        spots = [
            (entry.offset, start)
            for entry, start in zip(entries, (end, end + tiles * 4), strict=True)
        ]
    with path.open("r+b") as raw:
        for at, start in spots:
            raw.seek(at + 2)
            raw.write(np.array([4], "<u2").tobytes() + np.array([tiles, start], "<u4").tobytes())
    with pytest.raises(SlideReadError, match=r"131 × 131 mm large.*more than any glass"):
        open_slide(path, mpp=0.5)
    assert (edge * 0.5 / 1000) ** 2 > MAX_GLASS_MM2


def test_a_text_of_many_megabytes_is_refused(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    path = tmp_path / "long.tif"
    tifffile.imwrite(path, picture, photometric="rgb", description="x" * (33 << 20), metadata=None)
    with pytest.raises(SlideReadError, match=r"'long.tif'.*text or table.*34,603,009 bytes"):
        open_slide(path, mpp=0.5)


def test_directories_without_end_are_refused(tmp_path: Path) -> None:
    """Each points to the next, eighteen bytes on."""
    count = 5000
    chain = bytearray(b"II*\0" + np.uint32(8).tobytes())
    for number in range(count):
        entry = np.array([(256, 3, 1, 1)], [("a", "<u2"), ("b", "<u2"), ("c", "<u4"), ("d", "<u4")])
        after = 8 + 18 * (number + 1) if number + 1 < count else 0
        chain += np.uint16(1).tobytes() + entry.tobytes() + np.uint32(after).tobytes()
    path = tmp_path / "chain.tif"
    path.write_bytes(chain)
    with pytest.raises(SlideReadError, match=r"'chain.tif'.*more than 4096 directories"):
        open_slide(path)


def test_lengths_beyond_64_bits_do_not_pass(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    """As signed numbers they were negative, and thought to be tiles that are not stored."""
    path = tmp_path / "wide.tif"
    tifffile.imwrite(
        path, picture, photometric="rgb", bigtiff=True, rowsperstrip=len(picture), metadata=None
    )
    overwritten(path, StripByteCounts=2**64 - 4096)
    with pytest.raises(SlideReadError, match=r"'wide.tif'.*(cut short|cannot be opened)"):
        open_slide(path, mpp=0.5)


def test_only_pictures_reach_pillow(tmp_path: Path) -> None:
    """It would start Ghostscript for an EPS, and run what that says."""
    path = tmp_path / "page.eps"
    Image.new("RGB", (40, 30)).save(path)
    with pytest.raises(SlideReadError, match=r"'page.eps'.*image says: not a picture it knows"):
        open_slide(path, mpp=0.5)
