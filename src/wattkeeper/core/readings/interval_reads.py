"""Reads that already are interval energy (profiles of differences, NEM12, CSV) as intervals of a series."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.intervals import (
    INTERVAL_FLAGS,
    Gap,
    Intervals,
    InvalidWindow,
    find_installed,
)
from wattkeeper.core.readings.knots import scale_counts
from wattkeeper.core.readings.settle import settle_reads, take


def collect_intervals(
    *,
    installations: Sequence[InstallationFact],
    reads: Mapping[int, ReadColumns],
    from_s: int,
    to_s: int,
    interval_s: int,
    power_max_w: int,
) -> Intervals:
    """Return the intervals of a series over ``[from_s, to_s)`` from reads that hold interval energy.

    A read is named by the start of its interval and counts the channel's step; the multiplier in force then
    applies, and what is less than a milliwatt-hour is dropped. A negative value, or more than the service can
    carry, is a ``readings.out-of-range`` finding and not used. No register brackets a gap here, so its energy
    is unknown; a position is the sum since the window began, known beside measured intervals.

    :raises InvalidWindow: if the window is not a whole number of intervals
    """
    if interval_s <= 0 or to_s <= from_s or (to_s - from_s) % interval_s:
        raise InvalidWindow("readings.window", from_s=from_s, to_s=to_s, interval_s=interval_s)
    boundaries = np.arange(from_s, to_s + 1, interval_s, dtype=np.int64)
    count = len(boundaries) - 1
    value, flags = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    is_present = np.zeros(count, dtype=np.bool_)
    findings: list[Finding] = []
    limit_milliwh = power_max_w * 1000 * interval_s // 3600
    for installation in installations:
        own, found = _select(installation, reads.get(installation.channel_id), boundaries, interval_s)
        energy = _to_energy(installation, own)
        is_possible = (energy >= 0) & (energy <= limit_milliwh)
        findings += found
        findings += [
            Finding(
                "readings.out-of-range",
                int(own.measured_at_s[i]),
                int(own.measured_at_s[i]) + interval_s,
                {"value": int(own.value[i])},
                channel_id=installation.channel_id,
            )
            for i in np.flatnonzero(~is_possible)
        ]
        places = (own.measured_at_s[is_possible] - from_s) // interval_s
        value[places], is_present[places] = energy[is_possible], True
        flags[places] = own.flags[is_possible] & INTERVAL_FLAGS
    return _assemble(boundaries, interval_s, value, flags, is_present, installations, findings)


def _select(
    installation: InstallationFact, reads: ReadColumns | None, boundaries: Int64s, interval_s: int
) -> tuple[ReadColumns, list[Finding]]:
    """Return one read for each interval of the grid in which the channel was installed."""
    if reads is None:
        return ReadColumns.of([]), []
    is_own = np.isin(reads.measured_at_s, boundaries[:-1]) & (reads.measured_at_s >= installation.starts_at_s)
    if installation.ends_at_s is not None:
        is_own &= reads.measured_at_s < installation.ends_at_s
    return settle_reads(installation.channel_id, take(reads, is_own), interval_s=interval_s)


def _to_energy(installation: InstallationFact, reads: ReadColumns) -> Int64s:
    changes = np.array([period.starts_at_s for period in installation.multipliers[1:]], dtype=np.int64)
    period_of = np.searchsorted(changes, reads.measured_at_s, side="right")
    energy = np.zeros(len(reads), dtype=np.int64)
    for place, period in enumerate(installation.multipliers):
        inside = period_of == place
        rate: Fraction = installation.step_milliwh * period.ratio
        energy[inside] = scale_counts(reads.value[inside], rate)
    return energy


def _assemble(
    boundaries: Int64s,
    interval_s: int,
    value: Int64s,
    flags: Int64s,
    is_present: NDArray[np.bool_],
    installations: Sequence[InstallationFact],
    findings: list[Finding],
) -> Intervals:
    is_installed = find_installed(installations, boundaries)
    is_missing = np.concatenate(([False], is_installed & ~is_present, [False]))
    edges = np.flatnonzero(is_missing[1:] != is_missing[:-1]).tolist()
    gaps = zip(edges[::2], edges[1::2], strict=True)
    is_beside = np.concatenate((is_present, [False])) | np.concatenate(([False], is_present))
    return Intervals(
        interval_s=interval_s,
        starts_at_s=boundaries[:-1],
        value_milliwh=value,
        provenance=np.where(is_present, Provenance.MEASURED, Provenance.MISSING),
        flags=np.where(is_present, flags, Flag.NONE),
        method=np.zeros_like(value),
        is_installed=is_installed,
        position_milliwh=np.concatenate(([0], np.cumsum(value))),
        position_chain=np.where(is_beside, 0, -1),
        gaps=tuple(Gap(first, end, None, is_exact=False) for first, end in gaps),
        findings=tuple(findings),
    )
