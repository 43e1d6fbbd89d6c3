"""What every slide does, whichever library decodes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsi_pipeline.errors import InvalidMppError, SlideReadError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.slide import Slide, open_slide

MPP = 0.5

# File, backend, and whether its pixels are stored without loss.
KINDS = [
    ("slide.svs", "openslide", True),
    ("slide.svs", "tiffslide", True),
    ("jpeg.svs", "openslide", False),
    ("jpeg.svs", "tiffslide", False),
    ("generic.tif", "openslide", True),
    ("generic.tif", "tiffslide", True),
    ("jpeg.tif", "openslide", False),
    ("jpeg.tif", "tiffslide", False),
    ("pyramid.ome.tif", "openslide", True),
    ("pyramid.ome.tif", "tiffslide", True),
    ("strips.tif", "tiffslide", True),
    ("field.png", "image", True),
    ("field.jpg", "image", False),
]
BOTH = ["slide.svs", "jpeg.svs", "generic.tif", "jpeg.tif"]

WORKING_MPP = st.one_of(
    st.sampled_from([0.5, 0.5 * 0.9995, 1.0, 2.0, 4.0, 1.499, 2.004]), st.floats(0.5, 12.0)
)
# Where a box begins, as a share of the plane, and how many pixels it covers.
SPANS = st.tuples(st.floats(0, 1), st.integers(1, 130))
# The open slides are shared between examples on purpose.
NO_FIXTURE_CHECK = [HealthCheck.function_scoped_fixture]


def _kind_id(kind: tuple[str, str, bool]) -> str:
    return f"{kind[0]}-{kind[1]}"


@pytest.fixture(params=KINDS, ids=_kind_id)
def kind(request: pytest.FixtureRequest) -> tuple[str, str, bool]:
    return request.param


@pytest.fixture
def slide(kind: tuple[str, str, bool], slides: Callable[[str, str], Slide]) -> Slide:
    return slides(kind[0], kind[1])


def _box_in(whole: Box, down: tuple[float, int], right: tuple[float, int]) -> Box:
    top = whole.top + int(down[0] * (whole.height - 1))
    left = whole.left + int(right[0] * (whole.width - 1))
    return Box(top, left, top + down[1], left + right[1]) & whole


def test_level_0_is_the_plane_of_the_slide(slide: Slide, picture: NDArray[np.uint8]) -> None:
    assert slide.grid == Grid((picture.shape[0], picture.shape[1]), MPP)
    assert slide.info.level_shapes[0] == slide.grid.shape
    assert slide.info.level_downsamples == (1.0, 2.0, 4.0)[: len(slide.info.level_shapes)]
    assert slide.info.levels_read == tuple(range(len(slide.info.level_shapes)))


def test_what_is_known_of_it_can_be_written_as_json(slide: Slide) -> None:
    written = json.loads(json.dumps(slide.info.to_json()))
    assert written["backend"] == slide.info.backend
    assert written["mpp"] == MPP
    assert written["bounds_px0"] == [0, 0]


def test_native_pixels_are_those_stored(
    slide: Slide, kind: tuple[str, str, bool], picture: NDArray[np.uint8]
) -> None:
    pixels = slide.read_region(slide.grid.box, MPP)
    assert pixels.dtype == np.uint8
    error = np.abs(pixels.astype(int) - picture)
    assert error.max() == 0 if kind[2] else 0 < error.mean() < 12


def test_beyond_the_plane_is_white(slide: Slide) -> None:
    plane = slide.grid.at_mpp(2.0)
    wide = plane.box.expanded(7)
    pixels = slide.read_region(wide, 2.0)
    assert pixels.shape == (*wide.shape, 3)
    inside = plane.box.within(wide)
    np.testing.assert_array_equal(pixels[inside.slices], slide.read_region(plane.box, 2.0))
    pixels[inside.slices] = 255
    assert (pixels == 255).all()


@pytest.mark.parametrize("box", [Box(-90, -90, -10, -10), Box(9000, 0, 9004, 4), Box(3, 3, 3, 9)])
def test_a_box_may_lie_elsewhere_or_be_empty(slide: Slide, box: Box) -> None:
    pixels = slide.read_region(box, 1.0)
    assert pixels.shape == (*box.shape, 3)
    assert (pixels == 255).all()


@given(mpp=WORKING_MPP, down=SPANS, right=SPANS)
@settings(max_examples=12, deadline=None, suppress_health_check=NO_FIXTURE_CHECK)
def test_a_crop_of_a_read_is_the_read_of_the_crop(
    slide: Slide, mpp: float, down: tuple[float, int], right: tuple[float, int]
) -> None:
    whole = slide.grid.at_mpp(mpp).box.expanded(45)
    box = _box_in(whole, down, right)
    np.testing.assert_array_equal(
        slide.read_region(box, mpp), slide.read_region(whole, mpp)[box.within(whole).slices]
    )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[2]], ids=_kind_id)
@pytest.mark.parametrize("mpp", [0.65, 1.0, 2.0, 6.0])
def test_reduced_pixels_are_means_over_their_area(
    slide: Slide, picture: NDArray[np.uint8], mpp: float
) -> None:
    plane, ratio = slide.grid.at_mpp(mpp), mpp / MPP
    pixels = slide.read_region(plane.box, mpp)
    # Each stored level is itself rounded, by half a grey level at most.
    allowed = 0.5 * len(slide.info.levels_read) + 1e-3
    inner = np.random.default_rng(2).integers(0, np.array(plane.shape) - 2, (20, 2)).tolist()
    for row, column in [(0, 0), *inner]:
        down = _shares(row, ratio, picture.shape[0])
        right = _shares(column, ratio, picture.shape[1])
        mean = np.einsum("r,c,rck->k", down, right, picture) / ratio**2
        assert np.abs(pixels[row, column] - mean).max() <= allowed


def _shares(index: int, ratio: float, length: int) -> NDArray[np.float64]:
    """Share of each level-0 pixel that lies under one pixel of the plane, along one axis."""
    low, high, edges = index * ratio, (index + 1) * ratio, np.arange(length)
    return np.clip(np.minimum(high, edges + 1) - np.maximum(low, edges), 0, 1)


def test_several_threads_read_what_one_reads(
    kind: tuple[str, str, bool], slide_files: dict[str, Path]
) -> None:
    rng = np.random.default_rng(1)
    corners = rng.integers(-20, 400, (40, 2)).tolist()
    asked = [
        (Box(top, left, top + 90, left + 70), mpp)
        for (top, left), mpp in zip(corners, [0.5, 0.8, 1.0, 2.0] * 10, strict=True)
    ]
    with open_slide(slide_files[kind[0]], mpp=MPP, backend=kind[1]) as slide:
        with ThreadPoolExecutor(6) as pool:
            together = list(pool.map(lambda place: slide.read_region(*place), asked))
        alone = [slide.read_region(*place) for place in asked]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_finer_mpp_than_its_own_is_refused(slide: Slide) -> None:
    with pytest.raises(InvalidMppError, match=r"cannot be read at 0\.25 µm/px: its own.*0\.5 µm"):
        slide.read_region(Box(0, 0, 9, 9), 0.25)


def test_it_is_read_until_it_is_closed(
    kind: tuple[str, str, bool], slide_files: dict[str, Path]
) -> None:
    path = slide_files[kind[0]]
    with (
        open_slide(path, mpp=MPP, backend=kind[1]) as slide,
        open_slide(path, mpp=MPP, backend=kind[1]) as twin,
    ):
        assert slide.path == path
        twin.close()
        assert slide.read_region(Box(0, 0, 4, 4), MPP).shape == (4, 4, 3)
    with pytest.raises(SlideReadError, match=rf"'{path.name}' is closed"):
        slide.read_region(Box(0, 0, 4, 4), MPP)


@pytest.mark.parametrize("name", BOTH)
@given(mpp=WORKING_MPP, down=SPANS, right=SPANS)
@settings(max_examples=20, deadline=None, suppress_health_check=NO_FIXTURE_CHECK)
def test_openslide_and_tiffslide_read_the_same(
    slides: Callable[[str, str], Slide],
    name: str,
    mpp: float,
    down: tuple[float, int],
    right: tuple[float, int],
) -> None:
    box = _box_in(slides(name, "openslide").grid.at_mpp(mpp).box, down, right)
    np.testing.assert_array_equal(
        slides(name, "openslide").read_region(box, mpp),
        slides(name, "tiffslide").read_region(box, mpp),
    )


def test_a_large_read_in_pieces_is_the_same(
    slides: Callable[[str, str], Slide], monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = slides("slide.svs", "openslide")
    whole = slide.read_region(slide.grid.box, 0.7)
    monkeypatch.setattr("wsi_pipeline.slide.base._PIECE_PX", 100)
    np.testing.assert_array_equal(slide.read_region(slide.grid.box, 0.7), whole)
