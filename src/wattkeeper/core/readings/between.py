"""Where between two reads of a register its energy was used: by time, or as a profile beside it says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.knots import scale_counts
from wattkeeper.core.readings.profile_grid import ProfileGrid
from wattkeeper.core.readings.settle import take

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

    Spans ``[starts_at_s, ends_at_s)``, rising and without overlap, and the energy of each as the meter itself
    counts; of shape (spans,).
    """

    starts_at_s: Int64s
    ends_at_s: Int64s
    energy_milliwh: Int64s

    @classmethod
    def of(
        cls, profiles: Sequence[InstallationFact], reads: Mapping[int, ReadColumns], grid: ProfileGrid
    ) -> "ByProfile":
        """Return what the channels of interval energy `profiles` held while they were installed.

        Of whatever multiplier, but only reads that count as the energy of intervals do too.
        """
        parts = [np.zeros((3, 0), dtype=np.int64)]
        for each in profiles:
            own, _ = grid.select(each, reads.get(each.channel_id))
            own = take(own, grid.rate(each, own).is_possible)
            starts_at_s, ends_at_s = own.measured_at_s, own.measured_at_s + grid.interval_s
            if each.ends_at_s is not None:
                ends_at_s = np.minimum(ends_at_s, each.ends_at_s)
            energy = scale_counts(own.value, each.step_milliwh)
            parts.append(np.stack((np.maximum(starts_at_s, each.starts_at_s), ends_at_s, energy)))
        spans = np.concatenate(parts, axis=1)
        return cls(*spans[:, np.unique(spans[0], return_index=True)[1]])

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
        first = int(np.searchsorted(self.ends_at_s, from_s, side="right"))
        inside = slice(first, int(np.searchsorted(self.starts_at_s, to_s)))
        starts_s, ends_s = self.starts_at_s[inside], self.ends_at_s[inside]
        overlap_s = np.minimum(ends_s, to_s) - np.maximum(starts_s, from_s)
        is_whole = overlap_s == ends_s - starts_s
        energy = self.energy_milliwh[inside]
        held = Fraction(int(energy[is_whole].sum()))
        for i in np.flatnonzero(~is_whole).tolist():
            held += Fraction(int(energy[i]) * int(overlap_s[i]), int(ends_s[i] - starts_s[i]))
        return held, to_s - from_s - int(overlap_s.sum())
