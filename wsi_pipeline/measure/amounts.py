"""How much of each tissue is there?

Areas and the share of tumour need no orientation: they are measured on every section.
"""

from __future__ import annotations

from wsi_pipeline.classes import BACKGROUND, CLASS_NAMES, TUMOUR
from wsi_pipeline.measure.plane import SectionPlane
from wsi_pipeline.values import Measurement

AMOUNT_UNITS: dict[str, str] = {
    "tissue_area_mm2": "mm²",
    **{f"area_{name}_mm2": "mm²" for value, name in enumerate(CLASS_NAMES) if value != BACKGROUND},
    "tumour_tissue_fraction": "1",
}


def measure_amounts(plane: SectionPlane) -> dict[str, Measurement]:
    """Areas of the section, its classes, and the tumour's share; exact sums of label pixels."""
    areas_um2 = (plane.tissue_um2, *plane.areas_um2[BACKGROUND + 1 :])
    values = {
        name: Measurement(area_um2 / 1e6, "mm²")
        for name, area_um2 in zip(AMOUNT_UNITS, areas_um2, strict=False)
    }
    values["tumour_tissue_fraction"] = (
        Measurement(plane.areas_um2[TUMOUR] / plane.tissue_um2, "1")
        if plane.tissue_um2 > 0
        else Measurement.not_defined("1", "no pixel of the section is labelled as tissue")
    )
    return values
