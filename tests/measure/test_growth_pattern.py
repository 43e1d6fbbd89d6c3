"""Growth patterns drawn on plain dermis, and those of phantoms."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from analytic_skin import Skin, Slab, codes, measure, measure_skin, one_section

from wsi_pipeline.classes import BACKGROUND, DERMIS, TUMOUR
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.measure import measure_slide
from wsi_pipeline.measure.architecture import (
    ARCHITECTURE_UNITS,
    CORD_UM,
    SHARE_UNITS,
    SINGLE_UM,
    TRABECULA_UM,
    WIDTH_STEP_UM,
    WIDTH_STEPS,
    measure_architecture,
    name_pattern,
)
from wsi_pipeline.measure.dej import margin_um
from wsi_pipeline.measure.plane import SectionPlane, section_planes
from wsi_pipeline.phantom import sample_spec
from wsi_pipeline.phantom.block import label_block, read_block
from wsi_pipeline.phantom.tissue import lay_out

SIDE = 600  # pixels of 2 µm


def plane_of(labels: np.ndarray, mpp: float = 2.0) -> SectionPlane:
    grid, settings = Grid(labels.shape, mpp), MeasureSettings()
    sections, sections_grid = one_section(labels, grid)
    (plane,) = section_planes(
        labels,
        grid=grid,
        sections=sections,
        sections_grid=sections_grid,
        mpp=settings.mpp,
        margin_um=margin_um(settings),
    )
    return plane


def values_of(labels: np.ndarray, mpp: float = 2.0) -> dict:
    return {name: found.value for name, found in found_on(labels, mpp).items()}


def found_on(labels: np.ndarray, mpp: float = 2.0) -> dict:
    return measure_architecture(plane_of(labels, mpp))


def dermis() -> np.ndarray:
    """A square of dermis with glass around it."""
    return np.pad(np.full((SIDE, SIDE), DERMIS, np.uint8), 40)


def strips(labels: np.ndarray, width_px: int, *, rows: slice = slice(60, 620)) -> None:
    """Horizontal strips of tumour, as wide as the gaps between them."""
    for top in range(rows.start, rows.stop - width_px, 2 * width_px):
        labels[top : top + width_px, 60:620] = TUMOUR


def disc(labels: np.ndarray, row: float, column: float, radius_px: float, tissue: int) -> None:
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    labels[np.hypot(y - row, x - column) < radius_px] = tissue


@pytest.mark.parametrize(
    ("width_px", "name", "pattern"),
    [
        (6, "single_file_fraction", "single-file"),
        (15, "cord_fraction", "cord-trabecular"),
        (50, "trabecula_fraction", "cord-trabecular"),
        (100, "solid_fraction", "solid"),
    ],
)
def test_strips(width_px: int, name: str, pattern: str) -> None:
    labels = dermis()
    strips(labels, width_px)
    found = values_of(labels)
    assert found[name] > 0.95
    assert sum(found[share] for share in [*SHARE_UNITS][:4]) == pytest.approx(1)
    assert found["architecture"] == pattern
    assert found["architecture_margin"] > 0.6
    assert found["tumour_width_median_um"] == pytest.approx(2 * width_px, abs=2)


def test_nests_beside_cords_are_solid_cord() -> None:
    labels = dermis()
    strips(labels, 15, rows=slice(60, 300))
    for column in (150, 350, 550):
        disc(labels, 450, column, 70, TUMOUR)
    found = values_of(labels)
    assert found["architecture"] == "solid-cord"
    solid = 3 * np.pi * 70**2
    assert found["solid_fraction"] == pytest.approx(solid / (solid + 8 * 15 * 560), abs=0.02)


def test_glands() -> None:
    labels = dermis()
    for row in range(100, 600, 100):
        for column in range(100, 600, 100):
            disc(labels, row, column, 30, TUMOUR)
            disc(labels, row, column, 15, BACKGROUND)
    found = values_of(labels)
    assert found["architecture"] == "glandular"
    assert found["lumen_fraction"] == pytest.approx(0.25, abs=0.01)
    assert found["tubule_fraction"] == pytest.approx(1, abs=0.01)
    # The width of a gland is that of its outline, the nest is filled.
    assert found["tumour_width_median_um"] == pytest.approx(120, abs=4)
    assert found["nest_area_median_um2"] == pytest.approx(np.pi * 60**2, rel=0.01)
    assert (found["nest_count"], found["nest_cut_fraction"]) == (25, 0)


def test_clefts_tears_and_stroma_are_no_lumina() -> None:
    labels = dermis()
    disc(labels, 300, 200, 90, BACKGROUND)
    disc(labels, 305, 200, 84, TUMOUR)  # a retraction cleft, wider on one side
    disc(labels, 300, 500, 90, TUMOUR)
    disc(labels, 300, 500, 30, DERMIS)
    labels[290:310, 500:680] = BACKGROUND  # open to the glass
    found = values_of(labels)
    assert found["lumen_fraction"] == found["tubule_fraction"] == 0


def test_holes_of_a_cell_are_filled_and_larger_ones_not() -> None:
    labels = dermis()
    disc(labels, 300, 300, 100, TUMOUR)
    labels[297:304, 297:304] = DERMIS
    assert values_of(labels)["tumour_width_median_um"] == pytest.approx(400, abs=4)
    labels[290:311, 290:311] = DERMIS
    assert values_of(labels)["tumour_width_median_um"] < 200


def test_specks_are_single_cells_and_no_nests() -> None:
    labels = dermis()
    for row in range(60, 600, 40):
        labels[row : row + 10, 60:600:40] = TUMOUR
        for shift in range(10):
            labels[row : row + 10, 60 + shift : 600 : 40] = TUMOUR
    found = found_on(labels)
    assert found["single_file_fraction"].value == 1
    assert found["tumour_width_median_um"].value == pytest.approx(20, abs=2)
    assert found["nest_count"].value == 0
    assert found["nest_area_median_um2"].status == "not_defined"


def test_nests_cut_at_the_edge_bound_their_size() -> None:
    labels = dermis()
    disc(labels, 300, 40, 80, TUMOUR)
    labels[:, :40] = BACKGROUND
    disc(labels, 300, 400, 60, TUMOUR)
    found = found_on(labels)
    assert found["nest_cut_fraction"].value == 0.5
    assert found["nest_diameter_median_um"].status == "at_least"
    assert "50% of the nests" in found["nest_diameter_median_um"].reason
    assert found["nest_count"].value == 2
    tissue_mm2 = (labels != BACKGROUND).sum() * 4e-6
    assert found["nests_per_mm2"].value == pytest.approx(2 / tissue_mm2)


def shares(**given: float) -> dict[str, float]:
    return dict.fromkeys(SHARE_UNITS, 0.0) | {f"{n}_fraction": v for n, v in given.items()}


@pytest.mark.parametrize(
    ("given", "pattern", "nearest", "margin"),
    [
        (shares(tubule=0.1, solid=1), "glandular", "solid", 0.0),
        (shares(tubule=0.09, solid=1), "solid", "glandular", 0.1),
        (shares(single_file=0.5, cord=0.5), "single-file", "cord-trabecular", 0.0),
        (shares(solid=0.25, cord=0.5, trabecula=0.25), "solid-cord", "cord-trabecular", 0.0),
        (shares(solid=0.7, cord=0.15, trabecula=0.15), "solid-cord", "solid", 0.2),
        (shares(solid=0.24, cord=0.76), "cord-trabecular", "solid-cord", 0.04),
        (shares(solid=0.6, single_file=0.4), "solid", "mixed", 0.0),
        (shares(solid=0.4, cord=0.2, single_file=0.4), "mixed", "single-file", 0.2),
    ],
)
def test_rules_and_their_margins(given: dict, pattern: str, nearest: str, margin: float) -> None:
    found = {name: value.value for name, value in name_pattern(given).items()}
    assert found["architecture"] == pattern
    assert found["architecture_margin"] == pytest.approx(margin)
    assert found["architecture_next"] == nearest


def test_turned_and_finer_labels_show_the_same_pattern() -> None:
    labels = dermis()
    strips(labels, 15, rows=slice(60, 300))
    disc(labels, 450, 300, 100, TUMOUR)
    disc(labels, 450, 300, 10, BACKGROUND)
    found = values_of(labels)
    for other in (np.rot90(labels), labels[::-1]):
        turned = values_of(np.ascontiguousarray(other))
        assert {n: turned[n] for n in SHARE_UNITS} == pytest.approx(
            {n: found[n] for n in SHARE_UNITS}
        )
    finer = values_of(labels.repeat(2, axis=0).repeat(2, axis=1), 1.0)
    profiles = finer.pop("tumour_width_profile"), found.pop("tumour_width_profile")
    assert profiles[0] == pytest.approx(profiles[1])
    assert finer == pytest.approx(found)


def test_shares_by_width_are_those_of_the_pattern() -> None:
    labels = dermis()
    strips(labels, 15, rows=slice(60, 300))
    disc(labels, 450, 300, 100, TUMOUR)
    found = values_of(labels)
    shares = found["tumour_width_profile"]
    assert len(shares) == WIDTH_STEPS
    assert sum(shares) == pytest.approx(1)
    edges = [place * WIDTH_STEP_UM for place in range(WIDTH_STEPS)]
    for name, low, high in (
        ("cord_fraction", SINGLE_UM, CORD_UM),
        ("trabecula_fraction", CORD_UM, TRABECULA_UM),
        ("solid_fraction", TRABECULA_UM, 1e9),
    ):
        own = sum(share for edge, share in zip(edges, shares, strict=True) if low <= edge < high)
        assert own == pytest.approx(found[name], abs=1e-6)


def test_without_tumour_there_is_neither_pattern_nor_width() -> None:
    found = found_on(dermis())
    zero = {"nest_total_area_mm2", "nest_count", "nests_per_mm2"}
    assert {name for name, value in found.items() if value.value == 0} == zero
    assert {found[n].status for n in ARCHITECTURE_UNITS.keys() - zero} == {"not_defined"}


def test_coarse_labels_show_no_pattern() -> None:
    found = measure_skin(Skin(width_um=3000, slabs=(Slab(-500, 500, 0.2, 0.8),)), mpp=4.0)
    for name in ARCHITECTURE_UNITS:
        assert found.values[name].status == "not_assessable"
        assert "too coarse" in found.values[name].reason


def test_a_slide_has_the_pattern_of_its_pooled_shares_and_a_flag_where_it_is_close() -> None:
    labels = dermis()
    for column in (150, 350, 550):
        disc(labels, 450, column, 80, TUMOUR)
    tall = np.hstack([labels, dermis()])
    strips(tall[:, 680:], 15, rows=slice(60, 560))
    ids = np.repeat([[1] * 170 + [2] * 170], 170, axis=0).astype(np.uint8)
    found = measure_slide(
        tall,
        grid=Grid(tall.shape, 2.0),
        sections=ids,
        sections_grid=Grid(ids.shape, 8.0),
        declared_section="auto",
        settings=MeasureSettings(),
    )
    words = [section.values["architecture"].value for section in found.sections]
    assert words == ["solid", "cord-trabecular"]
    solid = 3 * np.pi * 80**2
    share = solid / (solid + 17 * 15 * 560)
    assert found.values["solid_fraction"].value == pytest.approx(share, abs=0.02)
    assert found.values["architecture"].value == "solid-cord"
    assert found.values["nest_count"].value == 20
    assert codes(found) == set()
    close = measure(tall, Grid(tall.shape, 2.0))
    assert close.values["architecture"].value == "solid-cord"
    assert json.dumps(close.to_json(), allow_nan=False)


def test_a_pattern_close_to_another_is_flagged() -> None:
    labels = dermis()
    strips(labels, 15, rows=slice(60, 320))
    disc(labels, 500, 200, 80, TUMOUR)
    found = measure(labels, Grid(labels.shape, 2.0))
    assert found.values["architecture_margin"].value < 0.2
    assert codes(found) == {"architecture_borderline"}
    (flag,) = found.flags
    assert "cord-trabecular, close to solid-cord" in flag.message


@pytest.mark.parametrize(
    ("architecture", "pattern"),
    [
        ("solid", "solid"),
        ("cord", "cord-trabecular"),
        ("trabecular", "cord-trabecular"),
        ("solid-cord", "solid-cord"),
        ("single-file", "single-file"),
        ("glandular", "glandular"),
    ],
)
def test_patterns_of_phantoms(architecture: str, pattern: str) -> None:
    spec = sample_spec(
        900_001, section="horizontal", architecture=architecture, width_mm=2.4, height_mm=2.4
    )
    layout = lay_out(dataclasses.replace(spec, mpp=2.0))
    box = Box.of_shape(layout.nodes.frame.shape)
    labels = label_block(read_block(layout, box), horn=np.ones(box.shape, np.bool_))
    assert values_of(labels)["architecture"] == pattern
