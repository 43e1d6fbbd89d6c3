"""The pixel size is found where it stands, and nothing impossible passes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wsi_pipeline.errors import InvalidMppError, MissingMppError, SlideReadError
from wsi_pipeline.slide.colour import rgb_on_white
from wsi_pipeline.slide.metadata import (
    StatedMpp,
    bounds_px0,
    objective_power,
    resolved_mpp,
    snapped_downsamples,
    stated_mpp,
)

OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels SizeX="9" '
    'PhysicalSizeX="{x}" PhysicalSizeXUnit="{unit}" PhysicalSizeY="{y}" '
    'PhysicalSizeYUnit="{unit}"><TiffData/></Pixels></Image></OME>'
)
CM = {
    "tiff.ResolutionUnit": "CENTIMETER",
    "tiff.XResolution": "20000",
    "tiff.YResolution": "20000",
}


def _resolved(stated: StatedMpp | None, given: float | None = None) -> tuple[float, str, bool]:
    resolved = resolved_mpp(
        stated, given=given, name="B12-3.svs", looked_for=("openslide.mpp-x", "tiff.XResolution")
    )
    return resolved.mpp, resolved.source, resolved.disagrees


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (
            {"openslide.vendor": "aperio", "openslide.mpp-x": ".25", "openslide.mpp-y": ".26"},
            StatedMpp("openslide.mpp-x", 0.26, 0.25),
        ),
        ({"openslide.mpp-x": "0.5"} | CM, StatedMpp("tiff.XResolution", 0.5, 0.5)),
        (
            {"openslide.vendor": "aperio", "tiff.ResolutionUnit": "inch"}
            | {"tiff.XResolution": "50800", "tiff.YResolution": "101600"},
            StatedMpp("tiff.XResolution", 0.25, 0.5),
        ),
        (
            {"tiff.ImageDescription": OME.format(x=0.4, y=0.5, unit="µm")} | CM,
            StatedMpp("ome.PhysicalSizeX", 0.5, 0.4),
        ),
        (
            {"tiff.ImageDescription": OME.format(x=250, y=250, unit="nm")},
            StatedMpp("ome.PhysicalSizeX", 0.25, 0.25),
        ),
        # A size in "pixel" is no length: the tags speak instead.
        (
            {"tiff.ImageDescription": OME.format(x=1, y=1, unit="pixel")} | CM,
            StatedMpp("tiff.XResolution", 0.5, 0.5),
        ),
        (CM | {"tiff.ResolutionUnit": "NONE"}, None),
        (CM | {"tiff.XResolution": "0"}, None),
        ({"openslide.vendor": "aperio", "openslide.mpp-x": "unknown"}, None),
        ({}, None),
    ],
)
def test_the_stated_mpp_comes_with_its_source(
    properties: dict[str, str], expected: StatedMpp | None
) -> None:
    found = stated_mpp(properties, prefix="openslide")
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.source == expected.source
        assert (found.down_um, found.right_um) == pytest.approx(
            (expected.down_um, expected.right_um)
        )


def test_a_stated_mpp_is_used_and_named() -> None:
    assert _resolved(StatedMpp("openslide.mpp-x", 0.25, 0.252)) == (
        pytest.approx(0.251),
        "openslide.mpp-x",
        False,
    )


@pytest.mark.parametrize(("given", "disagrees"), [(0.5, False), (0.52, False), (0.25, True)])
def test_a_given_mpp_wins_and_a_contradiction_is_recorded(given: float, disagrees: bool) -> None:
    assert _resolved(StatedMpp("x", 0.5, 0.5), given) == (given, "given", disagrees)


def test_a_given_mpp_needs_no_stated_one() -> None:
    assert _resolved(None, 2.21) == (2.21, "given", False)


def test_a_missing_mpp_names_what_to_do() -> None:
    with pytest.raises(MissingMppError) as caught:
        _resolved(None)
    assert str(caught.value) == (
        "slide 'B12-3.svs' has no mpp (looked for openslide.mpp-x, tiff.XResolution); "
        "set column 'mpp' for this slide in cases.tsv"
    )


@pytest.mark.parametrize("um", [0.05, 352.8, 1000.0])
def test_an_impossible_mpp_is_refused(um: float) -> None:
    with pytest.raises(InvalidMppError, match=rf"B12-3.svs.*tiff.XResolution is {um:g} µm.*'mpp'"):
        _resolved(StatedMpp("tiff.XResolution", um, um))


@pytest.mark.parametrize("given", [0.0, -1.0, math.nan, math.inf, 40.0])
def test_an_impossible_given_mpp_is_refused(given: float) -> None:
    with pytest.raises(InvalidMppError, match="the given mpp"):
        _resolved(StatedMpp("x", 0.5, 0.5), given)


def test_pixels_must_be_square() -> None:
    with pytest.raises(InvalidMppError, match=r"0\.5 µm high and 0\.51 µm wide"):
        _resolved(StatedMpp("openslide.mpp-x", 0.50, 0.51))


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(32914, 46000), (8228, 11500), (2057, 2875)], (1, 4, 16)),  # dropped rows
        ([(9911, 9274), (4956, 4637)], (1, 2)),  # kept row
        ([(1000, 1000), (400, 400)], (1, 2.5)),
        ([(1000, 1000), (249, 251)], (1, (1000 / 249 + 1000 / 251) / 2)),
    ],
)
def test_downsamples_are_whole_where_the_sizes_allow_it(
    shapes: list[tuple[int, int]], expected: tuple[float, ...]
) -> None:
    assert snapped_downsamples(shapes) == pytest.approx(expected, abs=0)


def test_bounds_are_top_left() -> None:
    properties = {"openslide.bounds-x": "1200", "openslide.bounds-y": "34"}
    assert bounds_px0(properties, prefix="openslide") == (34, 1200)
    assert bounds_px0({}, prefix="openslide") == (0, 0)


def test_objective_power_may_be_absent() -> None:
    assert objective_power({"openslide.objective-power": "20"}, prefix="openslide") == 20
    assert objective_power({}, prefix="openslide") is None


def test_transparency_is_shown_on_white() -> None:
    red = np.array([[[200, 0, 10, 255], [200, 0, 10, 0], [200, 0, 10, 51]]], np.uint8)
    expected = [[[200, 0, 10], [255, 255, 255], [244, 204, 206]]]
    np.testing.assert_array_equal(rgb_on_white(red), expected)


def test_grey_becomes_rgb() -> None:
    grey = np.array([[[7], [9]]], np.uint8)
    np.testing.assert_array_equal(rgb_on_white(grey), [[[7, 7, 7], [9, 9, 9]]])


@pytest.mark.parametrize("pixels", [np.zeros((2, 2, 3), np.uint16), np.zeros((2, 2, 5), np.uint8)])
def test_what_is_no_rgb_picture_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(SlideReadError, match="8-bit RGB"):
        rgb_on_white(pixels)
