from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from wsi_pipeline.classes import BACKGROUND, DERMIS, EPIDERMIS, KERATIN
from wsi_pipeline.phantom import Look, Phantom, paint_phantom, sample_look, sample_spec

SPEC = replace(
    sample_spec(5, architecture="none", width_mm=1.2, height_mm=1.2),
    look=Look(),
    mpp=1.0,
    noise=0.0,
    inflammation=0.0,
)


def painted(look: Look) -> Phantom:
    return paint_phantom(replace(SPEC, look=look))


def shade(phantom: Phantom, value: int) -> float:
    return float(phantom.image[phantom.labels == value].mean())


def test_a_look_is_a_function_of_its_seed() -> None:
    assert sample_look(3) == sample_look(3)
    drawn = [sample_look(seed) for seed in range(40)]
    for field in fields(Look):
        assert len({getattr(look, field.name) for look in drawn}) == 40, field.name


def test_a_look_changes_no_label_but_that_of_gaps_in_horn() -> None:
    one, two = (painted(replace(sample_look(seed), horn_gaps=0.0)) for seed in (1, 2))
    np.testing.assert_array_equal(one.labels, two.labels)
    loose = painted(replace(sample_look(1), horn_gaps=1.0)).labels
    changed = loose != one.labels
    assert changed.any()
    assert set(np.unique(one.labels[changed])) == {KERATIN}
    assert set(np.unique(loose[changed])) == {BACKGROUND}


def test_wide_clefts_let_light_through_the_dermis() -> None:
    tight, loose = painted(Look(cleft_um=0.5)), painted(Look(cleft_um=4.5))
    assert shade(loose, DERMIS) > shade(tight, DERMIS) + 10


def test_each_tissue_takes_up_its_own_dye() -> None:
    plain, dark = painted(Look()), painted(Look(epithelium=(1.8, 1.4)))
    assert shade(dark, EPIDERMIS) < shade(plain, EPIDERMIS) - 10
    assert abs(shade(dark, DERMIS) - shade(plain, DERMIS)) < 1


def test_desmoplastic_stroma_holds_more_fibroblasts() -> None:
    few, many = painted(Look()).nuclei, painted(Look(stroma_cells=4.0)).nuclei
    assert len(many) > len(few) + 200
