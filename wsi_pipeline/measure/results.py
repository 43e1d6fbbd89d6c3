"""What has been found out about a section, and about its slide?

1. `Curves` are the two junctions as they lie on the glass.
2. `SectionMeasurements` are the numbers of one piece of tissue.
3. `SlideMeasurements` are the numbers of a slide, its sections and its quality flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.values import Measurement, QualityFlag


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """The two borders of the dermal compartment, in the slide frame.

    Parameters
    ----------
    dej_um, dsj_um
        float64 (N, 2), ``(down, right)`` in µm.  A row of NaN parts one piece of a curve
        from the next; ``(0, 2)`` where the junction is not seen.
    dsj_interpolated_fraction
        Share of the dermo-subcutaneous junction that was carried across from its flanks.
    """

    dej_um: NDArray[np.float64]
    dsj_um: NDArray[np.float64]
    dsj_interpolated_fraction: float

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file: 0.1 µm steps, null where a curve is interrupted."""
        return {
            "dej_um": _rows(self.dej_um),
            "dsj_um": _rows(self.dsj_um),
            "dsj_interpolated_fraction": self.dsj_interpolated_fraction,
        }


def _rows(points_um: NDArray[np.float64]) -> list[list[float] | None]:
    """Points as lists; an interruption as None."""
    return [
        row if np.isfinite(row[0]) else None
        for row in (points_um.round(1) + 0.0).tolist()  # adding zero turns -0.0 into 0.0
    ]


@dataclass(frozen=True, slots=True, eq=False)
class SectionMeasurements:
    """What one connected piece of tissue shows.

    Parameters
    ----------
    section_id
        Its value in the section map.
    box_um
        ``(top, left, bottom, right)`` in the slide frame, µm.
    values
        Name to `Measurement`; docs/measurements.md defines every name.
    curves
        None where no dermo-epidermal junction was looked for or seen.
    """

    section_id: int
    box_um: tuple[float, float, float, float]
    values: Mapping[str, Measurement]
    curves: Curves | None

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return {
            "section_id": self.section_id,
            "box_um": list(self.box_um),
            "values": {name: value.to_json() for name, value in self.values.items()},
            "curves": None if self.curves is None else self.curves.to_json(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class SlideMeasurements:
    """What a slide shows: its sections rolled up.

    Parameters
    ----------
    values
        The same names as for a section; `wsi_pipeline.measure.rollup` says how each one
        is rolled up.
    sections
        In the order of their ids.
    flags
        What limits the meaning of these numbers.
    """

    values: Mapping[str, Measurement]
    sections: tuple[SectionMeasurements, ...]
    flags: tuple[QualityFlag, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a JSON file."""
        return {
            "values": {name: value.to_json() for name, value in self.values.items()},
            "sections": [section.to_json() for section in self.sections],
            "flags": [flag.to_json() for flag in self.flags],
        }
