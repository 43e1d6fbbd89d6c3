"""Which slide shall be painted?

1. `PhantomSpec` holds every choice; two equal specs paint the same bytes.
2. `sample_spec` draws what the caller leaves open from priors for scalp skin.

The priors and where each of them comes from are listed in ``docs/phantom.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from wsi_pipeline.errors import ConfigError
from wsi_pipeline.phantom.anatomy import Anatomy, sample_anatomy
from wsi_pipeline.phantom.artefacts import Artefacts, sample_artefacts, sample_frozen
from wsi_pipeline.phantom.look import Look, sample_look
from wsi_pipeline.phantom.surface import Surface

Section = Literal["vertical", "oblique", "horizontal", "stroma"]
# Sections that show the layers of the skin one below the other.
LAYERED = ("vertical", "oblique")
Architecture = Literal[
    "none", "solid", "cord", "solid-cord", "trabecular", "single-file", "glandular"
]
Grade = Literal[1, 2, 3]

# Mean and standard deviation of the nuclear profile area per grade, µm².
NUCLEAR_AREA_UM2: dict[int, tuple[float, float]] = {
    1: (45.0, 11.0),
    2: (62.0, 21.0),
    3: (86.0, 40.0),
}
# Distance of neighbouring tumour cells per grade, µm.
TUMOUR_SPACING_UM = {1: 10.5, 2: 12.0, 3: 14.0}
# Width of a full retraction cleft, µm.
RETRACTION_UM = 14.0
# Depth that must remain between the dermo-subcutaneous junction and the deep margin, µm.
MIN_FAT_UM = 120.0


@dataclass(frozen=True, slots=True)
class PhantomSpec:
    """Everything that decides what a phantom looks like.

    Layers draw from separate random streams of the same seed, so two specs that differ in
    one field only are a counterfactual pair: the skin stays, the lesion changes.
    """

    seed: int
    """Root of every random stream."""
    section: Section = "vertical"
    """Plane of the cut: perpendicular to the skin surface, slanting through it, or parallel to
    it; ``stroma`` is not skin but plain collagen with fat lobules, as in the breast."""
    cut_deg: float = 90.0
    """Angle between the plane of an oblique section and the skin surface, 25 to 80 degrees; every
    layer appears thicker by one over its sine.  Other sections have none to choose."""
    level_um: float = 0.0
    """Distance from the first section of the block, µm: serial sections differ a little."""
    width_mm: float = 4.0
    """Width of the painted glass, mm."""
    height_mm: float = 3.0
    """Height of the painted glass, mm."""
    mpp: float = 0.5
    """Width of a pixel, µm; 0.5 is the common 20x scan."""
    margin_mm: float = 0.15
    """Bare glass around the section, mm."""
    rotation_deg: float = 0.0
    """Clockwise turn of the section on the glass, degrees."""
    with_epidermis: bool = True
    """Whether a vertical section carries its epidermis; False is an eroded surface."""
    with_subcutis: bool = True
    """Whether a vertical section reaches the fat (False is a superficial biopsy), or plain
    stroma holds fat lobules; a horizontal section never does."""
    dermis_mm: float | None = None
    """Distance of the two junctions in the skin, mm; None draws it from the prior, as far as it
    fits.  An oblique section shows it longer."""
    epidermis_um: float = 75.0
    """Mean thickness of the living epidermis, µm."""
    rete_wavelength_um: float = 130.0
    """Mean distance of rete ridges, µm."""
    rete_amplitude_um: float = 40.0
    """Height of rete ridges away from the lesion, µm."""
    corneum_um: float = 16.0
    """Thickness of the compact stratum corneum, µm."""
    follicles_per_mm: float = 0.6
    """Follicles met per mm of a vertical section."""
    inflammation: float = 0.3
    """Extent of lymphocyte patches, 0 (none) to 1."""
    architecture: Architecture = "none"
    """Growth pattern of the tumour."""
    depth_span: tuple[float, float] = (0.06, 1.0)
    """Relative depths between which tumour may lie; above 1 it invades the fat."""
    shown_to: float | None = None
    """Relative depth beyond which the tumour is left out, as if it had not grown there yet; 0
    leaves all of it out, but not what it has done to ridges and follicles; None shows all."""
    lateral_span: float = 0.7
    """Share of the section's width over which tumour may lie."""
    tumour_density: float = 0.5
    """Wanted share of the lesion's area that is tumour; the truth holds the achieved one."""
    grade: Grade = 2
    """Nuclear grade: decides size, variation and chromatin of tumour nuclei."""
    depth_bias: float = 0.0
    """Where in the dermis tumour is denser: -1 top-heavy, 0 even, 1 bottom-heavy."""
    lumen_share: float = 0.27
    """Wanted share of lumina in glandular growth, of lumen and tumour together."""
    necrosis: float = 0.0
    """Extent of necrosis in the centre of nests: 0 none, 1 leaves a viable rim of 35 µm."""
    retraction: float = 0.0
    """Width of the clefts between tumour and stroma, 0 to 1 (about 14 µm)."""
    emboli: int = 0
    """Tumour plugs in vessels, as far as they find room outside the lesion."""
    ulceration: bool = False
    """Whether the epidermis is missing over part of the lesion; its base is fibrin."""
    cuffs: float = 0.0
    """Share of vessels with a sleeve of lymphocytes."""
    lymphoid_follicles: int = 0
    """Round lymphocyte aggregates with a germinal centre, as far as they find room."""
    look: Look = field(default_factory=Look)
    """How loose collagen lies and how strongly each tissue takes up dye."""
    frozen: float = 0.0
    """How much the section looks frozen instead of embedded in paraffin, 0 to 1."""
    haematoxylin: float = 1.0
    """Strength of the haematoxylin relative to the reference."""
    eosin: float = 1.0
    """Strength of the eosin relative to the reference."""
    stain_rotation_deg: float = 0.0
    """Turn of both stain vectors within their plane, degrees; a different dye batch."""
    stain_tone: float = 0.7
    """Stain vectors: 0 Ruifrok and Johnston's, 1 Macenko's; real laboratories lie between."""
    glass_rgb: tuple[int, int, int] = (244, 242, 244)
    """Colour of bare glass."""
    psf_um: float = 0.35
    """Standard deviation of the optical blur, µm."""
    noise: float = 0.008
    """Standard deviation of the sensor noise, share of full scale."""
    jpeg_quality: int = 85
    """Quality at which the slide file is to be written."""
    anatomy: Anatomy = field(default_factory=Anatomy)
    """What else belongs to the skin; nothing unless asked for."""
    surface: Surface = field(default_factory=Surface)
    """How uneven and damaged the surface is; level and whole unless asked for."""
    artefacts: Artefacts = field(default_factory=Artefacts)
    """What went wrong with glass, section and scanner; nothing unless asked for."""

    def __post_init__(self) -> None:
        faults = [text for wrong, text in _faults(self) if wrong]
        if faults:
            raise ConfigError("phantom spec: " + "; ".join(faults))


