"""Found tissue against painted truth, on every kind of glass and with every kind of dirt."""

from __future__ import annotations

import numpy as np
import painted_glass as paint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsi_pipeline.config import TissueSettings
from wsi_pipeline.errors import TissueError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.tissue import find_tissue

SETTINGS = TissueSettings()
INKS = {
    "green": (20, 140, 90),
    "blue": (40, 60, 180),
    "pale blue": (120, 170, 210),
    "red": (210, 40, 45),
    "orange": (240, 130, 30),
    "yellow": (240, 220, 60),
    "black": (35, 33, 36),
}


def find(density, *, mpp=paint.MPP, light=1.0, **changes):
    rgb = paint.exposed(density, light=light)
    return find_tissue(rgb, grid=Grid(rgb.shape[:2], mpp), settings=TissueSettings(**changes))


def slide(glass="grey", **blob):
    truth = paint.blob(**blob)
    return paint.painted_glass(glass) + truth * paint.stained(), truth


def codes(tissue):
    return {flag.code for flag in tissue.flags}


@pytest.mark.parametrize("glass", paint.GLASSES)
def test_outline_on_every_glass(glass):
    density, truth = slide(glass)
    found = find(density)
    assert paint.overlap(found.mask, truth) > 0.97
    assert found.sections.max() == 1
    assert codes(found) == set()


@pytest.mark.parametrize("glass", paint.GLASSES)
def test_printed_dots_are_not_tissue(glass):
    density, truth = slide(glass)
    assert paint.overlap(find(paint.dots(density)).mask, truth) > 0.96


@pytest.mark.parametrize("name", INKS)
def test_pen_on_glass_is_left_out(name):
    density, truth = slide()
    pen = paint.stroke(start=(0.05, 0.05), stop=(0.9, 0.12), width_um=500)
    found = find(paint.ink(density, pen, INKS[name]))
    assert paint.overlap(found.mask, truth) > 0.97
    assert codes(found) == {"pen_on_glass"}
    painted_mm2 = pen.sum() * paint.MPP**2 / 1e6
    assert found.flags[0].value == pytest.approx(painted_mm2, rel=0.1)


@pytest.mark.parametrize("name", ["green", "blue", "black", "red"])
def test_pen_across_tissue_stays_tissue(name):
    density, truth = slide()
    pen = paint.stroke(start=(0.1, 0.1), stop=(0.9, 0.9), width_um=500)
    found = find(paint.ink(density, pen, INKS[name]))
    assert paint.overlap(found.mask, truth) > 0.95
    assert "pen_on_glass" in codes(found)


@pytest.mark.parametrize(("name", "seen"), [("green", 0.9), ("black", 0.6)])
def test_pen_across_tissue_is_flagged(name, seen):
    density, truth = slide()
    pen = paint.stroke(start=(0.1, 0.1), stop=(0.9, 0.9), width_um=500)
    found = find(paint.ink(density, pen, INKS[name]))
    share = next(flag.value for flag in found.flags if flag.code == "pen_on_tissue")
    painted = (truth & (pen > 0.5)).sum() / truth.sum()
    assert seen * painted < share < 1.1 * painted


def test_circle_of_pen_around_tissue_does_not_become_tissue():
    density, truth = slide(radius_um=700)
    pen = paint.ring(centre=(0.5, 0.5), radius_um=1350, width_um=400)
    found = find(paint.ink(density, pen, INKS["green"]), max_hole_mm2=20.0)
    assert paint.overlap(found.mask, truth) > 0.96


@pytest.mark.parametrize("name", ["green", "blue", "black"])
def test_margin_ink_is_tissue_and_flagged(name):
    density, truth = slide()
    rim = truth & ~paint.blob(radius_um=950) & (np.indices(truth.shape)[1] > 260)
    found = find(paint.ink(density, 2 * rim, INKS[name]))
    assert paint.overlap(found.mask, truth) > 0.97
    assert codes(found) == {"ink_margin"}


def test_coverslip_edge_bubbles_and_dust_are_not_tissue():
    density, truth = slide()
    grey = (100, 100, 102)
    density = paint.ink(density, paint.stroke(start=(0, 0.1), stop=(1, 0.14), width_um=30), grey)
    for column, width_um in ((0.85, 30), (0.93, 60)):
        bubble = paint.ring(centre=(0.2, column), radius_um=150, width_um=width_um)
        density = paint.ink(density, bubble, grey)
    dust = paint.stroke(start=(0.9, 0.8), stop=(0.9, 0.83), width_um=150)
    assert paint.overlap(find(paint.ink(density, dust, (150, 148, 146))).mask, truth) > 0.97


def test_line_across_tissue_does_not_cut_or_widen_it():
    density, truth = slide()
    line = paint.stroke(start=(0.5, 0), stop=(0.52, 1), width_um=40)
    found = find(paint.ink(density, line, (90, 90, 92)))
    assert paint.overlap(found.mask, truth) > 0.96
    assert found.sections.max() == 1


@pytest.mark.parametrize("glass", ["grey", "pink", "vignette"])
def test_fat_is_tissue(glass):
    truth = paint.blob()
    found = find(paint.painted_glass(glass) + truth * paint.fat())
    assert paint.overlap(found.mask, truth) > 0.92


@pytest.mark.parametrize(("quality", "pale"), [(70, False), (90, True)])
def test_compression_does_not_lose_tissue(quality, pale):
    truth = paint.blob()
    density = paint.painted_glass("pink") + truth * (paint.fat() if pale else paint.stained())
    rgb = paint.compressed(paint.exposed(density), quality=quality)
    found = find_tissue(rgb, grid=Grid(truth.shape, paint.MPP), settings=SETTINGS)
    assert paint.overlap(found.mask, truth) > 0.92


