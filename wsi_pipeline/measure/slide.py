"""What do the labels of a whole slide say about the dermis?

1. Check that the planes and their grids belong together.
2. Measure the sections one after the other, each cropped to its box.
3. Roll their values up to the slide and collect the flags.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import ADNEXA, BACKGROUND, CLASS_NAMES, TISSUE_CLASSES
from wsi_pipeline.config import MeasureSettings
from wsi_pipeline.errors import MeasurementError
from wsi_pipeline.geometry import Grid
from wsi_pipeline.measure.dej import margin_um
from wsi_pipeline.measure.plane import section_planes
from wsi_pipeline.measure.results import SlideMeasurements
from wsi_pipeline.measure.rollup import roll_up
from wsi_pipeline.measure.section import measure_section
from wsi_pipeline.values import Measurement, QualityFlag

DECLARATIONS = ("vertical", "horizontal", "auto")

# Below this the depth and shape of a tumour rest on a few dozen cells.
_TINY_TUMOUR_MM2 = 0.05


def measure_slide(
    labels: NDArray[np.uint8],
    *,
    grid: Grid,
    sections: NDArray[np.uint8],
    sections_grid: Grid,
    declared_section: str,
    settings: MeasureSettings,
    never_called: tuple[str, ...] = (),
    tumour_probability: NDArray[np.uint8] | None = None,
) -> SlideMeasurements:
    """Measure every section of a slide.

    Parameters
    ----------
    labels
        uint8 (Y, X) on ``grid``: class of every pixel, see `wsi_pipeline.classes`.
    sections
        uint8 (Y, X) on ``sections_grid``, which lies over the same glass: 0 glass, n the
        n-th piece of tissue.  What lies outside every section is not measured.
    declared_section
        ``vertical`` or ``horizontal`` as the case table says, or ``auto``.
    settings
        How to measure.
    never_called
        Names of the classes that the model which made the labels cannot call: what they
        amount to is null, not zero.
    tumour_probability
        uint8 (Y, X) on ``grid``: 255 times the probability of tumour, from which intervals
        take what the segmentation leaves open; None if it is not known.

    Returns
    -------
    SlideMeasurements
        Numbers for research use: operational definitions of this software, neither
        corrected for an oblique cut or for shrinkage nor validated on human tissue.

    Raises
    ------
    MeasurementError
        Where planes and grids do not belong together, there is no section, or a word is
        unknown.
    """
    _check_planes(labels, grid, sections=sections, sections_grid=sections_grid)
    if tumour_probability is not None and tumour_probability.shape != labels.shape:
        raise MeasurementError(
            f"the tumour probabilities of shape {tumour_probability.shape} do not fit the label "
            f"map of {labels.shape}; give both on one grid"
        )
    _check_words(declared_section, never_called)
    sliced = section_planes(
        labels,
        grid=grid,
        sections=sections,
        sections_grid=sections_grid,
        mpp=settings.mpp,
        margin_um=margin_um(settings),
        tumour_probability=tumour_probability,
    )
    found = [
        measure_section(plane, declared_section, settings=settings, never_called=never_called)
        for plane in sliced
    ]
    measured = tuple(section for section, _ in found)
    values = roll_up(measured)
    flags = [flag for _, flags in found for flag in flags]
    flags += _slide_flags(labels, values["area_tumour_mm2"])
    flags += _model_flags(never_called)
    return SlideMeasurements(values, measured, tuple(flags))


def _check_planes(
    labels: NDArray[np.uint8], grid: Grid, *, sections: NDArray[np.uint8], sections_grid: Grid
) -> None:
    """Refuse planes that cannot be measured."""
    for name, plane, its_grid in (("label", labels, grid), ("section", sections, sections_grid)):
        if plane.shape != its_grid.shape:
            raise MeasurementError(
                f"the {name} map of shape {plane.shape} does not fit its grid of "
                f"{its_grid.shape}; give each map the grid it was made on"
            )
    if labels.size and labels.max() >= len(TISSUE_CLASSES):
        raise MeasurementError(
            f"the label map holds class {labels.max()}, but classes end at "
            f"{len(TISSUE_CLASSES) - 1}; make it with this version's classes"
        )
    if not sections.any():
        raise MeasurementError(
            "the section map holds no section; check the tissue mask of this slide"
        )


def _check_words(declared_section: str, never_called: tuple[str, ...]) -> None:
    """Refuse words that mean nothing here."""
    if declared_section not in DECLARATIONS:
        raise MeasurementError(
            f"section plane {declared_section!r} is unknown; declare one of "
            f"{', '.join(DECLARATIONS)} for this slide"
        )
    unknown = [name for name in never_called if name not in CLASS_NAMES]
    if unknown:
        raise MeasurementError(
            f"the model never calls {', '.join(unknown)}, but there is no such class; name some "
            f"of {', '.join(CLASS_NAMES)} in its card"
        )


def _slide_flags(labels: NDArray[np.uint8], tumour: Measurement) -> Iterator[QualityFlag]:
    """Flag what concerns the slide as a whole."""
    rims = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    if any((rim != BACKGROUND).any() for rim in rims):
        message = "Tissue reaches the edge of the plane; its areas and lengths are lower bounds."
        yield QualityFlag("touches_edge", "warn", message)
    area_mm2 = tumour.value
    if isinstance(area_mm2, float) and 0 < area_mm2 < _TINY_TUMOUR_MM2:
        message = f"There are only {area_mm2:.3f} mm² of tumour; its depths rest on few cells."
        yield QualityFlag("tumour_tiny", "warn", message, area_mm2, "mm²")


def _model_flags(never_called: tuple[str, ...]) -> Iterator[QualityFlag]:
    """Flag what the model cannot tell apart."""
    if CLASS_NAMES[ADNEXA] in never_called:
        message = (
            "The model never calls adnexa: follicles and glands are counted as other classes, "
            "also as tumour, and depths may be theirs."
        )
        yield QualityFlag("adnexa_not_segmented", "warn", message)