def _faults(spec: PhantomSpec) -> list[tuple[bool, str]]:
    """Conditions that must not hold, each with the sentence that names it."""
    depth_low, depth_high = spec.depth_span
    edge_mm = min(spec.width_mm, spec.height_mm)
    return [
        (spec.seed < 0, f"'seed' must not be negative, not {spec.seed}"),
        (not 0.1 <= spec.mpp <= 2.0, f"'mpp' must lie in 0.1 to 2 µm, not {spec.mpp}"),
        (
            edge_mm - 2 * spec.margin_mm < 0.5,
            "'width_mm' and 'height_mm' must leave 0.5 mm of tissue between the margins",
        ),
        (
            not 0 <= depth_low < depth_high <= 1.5,
            f"'depth_span' must rise within 0 to 1.5, not {spec.depth_span}",
        ),
        (
            spec.shown_to is not None and not 0 <= spec.shown_to <= 1.5,
            f"'shown_to' must lie in 0 to 1.5, not {spec.shown_to}",
        ),
        (
            not 0 < spec.lateral_span <= 1,
            f"'lateral_span' must lie in 0 to 1, not {spec.lateral_span}",
        ),
        (
            not 0 < spec.tumour_density < 1,
            f"'tumour_density' must lie between 0 and 1, not {spec.tumour_density}",
        ),
        *_cut_faults(spec),
        *_lesion_faults(spec),
        (spec.grade not in NUCLEAR_AREA_UM2, f"'grade' must be 1, 2 or 3, not {spec.grade}"),
    ]


