from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.annotate import NOT_ANNOTATED, Region, fill_regions, outline_regions
from wsi_pipeline.annotate.regions import join_small
from wsi_pipeline.geometry import Grid

Labels = NDArray[np.uint8]
label_maps = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3)
)


def grid_of(labels: Labels) -> Grid:
    return Grid((labels.shape[0], labels.shape[1]), 2.0, (100.0, 40.0))


def outlined(labels: Labels, *, tolerance_um: float = 0.0, min_um2: float = 0.0) -> list[Region]:
    found = outline_regions(
        labels, grid=grid_of(labels), tolerance_um=tolerance_um, min_piece_um2=min_um2
    )
    return list(found)


def shape_of(region: Region) -> shapely.Polygon:
    (polygon,) = region.polygons
    return shapely.Polygon(polygon[0], polygon[1:])


def disc(shape: tuple[int, int], middle: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    rows, columns = np.indices(shape)
    return np.hypot(rows - middle[0], columns - middle[1]) < radius


def wavy(edge: int = 400) -> Labels:
    """Smooth fields of four classes with cells of about 60 px."""
    noise = np.random.default_rng(2).normal(size=(4, edge, edge))
    smooth = ndimage.gaussian_filter(noise, (0, 25, 25))
    return smooth.argmax(axis=0).astype(np.uint8)


def square(value: int, *, top: float, left: float, edge: float) -> Region:
    ends = [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)]
    return Region(value, ((np.array(ends) * edge + (top, left),),))


@given(label_maps)
def test_unsimplified_outlines_give_the_labels_back(labels: Labels) -> None:
    """Every pixel, through holes, corners that touch and the edge of the plane."""
    back = fill_regions(outlined(labels), grid=grid_of(labels))
    np.testing.assert_array_equal(back, np.where(labels == 0, NOT_ANNOTATED, labels))


@given(label_maps)
def test_every_piece_is_one_valid_polygon_of_its_area(labels: Labels) -> None:
    regions = outlined(labels)
    pieces = sum(ndimage.label(labels == value)[1] for value in (1, 2, 3))
    assert len(regions) == pieces
    assert all(shape_of(region).is_valid for region in regions)
    for value in (1, 2, 3):
        area_um2 = sum(region.area_um2 for region in regions if region.value == value)
        assert area_um2 == pytest.approx(4.0 * (labels == value).sum())


def test_a_ring_has_a_hole_and_what_lies_in_it_an_outline_of_its_own() -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[disc((60, 60), (30, 30), 25)] = 2
    labels[disc((60, 60), (30, 30), 15)] = 0
    labels[disc((60, 60), (30, 30), 8)] = 5
    ring, core = outlined(labels)
    assert (ring.value, core.value) == (2, 5)
    assert [len(region.polygons[0]) for region in (ring, core)] == [2, 1]
    outer, hole = ring.polygons[0]
    assert shapely.Polygon(outer).contains(shapely.Polygon(hole))


def test_rings_touch_at_corners_but_never_cross() -> None:
    labels = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]], np.uint8)
    (region,) = outlined(labels)
    assert len(region.polygons[0]) == 3
    assert shape_of(region).is_valid


def test_outlines_are_closed_and_lie_where_the_grid_says() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[2:5, 3:8] = 4
    ring = outlined(labels)[0].polygons[0][0]
    np.testing.assert_array_equal(ring[0], ring[-1])
    np.testing.assert_allclose(ring.min(axis=0), (100 + 2 * 2, 40 + 3 * 2))
    np.testing.assert_allclose(ring.max(axis=0), (100 + 5 * 2, 40 + 8 * 2))
    assert len(ring) == 5


def test_simplified_neighbours_share_their_border() -> None:
    """No gap and no overlap between classes; the plane is covered once."""
    labels = wavy() + np.uint8(1)
    fine, coarse = outlined(labels), outlined(labels, tolerance_um=8.0)
    shapes = [shape_of(region) for region in coarse]
    assert shapely.union_all(shapes).area == pytest.approx(sum(s.area for s in shapes), rel=1e-9)
    assert shapely.union_all(shapes).area == pytest.approx(4.0 * labels.size, rel=1e-3)
    corners = [sum(len(r) for one in many for r in one.polygons[0]) for many in (fine, coarse)]
    assert corners[1] < corners[0] / 5


