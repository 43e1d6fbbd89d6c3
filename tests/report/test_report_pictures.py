"""What is drawn over a slide lies where it should and is as long as it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wsi_pipeline.classes import TISSUE_CLASSES
from wsi_pipeline.errors import StoreError
from wsi_pipeline.report import SlideReport
from wsi_pipeline.report.pictures import (
    LONGEST_PX,
    compose_view,
    encode_mask,
    fit_shape,
    plan_scale_bar,
)

Make = Callable[..., SlideReport]
Decode = Callable[[str], Image.Image]


@given(st.floats(min_value=10, max_value=1e6))
def test_a_scale_bar_is_round_and_as_long_as_it_says(width_um: float) -> None:
    bar = plan_scale_bar(width_um)
    assert bar.percent * width_um / 100 == pytest.approx(bar.length_um)
    assert 9.99 < bar.percent < 25.001
    number, unit = bar.label.split("\u202f")
    assert float(number) * {"mm": 1000, "µm": 1}[unit] == pytest.approx(bar.length_um)
    assert f"{bar.length_um:e}"[0] in "125"


@given(st.tuples(st.integers(1, 9000), st.integers(1, 9000)))
def test_a_drawn_plane_fits_and_keeps_its_shape(shape: tuple[int, int]) -> None:
    drawn = fit_shape(shape)
    assert max(drawn) <= LONGEST_PX
    assert min(drawn) >= 1
    if max(shape) <= LONGEST_PX:
        assert drawn == shape


@pytest.mark.parametrize("shape", [(60, 100), (400, 3200)])
def test_pictures_have_the_size_they_are_drawn_at(
    make_slide: Make, decode_image: Decode, shape: tuple[int, int]
) -> None:
    labels = np.ones(shape, np.uint8)
    view = compose_view(
        make_slide(overview=np.zeros((*shape, 3), np.uint8), labels=labels, sections=labels)
    )
    size = fit_shape(shape)[::-1]
    assert (view.width_px, view.height_px) == size
    assert decode_image(view.photo).size == size
    assert decode_image(view.photo).format == "JPEG"
    assert [decode_image(layer.uri).size for layer in view.layers] == [size]
    # The bar follows from the glass, whatever the drawn size.
    assert view.bar.percent / 100 * shape[1] * 100.0 == pytest.approx(view.bar.length_um)


def test_each_class_has_its_mask_in_its_colour(make_slide: Make, decode_image: Decode) -> None:
    slide = make_slide()
    view = compose_view(slide)
    assert [layer.index for layer in view.layers] == list(range(1, 8))
    for layer in view.layers:
        rgba = np.asarray(decode_image(layer.uri).convert("RGBA"))
        inside = slide.labels == layer.index
        assert (rgba[inside] == (*TISSUE_CLASSES[layer.index].rgb, 255)).all()
        assert (rgba[~inside][:, 3] == 0).all()


def test_an_empty_mask_shows_nothing(decode_image: Decode) -> None:
    rgba = np.asarray(decode_image(encode_mask(np.zeros((3, 5), bool), (1, 2, 3))).convert("RGBA"))
    assert rgba.shape == (3, 5, 4)
    assert (rgba[..., 3] == 0).all()


def test_a_section_is_outlined_along_its_own_rim(make_slide: Make, decode_image: Decode) -> None:
    slide = make_slide()
    view = compose_view(slide)
    drawn = np.asarray(decode_image(view.outline).convert("RGBA"))[..., 3] > 0
    assert drawn[10:50, 10:45].sum() == 40 * 35 - 34 * 29
    assert not drawn[slide.sections == 0].any()
    assert [(mark.number, mark.x, mark.y) for mark in view.marks] == [
        (1, 27.5, 10.0),
        (2, 72.5, 10.0),
    ]


def test_junctions_lie_on_the_glass_where_they_were_found(make_slide: Make) -> None:
    view = compose_view(make_slide(overview_origin_um=(500.0, 1000.0)))
    assert [(curve.kind, curve.points) for curve in view.curves] == [
        ("dej", "0.0,5.0 30.0,5.0"),
        ("dej", "50.0,5.0 80.0,4.0"),
    ]


@pytest.mark.parametrize(
    ("shape", "form"), [((60, 100), "wide"), ((60, 60), "square"), ((100, 60), "tall")]
)
def test_the_layout_follows_the_picture(
    make_slide: Make, shape: tuple[int, int], form: str
) -> None:
    plane = np.zeros(shape, np.uint8)
    slide = make_slide(overview=np.zeros((*shape, 3), np.uint8), labels=plane, sections=plane)
    assert compose_view(slide).form == form


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.zeros((60, 99), np.uint8)},
        {"sections": np.zeros((10, 100), np.uint8)},
        {"overview": np.zeros((60, 100), np.uint8)},
    ],
)
def test_planes_that_do_not_fit_each_other_are_refused(
    make_slide: Make, changes: dict[str, Any]
) -> None:
    with pytest.raises(StoreError, match=r"slide 'S1'.*must show the same pixels"):
        make_slide(**changes)
