"""What did the user choose?

1. One tree of frozen settings; under each field a line with its unit and why this default.
2. `parse_config` makes it of a plain mapping (YAML, command line), reporting *every* fault.
3. A room is handed its own small part of the tree, never the whole.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from wsi_pipeline.errors import ConfigError


def _setting(
    default: float | str | None,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Give a settings field a default together with the values it may take."""
    return field(default=default, metadata={"low": low, "high": high, "choices": choices})


@dataclass(frozen=True, slots=True)
class SlideSettings:
    """How slide files are opened."""

    backend: str = _setting("auto", choices=("auto", "openslide", "tiffslide", "image"))
    """Library that decodes the slide; ``auto`` takes the first that can."""


@dataclass(frozen=True, slots=True)
class TissueSettings:
    """How tissue is told from glass."""

    mpp: float = _setting(8.0, low=2.0, high=64.0)
    """Pixel width of the tissue plane, µm: half a nucleus, so cords and septa survive."""
    min_section_mm2: float = _setting(0.05, low=0.0)
    """Smaller pieces are debris, mm²; a 0.25 mm needle fragment still counts."""
    max_hole_mm2: float = _setting(0.5, low=0.0)
    """Smaller holes belong to the section, mm²: fat lobules and lumina are tissue."""
    join_um: float = _setting(100.0, low=0.0, high=2000.0)
    """Pieces closer than this are one section, µm: a tear or cleft, not a second cut."""
    min_od: float = _setting(0.015, low=0.005, high=0.5)
    """Tissue is denser than the glass around it by at least this, optical density: the
    membrane of a fat cell, 1-2 µm of OD 0.1-0.2 seen on a pixel of 8 µm, lies above; noisier
    glass raises it."""
    sure_od: float = _setting(0.08, low=0.01, high=1.0)
    """Every piece of tissue reaches this somewhere, optical density: the palest connective
    tissue does; smears of mounting medium and printed spots of an array do not."""
    glass_texture_od: float = _setting(0.01, low=0.001, high=0.1)
    """Glass varies less than this within 40 µm, optical density: camera noise averaged over
    8 µm is below 0.003; stained sections vary by more than 0.02."""
    glass_range_od: float = _setting(0.2, low=0.01, high=0.5)
    """The darkest glass (vignette, glow of eosin) differs from the brightest by less, optical
    density: at most a third of the light is lost between the two."""
    pen_width_um: float = _setting(150.0, low=20.0, high=5000.0)
    """Narrowest stroke of a pen, µm: the finest slide markers write about 300 µm; ink on a
    surgical margin is thinner."""


