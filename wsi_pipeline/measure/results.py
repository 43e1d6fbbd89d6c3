"""What has been found out about a section, and about its slide?

1. `Curves` are the two junctions as they lie on the glass.
2. `SectionMeasurements` are the numbers of one piece of tissue; they can be read again from
   the file in which they were written, without the curves.
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


def read_values(raw: Mapping[str, Mapping[str, Any]]) -> dict[str, Measurement]:
    """Measurements by name from plain data as `Measurement.to_json` wrote them."""
    return {name: _read_value(entry) for name, entry in raw.items()}


def _read_value(raw: Mapping[str, Any]) -> Measurement:
    """One measurement; JSON knows no tuples."""
    value, interval = raw["value"], raw.get("interval")
    return Measurement(
        tuple(value) if isinstance(value, list) else value,
        raw["unit"],
        raw["status"],
        raw["reason"],
        (interval[0], interval[1]) if interval else None,
    )


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

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> SectionMeasurements:
        """Numbers of a section as `to_json` wrote them; curves are left out."""
        top, left, bottom, right = raw["box_um"]
        values = read_values(raw["values"])
        return cls(raw["section_id"], (top, left, bottom, right), values, curves=None)

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
