"""What has been found out about a section, and about its slide?

1. `Curves` are the two junctions as they lie on the glass.
2. `LateralProfile` is the tumour's extent column by column, `DepthPlane` the depth of every pixel.
3. `SectionMeasurements` are the numbers of one piece of tissue; they can be read again from
   the file in which they were written, without curves, profile and plane.
4. `SlideMeasurements` are the numbers of a slide, its sections and its quality flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.geometry import Grid
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


@dataclass(frozen=True, slots=True, eq=False)
class LateralProfile:
    """How far tumour goes through the dermis in each of N columns along the junction.

    Parameters
    ----------
    piece
        intp (N,), stretch of the junction that a column belongs to.
    width_um, thickness_um
        float64 (N,), length of the junction a column stands for; its length between the
        junctions, NaN where it cannot be judged.
    first, last, cover
        float64 (N,), of the infiltration envelope, as shares of the thickness: where it begins
        and ends (1 and 0 without any), and how much of the column it covers.
    is_full
        bool (N,), whether the column counts as full-thickness.
    """

    piece: NDArray[np.intp]
    width_um: NDArray[np.float64]
    thickness_um: NDArray[np.float64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    cover: NDArray[np.float64]
    is_full: NDArray[np.bool_]

    def to_json(self) -> dict[str, list[Any]]:
        """Plain lists for a JSON file: 0.1 µm, 0.001 of a share, null where not judged."""
        return {
            "piece": self.piece.tolist(),
            "width_um": self.width_um.round(1).tolist(),
            "thickness_um": [
                round(value, 1) if np.isfinite(value) else None
                for value in self.thickness_um.tolist()
            ],
            **{
                name: values.round(3).tolist()
                for name, values in (
                    ("first", self.first),
                    ("last", self.last),
                    ("cover", self.cover),
                )
            },
            "is_full": self.is_full.tolist(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class DepthPlane:
    """Depth below the dermo-epidermal junction of every pixel of a plane.

    Parameters
    ----------
    grid
        Where the plane lies.
    depth_um, relative
        float32 (Y, X), µm and 0-1; NaN where there is none.
    """

    grid: Grid
    depth_um: NDArray[np.float32]
    relative: NDArray[np.float32]


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
    lateral
        None where no column could be followed from junction to junction.
    depth
        None where no depth has a meaning.  Not part of the JSON.
    """

    section_id: int
    box_um: tuple[float, float, float, float]
    values: Mapping[str, Measurement]
    curves: Curves | None
    lateral: LateralProfile | None = None
    depth: DepthPlane | None = None

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> SectionMeasurements:
        """Numbers of a section as `to_json` wrote them; curves, profile and plane are left out."""
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
            "lateral": None if self.lateral is None else self.lateral.to_json(),
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