def test_picture_that_is_all_tissue():
    found = find(paint.painted_glass() + paint.stained())
    assert found.mask.mean() > 0.99


def test_picture_that_is_all_fat():
    found = find(paint.painted_glass() + paint.fat())
    assert found.mask.mean() > 0.95


def test_dense_even_picture_is_tissue_not_glass():
    found = find(paint.painted_glass() + 0.5 * paint.EOSIN + 0.2 * paint.HAEMATOXYLIN)
    assert found.mask.all()


@pytest.mark.parametrize("glass", paint.GLASSES)
def test_empty_glass_is_an_error_that_says_what_to_do(glass):
    with pytest.raises(TissueError, match=r"3\.36 × 4\.16 mm.*check that.*lower tissue\.sure_od"):
        find(paint.dots(paint.painted_glass(glass)))


def test_glass_with_nothing_but_pen_is_empty():
    pen = paint.stroke(start=(0.1, 0.1), stop=(0.9, 0.9), width_um=600)
    with pytest.raises(TissueError):
        find(paint.ink(paint.painted_glass(), pen, INKS["green"]))


@pytest.mark.parametrize("value", [0, 255])
def test_what_was_never_scanned_is_not_tissue(value):
    density, truth = slide("pink")
    rgb = paint.exposed(density)
    rgb[:60], rgb[:, :80] = value, value
    found = find_tissue(rgb, grid=Grid(paint.SHAPE, paint.MPP), settings=SETTINGS)
    assert paint.overlap(found.mask, truth) > 0.97


def test_sections_are_numbered_by_area_and_debris_is_dropped():
    pieces = [
        paint.blob(centre=(0.3, 0.2), radius_um=400),
        paint.blob(centre=(0.5, 0.7), radius_um=900),
        paint.blob(centre=(0.9, 0.15), radius_um=60),
    ]
    found = find(paint.painted_glass() + sum(pieces) * paint.stained())
    assert found.sections.max() == 2
    assert found.sections[126, 104] == 2
    assert found.sections[210, 364] == 1
    areas = [np.count_nonzero(piece) * 64e-6 for piece in (pieces[1], pieces[0])]
    assert found.section_areas_mm2 == pytest.approx(areas, rel=0.05)
    assert sum(found.section_areas_mm2) == pytest.approx(found.mask.sum() * 64e-6)
    assert "multi_section_slide" in codes(found)


@pytest.mark.parametrize(("gap_um", "count"), [(56, 1), (160, 2)])
def test_pieces_nearer_than_the_joining_distance_are_one(gap_um, count):
    truth = np.zeros(paint.SHAPE, dtype=bool)
    truth[100:300, 60:240] = True
    truth[100:300, 240 + gap_um // 8 : 450] = True
    found = find(paint.painted_glass() + truth * paint.stained())
    assert found.sections.max() == count


def test_more_sections_than_numbers():
    shape = (320, 320)
    truth = np.zeros(shape, dtype=bool)
    for row in range(5, 320, 18):
        for column in range(5, 320, 18):
            truth[row : row + 9, column : column + 9] = True
    density = paint.painted_glass(shape=shape) + truth * paint.stained(shape)
    found = find(density, join_um=16.0, min_section_mm2=0.001)
    assert found.sections.max() == 255
    flag = next(flag for flag in found.flags if flag.code == "sections_dropped")
    assert flag.value == 18 * 18 - 255
    assert flag.severity == "warn"


def test_finer_plane_gives_the_same_outline():
    density, _ = slide("vignette")
    fine = np.repeat(np.repeat(density, 4, axis=1), 4, axis=2)
    coarse_mask = find(density).mask
    found = find(fine, mpp=2.0)
    assert found.sections.shape == fine.shape[1:]
    assert paint.overlap(found.mask[2::4, 2::4], coarse_mask) > 0.98
    assert found.section_areas_mm2[0] == pytest.approx(coarse_mask.sum() * 64e-6, rel=0.01)


def test_plane_must_be_what_its_grid_says():
    with pytest.raises(ValueError, match="as its grid says"):
        find_tissue(np.zeros((4, 5, 3), np.uint8), grid=Grid((5, 4), 8.0), settings=SETTINGS)


@settings(max_examples=8, deadline=None)
@given(turns=st.integers(0, 3), mirror=st.booleans(), seed=st.integers(0, 1000))
def test_turned_and_mirrored_slides_give_the_same_mask(turns, mirror, seed):
    truth = paint.blob(shape=(200, 260), radius_um=600, seed=seed)
    stain = paint.stained(truth.shape, seed=seed)
    rgb = paint.exposed(paint.painted_glass("glow", shape=truth.shape) + truth * stain, seed=seed)

    def moved(plane):
        plane = np.rot90(plane, turns)
        return np.ascontiguousarray(plane[::-1] if mirror else plane)

    def mask(picture):
        grid = Grid(picture.shape[:2], paint.MPP)
        return find_tissue(picture, grid=grid, settings=SETTINGS).mask

    assert np.mean(moved(mask(rgb)) != mask(moved(rgb))) < 0.001


@settings(max_examples=8, deadline=None)
@given(light=st.floats(0.8, 1.0), glass=st.sampled_from(paint.GLASSES))
def test_brightness_hardly_matters(light, glass):
    density, _ = slide(glass)
    assert paint.overlap(find(density, light=light).mask, find(density).mask) > 0.98


def test_arguments_are_left_alone():
    rgb = paint.exposed(slide()[0])
    before = rgb.copy()
    find_tissue(rgb, grid=Grid(paint.SHAPE, paint.MPP), settings=SETTINGS)
    np.testing.assert_array_equal(rgb, before)
