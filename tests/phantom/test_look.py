from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from wsi_pipeline.classes import BACKGROUND, DERMIS, EPIDERMIS, KERATIN, TUMOUR
from wsi_pipeline.phantom import (
    Look,
    Phantom,
    paint_phantom,
    rough_look,
    sample_look,
    sample_spec,
)

ROUGH = ("ragged", "blur", "haze")

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
        values = {getattr(look, field.name) for look in drawn}
        assert len(values) == (1 if field.name in ROUGH else 40), field.name


def test_only_some_slides_are_rough_and_each_in_its_own_way() -> None:
    drawn = [rough_look(Look(), seed=seed) for seed in range(300)]
    assert drawn[7] == rough_look(Look(), seed=7)
    assert 0.25 < np.mean([look == Look() for look in drawn]) < 0.42
    for name in ROUGH:
        values = np.array([getattr(look, name) for look in drawn])
        assert 0.3 < np.mean(values == 0) < 0.8
        assert len(np.unique(values)) > 50
        assert values.max() <= 1


def test_ragged_nests_lose_cells_and_nothing_else_changes() -> None:
    nests = replace(SPEC, architecture="solid", grade=2, tumour_density=0.6)
    whole = paint_phantom(nests).labels
    ragged = paint_phantom(replace(nests, look=Look(ragged=1.0))).labels
    assert 0.4 < (ragged == TUMOUR)[whole == TUMOUR].mean() < 0.9
    outlines = [np.count_nonzero(np.diff(labels == TUMOUR, axis=1)) for labels in (whole, ragged)]
    assert outlines[1] > 1.15 * outlines[0]
    changed = whole != ragged
    assert TUMOUR in whole[changed]
    assert (ragged[changed & (whole == TUMOUR)] != BACKGROUND).all()


def test_even_stroma_shows_less_of_its_bundles() -> None:
    coarse, even = painted(Look(cleft_um=3.0)), painted(Look(cleft_um=3.0, blur=1.0))
    # Half of the pixels around the median: nuclei, which stay, are fewer than a quarter.
    quartiles = [
        np.percentile(phantom.image[phantom.labels == DERMIS, 1], (25, 75))
        for phantom in (coarse, even)
    ]
    assert np.ptp(quartiles[1]) < 0.8 * np.ptp(quartiles[0])


def test_haze_tints_the_stroma_and_leaves_the_epidermis() -> None:
    plain, hazy = painted(Look()), painted(Look(haze=0.15))
    assert shade(hazy, DERMIS) < shade(plain, DERMIS) - 5
    assert abs(shade(hazy, EPIDERMIS) - shade(plain, EPIDERMIS)) < 1


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
