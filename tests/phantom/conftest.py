"""Phantoms that several tests look at, each painted once, and ways to look at them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom import Phantom, PhantomSpec, paint, paint_phantom
from wsi_pipeline.phantom.block import label_block, read_block
from wsi_pipeline.phantom.tissue import Layout
from wsi_pipeline.phantom.wallpaper import paint_wallpapers

BASE = PhantomSpec(
    seed=7,
    width_mm=1.5,
    height_mm=1.5,
    margin_mm=0.1,
    dermis_mm=0.8,
    rotation_deg=4.0,
    architecture="solid-cord",
    depth_span=(0.1, 1.0),
    lateral_span=0.9,
)


@pytest.fixture(scope="package", autouse=True)
def _one_set_of_wallpapers() -> Iterator[None]:
    """Most of the time goes into textures, which are the same for equal seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paint, "paint_wallpapers", functools.lru_cache(maxsize=4)(paint_wallpapers))
        yield


@pytest.fixture(scope="session")
def label_plane() -> Callable[[Layout], NDArray[np.uint8]]:
    """Labels without the picture, whose textures take longest."""

    def label(layout: Layout) -> NDArray[np.uint8]:
        box = Box.of_shape(layout.nodes.frame.shape)
        return label_block(read_block(layout, box), horn=np.zeros(box.shape, np.bool_))

    return label


@pytest.fixture(scope="session")
def local_thickness_um() -> Callable[..., NDArray[np.float64]]:
    """Diameter of the largest disc inside a mask that covers each place in it."""

    def measure(mask: NDArray[np.bool_], *, step_um: float) -> NDArray[np.float64]:
        distance = ndimage.distance_transform_edt(mask) * step_um
        thickness = np.zeros(mask.shape)
        for radius in np.unique(np.geomspace(step_um, max(distance.max(), step_um), 24)):
            reached = ndimage.distance_transform_edt(distance < radius) * step_um < radius
            thickness[reached & mask] = 2 * radius
        return thickness[mask]

    return measure


@pytest.fixture(scope="session")
def base() -> PhantomSpec:
    return BASE


@pytest.fixture(scope="session")
def vertical() -> Phantom:
    return paint_phantom(BASE)


@pytest.fixture(scope="session")
def horizontal() -> Phantom:
    return paint_phantom(dataclasses.replace(BASE, section="horizontal", grade=3, mpp=1.0))


@pytest.fixture(scope="session")
def superficial() -> Phantom:
    spec = dataclasses.replace(
        BASE, with_subcutis=False, dermis_mm=1.6, architecture="none", mpp=1.0
    )
    return paint_phantom(spec)
