"""Which reads of interval energy count: trusted, on the grid, while installed, no more than withstood."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.knots import scale_counts
from wattkeeper.core.readings.settle import is_untrusted, settle_reads, take
from wattkeeper.core.readings.told import read_told
from wattkeeper.core.readings.usual_power import WITHSTOOD_TIMES


@dataclass(frozen=True, slots=True, eq=False)
class RatedReads:
    """What reads of interval energy are worth, one element for each; shape (reads,).

    `energy_milliwh` is primary, ``floor(value * rates[rate_of])``. `is_cut`: the multiplier changed inside.
    `is_possible`: not negative, and no more than a service withstands.
    """

    energy_milliwh: Int64s
    rate_of: NDArray[np.intp]
    rates: list[Fraction]
    is_cut: NDArray[np.bool_]
    is_possible: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ProfileGrid:
    """The intervals of a series, by their starts (rising), and the most energy (primary) that one holds."""

    starts_at_s: Int64s
    interval_s: int
    limit_milliwh: int

    @classmethod
    def over(cls, from_s: int, to_s: int, interval_s: int, power_max_w: int) -> "ProfileGrid":
        """Return the intervals that begin in ``[from_s, to_s)``, one of them at `from_s`."""
        starts_at_s = np.arange(from_s, to_s, interval_s, dtype=np.int64)
        return cls(starts_at_s, interval_s, WITHSTOOD_TIMES * power_max_w * 1000 * interval_s // 3600)

    def touched_by(self, installation: InstallationFact) -> NDArray[np.bool_]:
        """Which intervals overlap an installation."""
        is_touched = self.starts_at_s + self.interval_s > installation.starts_at_s
        if installation.ends_at_s is not None:
            is_touched &= self.starts_at_s < installation.ends_at_s
        return is_touched

    def select(
        self, installation: InstallationFact, reads: ReadColumns | None
    ) -> tuple[ReadColumns, list[Finding]]:
        """Return one trusted read for each interval that overlaps the installation, and disputes."""
        if reads is None:
            return ReadColumns.of([]), []
        is_own = np.isin(reads.measured_at_s, self.starts_at_s[self.touched_by(installation)])
        is_own &= ~is_untrusted(read_told(reads.flags).flags)
        return settle_reads(installation.channel_id, take(reads, is_own), interval_s=self.interval_s)

    def rate(self, installation: InstallationFact, reads: ReadColumns) -> RatedReads:
        """Return what selected reads are worth by the multipliers in force; one that is cut, by their mean.

        :raises ReadingsOutOfRange: if an energy does not fit 64 bits
        """
        changes = np.array([period.starts_at_s for period in installation.multipliers[1:]], dtype=np.int64)
        rate_of = np.searchsorted(changes, reads.measured_at_s, side="right")
        is_cut = rate_of != np.searchsorted(changes, reads.measured_at_s + self.interval_s, side="left")
        ratios = [period.ratio for period in installation.multipliers]
        for i in np.flatnonzero(is_cut).tolist():
            rate_of[i] = len(ratios)
            ratios.append(_mean_ratio(installation, int(reads.measured_at_s[i]), self.interval_s))
        rates = [installation.step_milliwh * ratio for ratio in ratios]
        energy = np.zeros(len(reads), dtype=np.int64)
        for number, rate in enumerate(rates):
            energy[rate_of == number] = scale_counts(reads.value[rate_of == number], rate)
        return RatedReads(energy, rate_of, rates, is_cut, (energy >= 0) & (energy <= self.limit_milliwh))


def _mean_ratio(installation: InstallationFact, starts_at_s: int, interval_s: int) -> Fraction:
    """Return the mean multiplier of the part of an interval in which the channel was installed."""
    ends_at_s = starts_at_s + interval_s
    starts_at_s = max(starts_at_s, installation.starts_at_s)
    if installation.ends_at_s is not None:
        ends_at_s = min(ends_at_s, installation.ends_at_s)
    total = Fraction(0)
    for period in installation.multipliers:
        until_s = ends_at_s if period.ends_at_s is None else min(ends_at_s, period.ends_at_s)
        total += period.ratio * max(0, until_s - max(starts_at_s, period.starts_at_s))
    return total / (ends_at_s - starts_at_s)
