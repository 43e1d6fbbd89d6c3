"""Where on the slide is each defect, and how strong?

1. `lay_marks` draws every local defect once, as a plane on the mesh.
2. `mark_codes` tells which of them touch each place, one bit for each.

A plane holds the optical density of ink, dust, edges and bubbles, the share of the second
layer in a fold, the blur in µm, or the signed distance to the border of a tear.  All are
places on the glass, so blocks painted from them have no seams.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom.artefacts import ARTEFACT_NAMES
from wsi_pipeline.phantom.frame import Nodes, refine
from wsi_pipeline.phantom.noise import Bytes, Floats, smooth_noise
from wsi_pipeline.phantom.nuclei import Nuclei
from wsi_pipeline.phantom.strokes import FAR_AWAY_UM, paint_stroke, tapered, wander
from wsi_pipeline.phantom.tissue import Layout

# Nodes per cell of the codes: 8 µm, at which tissue is looked for.
CODE_NODES = 2
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Marks:
    """The local defects of a slide.

    Parameters
    ----------
    layout
        The geometry of the phantom they lie on.
    planes : float32 (Y, X)
        One per kind of defect that occurs, on the mesh; positive where it is.
    """

    layout: Layout
    planes: Mapping[str, Floats]

    def read(self, name: str, box: Box) -> Floats | None:
        """One plane at the pixels of a box; None where there is nothing of it."""
        if name not in self.planes:
            return None
        nodes, plane = self.layout.nodes, self.planes[name]
        around = plane[nodes.under(box).slices]
        if not around.size or float(around.max()) <= 0:
            return None
        return refine(nodes, plane, box=box)

    def touches(self, name: str, box: Box) -> bool:
        """Whether there is anything of one kind in a box."""
        if name not in self.planes:
            return False
        around = self.planes[name][self.layout.nodes.under(box).slices]
        return bool(around.size and float(around.max()) > 0)


def lay_marks(layout: Layout) -> Marks:
    """Draw the local defects a spec asks for."""
    artefacts, planes = layout.spec.artefacts, {}
    for number, (name, paint) in enumerate(PAINTERS.items()):
        if any(getattr(artefacts, wish) for wish in WISHES[name]):
            rng = np.random.default_rng([layout.spec.seed, 40 + number, artefacts.seed])
            planes[name] = np.asarray(paint(layout, rng), np.float32)
    return Marks(layout, planes)


def mark_codes(marks: Marks) -> Bytes:
    """Which defects touch each place.

    Returns
    -------
    uint8 (Y, X)
        Bit ``n`` stands for ``ARTEFACT_NAMES[n]``.  A cell is `CODE_NODES` mesh steps wide
        (8 µm) and starts at the corner of the image; its bit is set where the defect comes
        within one mesh step of it, so that no pixel outside differs from a perfect slide.
    """
    nodes = marks.layout.nodes
    edge_px = CODE_NODES * nodes.factor
    rows, columns = (-(-n // edge_px) for n in nodes.frame.shape)
    codes = np.zeros((rows, columns), np.uint8)
    for name, plane in marks.planes.items():
        near = ndimage.maximum_filter(plane > 0, size=CODE_NODES + 3)
        bit = np.uint8(1 << ARTEFACT_NAMES.index(name))
        codes[near[1::CODE_NODES, 1::CODE_NODES][:rows, :columns]] |= bit
    return codes


def measure_marks(marks: Marks, codes: Bytes, *, labels: Bytes) -> dict[str, dict[str, float]]:
    """How much of glass and tissue each defect touches, counted in cells of the codes.

    Returns
    -------
    dict
        Only for defects that occur: ``glass_fraction`` of all cells, and ``tissue_fraction``
        of those whose centre is tissue.  A tear is counted with its lips.
    """
    edge_px = CODE_NODES * marks.layout.nodes.factor
    rows, columns = (
        np.minimum(np.arange(count) * edge_px + edge_px // 2, size - 1)
        for count, size in zip(codes.shape, labels.shape, strict=True)
    )
    tissue = labels[rows][:, columns] != BACKGROUND
    shares = {}
    for number, name in enumerate(ARTEFACT_NAMES):
        here = (codes >> number & 1).astype(bool)
        if here.any():
            on_tissue = float((here & tissue).sum() / max(1, tissue.sum()))
            shares[name] = {"glass_fraction": float(here.mean()), "tissue_fraction": on_tissue}
    return shares


def without_torn(nuclei: Nuclei, marks: Marks) -> Nuclei:
    """Nuclei whose centre has not been torn away."""
    if "tear" not in marks.planes:
        return nuclei
    slide_um = np.stack([nuclei["down_um"], nuclei["right_um"]], axis=-1)
    return nuclei[marks.layout.nodes.read(marks.planes["tear"], slide_um) <= 0]


def _ramp(value: Floats, high: float) -> Floats:
    """0 below zero, 1 above ``high``, smooth between."""
    share = np.clip(value * np.float32(1 / high), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _on_tissue(layout: Layout, rng: np.random.Generator) -> Place:
    """Draw a place well inside the section."""
    inside = np.flatnonzero(np.minimum(layout.outline_um, layout.below_surface_um) > 60.0)
    index = inside[rng.integers(len(inside))] if len(inside) else layout.outline_um.argmax()
    row, column = np.unravel_index(index, layout.nodes.shape)
    return float(row) * layout.nodes.step_um, float(column) * layout.nodes.step_um


def _on_glass(nodes: Nodes, rng: np.random.Generator) -> Place:
    """Draw a place on the glass."""
    down, right = rng.uniform(0, 1, 2) * nodes.frame.shape * np.float64(nodes.frame.mpp)
    return float(down), float(right)


def _along(nodes: Nodes, heading_rad: float) -> tuple[Floats, Floats]:
    """Coordinates of the nodes along and across a direction, µm."""
    rows, columns = (np.arange(n, dtype=np.float32) * nodes.step_um for n in nodes.shape)
    cos, sin = math.cos(heading_rad), math.sin(heading_rad)
    return (
        np.asarray(rows[:, None] * sin + columns * cos, np.float32),
        np.asarray(columns * sin - rows[:, None] * cos, np.float32),
    )


def _pen(layout: Layout, rng: np.random.Generator) -> Floats:
    """Strokes of a felt pen: streaky, denser at their rims where ink has dried."""
    nodes = layout.nodes
    inside, heading = None, 0.0
    for _ in range(layout.spec.artefacts.pen_strokes):
        heading = rng.uniform(0, 2 * math.pi)
        line = wander(
            rng,
            _on_glass(nodes, rng),
            heading_rad=heading,
            length_um=rng.uniform(1500, 6000),
            bend_rad=0.5,
        )
        half = rng.uniform(150, 500)
        inside = paint_stroke(nodes, line, half_um=half, into=inside)
    inside = _or_nowhere(nodes, inside)
    # Streaks run beside the rims, so they bend with the last stroke.
    beside = (_along(nodes, heading)[0], np.maximum(inside, -60.0))
    streaks = smooth_noise(rng, beside, wavelength_um=(1500.0, 50.0))
    clouds = smooth_noise(rng, nodes.places_um, wavelength_um=(350.0, 350.0))
    rim = np.exp(-np.maximum(inside, 0) / 25.0)
    body = rng.uniform(0.35, 0.75) + 0.07 * streaks + 0.09 * clouds + 0.25 * rim
    body = np.clip(body, 0.2, 1.2)
    return np.asarray(_ramp(inside, 30.0) * body, np.float32)


def _margin_ink(layout: Layout, rng: np.random.Generator) -> Floats:
    """A crust of ink on the deep and lateral edge, thick here and missing there."""
    nodes = layout.nodes
    thickness = smooth_noise(rng, nodes.places_um, wavelength_um=(260.0, 260.0))
    crust = smooth_noise(rng, nodes.places_um, wavelength_um=(24.0, 24.0))
    deep = rng.uniform(14, 30) * np.clip(1 + 0.7 * thickness, 0, 2.5) + 4 * crust
    outer, inner = _ramp(layout.outline_um + 12, 8.0), 1 - _ramp(layout.outline_um - deep, 14.0)
    # Skin itself is not painted: the ink ends where the surface begins.
    ink = outer * inner * _ramp(layout.below_surface_um - 60, 60.0)
    return np.asarray(ink * np.clip(0.9 + 0.15 * crust, 0.3, 1.3), np.float32)


def _coverslip(layout: Layout, rng: np.random.Generator) -> Floats:
    """Straight edges: a dark line and the fainter one of the lower rim beside it."""
    nodes = layout.nodes
    extent = np.array(nodes.frame.shape) * nodes.frame.mpp
    line = np.zeros(nodes.shape, np.float32)
    for _ in range(layout.spec.artefacts.coverslip_edges):
        side = int(rng.integers(4))
        place = extent / 2
        depth = rng.uniform(0.02, 0.12) * extent[side % 2]
        place[side % 2] = depth if side < 2 else extent[side % 2] - depth
        turn = (0.0 if side % 2 == 0 else math.pi / 2) + rng.normal(0, 0.015)
        _, across = _along(nodes, turn)
        away = across - (place[1] * math.sin(turn) - place[0] * math.cos(turn))
        beside = abs(away - rng.uniform(25, 60))
        line += 0.55 * _ramp(rng.uniform(8, 14) - abs(away), 8.0)
        line += 0.25 * _ramp(rng.uniform(5, 8) - beside, 6.0)
    return line


def _bubble(layout: Layout, rng: np.random.Generator) -> Floats:
    """Round, with a dark rim that fades inwards; what lies in it is a little dimmer."""
    nodes = layout.nodes
    bubbles = np.zeros(nodes.shape, np.float32)
    for _ in range(layout.spec.artefacts.bubbles):
        radius = float(np.exp(rng.uniform(math.log(60), math.log(450))))
        inside = _blob(nodes, rng, _on_glass(nodes, rng), radius_um=(radius, radius), waver=0.04)
        rim = np.exp(-np.maximum(inside, 0) / rng.uniform(5, 12))
        bubbles = np.maximum(bubbles, _ramp(inside, 6.0) * (0.04 + 0.9 * rim))
    return bubbles


def _dust(layout: Layout, rng: np.random.Generator) -> Floats:
    """Specks and, less often, fibres; they lie on the coverslip and so are never sharp."""
    nodes = layout.nodes
    dust = np.zeros(nodes.shape, np.float32)
    for _ in range(layout.spec.artefacts.dust):
        place, density = _on_glass(nodes, rng), rng.uniform(0.3, 0.9)
        if rng.random() < 0.3:
            heading, length = rng.uniform(0, 2 * math.pi), rng.uniform(120, 700)
            line = wander(rng, place, heading_rad=heading, length_um=length, bend_rad=0.9)
            inside = paint_stroke(nodes, line, half_um=rng.uniform(6, 10))
        else:
            radius = np.exp(rng.uniform(math.log(7), math.log(28), 2))
            inside = _blob(nodes, rng, place, radius_um=(radius[0], radius[1]), waver=0.3)
        dust = np.maximum(dust, density * _ramp(inside, 7.0))
    # Rounder than the mesh; what little is left far from it is none.
    soft = ndimage.gaussian_filter(dust, 0.7, truncate=3.0)
    return np.asarray(np.maximum(soft - 0.02, 0), np.float32)


def _fold(layout: Layout, rng: np.random.Generator) -> Floats:
    """Bands 20 to 100 µm wide, tapering to their ends."""
    inside = None
    for _ in range(layout.spec.artefacts.folds):
        line = wander(
            rng,
            _on_tissue(layout, rng),
            heading_rad=rng.uniform(0, math.pi),
            length_um=rng.uniform(300, 2000),
            bend_rad=0.45,
        )
        half = tapered(len(line), middle_um=rng.uniform(10, 50), ends_um=2.0)
        inside = paint_stroke(layout.nodes, line, half_um=half, into=inside)
    inside = _or_nowhere(layout.nodes, inside)
    crumple = smooth_noise(rng, layout.nodes.places_um, wavelength_um=(60.0, 60.0))
    return _ramp(inside + 4 * crumple, 5.0)


def _tear(layout: Layout, rng: np.random.Generator) -> Floats:
    """Gaping tears with ragged lips, and the scores of a nicked blade."""
    nodes, artefacts = layout.nodes, layout.spec.artefacts
    inside = None
    for _ in range(artefacts.tears):
        line = wander(
            rng,
            _on_tissue(layout, rng),
            heading_rad=rng.uniform(0, math.pi),
            length_um=rng.uniform(200, 1100),
            bend_rad=0.6,
        )
        half = tapered(len(line), middle_um=rng.uniform(8, 40), ends_um=-3.0)
        inside = paint_stroke(nodes, line, half_um=half, into=inside)
    ragged = smooth_noise(rng, nodes.places_um, wavelength_um=(30.0, 30.0))
    return np.maximum(_or_nowhere(nodes, inside) + 2.5 * ragged, _scores(layout, rng, ragged))


def _scores(layout: Layout, rng: np.random.Generator, ragged: Floats) -> Floats:
    """Straight parallel scores that open and close along their way."""
    nodes, inside = layout.nodes, None
    heading = rng.uniform(0, math.pi)
    for _ in range(layout.spec.artefacts.knife_lines):
        length, place = rng.uniform(800, 5000), _on_tissue(layout, rng)
        line = wander(rng, place, heading_rad=heading, length_um=length, bend_rad=0.01)
        half = tapered(len(line), middle_um=rng.uniform(4, 7), ends_um=0.0)
        inside = paint_stroke(nodes, line, half_um=half, into=inside)
    gape = smooth_noise(rng, nodes.places_um, wavelength_um=(240.0, 240.0))
    return _or_nowhere(nodes, inside) + 3.0 * gape + ragged - 1.0


def _blur(layout: Layout, rng: np.random.Generator) -> Floats:
    """Patches that lose their focus gradually."""
    nodes, artefacts = layout.nodes, layout.spec.artefacts
    blur = np.zeros(nodes.shape, np.float32)
    for _ in range(artefacts.blur_patches):
        radius = rng.uniform(200, 1000, 2)
        place = _on_tissue(layout, rng)
        inside = _blob(nodes, rng, place, radius_um=(radius[0], radius[1]), waver=0.2)
        blur = np.maximum(blur, _ramp(inside, 0.5 * float(radius.min())))
    return blur * np.float32(artefacts.blur_um)


def _blob(
    nodes: Nodes,
    rng: np.random.Generator,
    place: Place,
    *,
    radius_um: tuple[float, float],
    waver: float,
) -> Floats:
    """Distance to the border of an ellipse whose outline wavers, positive inside, µm."""
    heading = rng.uniform(0, math.pi)
    along, across = _along(nodes, heading)
    cos, sin = math.cos(heading), math.sin(heading)
    along, across = (
        along - (place[0] * sin + place[1] * cos),
        across - (place[1] * sin - place[0] * cos),
    )
    angle = np.arctan2(across, along)
    turns, phases = rng.normal(0, waver, 3), rng.uniform(0, 2 * math.pi, 3)
    outline = 1 + sum(
        turn * np.cos((number + 2) * angle + phase) / (number + 1)
        for number, (turn, phase) in enumerate(zip(turns, phases, strict=True))
    )
    reach = np.hypot(along / radius_um[0], across / radius_um[1])
    return np.asarray((outline - reach) * min(radius_um), np.float32)


def _or_nowhere(nodes: Nodes, inside: Floats | None) -> Floats:
    """Distances, or the plane of none."""
    return np.full(nodes.shape, -FAR_AWAY_UM, np.float32) if inside is None else inside


Painter = Callable[[Layout, np.random.Generator], Floats]
PAINTERS: dict[str, Painter] = {
    "pen": _pen,
    "margin_ink": _margin_ink,
    "coverslip": _coverslip,
    "bubble": _bubble,
    "dust": _dust,
    "fold": _fold,
    "tear": _tear,
    "blur": _blur,
}
# Which fields of `Artefacts` ask for each of them.
WISHES: dict[str, tuple[str, ...]] = {
    "pen": ("pen_strokes",),
    "margin_ink": ("margin_ink",),
    "coverslip": ("coverslip_edges",),
    "bubble": ("bubbles",),
    "dust": ("dust",),
    "fold": ("folds",),
    "tear": ("tears", "knife_lines"),
    "blur": ("blur_patches",),
}
