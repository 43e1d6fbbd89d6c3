"""What would a perfect measurement find?

1. `junction_um` gives the junctions as curves on the slide, straight from their formula.
2. `measure_truth` takes areas and depths from the exact geometry: every other pixel of the
   label plane, with depth as Euclidean distance to the curves.
3. `take_truth` adds what `columns` and `census` know: thickness, nests, follicles.
4. `truth_to_json` and `coarsen_labels` prepare truth for files and for a working mpp.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from wsi_pipeline.classes import BACKGROUND, CLASS_NAMES, TUMOUR
from wsi_pipeline.phantom.census import Table, list_follicles, list_nests
from wsi_pipeline.phantom.columns import measure_columns, read_columns
from wsi_pipeline.phantom.frame import Points
from wsi_pipeline.phantom.noise import Bytes
from wsi_pipeline.phantom.nuclei import Cell, Nuclei
from wsi_pipeline.phantom.skin import Skin
from wsi_pipeline.phantom.spec import LAYERED
from wsi_pipeline.phantom.tissue import Layout

DEPTH_BINS = 20
# Spacing of the places at which areas and depths are sampled, µm: a tenth of a cord.
SAMPLE_UM = 2.0
DEPTH_SAMPLE_UM = 8.0
DEPTH_NAMES = (
    "depth_max_um",
    "depth_max_envelope_um",
    "relative_depth_max",
    "relative_depth_min",
    "dermis_um",
    "occupancy_profile",
    "dsj_in_section",
    "depth_p995_um",
    "relative_depth_p995",
    "top_bottom_log2",
    "tumour_in_window_fraction",
)
# Smaller pieces of tumour are left out of percentiles of depth, µm².
SPECK_UM2 = 500.0
BALANCE_MOST = 10.0


def junction_um(layout: Layout, name: Literal["dej", "dsj", "envelope", "surface"]) -> Points:
    """Give one layer boundary where the section shows it.

    Returns
    -------
    float64 (N, 2)
        ``(down, right)`` on the slide, µm, from one cut edge to the other, 2 µm apart along
        the skin; empty for a horizontal section and for a boundary that was not cut.
    """
    skin = layout.skin
    if skin is None or (name in ("dej", "envelope") and not layout.spec.with_epidermis):
        return np.empty((0, 2))
    curve = getattr(skin, f"{name}_um")
    slide_um = layout.nodes.frame.to_slide(skin.x_um[::2], curve[::2])
    inside = layout.nodes.read(layout.outline_um, slide_um) > 0
    tall, wide = (n * layout.spec.mpp for n in layout.nodes.frame.shape)
    inside &= (slide_um >= 0).all(axis=1) & (slide_um < [tall, wide]).all(axis=1)
    return slide_um[inside]


def take_truth(
    layout: Layout, labels: Bytes, *, nuclei: Nuclei
) -> tuple[dict[str, Any], tuple[Table, Table, Table]]:
    """Take every true value, and the tables of nests, follicles and columns.

    Returns
    -------
    tuple
        What `measure_truth` gives together with the values of `measure_columns` and the counts
        of nests and follicles; then the three tables.
    """
    truth = measure_truth(layout, labels, nuclei=nuclei)
    step = max(1, round(SAMPLE_UM / layout.spec.mpp))
    coarse = coarsen_labels(labels, step)
    columns = read_columns(layout, coarse == TUMOUR, mpp=step * layout.spec.mpp)
    nests = list_nests(labels, mpp=layout.spec.mpp)
    shown = np.minimum(layout.outline_um, layout.below_surface_um)
    follicles = list_follicles(layout.groups, layout.nodes, shown_um=shown)
    truth |= measure_columns(layout, coarse, columns=columns)
    truth |= _count_things(layout, nests, follicles, tissue_mm2=truth["tissue_mm2"])
    return truth, (nests, follicles, columns)


def _count_things(
    layout: Layout, nests: Table, follicles: Table, *, tissue_mm2: float
) -> dict[str, Any]:
    """Counts of nests and follicles; follicles per area only where they are cut across."""
    across = layout.spec.section == "horizontal" and tissue_mm2 > 0
    return {
        "nests": len(nests),
        "nest_area_median_um2": float(np.median(nests["area_um2"])) if len(nests) else None,
        "follicles": len(follicles),
        "follicular_units": len(np.unique(follicles["unit"])),
        "follicles_per_mm2": len(follicles) / tissue_mm2 if across else None,
    }


def measure_truth(layout: Layout, labels: Bytes, *, nuclei: Nuclei) -> dict[str, Any]:
    """Take every true value of a phantom.

    Parameters
    ----------
    layout
        Its geometry.
    labels : uint8 (Y, X)
        Its label plane.
    nuclei
        Its nuclei.

    Returns
    -------
    dict
        Units are part of the names.  Values that have no meaning on the section are None,
        never 0.  ``infiltration_fraction`` is the share of the *dermal compartment* that is
        tumour: of all tissue between DEJ and DSJ, whatever its class; on a section
        without junctions, of all tissue.  ``lumen_fraction`` is the share of gland lumina in
        lumina and tumour together.  ``ulceration_um`` is a length along the DEJ.
        Depths are distances to the DEJ (``depth_max_um``) or to its
        envelope without rete ridges (``depth_max_envelope_um``, relative depths).
    """
    spec = layout.spec
    # Eight comparisons are five times faster than one bincount over bytes.
    counts = np.array([np.count_nonzero(labels == code) for code in range(len(CLASS_NAMES))])
    area_mm2 = counts * spec.mpp**2 / 1e6
    step = max(1, round(SAMPLE_UM / spec.mpp))
    coarse = coarsen_labels(labels, step)
    compartment = _compartment(layout, coarse, step=step)
    tumour = (coarse == TUMOUR) & compartment
    return {
        "section": spec.section,
        **_measure_lesion(layout, coarse, step=step),
        "architecture": spec.architecture if spec.shown_to != 0 else "none",
        "grade": spec.grade if spec.architecture != "none" and spec.shown_to != 0 else None,
        "cut_deg": spec.cut_deg if spec.section in LAYERED else None,
        "level_um": spec.level_um,
        "mpp": spec.mpp,
        "rotation_deg": spec.rotation_deg,
        "area_mm2": dict(zip(CLASS_NAMES, area_mm2.tolist(), strict=True)),
        "tissue_mm2": float(area_mm2[1:].sum()),
        "tumour_mm2": float(area_mm2[TUMOUR]),
        "tumour_tissue_fraction": float(area_mm2[TUMOUR] / max(1e-12, area_mm2[1:].sum())),
        "dermal_compartment_mm2": float(compartment.sum() * (step * spec.mpp) ** 2 / 1e6),
        "infiltration_fraction": float(tumour.sum() / max(1, compartment.sum())),
        **_measure_depth(layout, coarse, compartment=compartment, step=step),
        **_measure_nuclei(nuclei),
    }


def _measure_lesion(layout: Layout, coarse: Bytes, *, step: int) -> dict[str, Any]:
    """What only some growth patterns have; zero where it was looked for and absent."""
    lesion = layout.lesion
    lumen, dead, space = (
        _count(layout, coarse == code, plane_um=plane, step=step)
        for code, plane in (
            (BACKGROUND, lesion.lumen_um),
            (TUMOUR, lesion.necrosis_um),
            (TUMOUR, lesion.space_um),
        )
    )
    tumour = int((coarse == TUMOUR).sum())
    sample_mm2 = (step * layout.spec.mpp) ** 2 / 1e6
    return {
        "lumen_mm2": lumen * sample_mm2,
        "lumen_fraction": lumen / (lumen + tumour) if tumour else None,
        "necrosis_fraction": dead / tumour if tumour else None,
        "embolus_mm2": space * sample_mm2,
        "emboli": lesion.plugs,
        "ulceration_um": _ulcer_um(layout) if layout.skin is not None else None,
    }


def _count(
    layout: Layout, where: NDArray[np.bool_], *, plane_um: NDArray[np.float32], step: int
) -> int:
    """Samples of the label plane that are marked and inside a shape."""
    if not (plane_um > 0).any():
        return 0
    rows, columns = np.nonzero(where)
    mpp = layout.spec.mpp
    places = np.stack([(step * n + step // 2 + 0.5) * mpp for n in (rows, columns)], axis=-1)
    return int((layout.nodes.read(plane_um, places) > 0).sum())


def _ulcer_um(layout: Layout) -> float:
    """Length of the junction that an ulcer has taken away, µm."""
    skin = layout.skin
    if skin is None:
        return 0.0
    slide_um = layout.nodes.frame.to_slide(skin.x_um, skin.dej_um)
    steps = np.hypot(np.gradient(skin.x_um), np.gradient(skin.dej_um))
    return float(steps[layout.nodes.read(layout.crater_um, slide_um) > 0].sum())


def _places(
    layout: Layout, index: tuple[NDArray[np.intp], NDArray[np.intp]], *, step: int
) -> Points:
    """Section coordinates (x, y) of samples of the label plane, shape (2, N), µm."""
    mpp = layout.spec.mpp
    down, right = (np.asarray((step * n + step // 2 + 0.5) * mpp) for n in index)
    x_um, y_um = layout.nodes.frame.to_section(down.astype(np.float32), right.astype(np.float32))
    return np.stack([x_um, y_um]).astype(np.float64)


def _compartment(layout: Layout, coarse: Bytes, *, step: int) -> NDArray[np.bool_]:
    """Samples of the dermal compartment: tissue between the junctions, whatever its class."""
    tissue = np.asarray(coarse != BACKGROUND)
    skin = layout.skin
    if skin is None:
        return tissue
    rows, columns = np.nonzero(tissue)
    x_um, y_um = _places(layout, (rows, columns), step=step)
    upper, lower = skin.at(skin.dej_um, x_um), skin.at(skin.dsj_um, x_um)
    tissue[rows, columns] = (y_um > upper) & (y_um <= lower)
    return tissue


def _measure_depth(
    layout: Layout, coarse: Bytes, *, compartment: NDArray[np.bool_], step: int
) -> dict[str, Any]:
    """Depths of tumour and dermis; all None on a horizontal section."""
    skin = layout.skin
    if skin is None:
        return dict.fromkeys(DEPTH_NAMES)
    stride = max(1, round(DEPTH_SAMPLE_UM / (step * layout.spec.mpp)))
    rows, columns = np.nonzero((compartment | (coarse == TUMOUR))[::stride, ::stride])
    rows, columns = rows * stride, columns * stride
    places = _places(layout, (rows, columns), step=step).T
    is_tumour = coarse[rows, columns] == TUMOUR
    large = _without_specks(coarse, pixel_um2=(step * layout.spec.mpp) ** 2)[rows, columns]
    envelope, dsj = _distance(skin, skin.envelope_um), _distance(skin, skin.dsj_um)
    upper, lower = envelope(places), -dsj(places)
    relative = np.maximum(upper / (upper + lower), 0.0)
    shown = np.abs(skin.x_um) < skin.half_width_um
    values = (
        _largest(_distance(skin, skin.dej_um)(places[is_tumour])),
        _largest(upper[is_tumour]),
        _largest(relative[is_tumour]),
        _largest(-relative[is_tumour], sign=-1),
        float(np.median(-dsj(np.stack([skin.x_um, skin.envelope_um], axis=-1)[shown]))),
        _profile(relative, is_tumour, in_compartment=compartment[rows, columns]),
        bool(len(junction_um(layout, "dsj"))),
        _deep(upper, large),
        _deep(np.where(lower < 0, 1.0, relative), large),
        _balance(relative, is_tumour & compartment[rows, columns]),
        _in_window(layout, places[large]),
    )
    return dict(zip(DEPTH_NAMES, values, strict=True))


def _distance(skin: Skin, curve_um: Points) -> Callable[[Points], Points]:
    """Signed Euclidean distance of places (N, 2) to a layer boundary, positive below it."""
    tree = cKDTree(np.stack([skin.x_um, curve_um], axis=-1))

    def measure(places: Points) -> Points:
        above = places[:, 1] < skin.at(curve_um, places[:, 0])
        return np.asarray(tree.query(places)[0] * np.where(above, -1.0, 1.0))

    return measure


def _without_specks(coarse: Bytes, *, pixel_um2: float) -> NDArray[np.bool_]:
    """Tumour in pieces of `SPECK_UM2` and more."""
    pieces, count = ndimage.label(coarse == TUMOUR)
    large = np.bincount(pieces.ravel(), minlength=count + 1) * pixel_um2 >= SPECK_UM2
    large[0] = False
    return np.asarray(large[pieces])


def _deep(values: Points, where: NDArray[np.bool_]) -> float | None:
    """The 99.5th percentile of the values marked."""
    return float(np.percentile(values[where], 99.5)) if where.any() else None


def _balance(relative: Points, is_tumour: NDArray[np.bool_]) -> float | None:
    """Log2 of tumour in the upper half of the dermis over that in the lower."""
    upper = int((relative[is_tumour] < 0.5).sum())
    lower = int(is_tumour.sum()) - upper
    if upper + lower == 0:
        return None
    if 0 in (upper, lower):
        return BALANCE_MOST if upper else -BALANCE_MOST
    return float(np.clip(math.log2(upper / lower), -BALANCE_MOST, BALANCE_MOST))


def _in_window(layout: Layout, tumour: Points) -> float | None:
    """Share of tumour on the normals of that part of the junction below which fat is shown."""
    skin = layout.skin
    if skin is None or not len(tumour):
        return None
    shown = np.ones(skin.x_um.shape, np.bool_)
    for curve_um in (skin.envelope_um, skin.dsj_um):
        slide_um = layout.nodes.frame.to_slide(skin.x_um, curve_um)
        shown &= layout.nodes.read(np.maximum(layout.outline_um, layout.crater_um), slide_um) > 0
    tree = cKDTree(np.stack([skin.x_um, skin.envelope_um], axis=-1))
    return float(shown[tree.query(tumour)[1]].mean())


def _largest(values: Points, *, sign: int = 1) -> float | None:
    """Maximum times ``sign``, or None where there is nothing."""
    return sign * float(values.max()) if values.size else None


def _profile(
    relative: Points, is_tumour: NDArray[np.bool_], *, in_compartment: NDArray[np.bool_]
) -> list[float | None]:
    """Share of tumour in each twentieth of the dermis; None where the section has none of it."""
    bins = np.clip((relative * DEPTH_BINS).astype(int), 0, DEPTH_BINS - 1)
    whole = np.bincount(bins[in_compartment], minlength=DEPTH_BINS)
    part = np.bincount(bins[in_compartment & is_tumour], minlength=DEPTH_BINS)
    return [float(n / total) if total else None for n, total in zip(part, whole, strict=True)]


def _measure_nuclei(nuclei: Nuclei) -> dict[str, Any]:
    """Profile areas of tumour nuclei, as drawn."""
    area = nuclei["area_um2"][nuclei["kind"] == Cell.TUMOUR].astype(np.float64)
    return {
        "tumour_nuclei": len(area),
        "nuclear_area_mean_um2": float(area.mean()) if area.size else None,
        "nuclear_area_sd_um2": float(area.std()) if area.size else None,
    }


def coarsen_labels(labels: Bytes, factor: int) -> Bytes:
    """Labels at ``factor`` times the pixel width: the class at the centre of each new pixel.

    Nearest sampling keeps area shares unbiased and thin keratin alive, where a majority
    would erode whatever is thinner than half a new pixel.
    """
    half = factor // 2
    rows, columns = (
        np.minimum(np.arange(-(-n // factor)) * factor + half, n - 1) for n in labels.shape
    )
    return np.asarray(labels[rows][:, columns])


def truth_to_json(truth: dict[str, Any]) -> dict[str, Any]:
    """Copy of the truth that `json.dumps` accepts, floats rounded to seven digits."""
    return {name: _plain(value) for name, value in truth.items()}


def _plain(value: Any) -> Any:
    """Plain Python counterpart of a value."""
    if isinstance(value, dict):
        return truth_to_json(value)
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.7g}")
    return value.item() if isinstance(value, np.generic) else value
