from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsi_pipeline.geometry import Grid
from wsi_pipeline.phantom import (
    Anatomy,
    Artefacts,
    Cells,
    Look,
    PhantomSpec,
    Surface,
    paint_phantom,
    sample_spec,
    truth_to_json,
)
from wsi_pipeline.slide import open_slide
from wsi_pipeline.stages.artefacts import read_json
from wsi_pipeline.stages.phantom import SCHEMA, TABLES, paint_slide, paint_slides
from wsi_pipeline.store import read_arrays

SPEC = dataclasses.replace(
    sample_spec(12, grade=2, width_mm=1.0, height_mm=0.9, artefacts=1.0), mpp=1.0
)


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint_slide(SPEC, folder=tmp_path_factory.mktemp("painted") / "new", name="one")


def test_three_files_are_written(painted: Path) -> None:
    names = {path.name for path in painted.parent.iterdir()}
    assert names == {"one.tiff", "one.truth.json", "one.truth.zarr"}


def test_the_slide_opens_with_its_pixel_size(painted: Path) -> None:
    with open_slide(painted) as slide:
        assert slide.grid.shape == (900, 1000)
        assert slide.grid.mpp == pytest.approx(1.0, rel=1e-6)


def test_the_stored_truth_is_what_was_painted(painted: Path) -> None:
    phantom = paint_phantom(SPEC)
    arrays, about = read_arrays(painted.with_name("one.truth.zarr"))
    np.testing.assert_array_equal(arrays["labels"], phantom.labels)
    np.testing.assert_array_equal(arrays["dej_um"], phantom.dej_um)
    np.testing.assert_array_equal(arrays["dsj_um"], phantom.dsj_um)
    np.testing.assert_array_equal(arrays["dej_envelope_um"], phantom.envelope_um)
    columns = 0
    for name in TABLES:
        table = getattr(phantom, name)
        assert len(table)
        for column in table.dtype.names:
            np.testing.assert_array_equal(arrays[f"{name}/{column}"], table[column])
            columns += 1
    np.testing.assert_array_equal(arrays["artefacts"], phantom.artefacts)
    assert len(arrays) == 5 + columns
    assert about["truth"] == truth_to_json(phantom.truth)


def tupled(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}


def look_of(values: dict[str, Any]) -> Look:
    cells = ("keratinocytes", "adnexal_cells", "tumour_cells")
    return Look(**values | {name: Cells(**values[name]) for name in cells})


def test_the_specification_lies_beside_it(painted: Path) -> None:
    about = read_json(painted.with_name("one.truth.json"), made_by="phantom")
    assert about["schema"] == SCHEMA
    assert Grid.from_json(about["grid"]) == Grid((900, 1000), 1.0)
    assert about["provenance"]["stage"] == "phantom"
    spec = tupled(about["spec"])
    parts = {
        "anatomy": Anatomy(**spec.pop("anatomy")),
        "artefacts": Artefacts(**tupled(spec.pop("artefacts"))),
        "look": look_of(tupled(spec.pop("look"))),
        "surface": Surface(**spec.pop("surface")),
    }
    again = PhantomSpec(**spec, **parts)
    assert again == SPEC  # to the last digit, or it would paint another slide


def test_the_same_specification_paints_the_same_bytes(painted: Path, tmp_path: Path) -> None:
    again = paint_slide(SPEC, folder=tmp_path, name="one")
    assert again.read_bytes() == painted.read_bytes()


def test_each_of_two_sections_has_its_truth(tmp_path: Path) -> None:
    spec = PhantomSpec(seed=1, width_mm=0.8, height_mm=0.8, mpp=2.0, dermis_mm=0.3, margin_mm=0.05)
    slide = paint_slide(spec, folder=tmp_path, name="two", sections=2)
    with open_slide(slide) as opened:
        assert opened.grid.shape == (400, 800)
    first, second = (
        read_json(tmp_path / f"two.{name}.json", made_by="phantom") for name in ("truth", "truth-2")
    )
    assert first["sections"] == second["sections"] == 2
    assert (first["offset_px"], second["offset_px"]) == ([0, 0], [0, 400])
    assert first["spec"]["level_um"] == 0 < second["spec"]["level_um"]
    assert read_arrays(tmp_path / "two.truth-2.zarr")[0]["labels"].shape == (400, 400)


def test_the_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    small = dataclasses.replace(
        PhantomSpec(seed=1, width_mm=0.7, height_mm=0.7, mpp=2.0, margin_mm=0.05), dermis_mm=0.25
    )
    specs = {f"slide-{seed}": dataclasses.replace(small, seed=seed) for seed in (3, 1, 2)}
    for workers in (1, 3):
        folder = tmp_path / str(workers)
        slides = list(paint_slides(specs, folder=folder, workers=workers))
        assert [slide.stem for slide in slides] == list(specs)
    for name in specs:
        for ending in ("tiff", "truth.json"):
            one, many = (tmp_path / str(n) / f"{name}.{ending}" for n in (1, 3))
            assert one.read_bytes() == many.read_bytes()
