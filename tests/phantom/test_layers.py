"""Each layer of the phantom keeps its own promise."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsi_pipeline.errors import ConfigError
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom import PhantomSpec, sample_spec
from wsi_pipeline.phantom import paint as paint_module
from wsi_pipeline.phantom.frame import Frame, Nodes, refine
from wsi_pipeline.phantom.noise import paint_cells
from wsi_pipeline.phantom.optics import MACENKO, RUIFROK, expose, stain_matrix
from wsi_pipeline.phantom.skin import draw_skin
from wsi_pipeline.phantom.spec import section_extent_um


@given(seed=st.integers(0, 2**32), section=st.sampled_from(["vertical", "horizontal"]))
@settings(max_examples=40, deadline=None)
def test_every_drawn_spec_is_valid_and_repeatable(seed: int, section: str) -> None:
    spec = sample_spec(seed, section=section)
    assert spec == sample_spec(seed, section=section)
    assert 45 <= spec.epidermis_um <= 130
    if section == "vertical":
        skin = draw_skin(spec)
        assert (skin.dej_um > skin.surface_um).all()
        assert (skin.dsj_um > skin.envelope_um + 300).all()
        assert skin.dsj_um.max() < skin.bottom_um


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"mpp": 0.0}, "mpp"),
        ({"depth_span": (0.9, 0.2)}, "depth_span"),
        ({"lateral_span": 0.0}, "lateral_span"),
        ({"tumour_density": 1.0}, "tumour_density"),
        ({"grade": 4}, "grade"),
        ({"width_mm": 0.3}, "width_mm"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_spec_names_its_fault(base: PhantomSpec, change: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        dataclasses.replace(base, **change)


def test_a_dermis_that_does_not_fit_is_refused(base: PhantomSpec) -> None:
    with pytest.raises(ConfigError, match="dermis"):
        draw_skin(dataclasses.replace(base, dermis_mm=2.5))


@given(turn=st.floats(-180, 180))
def test_the_section_fits_the_glass_at_any_angle(turn: float) -> None:
    spec = PhantomSpec(seed=0, rotation_deg=turn)
    across, down = section_extent_um(spec)
    cos, sin = abs(math.cos(math.radians(turn))), abs(math.sin(math.radians(turn)))
    assert across * cos + down * sin <= 1000 * (spec.width_mm - 2 * spec.margin_mm) + 1e-6
    assert across * sin + down * cos <= 1000 * (spec.height_mm - 2 * spec.margin_mm) + 1e-6


@given(turn=st.floats(-3.2, 3.2), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_slide_and_section_frame_round_trip(turn: float, x: float, y: float) -> None:
    frame = Frame((2000, 3000), 0.5, turn)
    down, right = frame.to_slide(np.array([x]), np.array([y]))[0]
    back = frame.to_section(np.float32(down), np.float32(right))
    assert back[0] == pytest.approx(x, abs=1e-2)
    assert back[1] == pytest.approx(y, abs=1e-2)


def test_refining_is_exact_for_a_plane_and_knows_no_blocks() -> None:
    nodes = Nodes.over(Frame((100, 120), 0.5, 0.0))
    rows, columns = np.indices(nodes.shape).astype(np.float32) * 8
    whole = refine(nodes, 2 * rows + columns, box=Box(0, 0, 100, 120))
    row, column = np.indices((100, 120)) + 0.5
    assert whole == pytest.approx(2 * row + column, abs=1e-3)
    part = refine(nodes, 2 * rows + columns, box=Box(13, 50, 77, 101))
    assert np.array_equal(part, whole[13:77, 50:101])


def test_cells_tile_the_plane_periodically() -> None:
    y, x = (axis.astype(np.float32) / 8 for axis in np.indices((64, 64)))
    cells, shifted = (
        paint_cells(np.random.default_rng(0), (x + shift, y), shape=(8, 8))
        for shift in (np.float32(0), np.float32(8))
    )
    assert np.array_equal(cells.identity, shifted.identity)
    assert len(np.unique(cells.identity)) == 64
    assert (cells.border_um >= 0).all()


def test_stain_vectors_are_units_between_the_published_ones() -> None:
    for tone, published in ((0.0, RUIFROK), (1.0, MACENKO)):
        unit = published / np.linalg.norm(published, axis=1, keepdims=True)
        assert stain_matrix(tone) == pytest.approx(unit)
    assert np.linalg.norm(stain_matrix(0.4, rotation_deg=3.0), axis=1) == pytest.approx(1)


def test_light_follows_beer_and_lambert(base: PhantomSpec) -> None:
    flat = np.full((9, 9), 0.5, np.float32)
    light = expose((flat, 2 * flat), base)[:, 4, 4]
    density = np.array([0.5, 1.0]) @ stain_matrix(base.stain_tone)
    assert light == pytest.approx(np.array(base.glass_rgb) * 10.0**-density, rel=1e-4)


def test_blocks_leave_no_seam(base: PhantomSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(base, width_mm=0.8, height_mm=0.8, dermis_mm=0.25, noise=0.0)
    blocked = paint_module.paint_phantom(spec)
    monkeypatch.setattr(paint_module, "BLOCK_PX", 1600)
    whole = paint_module.paint_phantom(spec)
    assert np.array_equal(blocked.labels, whole.labels)
    assert np.abs(blocked.image.astype(int) - whole.image).max() <= 1
