"""What damages the surface is where it may be, keeps the truth true, and is absent by default."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import ndimage

from wsi_pipeline.classes import ADNEXA, BACKGROUND, EPIDERMIS, KERATIN
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.phantom import Phantom, PhantomSpec, Surface, paint_phantom, sample_surface
from wsi_pipeline.phantom.loose import scatter_scraps
from wsi_pipeline.phantom.tissue import lay_out
from wsi_pipeline.phantom.truth import junction_um

PLAIN = PhantomSpec(
    seed=4, width_mm=2.0, height_mm=1.8, mpp=2.0, margin_mm=0.25, dermis_mm=0.8, inflammation=0.0,
    follicles_per_mm=2.0,
)  # fmt: skip


def painted(surface: Surface) -> Phantom:
    return paint_phantom(replace(PLAIN, surface=surface))


@pytest.fixture(scope="module")
def whole() -> Phantom:
    return painted(Surface())


def test_a_surface_is_a_function_of_its_seed_and_every_trait_may_be_absent() -> None:
    assert sample_surface(3) == sample_surface(3)
    drawn = [sample_surface(seed) for seed in range(100)]
    for field in fields(Surface):
        values = [getattr(surface, field.name) for surface in drawn]
        assert 0 in values, field.name
        assert len(set(values)) > 10, field.name


def test_what_cannot_be_painted_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'plugs' must lie in 0 to 1, not 1\.5"):
        Surface(plugs=1.5)


def test_plugged_infundibula_hold_more_horn_within_a_wall(whole: Phantom) -> None:
    wide = painted(Surface(plugs=1.0))
    horn = (wide.labels == KERATIN).sum() / (whole.labels == KERATIN).sum()
    assert horn > 1.3
    # Between horn below the junction and dermis there is always a wall.
    rows = ndimage.binary_dilation(wide.labels == KERATIN, iterations=4)
    touching = wide.labels[rows & (wide.labels != KERATIN)]
    assert set(np.unique(touching)) <= {BACKGROUND, EPIDERMIS, ADNEXA}


def test_a_cut_surface_leaves_its_junction_out_of_the_truth(whole: Phantom) -> None:
    cut = painted(Surface(cut=0.5, cut_depth=3.0))
    lost = cut.truth["epidermis_length_mm"] / whole.truth["epidermis_length_mm"]
    assert 0.2 < lost < 0.8
    rows, columns = (cut.dej_um / PLAIN.mpp).astype(int).T
    assert (cut.labels[rows, columns] != BACKGROUND).mean() > 0.95
    kept = (cut.labels != BACKGROUND) & (cut.labels != KERATIN)
    np.testing.assert_array_equal(cut.labels[kept], whole.labels[kept])


def test_torn_out_parts_show_glass_and_change_nothing_else(whole: Phantom) -> None:
    torn = painted(Surface(gaps=0.3))
    changed = torn.labels != whole.labels
    assert 0.1 < changed[whole.labels > 0].mean() < 0.5
    assert set(np.unique(torn.labels[changed])) == {BACKGROUND}


def test_islands_are_epidermis_below_the_junction(whole: Phantom) -> None:
    islands = painted(Surface(islands=4.0))
    changed = islands.labels != whole.labels
    assert set(np.unique(islands.labels[changed])) >= {EPIDERMIS}
    np.testing.assert_array_equal(islands.dej_um, whole.dej_um)


def test_scraps_lie_on_the_glass_and_leave_section_and_curves_alone() -> None:
    spec = replace(PLAIN, surface=Surface(scraps=20), architecture="solid-cord")
    layout, loose = lay_out(replace(spec, surface=Surface())), scatter_scraps(lay_out(spec))
    tissue = np.minimum(layout.outline_um, layout.below_surface_um) > 0
    new = (np.minimum(loose.outline_um, loose.below_surface_um) > 0) & ~tissue
    assert ndimage.label(new)[1] >= 5
    assert not (loose.tumour_um[new] > 0).any()
    np.testing.assert_array_equal(loose.below_dej_um[tissue], layout.below_dej_um[tissue])
    np.testing.assert_array_equal(junction_um(loose, "dej"), junction_um(layout, "dej"))


def test_flaking_horn_shows_glass_between_lamellae(whole: Phantom) -> None:
    loose = painted(Surface(flaking=1.0))
    # Flakes make room for themselves above; below the surface nothing but that shift changes.
    share = [
        (slide.labels == EPIDERMIS).sum() / (slide.labels == KERATIN).sum()
        for slide in (whole, loose)
    ]
    assert share[0] != share[1]
    pieces = [ndimage.label(slide.labels == KERATIN)[1] for slide in (whole, loose)]
    assert pieces[1] > pieces[0]
