"""Where between two reads of a register its energy was used: by time, or as a profile beside it says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.knots import scale_counts
from wattkeeper.core.readings.settle import is_untrusted, settle_reads, take
from wattkeeper.core.readings.told import read_told

Between = Callable[[int, int, int, Fraction], Fraction]
"""(first read, instant, next read, energy between the reads) -> which part of it lies before the instant.

Instants are UTC seconds, energy is in milliwatt-hours as the meter itself counts, without a multiplier.
"""


def by_time(from_s: int, at_s: int, to_s: int, _energy_milliwh: Fraction) -> Fraction:
    """Return how much of the time lies before an instant: a straight line (E7)."""
    return Fraction(at_s - from_s, to_s - from_s)


@dataclass(frozen=True, slots=True, eq=False)
class ByProfile:
    """What a profile holds lies where it says; the rest evenly over the time of which it holds nothing (E7).

    `starts_at_s` rising, `energy_milliwh` as the meter itself counts, both of shape (intervals,).
    """

    starts_at_s: Int64s
    energy_milliwh: Int64s
    interval_s: int

    @classmethod
    def of(
        cls, profiles: Sequence[InstallationFact], reads: Mapping[int, ReadColumns], interval_s: int
    ) -> "ByProfile":
        """Return what the channels of interval energy `profiles` hold, of whatever multiplier."""
        starts_at_s, energy = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for each in profiles:
            own = reads.get(each.channel_id, ReadColumns.of([]))
            own = take(own, (own.value >= 0) & ~is_untrusted(read_told(own.flags).flags))
            own, _ = settle_reads(each.channel_id, own, interval_s=interval_s)
            starts_at_s.append(own.measured_at_s)
            energy.append(scale_counts(own.value, each.step_milliwh))
        starts, places = np.unique(np.concatenate(starts_at_s), return_index=True)
        return cls(starts, np.concatenate(energy)[places], interval_s)

    def __call__(self, from_s: int, at_s: int, to_s: int, energy_milliwh: Fraction) -> Fraction:
        """Return which part of an energy between two reads lies before an instant."""
        before, unheld_before_s = self._held(from_s, at_s)
        after, unheld_after_s = self._held(at_s, to_s)
        unheld_s = unheld_before_s + unheld_after_s
        if unheld_s:
            rest = max(energy_milliwh - before - after, Fraction(0))
            before += rest * unheld_before_s / unheld_s
            after += rest * unheld_after_s / unheld_s
        both = before + after
        return before / both if both else by_time(from_s, at_s, to_s, energy_milliwh)

    def _held(self, from_s: int, to_s: int) -> tuple[Fraction, int]:
        """Return the energy that is held of a span, and of how many seconds of it nothing is held."""
        first = int(np.searchsorted(self.starts_at_s, from_s - self.interval_s, side="right"))
        inside = slice(first, int(np.searchsorted(self.starts_at_s, to_s)))
        starts_s = self.starts_at_s[inside]
        overlap_s = np.minimum(starts_s + self.interval_s, to_s) - np.maximum(starts_s, from_s)
        whole, rest = np.divmod(self.energy_milliwh[inside], self.interval_s)
        energy = int((whole * overlap_s).sum()) + Fraction(int((rest * overlap_s).sum()), self.interval_s)
        return energy, to_s - from_s - int(overlap_s.sum())
