"""How can one thing be random without depending on how many others there are?

1. `Dice` rolls for a place: the same stream and the same place always give the same number.
2. So a nucleus keeps its size and look when a tumour elsewhere comes or goes, which makes two
   phantoms that differ in one factor comparable pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

# Places are told apart to this many steps per µm.
STEPS_PER_UM = 64.0
WORD = (1 << 64) - 1
# Odd constants of SplitMix64.
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dice:
    """A family of random numbers, one for each place and channel.

    Parameters
    ----------
    key
        Names the family.

    Notes
    -----
    SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195) over key, channel and
    place; normal numbers by the inverse of the distribution.
    """

    key: int

    @classmethod
    def of(cls, *seeds: int) -> Dice:
        """Family of some seeds."""
        return cls(int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]))

    def stream(self, number: int) -> Dice:
        """Give another family."""
        return Dice.of(self.key >> 32, self.key & 0xFFFFFFFF, number)

    def generator(self) -> np.random.Generator:
        """Give a generator for draws that always cover the whole slide."""
        return np.random.default_rng(self.key)

    def uniform(
        self, places_um: NDArray[np.floating], *, channel: int, low: float = 0.0, high: float = 1.0
    ) -> Reals:
        """Give even numbers for places (N, 2)."""
        start = (self.key + channel * GOLDEN) & WORD
        word = _mix(np.full(len(places_um), start, np.uint64))
        steps = np.rint(np.asarray(places_um, np.float64) * STEPS_PER_UM).astype(np.int64)
        for axis in (0, 1):
            word = _mix(word ^ steps[:, axis].view(np.uint64) * np.uint64(GOLDEN))
        share = (word >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + (high - low) * share

    def normal(self, places_um: NDArray[np.floating], *, channel: int, sd: float = 1.0) -> Reals:
        """Give normal numbers of mean 0 for places (N, 2)."""
        share = np.clip(self.uniform(places_um, channel=channel), 1e-12, 1 - 1e-12)
        return np.asarray(special.ndtri(share) * sd, np.float64)


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble words."""
    word = word + np.uint64(GOLDEN)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(FIRST)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(SECOND)
    return word ^ (word >> np.uint64(31))