@pytest.mark.parametrize("tolerance_um", [4.0, 8.0])
def test_borders_move_by_about_the_tolerance(tolerance_um: float) -> None:
    labels = wavy()
    back = fill_regions(outlined(labels, tolerance_um=tolerance_um), grid=grid_of(labels))
    wanted = np.where(labels == 0, NOT_ANNOTATED, labels)
    away = np.ones(labels.shape, bool)
    reach_px = int(np.ceil(tolerance_um / 2.0))
    for value in range(4):
        near = ndimage.binary_dilation(labels == value, iterations=reach_px)
        away &= ~near | (labels == value)
    assert (back == wanted)[away].mean() > 0.9995
    assert (back == wanted).mean() > 0.98


def test_small_pieces_and_holes_join_what_is_around_them() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[5:35, 5:35] = 2
    labels[10:13, 10:13] = 5  # 36 µm²
    labels[20:23, 20:23] = 0
    labels[25:31, 25:31] = 5  # 144 µm²
    labels[1:3, 1:3] = 7
    regions = outlined(labels, min_um2=40.0)
    assert [region.value for region in regions] == [2, 5]
    assert len(regions[0].polygons[0]) == 2
    assert regions[0].area_um2 == 4.0 * (900 - 36)


@given(label_maps, st.integers(2, 20))
def test_joining_leaves_no_small_piece_that_has_a_large_neighbour(
    labels: Labels, min_px: int
) -> None:
    joined = join_small(labels, min_px=min_px)
    sizes = [
        int(size)
        for value in range(4)
        for size in np.bincount(ndimage.label(joined == value)[0].ravel())[1:]
    ]
    large = [
        size
        for value in range(4)
        for size in np.bincount(ndimage.label(labels == value)[0].ravel())[1:]
        if size >= min_px
    ]
    assert not large or min(sizes) >= min_px
    assert large or np.array_equal(joined, labels)


def test_a_plane_of_background_has_no_outlines() -> None:
    assert outlined(np.zeros((5, 7), np.uint8)) == []


@pytest.mark.parametrize("turned", [False, True])
def test_the_smaller_region_wins_in_whatever_order(turned: bool) -> None:
    large, small = square(2, top=0, left=0, edge=20), square(5, top=4, left=4, edge=8)
    regions = [small, large] if turned else [large, small]
    plane = fill_regions(regions, grid=Grid((10, 10), 2.0))
    assert (plane[2:6, 2:6] == 5).all()
    assert (plane == 5).sum() == 16
    assert (plane == 2).sum() == 84


def test_of_two_equal_regions_the_later_wins() -> None:
    regions = [square(3, top=0, left=0, edge=8), square(6, top=0, left=0, edge=8)]
    assert (fill_regions(regions, grid=Grid((4, 4), 2.0)) == 6).all()


def test_the_area_without_holes_decides_which_is_smaller() -> None:
    outer = square(2, top=0, left=0, edge=20).polygons[0][0]
    hole = square(2, top=1, left=1, edge=18).polygons[0][0]
    frame = Region(2, ((outer, hole),))
    assert frame.area_um2 == 400 - 324
    plane = fill_regions([frame, square(5, top=0, left=0, edge=12)], grid=Grid((20, 20), 1.0))
    assert plane[0, 0] == 2
    assert plane[5, 5] == 5
    assert plane[15, 15] == NOT_ANNOTATED


def test_an_area_can_be_left_out() -> None:
    regions = [square(2, top=0, left=0, edge=20), square(NOT_ANNOTATED, top=4, left=4, edge=4)]
    plane = fill_regions(regions, grid=Grid((10, 10), 2.0))
    assert (plane == NOT_ANNOTATED).sum() == 4


def test_what_reaches_beyond_the_plane_is_cut() -> None:
    plane = fill_regions([square(1, top=-50, left=-50, edge=54)], grid=Grid((6, 5), 2.0))
    assert (plane[:2, :2] == 1).all()
    assert (plane == 1).sum() == 4


@given(st.integers(0, 2**32 - 1))
def test_filling_is_exact_for_pixel_centres(seed: int) -> None:
    """The slow twin asks of each centre whether it lies inside."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    reach = rng.uniform(2, 9, 9)
    places = 10 + np.stack((reach * np.sin(angles), reach * np.cos(angles)), axis=1)
    ring = np.concatenate((places, places[:1]))
    plane = fill_regions([Region(1, ((ring,),))], grid=Grid((20, 20), 1.0))
    rows, columns = np.indices((20, 20)) + 0.5
    inside = shapely.contains_xy(shapely.Polygon(ring).buffer(0), rows, columns)
    if shapely.Polygon(ring).is_valid:
        np.testing.assert_array_equal(plane == 1, inside)
