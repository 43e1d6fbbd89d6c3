"""Skin whose junctions are formulas.

A pixel has a place along the skin and a depth below its surface, both in µm, for a straight
slab turned by any angle or for an arc of a circle.  Bands of depth are the layers.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from wsi_pipeline.classes import ADNEXA, BACKGROUND, DERMIS, EPIDERMIS, SUBCUTIS, TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure import SlideMeasurements, measure_slide
from wsi_pipeline.measure.dej import find_surface, margin_um
from wsi_pipeline.measure.depth import DepthMap, map_depth
from wsi_pipeline.measure.plane import SectionPlane, section_planes


@dataclass(frozen=True)
class Slab:
    """Rectangle of one class: lateral from/to µm, relative depth from/to in the dermis."""

    left_um: float
    right_um: float
    top: float
    bottom: float
    tissue: int = TUMOUR


@dataclass(frozen=True)
class Skin:
    width_um: float = 5000.0
    epidermis_um: float = 80.0
    dermis_um: float = 1500.0
    fat_um: float = 900.0
    angle_deg: float = 0.0
    radius_um: float | None = None  # of the skin surface; None is straight
    rete_um: float = 0.0
    follicles_um: tuple[float, ...] = ()  # lateral places; 200 µm wide, labelled epidermis
    ulcer_um: tuple[float, float] | None = None
    slabs: tuple[Slab, ...] = ()

    @property
    def total_um(self) -> float:
        return self.epidermis_um + self.dermis_um + self.fat_um


def place_and_depth(skin: Skin, grid: Grid, centre_um: float) -> tuple[np.ndarray, np.ndarray]:
    """Lateral place from the middle of the skin and depth below its surface, µm."""
    down, right = (
        start + (np.arange(n) + 0.5) * grid.mpp - centre_um
        for start, n in zip(grid.origin_um, grid.shape, strict=True)
    )
    y, x = down[:, None], right[None, :]
    angle = math.radians(skin.angle_deg)
    y, x = y * math.cos(angle) - x * math.sin(angle), y * math.sin(angle) + x * math.cos(angle)
    if skin.radius_um is None:
        return x + 0 * y, y + skin.total_um / 2 + 0 * x
    y = y - skin.radius_um + skin.total_um / 2  # the centre of the arc lies below
    return skin.radius_um * np.arctan2(x, -y), skin.radius_um - np.hypot(x, y)


def plane_for(skin: Skin, mpp: float) -> Grid:
    reach_um = math.hypot(skin.width_um, skin.total_um) + 600
    return Grid((math.ceil(reach_um / mpp),) * 2, mpp)


def paint(skin: Skin, mpp: float) -> tuple[np.ndarray, Grid]:
    """Label map, the caller's own, and its grid."""
    return painted_once(skin, mpp).copy(), plane_for(skin, mpp)


@functools.lru_cache(maxsize=16)
def painted_once(skin: Skin, mpp: float) -> np.ndarray:
    """Label map that several tests share."""
    grid = plane_for(skin, mpp)
    place, depth = place_and_depth(skin, grid, grid.extent_um[0] / 2)
    dej = skin.epidermis_um + skin.rete_um * np.sin(2 * np.pi * place / 150.0)
    relative = (depth - skin.epidermis_um) / skin.dermis_um
    labels = np.full(grid.shape, DERMIS, np.uint8)
    labels[relative >= 1] = SUBCUTIS
    for slab in skin.slabs:
        lateral = (place >= slab.left_um) & (place < slab.right_um)
        labels[lateral & (relative >= slab.top) & (relative < slab.bottom)] = slab.tissue
    for at in skin.follicles_um:
        labels[(abs(place - at) < 100) & (relative < 1.1)] = ADNEXA
        labels[(abs(place - at) < 100) & (relative < 0.4)] = EPIDERMIS
    labels[depth < dej] = EPIDERMIS
    if skin.ulcer_um is not None:
        lost = (place >= skin.ulcer_um[0]) & (place < skin.ulcer_um[1])
        labels[lost & (depth < skin.epidermis_um)] = BACKGROUND
    glass = (abs(place) > skin.width_um / 2) | (depth < 0) | (depth >= skin.total_um)
    labels[glass] = BACKGROUND
    return labels


def paint_disc(radius_um: float = 2000.0, mpp: float = 4.0) -> tuple[np.ndarray, Grid]:
    """Punch cut parallel to the surface: dermis with a blot of tumour and round follicles."""
    side = math.ceil((2 * radius_um + 600) / mpp)
    grid = Grid((side, side), mpp)
    y, x = np.ogrid[:side, :side]
    y, x = ((axis + 0.5) * mpp - grid.extent_um[0] / 2 for axis in (y, x))
    labels = np.where(np.hypot(y, x) < radius_um, DERMIS, BACKGROUND).astype(np.uint8)
    labels[np.hypot(y - 500, x) < min(700.0, radius_um - 600)] = TUMOUR
    for centre in (-600, -200, 200, 600):
        labels[np.hypot(y + 600, x - centre) < 120] = ADNEXA
    return labels, grid


def map_of(skin: Skin, mpp: float = 4.0) -> tuple[SectionPlane, DepthMap, np.ndarray]:
    """Measurement plane, its depth map, and the true relative depth of its pixels."""
    labels, grid = paint(skin, mpp)
    sections, sections_grid = one_section(labels, grid)
    settings = MeasureSettings()
    (plane,) = section_planes(
        labels,
        grid=grid,
        sections=sections,
        sections_grid=sections_grid,
        mpp=settings.mpp,
        margin_um=margin_um(settings),
    )
    depth = map_depth(plane, find_surface(plane, settings), settings=settings)
    _, depth_um = place_and_depth(skin, plane.grid, grid.extent_um[0] / 2)
    return plane, depth, (depth_um - skin.epidermis_um) / skin.dermis_um


def one_section(labels: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    """Section map at four times the label pixel: one section, the box around the tissue."""
    coarse = grid.at_mpp(4 * grid.mpp)
    sections = np.zeros(coarse.shape, np.uint8)
    rows, columns = (np.flatnonzero((labels != BACKGROUND).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.ones_like(sections), coarse
    sections[rows[0] // 4 : rows[-1] // 4 + 1, columns[0] // 4 : columns[-1] // 4 + 1] = 1
    return sections, coarse


def measure(
    labels: np.ndarray,
    grid: Grid,
    *,
    declared: str = "auto",
    settings: MeasureSettings | None = None,
    never_called: tuple[str, ...] = (),
) -> SlideMeasurements:
    """Measure a map that holds one section."""
    sections, sections_grid = one_section(labels, grid)
    return measure_slide(
        labels,
        grid=grid,
        sections=sections,
        sections_grid=sections_grid,
        declared_section=declared,
        settings=settings or MeasureSettings(),
        never_called=never_called,
    )


@functools.lru_cache(maxsize=64)
def measure_skin(skin: Skin, *, mpp: float = 4.0, declared: str = "auto") -> SlideMeasurements:
    return measure(*paint(skin, mpp), declared=declared)


def codes(found: SlideMeasurements) -> set[str]:
    return {flag.code for flag in found.flags}
