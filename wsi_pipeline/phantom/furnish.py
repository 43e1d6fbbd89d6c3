"""Where do follicle profiles, gland groups, muscles, nerves and large vessels lie?

1. `Ground` says how much dermis there is and how deep a place in it lies.
2. `add_epithelium` strews profiles and gland groups between follicles that are there already.
3. `place_bundles` strews what lies in the stroma around all of them.

Each structure has a random stream of its own, so that one more changes none of the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wsi_pipeline.phantom.adnexa import FAR_UM, Follicle, Patch
from wsi_pipeline.phantom.bundles import (
    draw_large_vessel,
    draw_loose_muscle,
    draw_muscle,
    draw_nerve,
)
from wsi_pipeline.phantom.frame import Nodes
from wsi_pipeline.phantom.infundibula import draw_infundibulum
from wsi_pipeline.phantom.noise import Floats
from wsi_pipeline.phantom.profiles import (
    IsFree,
    draw_bulb,
    draw_gland_group,
    draw_profile,
    spot,
)
from wsi_pipeline.phantom.skin import Skin
from wsi_pipeline.phantom.spec import PhantomSpec, section_extent_um

# Relative depths at which each structure is found; beyond 1 lies fat.
DEPTHS = {
    "profile": (0.1, 1.25),
    "glands": (0.15, 0.65),
    "plug": (0.05, 0.7),
    "muscle": (0.1, 0.6),
    "nerve": (0.45, 1.3),
    "artery": (0.65, 1.45),
}
# Follicles leave the plane of a vertical section at a small angle: their profiles are long.
STRETCH = (1.0, 2.6)
# Follicles per mm² of skin for each that a vertical section meets per mm: 1.4 for 0.6.
PER_SKIN_MM2 = 2.3
# Pieces of muscle away from their follicle, per mm² and unit of `Anatomy.muscles`.
LOOSE_MUSCLES = 0.7


@dataclass(frozen=True, slots=True)
class Ground:
    """What there is to furnish.

    Parameters
    ----------
    nodes, skin
        Mesh; layer curves, None for a section without them.
    half_um
        Half the extent of the section, across and down.
    area_mm2
        Dermis; all of the section where it has no layers.
    below_dej_um, outline_um : float32 (Y, X)
        Depth below the DEJ; signed distance to the cut edge of the block.
    """

    nodes: Nodes
    skin: Skin | None
    half_um: tuple[float, float]
    area_mm2: float
    below_dej_um: Floats
    outline_um: Floats

    @classmethod
    def of(
        cls,
        spec: PhantomSpec,
        nodes: Nodes,
        *,
        skin: Skin | None,
        below_dej_um: Floats,
        outline_um: Floats,
    ) -> Ground:
        """Ground of a section."""
        half = section_extent_um(spec)[0] / 2, section_extent_um(spec)[1] / 2
        if skin is None:
            area = math.pi * half[0] * half[1] / 1e6
        else:
            thick = skin.dsj_um - skin.envelope_um
            area = 2 * skin.half_width_um * float(thick.mean()) / 1e6
        return cls(nodes, skin, half, area, below_dej_um, outline_um)

    def depth(self, x_um: float, y_um: float) -> float:
        """Relative depth of a place; 0.5 where there are no layers."""
        if self.skin is None:
            return 0.5
        place = np.array([x_um])
        upper = float(self.skin.at(self.skin.envelope_um, place)[0])
        lower = float(self.skin.at(self.skin.dsj_um, place)[0])
        return (y_um - upper) / (lower - upper)

    def read(self, plane: Floats, x_um: float, y_um: float) -> float:
        """Value of a plane on the mesh at a place."""
        place = self.nodes.frame.to_slide(np.array([x_um]), np.array([y_um]))
        return float(self.nodes.read(plane, place)[0])


@dataclass(frozen=True, slots=True)
class _Taken:
    """Signed distance to everything that lies already, and where else nothing may lie."""

    ground: Ground
    plane_um: Floats

    def with_patches(self, patches: list[Patch]) -> _Taken:
        """The same with more on it."""
        plane = self.plane_um.copy()
        for patch in patches:
            plane[patch.window] = np.maximum(plane[patch.window], patch.inside_um)
        return _Taken(self.ground, plane)

    def free_at(self, depths: tuple[float, float]) -> IsFree:
        """Test for discs within a span of relative depth."""
        turns = np.linspace(0, 2 * math.pi, 12, endpoint=False)

        def is_free(x_um: float, y_um: float, radius_um: float) -> bool:
            if not depths[0] <= self.ground.depth(x_um, y_um) <= depths[1]:
                return False
            ring_x = np.append(x_um + radius_um * np.cos(turns), x_um)
            ring_y = np.append(y_um + radius_um * np.sin(turns), y_um)
            nodes = self.ground.nodes
            places = nodes.frame.to_slide(ring_x, ring_y)
            room = np.minimum(self.ground.below_dej_um, self.ground.outline_um + 60.0)
            clear = (nodes.read(self.plane_um, places) < -8.0) & (nodes.read(room, places) > 14.0)
            return bool(clear.all())

        return is_free


def _taken(ground: Ground, patches: list[Patch]) -> _Taken:
    """What the patches take up."""
    nothing = np.full(ground.nodes.shape, FAR_UM, np.float32)
    return _Taken(ground, nothing).with_patches(patches)


def _streams(
    spec: PhantomSpec, number: int, *, per_mm2: float, ground: Ground
) -> Iterator[np.random.Generator]:
    """A stream for each of a random number of structures."""
    count = np.random.default_rng([spec.seed, number]).poisson(per_mm2 * ground.area_mm2)
    for index in range(int(count)):
        yield np.random.default_rng([spec.seed, number, index + 1])


def add_epithelium(
    spec: PhantomSpec, ground: Ground, *, groups: list[list[Patch]]
) -> list[list[Patch]]:
    """Groups of follicles and glands with profiles and gland groups among them.

    Parameters
    ----------
    spec
        How many.
    ground
        Where.
    groups
        What lies there already.
    """
    anatomy, nodes = spec.anatomy, ground.nodes
    if anatomy.papillae:
        groups = [_with_bulbs(spec, nodes, group) for group in groups]
    taken = _taken(ground, [patch for group in groups for patch in group])
    added: list[list[Patch]] = []
    glands = anatomy.glands * (spec.section != "stroma")
    for rng in _streams(spec, 62, per_mm2=glands, ground=ground):
        free = taken.free_at(DEPTHS["glands"])
        centre = spot(rng, half_um=ground.half_um, is_free=free, radius_um=170.0)
        if centre is not None:
            drawn = draw_gland_group(rng, nodes, centre_um=centre)
            added.append([patch for patch in drawn if _clears(taken, patch, most=0.04)])
            taken = taken.with_patches(added[-1])
    plugs = spec.surface.plugs_across * (spec.section != "stroma")
    for rng in _streams(spec, 98, per_mm2=plugs, ground=ground):
        room = float(rng.uniform(80.0, 260.0))
        free = taken.free_at(DEPTHS["plug"])
        centre = spot(rng, half_um=ground.half_um, is_free=free, radius_um=room)
        if centre is not None:
            added.append([draw_infundibulum(rng, nodes, centre_um=centre, most_um=room)])
            taken = taken.with_patches(added[-1])
    per_mm2, longest = _profiles(spec)
    for rng in _streams(spec, 63, per_mm2=per_mm2, ground=ground):
        free = taken.free_at(DEPTHS["profile"])
        centre = spot(rng, half_um=ground.half_um, is_free=free, radius_um=110.0)
        if centre is not None:
            stretch = float(rng.uniform(0.8, 1.2) * longest) if longest else rng.uniform(*STRETCH)
            depth = ground.depth(*centre)
            added.append(draw_profile(rng, nodes, centre_um=centre, depth=depth, stretch=stretch))
            taken = taken.with_patches(added[-1])
    return groups + added


def _profiles(spec: PhantomSpec) -> tuple[float, float]:
    """Follicles cut across, per mm², and their length over their width; 0 leaves that open.

    A plane that slants over the skin projects on cos(cut) of its area, and meets the follicles
    that stand there; it cuts each at 90° minus the cut, so they are longer by 1/cos(cut).
    """
    if spec.section == "vertical":
        return spec.anatomy.profiles, 0.0
    if spec.section != "oblique":
        return 0.0, 0.0
    cos = math.cos(math.radians(spec.cut_deg))
    return PER_SKIN_MM2 * spec.follicles_per_mm * cos, min(1 / cos, 6.0)


def _with_bulbs(spec: PhantomSpec, nodes: Nodes, group: list[Patch]) -> list[Patch]:
    """A group whose growing follicles, cut lengthwise, end in a bulb with a papilla."""
    bulbs = []
    for patch in group:
        own = patch.follicle
        if own is not None and own.tip_um is not None and not own.telogen:
            # A coarse place is enough to tell the streams of two follicles apart.
            rng = np.random.default_rng([spec.seed, 69, round(abs(own.x_um)), own.x_um > 0])
            ahead = math.atan2(own.tip_um[1] - own.y_um, own.tip_um[0] - own.x_um)
            bulbs.append(
                draw_bulb(
                    rng,
                    nodes,
                    centre_um=own.tip_um,
                    radius_um=1.32 * own.radius_um,
                    angle=ahead,
                    own=None,
                )
            )
    return group + bulbs


def place_bundles(spec: PhantomSpec, ground: Ground, *, groups: list[list[Patch]]) -> list[Patch]:
    """Muscles, nerves and large vessels around follicles and glands."""
    every = [patch for group in groups for patch in group]
    taken, kept = _taken(ground, every), list[Patch]()
    for drawn in _bundles(spec, ground, patches=every, taken=taken):
        clear = [patch for patch in drawn if _clears(taken, patch, most=0.1)]
        taken = taken.with_patches(clear)
        kept += clear
    return kept


def _clears(taken: _Taken, patch: Patch, *, most: float) -> bool:
    """Whether at most a small share of a patch would run into what lies there, or epidermis."""
    inside = patch.inside_um > 0
    if not inside.any():
        return False
    blocked = (taken.plane_um[patch.window] > -4) | (taken.ground.below_dej_um[patch.window] < 8)
    return bool((inside & blocked).sum() <= most * inside.sum())


def _bundles(
    spec: PhantomSpec, ground: Ground, *, patches: list[Patch], taken: _Taken
) -> Iterator[list[Patch]]:
    """Every bundle that might be, in order."""
    anatomy, nodes = spec.anatomy, ground.nodes
    is_skin = spec.section != "stroma"
    own = [patch.follicle for patch in patches if patch.follicle is not None and is_skin]
    for number, follicle in enumerate(own):
        rng = np.random.default_rng([spec.seed, 64, number + 1])
        if rng.random() < anatomy.muscles:
            yield from _muscle_of(rng, ground, follicle=follicle)
    loose = LOOSE_MUSCLES * anatomy.muscles * is_skin
    for number, density, depths in (
        (65, loose, DEPTHS["muscle"]),
        (66, anatomy.arteries, DEPTHS["artery"]),
        (67, anatomy.nerves, DEPTHS["nerve"]),
    ):
        free = taken.free_at(depths if ground.skin is not None else (0, 1))
        for rng in _streams(spec, number, per_mm2=density, ground=ground):
            centre = spot(rng, half_um=ground.half_um, is_free=free, radius_um=45.0)
            if centre is None:
                continue
            if number == 65:
                yield draw_loose_muscle(rng, nodes, centre_um=centre)
            elif number == 66:
                yield draw_large_vessel(rng, nodes, centre_um=centre)
            else:
                yield [draw_nerve(rng, nodes, centre_um=centre)]


def _muscle_of(
    rng: np.random.Generator, ground: Ground, *, follicle: Follicle
) -> Iterator[list[Patch]]:
    """The muscle of a follicle: along its way up, or cut across beside a profile."""
    tip = follicle.tip_um
    if tip is not None and ground.skin is not None:
        at = np.array([follicle.x_um + (tip[0] - follicle.x_um) * 0.9])
        top = float(ground.skin.at(ground.skin.envelope_um, at)[0]) + rng.uniform(60.0, 160.0)
        if follicle.y_um + 0.42 * (tip[1] - follicle.y_um) > top + 120.0:
            yield [draw_muscle(rng, ground.nodes, follicle=follicle, tip_um=tip, top_um=top)]
    elif ground.skin is None:
        turn, reach = rng.uniform(0, 2 * math.pi), follicle.radius_um + rng.uniform(60.0, 130.0)
        place = (
            follicle.x_um + reach * math.cos(turn),
            follicle.y_um + reach * math.sin(turn),
        )
        yield draw_loose_muscle(rng, ground.nodes, centre_um=place)[:1]