@dataclass(frozen=True, slots=True)
class TilingSettings:
    """How a plane is cut up."""

    tile_px: int = _setting(1024, low=64, high=8192)
    """Edge of a write box at the working mpp, px; also the edge of a storage shard. With a halo
    of 172 px a tile of 512 costs 2.8 times its own pixels, one of 1024 costs 1.8 times; larger
    ones need gigabytes."""
    min_tissue_fraction: float = _setting(0.0, low=0.0, high=1.0)
    """A tile with less tissue is not computed, share of its area; 0 keeps any tissue at all."""


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """How tiles are turned into class probabilities."""

    model: str = _setting("skin-tumour-5")
    """Model id under ``models/`` or a folder that holds a ``model.toml``."""
    device: str = _setting("auto", choices=("auto", "cpu", "cuda"))
    """Where the network runs; ``auto`` takes a GPU when torch sees one."""
    runtime: str = _setting("torch", choices=("torch", "openvino", "onnxruntime"))
    """Library that runs the network; the others are extras, and never taken unasked."""
    precision: str = _setting("auto", choices=("auto", "float32", "bfloat16", "int8"))
    """Numbers a learnt network computes in; ``auto`` takes bfloat16 where processor or GPU multiply
    it in hardware: twice as fast, and fewer than one label in 200 differs from float32; int8
    needs another runtime than torch, and a quantised model."""
    scheduler: str = _setting("threads")
    """``threads``, ``processes``, ``sync``, the ``tcp://`` address of a Dask scheduler, or
    ``slurm`` for workers that are jobs of a cluster."""
    workers: int = _setting(0, low=0, high=4096)
    """Dask workers; 0 takes one per available core.  With ``slurm``, cores of each job."""
    jobs: int = _setting(4, low=1, high=1000)
    """Jobs at a time with ``slurm``: four of four cores are what one large node has."""
    look_ahead: int = _setting(1, low=0, high=64)
    """Tiles that are read or written while all workers (threads) compute: hides the waiting for a
    disk or a file server at the price of one tile's memory each; 0 does one thing at a time."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How planes rest on disk."""

    chunk_px: int = _setting(256, low=16, high=4096)
    """Edge of a compressed chunk, px: what a viewer reads at a time."""
    compression: int = _setting(1, low=0, high=9)
    """zstd level inside blosc; 1 is within a few per cent of the best in the least time."""


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """What the measurements depend on besides the label map."""

    mpp: float = _setting(8.0, low=1.0, high=32.0)
    """Pixel width on which boundaries and depths are computed, µm.  The nearest whole multiple
    of the label pixel is taken.  A boundary is then placed to about half a pixel: 4 µm, 0.3 %
    of a 1.5 mm dermis; areas are exact at any width because every pixel carries its share."""
    epidermis_smooth_um: float = _setting(300.0, low=0.0, high=2000.0)
    """Lateral scale above which the dermo-epidermal envelope follows the tissue, µm: longer
    than the rete wavelength of 80-200 µm."""
    ostium_um: float = _setting(350.0, low=0.0, high=2000.0)
    """Downgrowths of the surface epithelium and gaps in it narrower than this are follicles, µm:
    a terminal follicle is 150-300 µm wide.  A piece that bears less epidermis is no skin."""
    ulcer_gap_um: float = _setting(2000.0, low=0.0, high=20000.0)
    """Along a loss of epidermis shorter than this, between stretches that continue each other,
    the exposed surface is the datum, µm: an ulcer, as for Breslow thickness; the cut edge even
    of a 2 mm shave is 3 mm long."""
    min_epidermis_mm2: float = _setting(0.005, low=0.0)
    """A smaller piece of surface epidermis is a speck, mm²: 75 µm thick and 70 µm long."""
    min_fat_mm2: float = _setting(0.05, low=0.0)
    """A fat component smaller than this, or than a tenth of the largest, does not define the
    dermo-subcutaneous junction, mm²."""
    close_gap_um: float = _setting(500.0, low=0.0, high=5000.0)
    """Follicles and septa narrower than this do not interrupt that junction, µm."""
    max_interpolated: float = _setting(0.5, low=0.0, high=1.0)
    """Share of the junction that may be interpolated before thickness is only a lower bound."""
    min_tumour_um2: float = _setting(500.0, low=0.0)
    """Tumour components smaller than this are left out of depths, µm²: under five cells."""
    min_tumour_probability: float = _setting(0.75, low=0.0, high=1.0)
    """So are components less probable in the mean: mistakes are seldom sure of themselves."""
    column_um: float = _setting(10.0, low=2.0, high=100.0)
    """Distance of the columns in which the dermis is judged along its length, µm: half a cord."""
    envelope_um: float = _setting(30.0, low=0.0, high=60.0)
    """Stroma this close to tumour counts as infiltrated where full thickness is judged, µm: half
    the usual gap between cords, without which no lesion of cords would ever fill the dermis."""
    grenz_um: float = _setting(20.0, low=0.0, high=500.0)
    """A strip of dermis between epidermis and tumour at least this wide is a Grenz zone, µm: more
    than one cell; the literature gives no number, so the distribution is reported as well."""
    mpp_tolerance: float = _setting(0.01, low=0.0, high=0.1)
    """Relative uncertainty of the pixel width a scanner states, part of every interval; rows and
    columns of one scanner may differ by as much."""


@dataclass(frozen=True, slots=True)
class AnnotateSettings:
    """How a label map is turned into outlines that are corrected by hand."""

    tolerance_um: float = _setting(4.0, low=0.0, high=100.0)
    """Corners and steps up to about this size are smoothed away, µm: two pixels of 2 µm, finer
    than a hand draws; 0 keeps every pixel."""
    min_piece_um2: float = _setting(500.0, low=0.0, high=1e6)
    """Smaller pieces and holes join what surrounds them, µm²: under five cells, too small to be
    corrected one by one."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How results are written for other programs."""

    tolerance_um: float = _setting(2.0, low=0.0, high=100.0)
    """Corners and steps of outlines up to about this size are smoothed away, µm: the stairs of
    pixels of 2 µm, while the area of no class changes by a hundredth; 0 keeps every pixel."""


@dataclass(frozen=True, slots=True)
class NucleiSettings:
    """How nuclei are found."""

    model: str = _setting("nuclei-1")
    """Network that outlines them, by id or folder; ``none`` for outlines from density alone."""
    tile_px: int = _setting(2048, low=256, high=8192)
    """Edge of a tile, px; no result depends on it.  With its context 2048 costs 1.7 times."""
    min_contrast: float = _setting(0.5, low=0.1, high=1.0)
    """Least density of a nucleus between that of its surroundings (0) and that of the other nuclei
    around (1): half as dense as they are.  Has no say where a network outlines."""
    min_area_um2: float = _setting(12.0, low=3.0, high=50.0)
    """Smaller profiles are caps, debris or pigment, µm²: half of a lymphocyte's."""
    max_area_um2: float = _setting(400.0, low=100.0, high=2000.0)
    """Larger patches are clumps, µm²: five standard deviations above high-grade carcinoma."""
    max_length_um: float = _setting(32.0, low=10.0, high=32.0)
    """Longer patches are fibres, µm; the context of a tile is made for no more."""


