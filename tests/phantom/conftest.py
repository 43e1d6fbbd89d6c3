"""Phantoms that several tests look at; each is painted once."""

from __future__ import annotations

import dataclasses

import pytest

from wsi_pipeline.phantom import Phantom, PhantomSpec, paint_phantom

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
