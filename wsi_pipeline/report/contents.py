"""What does a page need to be told?

1. A `CaseReport` is one page: its slides, its failures and where they came from.
2. A `SlideReport` is one slide that was measured; a `SlideFailure` one that was not.
3. A `CohortRow` is one line of the page, and of the table, over many cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.errors import StoreError
from wsi_pipeline.report.zoom import Zoom

Curves = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NuclearAreas:
    """How large the nuclei in tumour are.

    Parameters
    ----------
    counts
        Nuclei by area of their profile, in steps of ``step_um2``; the last holds all larger ones.
    limits
        What the mean area is held against: a word and a limit in µm².
    """

    counts: tuple[int, ...]
    step_um2: float
    limits: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class SlideReport:
    """One measured slide as its page shows it.

    Parameters
    ----------
    slide_id, block, stain
        Names from the case table; "" where none was given.
    measurements
        ``measurements.json``: ``values`` and ``declared`` by name, ``sections`` as a list.
    slide
        What the slide file says of itself.  Only the technical entries are shown, since a
        file may carry names or dates: see `wsi_pipeline.report.views.SLIDE_FACTS`.
    flags
        `wsi_pipeline.values.QualityFlag` as plain dictionaries.
    overview
        RGB picture of the whole slide, uint8 (Y, X, 3).
    overview_mpp
        Pixel width of ``overview``, µm.
    labels
        Tissue class per pixel of ``overview``, uint8 (Y, X).
    sections
        Section number per pixel of ``overview``, uint8 (Y, X); 0 outside tissue.
    model
        ``id``, ``version``, ``sha256``, ``is_baseline``, ``limits``, ``intended_use``.
    provenance
        What the numbers of this slide were made from and with.
    curves
        Per section ``dej_um`` and ``dsj_um``, each a list of (down, right) in µm, with None
        where the curve is interrupted.
    run_seconds
        Time all stages of this slide took, s; None where it is not known.
    overview_origin_um
        (down, right) of the overview's top-left corner in the slide frame, µm.
    zoom
        The slide in tiles and planes; None where only the overview is shown.
    nuclear_areas
        None where no nuclei were looked for or there are none.

    Raises
    ------
    StoreError
        If the three planes do not cover the same pixels.
    """

    slide_id: str
    block: str
    stain: str
    measurements: Mapping[str, Any]
    slide: Mapping[str, Any]
    flags: tuple[Mapping[str, Any], ...]
    overview: NDArray[np.uint8]
    overview_mpp: float
    labels: NDArray[np.uint8]
    sections: NDArray[np.uint8]
    model: Mapping[str, Any]
    provenance: Mapping[str, Any]
    curves: Sequence[Curves] = ()
    run_seconds: float | None = None
    overview_origin_um: tuple[float, float] = (0.0, 0.0)
    zoom: Zoom | None = None
    nuclear_areas: NuclearAreas | None = None

    def __post_init__(self) -> None:
        shapes = {self.overview.shape[:2], self.labels.shape, self.sections.shape}
        if len(shapes) > 1 or self.overview.shape[2:] != (3,):
            raise StoreError(
                f"slide '{self.slide_id}': overview {self.overview.shape}, labels "
                f"{self.labels.shape} and sections {self.sections.shape} must show the same "
                "pixels; compute this slide's overview, labels and sections again"
            )


@dataclass(frozen=True, slots=True)
class SlideFailure:
    """One slide of which there are no numbers.

    Parameters
    ----------
    slide_id
        Name from the case table.
    stage
        Step that stopped, e.g. ``inspect``.
    reason
        What was wrong and what to do, in words for the laboratory.
    log
        Path of the full log, relative to the page.
    """

    slide_id: str
    stage: str
    reason: str
    log: str


@dataclass(frozen=True, slots=True, eq=False)
class CaseReport:
    """All slides that are reported together.

    Parameters
    ----------
    case_id
        Name of the case; with ``primary_site`` the only identity on the page.
    primary_site
        Origin of the tumour as declared in the case table; "" where it was not.
    slides, failures
        Every slide of the case is in one of the two.
    provenance
        What the page was made from and with.
    calls
        What the slides say together, as plain data (`wsi_pipeline.measure.calls.Call` by name);
        empty where nothing was concluded.
    """

    case_id: str
    primary_site: str
    slides: tuple[SlideReport, ...]
    failures: tuple[SlideFailure, ...]
    provenance: Mapping[str, Any]
    calls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CohortRow:
    """One slide among those of all cases.

    Parameters
    ----------
    case_id, slide_id
        Names from the case table.
    status
        ``done`` or ``failed``.
    stage, reason, log
        Where and why it failed, and the path of the log; "" where it is done.
    values
        Measurements by name as in the ``values`` of ``measurements.json``; empty if failed.
    report
        Path of the case's page, relative to the cohort's; "" where there is none.
    model_id, model_version
        What segmented the slide; "" where nothing did or it is not known.
    is_baseline
        Whether that is a baseline without learnt weights, whose numbers are not findings.
    flags
        Codes of the slide's quality flags; one that several sections raised may be repeated.
    pipeline_version
        Version of this software that measured the slide; "" where it is not known.
    mpp
        Native pixel width that all lengths rest on, µm; None where it is not known.
    primary_site
        Origin of the tumour as declared for the case; "" where it was not.
    """

    case_id: str
    slide_id: str
    status: Literal["done", "failed"]
    stage: str
    reason: str
    log: str
    values: Mapping[str, Mapping[str, Any]]
    report: str
    model_id: str = ""
    model_version: str = ""
    is_baseline: bool = False
    flags: tuple[str, ...] = ()
    pipeline_version: str = ""
    mpp: float | None = None
    primary_site: str = ""

    @property
    def has_numbers(self) -> bool:
        """Whether the slide was measured."""
        return self.status == "done"

    @property
    def flag_codes(self) -> tuple[str, ...]:
        """Each code once, in the order given."""
        return tuple(dict.fromkeys(self.flags))
