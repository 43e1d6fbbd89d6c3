from __future__ import annotations

from pathlib import Path

import numpy as np

from wsi_pipeline.stages.fields import TRAINING_PATTERNS, paint_fields, training_spec


def test_training_phantoms_differ_in_everything() -> None:
    specs = [training_spec(seed) for seed in range(300)]
    assert {spec.section for spec in specs} == {"vertical", "horizontal", "stroma"}
    assert {spec.architecture for spec in specs} == set(TRAINING_PATTERNS)
    assert {spec.grade for spec in specs} == {1, 2, 3}
    assert any(spec.artefacts.pen_strokes for spec in specs)
    assert any(spec.ulceration for spec in specs)


def test_trabeculae_and_cords_alone_are_kept_for_testing() -> None:
    shown = {training_spec(seed).architecture for seed in range(1000)}
    assert not shown & {"cord", "trabecular"}


def test_a_field_is_painted_once_and_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    both = paint_fields([3, 4], mpp=4.0, folder=tmp_path / "a", workers=1)
    alone = paint_fields([4], mpp=4.0, folder=tmp_path / "b", workers=1)
    np.testing.assert_array_equal(both[1].rgb, alone[0].rgb)
    np.testing.assert_array_equal(both[1].labels, alone[0].labels)
    assert both[0].rgb.shape == (*both[0].labels.shape, 3)
    made = [path.stat().st_mtime_ns for path in sorted((tmp_path / "a").iterdir())]
    paint_fields([3, 4], mpp=4.0, folder=tmp_path / "a", workers=1)
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "a").iterdir())] == made
