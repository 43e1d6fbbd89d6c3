from __future__ import annotations

import json

import pytest

from wsi_pipeline.values import Measurement, QualityFlag


def test_json_round_trip() -> None:
    value = Measurement(1.5, "mm²", interval=(1.0, 2.0))
    assert Measurement(**json.loads(json.dumps(value.to_json()))) == Measurement(
        1.5, "mm²", interval=[1.0, 2.0]
    )
    flag = QualityFlag("fat_absent", "warn", "No fat.", 0.5, "mm²")
    assert QualityFlag(**flag.to_json()) == flag


@pytest.mark.parametrize("make", [Measurement.not_assessable, Measurement.not_defined])
def test_absent_values_carry_a_reason(make: type[Measurement]) -> None:
    assert make("µm", "no epidermis").value is None
    with pytest.raises(ValueError, match="needs a reason"):
        make("µm", "")


@pytest.mark.parametrize(
    ("value", "status"),
    [(None, "measured"), (None, "at_least"), (0.0, "not_assessable"), (0.0, "not_defined")],
)
def test_null_is_not_zero(value: float | None, status: str) -> None:
    with pytest.raises(ValueError, match="cannot have the status"):
        Measurement(value, "µm", status, "because")  # type: ignore[arg-type]


def test_a_lower_bound_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        Measurement(3.0, "µm", "at_least")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        Measurement(value, "µm")
