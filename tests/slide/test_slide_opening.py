"""The right library is taken, and what cannot be read is said in plain words."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from slide_writers import write_generic, write_ome, write_strips, write_svs

from wsi_pipeline.errors import ConfigError, InvalidMppError, MissingMppError, SlideReadError
from wsi_pipeline.geometry import Box
from wsi_pipeline.slide import open_slide
from wsi_pipeline.slide.tiff_layout import tiff_reach

MPP = 0.5
BACKENDS = ["openslide", "tiffslide", "auto"]


@pytest.mark.parametrize(
    ("name", "backend", "vendor", "source"),
    [
        ("slide.svs", "openslide", "aperio", "openslide.mpp-x"),
        ("generic.tif", "openslide", "generic-tiff", "tiff.XResolution"),
        ("pyramid.ome.tif", "tiffslide", "ome-tiff", "ome.PhysicalSizeX"),
        ("strips.tif", "tiffslide", "generic-tiff", "tiff.XResolution"),
    ],
)
def test_auto_takes_the_library_and_mpp_that_fit(
    slide_files: dict[str, Path], name: str, backend: str, vendor: str, source: str
) -> None:
    with open_slide(slide_files[name]) as slide:
        info = slide.info
        assert (info.backend, info.vendor, info.mpp_source) == (backend, vendor, source)
        assert info.mpp == info.mpp_stated == pytest.approx(MPP)
        assert info.backend_version
        assert info.backend_reason


def test_both_libraries_find_the_same_mpp(slide_files: dict[str, Path]) -> None:
    with open_slide(slide_files["slide.svs"], backend="tiffslide") as slide:
        assert (slide.info.mpp, slide.info.mpp_source) == (MPP, "tiffslide.mpp-x")
        assert slide.info.objective_power == 20
    with open_slide(slide_files["pyramid.ome.tif"], backend="openslide") as slide:
        assert (slide.info.mpp, slide.info.mpp_source) == (MPP, "ome.PhysicalSizeX")
        assert len(slide.info.level_shapes) == 1


@pytest.mark.parametrize("name", ["field.png", "field.jpg"])
def test_a_picture_needs_a_given_mpp(slide_files: dict[str, Path], name: str) -> None:
    with pytest.raises(MissingMppError, match=rf"slide '{name}' has no mpp .*column 'mpp'"):
        open_slide(slide_files[name])
    with open_slide(slide_files[name], mpp=2.21) as slide:
        assert (slide.info.backend, slide.info.mpp_source) == ("image", "given")


def test_a_given_mpp_wins_and_the_contradiction_is_kept(slide_files: dict[str, Path]) -> None:
    with open_slide(slide_files["slide.svs"], mpp=0.25) as slide:
        assert slide.grid.mpp == 0.25
        assert slide.info.mpp_source == "given"
        assert (slide.info.mpp_stated, slide.info.mpp_stated_source) == (MPP, "openslide.mpp-x")
        assert slide.info.mpp_disagrees


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_aperio_slide_may_lack_its_mpp(
    tmp_path: Path, picture: NDArray[np.uint8], backend: str
) -> None:
    path = tmp_path / "B12-3.svs"
    write_svs(path, picture, fields="|AppMag = 20")
    with pytest.raises(MissingMppError, match=r"slide 'B12-3.svs' has no mpp \(looked for .*slide"):
        open_slide(path, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("per_unit", "unit", "error", "words"),
    [
        ((72, 72), "INCH", InvalidMppError, "tiff.XResolution is 352.778 µm per pixel"),
        ((10, 10), "CENTIMETER", InvalidMppError, "1000 µm per pixel"),
        ((20000, 10000), "CENTIMETER", InvalidMppError, "1 µm high and 0.5 µm wide"),
        ((20000, 20000), "NONE", MissingMppError, "tiff.XResolution"),
    ],
)
def test_resolution_tags_are_not_believed_blindly(
    tmp_path: Path,
    picture: NDArray[np.uint8],
    backend: str,
    per_unit: tuple[int, int],
    unit: str,
    error: type[ValueError],
    words: str,
) -> None:
    path = tmp_path / "scan.tif"
    write_generic(path, picture, resolution=per_unit, resolutionunit=unit)
    with pytest.raises(error, match=words):
        open_slide(path, backend=backend)


def test_levels_openslide_cannot_address_are_left_to_tiffslide(
    slide_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, picture: NDArray[np.uint8]
) -> None:
    # Its levels of 387 × 515 and 193 × 257 px have downsamples that are not whole; were they
    # too large to be kept, OpenSlide would blend their pixels.
    monkeypatch.setattr("wsi_pipeline.slide.openslide_reader._KEPT_PX", 0)
    with open_slide(slide_files["slide.svs"]) as slide:
        assert slide.info.backend == "tiffslide"
        assert "3 levels, of which OpenSlide can address 1 exactly" in slide.info.backend_reason
    with open_slide(slide_files["slide.svs"], backend="openslide") as slide:
        assert slide.info.levels_read == (0,)
        mean = picture[4:8, 8:12].mean((0, 1))
        pixel = slide.read_region(Box(1, 2, 2, 3), 2.0)[0, 0]
        assert np.abs(pixel - mean).max() <= 0.5


def test_label_and_thumbnail_are_no_levels(slide_files: dict[str, Path]) -> None:
    for backend in ("openslide", "tiffslide"):
        with open_slide(slide_files["slide.svs"], backend=backend) as slide:
            assert slide.info.level_shapes == ((775, 1031), (387, 515), (193, 257))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_a_picture_of_any_mode_becomes_rgb_on_white(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "field.png"
    clear = Image.new("RGBA", (5, 4), (0, 0, 0, 0 if mode in ("RGBA", "LA") else 255))
    clear.convert(mode).save(path)
    with open_slide(path, mpp=1.0) as slide:
        pixels = slide.read_region(slide.grid.box, 1.0)
    assert (pixels == (255 if mode in ("RGBA", "LA") else 0)).all()


def _unsuitable(picture: NDArray[np.uint8]) -> dict[str, tuple[Callable[[Path], object], str]]:
    """Files that exist and yet are no slide, and the words that must be said of them."""
    deep = picture.astype(np.uint16)
    plain = {"metadata": None}
    return {
        "empty.svs": (lambda p: p.touch(), "empty.svs.*0 bytes.*copy it again"),
        "folder.dcm": (lambda p: p.mkdir(), "folder.dcm.*a folder.*any one file"),
        "text.svs": (
            lambda p: p.write_text("patient list"),
            "text.svs.*not a slide.*openslide says.*tiffslide says: not a TIFF.*image says",
        ),
        "other.dcm": (
            lambda p: p.write_bytes(bytes(128) + b"DICM" + bytes(500)),
            "other.dcm.*DICOM.*VL Whole Slide",
        ),
        "cut.png": (
            lambda p: (Image.fromarray(picture).save(p), os.truncate(p, 9000)),
            "cut.png.*PNG or JPEG picture, but damaged.*image says: .*truncated",
        ),
        "deep.png": (
            lambda p: Image.fromarray(deep[..., 0]).save(p),
            "deep.png.*more than 8 bits",
        ),
        "deep.tif": (
            lambda p: tifffile.imwrite(p, deep, photometric="rgb", **plain),
            "deep.tif.*3 channels of type uint16",
        ),
        "palette.tif": (
            lambda p: Image.fromarray(picture).quantize(9).save(p),
            "palette.tif.*stored as PALETTE",
        ),
        "sparse.tif": (
            lambda p: tifffile.imwrite(
                p,
                iter([picture[:256, :256], None, *[picture[:256, :256]] * 2]),
                shape=(512, 512, 3),
                dtype=np.uint8,
                tile=(256, 256),
                photometric="rgb",
                **plain,
            ),
            "sparse.tif.*1 tiles of level 0 are not stored",
        ),
    }


@pytest.mark.parametrize("name", list(_unsuitable(np.zeros((1, 1, 3), np.uint8))))
def test_what_is_no_slide_is_refused_in_plain_words(
    tmp_path: Path, picture: NDArray[np.uint8], name: str
) -> None:
    write, words = _unsuitable(picture)[name]
    write(tmp_path / name)
    backend = "tiffslide" if name.endswith(".tif") else "auto"
    with pytest.raises(SlideReadError, match=words) as caught:
        open_slide(tmp_path / name, mpp=MPP, backend=backend)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_is_not_there_names_the_column_to_correct(tmp_path: Path) -> None:
    with pytest.raises(SlideReadError, match=r"'B1.svs'.*no such file.*column 'path'"):
        open_slide(tmp_path / "B1.svs")


def test_a_file_that_may_not_be_read_says_so(
    slide_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)  # root may read everything
    with pytest.raises(SlideReadError, match=r"may not be read \(Permission denied\)"):
        open_slide(slide_files["slide.svs"])


def test_a_picture_that_is_too_large_is_refused(
    slide_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsi_pipeline.slide.image_reader.MAX_IMAGE_PX", 1000)
    with pytest.raises(SlideReadError, match=r"775 × 1031 px are too many.*tiled TIFF"):
        open_slide(slide_files["field.png"], mpp=MPP)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(SlideReadError, match=r"field.png.*image says: .*exceeds limit"):
        open_slide(slide_files["field.png"], mpp=MPP)


def test_a_library_asked_for_alone_speaks_for_itself_alone(slide_files: dict[str, Path]) -> None:
    with pytest.raises(SlideReadError, match=r"by openslide \(not a slide .*knows\); .*'auto'"):
        open_slide(slide_files["strips.tif"], backend="openslide")


def test_an_unknown_backend_is_a_fault_of_the_configuration(slide_files: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"'vips'; there are: auto, openslide, tiffslide, image"):
        open_slide(slide_files["slide.svs"], backend="vips")


@pytest.mark.parametrize("write", [write_svs, write_generic, write_ome, write_strips])
@given(share=st.floats(0.001, 0.999))
@settings(max_examples=8, deadline=None)
def test_a_tiff_that_was_cut_short_is_refused_as_such(
    tmp_path_factory: pytest.TempPathFactory,
    picture: NDArray[np.uint8],
    write: Callable[[Path, NDArray[np.uint8]], None],
    share: float,
) -> None:
    path = tmp_path_factory.mktemp("cut") / "cut.tif"
    write(path, picture[:300, :400])
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(SlideReadError, match=r"'cut.tif' cannot be opened: it is (cut short|not)"):
        open_slide(path, mpp=MPP)


@pytest.mark.parametrize("options", [{"bigtiff": True}, {"byteorder": ">"}, {"tile": None}])
def test_a_whole_tiff_does_not_point_beyond_its_end(
    tmp_path: Path, picture: NDArray[np.uint8], options: dict[str, object]
) -> None:
    path = tmp_path / "whole.tif"
    tifffile.imwrite(path, picture, photometric="rgb", **({"tile": (128, 128)} | options))
    assert tiff_reach(path) == path.stat().st_size


def test_only_a_tiff_points_anywhere(slide_files: dict[str, Path]) -> None:
    assert tiff_reach(slide_files["field.png"]) == 0


@pytest.fixture
def damaged(tmp_path: Path, picture: NDArray[np.uint8]) -> Path:
    """Slide whose first tile is zeros instead of JPEG."""
    path = tmp_path / "B7.svs"
    write_svs(path, picture, compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        tile = tiff.pages[0].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(tile)
        file.write(bytes(200))
    return path


BAD, GOOD = Box(4, 4, 9, 9), Box(300, 300, 340, 350)


@pytest.mark.parametrize("backend", BACKENDS)
def test_damage_is_reported_where_it_is_and_nowhere_else(damaged: Path, backend: str) -> None:
    words = r"'B7.svs' cannot be decoded in Box\(top=4, .*0\.5 µm/px.*copy it"
    with open_slide(damaged, backend=backend) as slide:
        for _ in range(2):
            with pytest.raises(SlideReadError, match=words):
                slide.read_region(BAD, MPP)
            assert slide.read_region(GOOD, MPP).std() > 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_damage_met_by_one_thread_does_not_hurt_another(damaged: Path, backend: str) -> None:
    with open_slide(damaged, backend=backend) as slide, ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(slide.read_region, box, MPP) for box in [GOOD, BAD] * 20]
        errors = [read.exception() for read in reads]
    assert errors[::2] == [None] * 20
    assert all(isinstance(error, SlideReadError) for error in errors[1::2])
