"""Within which ranges do the numbers of a description lie, and how are they drawn?

1. `check_amounts` refuses what cannot be painted.
2. `log_uniform` draws a factor or a size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from wsi_pipeline.errors import ConfigError


def check_amounts(amounts: Mapping[str, float], *, most: Mapping[str, float], what: str) -> None:
    """Refuse amounts below zero or beyond what can be painted.

    Parameters
    ----------
    amounts
        By name.
    most
        The greatest of each name.
    what
        What they describe, for the message.

    Raises
    ------
    ConfigError
        Naming every amount at fault, and its range.
    """
    faults = [
        f"'{name}' must lie in 0 to {most[name]:g}, not {value}"
        for name, value in amounts.items()
        if not 0 <= value <= most[name]
    ]
    if faults:
        raise ConfigError(f"phantom {what}: " + "; ".join(faults))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw so that halving is as likely as doubling."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))