def _cut_faults(spec: PhantomSpec) -> list[tuple[bool, str]]:
    """Conditions on the plane of the section."""
    oblique = spec.section == "oblique"
    return [
        (
            oblique and not 25 <= spec.cut_deg <= 80,
            f"'cut_deg' of an oblique section must lie in 25 to 80, not {spec.cut_deg}",
        ),
        (
            not oblique and spec.cut_deg != 90,
            f"'cut_deg' needs an oblique section, not a {spec.section} one",
        ),
        (not 0 <= spec.level_um <= 1000, f"'level_um' must lie in 0 to 1000, not {spec.level_um}"),
    ]


def _lesion_faults(spec: PhantomSpec) -> list[tuple[bool, str]]:
    """Conditions on what may be added to a lesion and its surroundings."""
    shares = {name: getattr(spec, name) for name in ("necrosis", "retraction", "cuffs", "frozen")}
    flat = spec.section not in LAYERED
    return [
        (
            not -1 <= spec.depth_bias <= 1,
            f"'depth_bias' must lie in -1 to 1, not {spec.depth_bias}",
        ),
        (
            flat and spec.depth_bias != 0,
            f"'depth_bias' needs a vertical or oblique section: a {spec.section} one has no depth",
        ),
        (
            flat and spec.ulceration,
            f"'ulceration' needs a vertical or oblique section, not {spec.section}",
        ),
        (
            spec.ulceration and not (spec.with_epidermis and spec.architecture != "none"),
            "'ulceration' needs an epidermis and a tumour below it",
        ),
        (spec.emboli > 0 and spec.architecture == "none", "'emboli' need a tumour"),
        (
            not 0.1 <= spec.lumen_share <= 0.45,
            f"'lumen_share' must lie in 0.1 to 0.45, not {spec.lumen_share}",
        ),
        (
            not all(0 <= share <= 1 for share in shares.values()),
            f"each of these must lie in 0 to 1: {shares}",
        ),
        (
            min(spec.emboli, spec.lymphoid_follicles) < 0,
            "'emboli' and 'lymphoid_follicles' must not be negative",
        ),
    ]


def depth_stretch(spec: PhantomSpec) -> float:
    """How much thicker than in the skin every layer appears: one over the sine of the cut."""
    return 1 / math.sin(math.radians(spec.cut_deg))


def section_extent_um(spec: PhantomSpec) -> tuple[float, float]:
    """Lateral and vertical extent of the unturned section that fits the glass, µm.

    Returns
    -------
    tuple of float
        ``(across, down)`` in the section's own frame; turned by ``rotation_deg`` it keeps
        ``margin_mm`` to every edge of the glass.
    """
    wide, high = (1000.0 * (edge - 2 * spec.margin_mm) for edge in (spec.width_mm, spec.height_mm))
    turn = math.radians(spec.rotation_deg)
    cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
    shrink = min(wide / (wide * cos + high * sin), high / (wide * sin + high * cos))
    return wide * shrink, high * shrink


