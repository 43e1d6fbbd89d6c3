"""What would this slide look like if one thing about it were different?

1. `counterfactuals` gives the specs that differ from one in a single factor.
2. Everything random belongs to a place (`dice`) or to a stream of its own, so what the factor
   does not reach stays the same to the last pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from wsi_pipeline.phantom.skin import draw_skin
from wsi_pipeline.phantom.spec import LAYERED, PhantomSpec, depth_stretch

# How far a tumour, or its absence, is seen in the stroma around it, µm.
REACH_UM = 330.0
# Relative depth down to which the tumour of "half depth" is shown.
HALF = 0.5


def counterfactuals(spec: PhantomSpec) -> dict[str, PhantomSpec]:
    """Slides that differ from one in one factor.

    Parameters
    ----------
    spec
        The slide as it is.

    Returns
    -------
    dict of str to PhantomSpec
        By factor, those that this slide does not show already: ``as it is`` (to compare with),
        ``no tumour``, ``half depth``, ``cords only``, ``grade 3``, ``no fat``, ``no epidermis``.

    Notes
    -----
    What changes and what stays:

    ============  ==========================================  =================================
    factor        changes                                     stays
    ============  ==========================================  =================================
    no tumour     tumour, its emboli, stroma within 0.33 mm   all else; lost follicles stay lost
    half depth    the same below half of the dermis           all else
    cords only    the growth pattern, and stroma alike        all else
    grade 3       nuclei of the tumour (and files of cells)   labels, all 20 µm away from tumour
    no fat        section ends above the fat                  all that is still shown
    no epidermis  epidermis, horn, rims of follicles          all 60 µm away from epithelium
    ============  ==========================================  =================================

    Artefacts are placed on the tissue that is there: where its outline changes they move.
    """
    fixed = _with_fixed_dermis(spec)
    return {"as it is": fixed, **dict(_changed(fixed))}


def _with_fixed_dermis(spec: PhantomSpec) -> PhantomSpec:
    """Spec that states the thickness of the dermis which it would have drawn."""
    if spec.section not in LAYERED or spec.dermis_mm is not None:
        return spec
    drawn_um, stretch = draw_skin(spec).dermis_um, depth_stretch(spec)
    thick_mm = drawn_um / stretch / 1000
    # The last digit decides where a curve crosses a pixel.
    for toward in (0.0, math.inf):
        near = thick_mm
        for _ in range(4):
            if 1000 * stretch * near == drawn_um:
                return replace(spec, dermis_mm=near)
            near = math.nextafter(near, toward)
    return replace(spec, dermis_mm=thick_mm)


def _changed(spec: PhantomSpec) -> Iterator[tuple[str, PhantomSpec]]:
    """Each factor that can change, with the spec in which it has."""
    layered = spec.section in LAYERED
    if spec.architecture != "none" and spec.shown_to != 0:
        yield "no tumour", replace(spec, shown_to=0.0)
        if layered and (spec.shown_to is None or spec.shown_to > HALF):
            yield "half depth", replace(spec, shown_to=HALF)
        if spec.architecture != "cord":
            yield "cords only", replace(spec, architecture="cord")
        if spec.grade != 3:
            yield "grade 3", replace(spec, grade=3)
    if layered and spec.with_subcutis:
        yield "no fat", replace(spec, with_subcutis=False)
    if layered and spec.with_epidermis and not spec.ulceration:
        yield "no epidermis", replace(spec, with_epidermis=False)