@dataclass(frozen=True, slots=True)
class GradeSettings:
    """How nuclei are graded."""

    small_um2: float = _setting(50.0, low=10.0, high=200.0)
    """Mean profile area up to which nuclei are of grade 1, µm²: published means of low and
    intermediate grade are 44 and 48 (doi:10.1038/modpathol.3880415)."""
    large_um2: float = _setting(75.0, low=10.0, high=300.0)
    """Mean profile area from which they are of grade 3, µm²: published for high grade are 72
    (the same) and 80 (PMID 7747996)."""
    varied_um2: float = _setting(65.0, low=10.0, high=300.0)
    """The same where areas vary by ``varied_cv`` or more, µm²."""
    varied_cv: float = _setting(0.40, low=0.1, high=2.0)
    """Coefficient of variation of profile areas that counts as marked variation; sectioning
    alone makes up to 0.32 of nuclei of one size."""
    min_diameter_um: float = _setting(5.0, low=2.0, high=10.0)
    """Profiles of a smaller equivalent diameter are left out, µm: caps of nuclei cut near their
    pole."""
    min_solidity: float = _setting(0.85, low=0.5, high=1.0)
    """Profiles with a smaller share of their convex hull are left out: clumps and fragments."""
    min_nuclei: int = _setting(100, low=10, high=100_000)
    """Fewer nuclei are not graded (PMID 7747996 measured 100)."""
    block_um: float = _setting(250.0, low=50.0, high=5000.0)
    """Edge of the squares that are drawn anew for the interval, µm: neighbouring nuclei are
    alike, single ones are no independent sample."""
    draws: int = _setting(1000, low=100, high=100_000)
    """Draws for the interval; of 1000 its ends are known to a twentieth of its length."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a model is learnt from phantoms and annotated slides."""

    seed: int = _setting(1, low=0)
    """Root of all chance: weights, phantoms, tiles, variation."""
    phantoms: int = _setting(240, low=1, high=100_000)
    """Phantoms that tiles are drawn from."""
    validation_phantoms: int = _setting(12, low=1, high=10_000)
    """Further phantoms that decide when to stop."""
    mpp: float = _setting(2.0, low=0.5, high=8.0)
    """Pixel width the model will work at, µm: a nucleus is 3-5 px, a section 10,000."""
    network: str = _setting("lite-unet", choices=("lite-unet", "unet"))
    """What is learnt: a decoder on a light encoder that photographs have taught to see (212 px,
    0.4 mm, to each side), or a U-Net from random weights."""
    encoder_pace: float = _setting(0.1, low=0.0, high=1.0)
    """Learning rate of that encoder relative to the decoder's: it shall not unlearn what
    photographs taught it; 0 leaves its weights as they are."""
    width: int = _setting(32, low=4, high=64)
    """Channels of the network's finest plane."""
    fold: int = _setting(2, low=1, high=4)
    """Of a U-Net: pixels along an edge folded into channels; 2 made a step 1.5 times as fast."""
    most: int = _setting(128, low=4, high=1024)
    """Of a U-Net: channels at most, so that the deep levels stay small in a file."""
    depth: int = _setting(4, low=1, high=6)
    """Of a U-Net: levels below the finest plane; 4, folded by 2, see 215 px to each side."""
    tile_px: int = _setting(320, low=32, high=1024)
    """Edge of a training tile, px."""
    margin_px: int = _setting(24, low=0, high=256)
    """Rim of a training tile that counts for nothing, px: the network sees no context there."""
    batch: int = _setting(5, low=1, high=256)
    """Tiles per step."""
    precision: str = _setting("bfloat16", choices=("bfloat16", "float32"))
    """Numbers the convolutions are done in; weights and optimiser stay float32."""
    steps: int = _setting(2400, low=1)
    """Steps at most."""
    learning_rate: float = _setting(1e-3, low=1e-6, high=1.0)
    """Highest learning rate of AdamW."""
    weight_decay: float = _setting(1e-3, low=0.0, high=1.0)
    """Weight decay of AdamW."""
    average: float = _setting(0.995, low=0.0, high=0.99999)
    """How slowly the averaged weights follow, per step."""
    validate_every: int = _setting(500, low=1)
    """Steps between validations, and between checkpoints."""
    patience: int = _setting(8, low=1)
    """Validations without improvement after which training stops."""
    mix_share: float = _setting(0.3, low=0.0, high=1.0)
    """Share of the tiles over which tissues of another tile are laid: what is real and what is
    painted shall not tell tissues apart."""
    annotated_share: float = _setting(0.5, low=0.0, high=1.0)
    """Share of the tiles that come from annotated slides, where there are any, and weight of the
    held-out ones in validation; phantoms keep showing what a few slides do not."""
    held_out_share: float = _setting(0.2, low=0.0, high=0.9)
    """Share of the annotated slides that are held out for validation: the last of the table, one
    at least as soon as there are two; 0 holds out none."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a run can be told."""

    slide: SlideSettings = field(default_factory=SlideSettings)
    """How slide files are opened."""
    tissue: TissueSettings = field(default_factory=TissueSettings)
    """How tissue is told from glass."""
    tiling: TilingSettings = field(default_factory=TilingSettings)
    """How a plane is cut up."""
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    """How tiles are turned into class probabilities."""
    store: StoreSettings = field(default_factory=StoreSettings)
    """How planes rest on disk."""
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    """What the measurements depend on."""
    annotate: AnnotateSettings = field(default_factory=AnnotateSettings)
    """How a label map is turned into outlines that are corrected by hand."""
    export: ExportSettings = field(default_factory=ExportSettings)
    """How results are written for other programs."""
    nuclei: NucleiSettings = field(default_factory=NucleiSettings)
    """How nuclei are found."""
    grade: GradeSettings = field(default_factory=GradeSettings)
    """How nuclei are graded."""
    train: TrainSettings = field(default_factory=TrainSettings)
    """How a model is learnt."""