def sample_spec(
    seed: int,
    *,
    section: Section = "vertical",
    architecture: Architecture = "solid-cord",
    grade: Grade | None = None,
    width_mm: float = 4.0,
    height_mm: float = 3.0,
    artefacts: float = 0.0,
) -> PhantomSpec:
    """Draw a plausible slide.

    Parameters
    ----------
    seed
        Root of the draw and of the phantom itself.
    section, architecture
        What the slide is to show.
    grade
        Nuclear grade; None draws it.
    width_mm, height_mm
        Size of the painted glass, mm.
    artefacts
        How much may be wrong with glass, section and scanner, 0 (nothing) to 1; some sections
        are frozen then. The draw of all else does not depend on it.

    Returns
    -------
    PhantomSpec
        Change single fields with `dataclasses.replace`.
    """
    rng = np.random.default_rng([seed, 0])
    tint = rng.integers(238, 249)
    return PhantomSpec(
        seed=seed,
        section=section,
        cut_deg=float(np.random.default_rng([seed, 74]).uniform(35, 70))
        if section == "oblique"
        else 90.0,
        architecture=architecture,
        width_mm=width_mm,
        height_mm=height_mm,
        grade=grade or _as_grade(int(rng.integers(1, 4))),
        rotation_deg=float(rng.normal(0.0, 4.0)),
        epidermis_um=_log_normal(rng, mean=75.0, sd=18.0, bounds=(45.0, 130.0)),
        rete_wavelength_um=float(rng.uniform(80.0, 200.0)),
        rete_amplitude_um=float(rng.uniform(20.0, 70.0)),
        corneum_um=float(rng.uniform(8.0, 45.0)),
        inflammation=float(rng.uniform(0.1, 0.6)),
        depth_span=(float(rng.uniform(0.03, 0.12)), float(rng.choice([0.6, 0.85, 1.0, 1.1]))),
        lateral_span=float(rng.uniform(0.5, 0.95)),
        tumour_density=_draw_density(rng, architecture),
        haematoxylin=float(np.clip(rng.normal(1.0, 0.15), 0.65, 1.4)),
        eosin=float(np.clip(rng.normal(1.0, 0.15), 0.65, 1.4)),
        stain_rotation_deg=float(rng.normal(0.0, 2.0)),
        stain_tone=float(rng.uniform(0.45, 1.0)),
        glass_rgb=(int(tint), int(tint - rng.integers(0, 4)), int(tint - rng.integers(-2, 3))),
        look=sample_look(seed),
        anatomy=sample_anatomy(seed),
        frozen=sample_frozen(seed, artefacts),
        artefacts=sample_artefacts(seed, artefacts),
    )


def vary_lesion(spec: PhantomSpec) -> PhantomSpec:
    """Draw what else may be in and around a lesion, from a stream of its own.

    Parameters
    ----------
    spec
        Slide to vary; its skin, stain and growth pattern stay.

    Returns
    -------
    PhantomSpec
        With balance of depths, lumina, necrosis, clefts, emboli, ulceration and lymphocytes
        drawn; what needs a tumour or a vertical section stays absent without one.
    """
    rng = np.random.default_rng([spec.seed, 30])
    bias, lumen, necrosis, retraction, cuffs = rng.random(5)
    rare = rng.random(4) < (0.3, 0.2, 0.3, 0.2)
    layered, grows = spec.section in LAYERED, spec.architecture != "none"
    return replace(
        spec,
        depth_bias=float(1.6 * bias - 0.8) if layered else 0.0,
        lumen_share=float(0.15 + 0.25 * lumen),
        necrosis=float(necrosis) * bool(rare[0]),
        retraction=float(retraction**2),
        emboli=int(rng.integers(1, 4)) * bool(rare[1] and grows),
        ulceration=bool(rare[3] and layered and grows and spec.with_epidermis),
        cuffs=float(0.5 * cuffs),
        lymphoid_follicles=int(rng.integers(1, 3)) * bool(rare[2]),
    )


def _as_grade(number: int) -> Grade:
    """Narrow an integer to the type of a grade."""
    if number == 1:
        return 1
    return 2 if number == 2 else 3


def _draw_density(rng: np.random.Generator, architecture: Architecture) -> float:
    """Share of the lesion that is tumour: nests pack more densely than cords and files."""
    spans = {
        "cord": (0.2, 0.35),
        "solid": (0.5, 0.7),
        "trabecular": (0.25, 0.45),
        "single-file": (0.08, 0.22),
    }
    low, high = spans.get(architecture, (0.35, 0.55))
    return float(rng.uniform(low, high))


def _log_normal(
    rng: np.random.Generator, *, mean: float, sd: float, bounds: tuple[float, float]
) -> float:
    """Draw from the log-normal of that mean and standard deviation, clipped to the bounds."""
    spread = math.sqrt(math.log1p((sd / mean) ** 2))
    value = rng.lognormal(math.log(mean) - spread * spread / 2, spread)
    return float(np.clip(value, *bounds))
