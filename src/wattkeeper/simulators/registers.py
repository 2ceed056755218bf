"""What a meter's registers show at any second, from the energy that really flowed. Exact integers only.

    secondary = primary / ratio in force, piece by piece
    count     = floor(secondary since installed / step) + start
    display   = count modulo 10 ** digits

The memory holds a record at each of the meter's own quarter hours: its clock shows true time + offset.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from wattkeeper.simulators.load import PARTS_PER_MILLIWH
from wattkeeper.simulators.supply import Supply

Int64s = NDArray[np.int64]
DAY_S = 86_400
_NEVER_S = 1 << 40


@dataclass(slots=True, eq=False)
class Registers:
    """The import register of one meter. All instants are true UTC seconds unless a name says `stamp`.

    `ratios`: (from_s, ratio) pieces, the first since installation; `step_milliwh`: one count, secondary.
    """

    supply: Supply
    step_milliwh: Fraction
    digits: int
    start_counts: int
    installed_s: int
    ratios: list[tuple[int, Fraction]]
    removed_s: int | None = None
    clock_offset_s: int = 0
    interval_s: int = 900
    memory_days: int = 62
    holes: tuple[tuple[int, int], ...] = ()
    _records: dict[int, int] = field(default_factory=dict, init=False)

    def counts(self, at_s: Int64s) -> Int64s:
        """Return the counts since made, never rolled over, at each instant while installed."""
        at_s = np.clip(at_s, self.installed_s, _NEVER_S if self.removed_s is None else self.removed_s)
        scale = lcm(*(ratio.numerator for _, ratio in self.ratios))
        secondary = np.zeros(at_s.shape, dtype=np.int64)
        for (from_s, ratio), to_s in zip(self.ratios, self._ratio_ends(), strict=True):
            start_s = min(max(from_s, self.installed_s), to_s)
            start = self.supply.positions(np.array([start_s], dtype=np.int64))
            flowed = self.supply.positions(np.clip(at_s, start_s, to_s)) - start
            secondary += flowed * (ratio.denominator * (scale // ratio.numerator))
        step = self.step_milliwh
        parts = PARTS_PER_MILLIWH * scale * step.numerator
        return np.asarray(secondary * step.denominator // parts + self.start_counts)

    def _ratio_ends(self) -> list[int]:
        return [*(from_s for from_s, _ in self.ratios[1:]), _NEVER_S]

    def display(self, at_s: int) -> int:
        """Return the digits shown at one instant."""
        return int(self.display_many(np.array([at_s], dtype=np.int64))[0])

    def display_many(self, at_s: Int64s) -> Int64s:
        """Return the digits shown at each instant."""
        return np.asarray(self.counts(at_s) % 10**self.digits)

    def true_s(self, stamp_s: Int64s) -> Int64s:
        """Return the true instants at which the meter's clock shows each stamp."""
        return np.asarray(stamp_s - self.clock_offset_s)

    def clock_s(self, at_s: int) -> int:
        """Return what the meter's clock shows at the true instant."""
        return at_s + self.clock_offset_s

    def is_installed(self, at_s: int) -> bool:
        """Whether the meter hangs at its point at the true instant."""
        return self.installed_s <= at_s and (self.removed_s is None or at_s < self.removed_s)

    def profile_stamps(self, from_stamp_s: int, to_stamp_s: int, now_s: int) -> Int64s:
        """Return the stamps in [from, to) by the meter's clock of which the memory has a record at `now_s`.

        The memory is a ring: both ends of each of the last `memory_days` days' intervals.
        """
        newest = self.clock_s(min(now_s, _NEVER_S if self.removed_s is None else self.removed_s))
        ring_s = newest // self.interval_s * self.interval_s - self.memory_days * DAY_S
        oldest = max(self.clock_s(self.installed_s), ring_s)
        first = -(-max(from_stamp_s, oldest) // self.interval_s) * self.interval_s
        stamps = np.arange(first, min(to_stamp_s, newest + 1), self.interval_s, dtype=np.int64)
        for start, end in self.holes:
            stamps = stamps[(stamps < start) | (stamps >= end)]
        return stamps

    def profile(self, from_stamp_s: int, to_stamp_s: int, now_s: int) -> list[tuple[int, int]]:
        """Return the records (stamp, digits shown) of the memory with from <= stamp < to."""
        stamps: list[int] = self.profile_stamps(from_stamp_s, to_stamp_s, now_s).tolist()
        if any(stamp not in self._records for stamp in stamps):
            self._record_days(stamps[0], stamps[-1], now_s)
        return [(stamp, self._records[stamp]) for stamp in stamps]

    def _record_days(self, from_stamp_s: int, to_stamp_s: int, now_s: int) -> None:
        """Write down whole days of records around the span; what is past never changes."""
        stamps = self.profile_stamps(from_stamp_s - DAY_S, to_stamp_s + DAY_S, now_s)
        shown = self.display_many(self.true_s(stamps))
        self._records.update(zip(stamps.tolist(), shown.tolist(), strict=True))

    def power_w(self, at_s: int) -> Fraction:
        """Return the secondary power at one instant."""
        in_force = [ratio for from_s, ratio in self.ratios if from_s <= at_s]
        return self.supply.power_w(at_s) / (in_force[-1] if in_force else self.ratios[0][1])