def parse_config(raw: Mapping[str, Any], *, source: str = "configuration") -> Config:
    """Check a plain mapping and turn it into settings.

    Parameters
    ----------
    raw
        ``{section: {field: value}}``; what is absent keeps its default.
    source
        Where the mapping came from, for the error message.

    Raises
    ------
    ConfigError
        Naming every unknown section or field and every value out of range.
    """
    faults: list[str] = []
    sections: dict[str, Any] = {}
    kinds = get_type_hints(Config)
    for name, values in raw.items():
        if name not in kinds:
            faults.append(f"unknown section '{name}' (there are: {', '.join(kinds)})")
        elif not isinstance(values, Mapping):
            faults.append(f"section '{name}' must hold fields, not {values!r}")
        else:
            sections[name] = _parse_section(kinds[name], values, prefix=name, faults=faults)
    if not faults:
        config = Config(**sections)
        faults += _cross_checks(config)
    if faults:
        raise ConfigError(f"{source}: " + "; ".join(faults))
    return config


def _parse_section(kind: Any, values: Mapping[str, Any], *, prefix: str, faults: list[str]) -> Any:
    """Build one settings object; note faults instead of raising."""
    fields = {item.name: item for item in dataclasses.fields(kind)}
    types = get_type_hints(kind)
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            faults.append(f"unknown field '{prefix}.{name}' (there are: {', '.join(fields)})")
            continue
        fault, parsed = _check_value(value, types[name], fields[name].metadata)
        if fault:
            faults.append(f"'{prefix}.{name}' {fault}, not {value!r}")
        checked[name] = parsed
    return kind(**checked) if not faults else None


def _check_value(value: Any, kind: Any, allowed: Mapping[str, Any]) -> tuple[str, Any]:
    """Give the fault of a value ("" if none) and the value in its field's type."""
    fault = ""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    kinds = get_args(kind) or (kind,)
    if isinstance(value, bool) or not isinstance(value, kinds):
        fault = f"must be of type {getattr(kind, '__name__', kind)}"
    elif isinstance(value, float) and not math.isfinite(value):
        fault = "must be a finite number"
    elif allowed["choices"] and value not in allowed["choices"]:
        fault = f"must be one of {', '.join(allowed['choices'])}"
    elif allowed["low"] is not None and value < allowed["low"]:
        fault = f"must be at least {allowed['low']:g}"
    elif allowed["high"] is not None and value > allowed["high"]:
        fault = f"must be at most {allowed['high']:g}"
    return fault, value


def _cross_checks(config: Config) -> list[str]:
    """Faults that only show between fields."""
    faults = []
    if config.tiling.tile_px % config.store.chunk_px:
        faults.append(
            f"'tiling.tile_px' ({config.tiling.tile_px}) must be a multiple of "
            f"'store.chunk_px' ({config.store.chunk_px}), so that no two tiles share a chunk"
        )
    if not config.grade.small_um2 <= config.grade.varied_um2 <= config.grade.large_um2:
        faults.append(
            "'grade.small_um2', 'grade.varied_um2' and 'grade.large_um2' must rise in that order"
        )
    scheduler = config.segment.scheduler
    if scheduler not in ("threads", "processes", "sync", "slurm") and "://" not in scheduler:
        faults.append(
            "'segment.scheduler' must be threads, processes, sync, slurm or an address such as "
            f"tcp://host:8786, not {scheduler!r}"
        )
    return faults
