"""The reads of a register that stand, and the energy between them: what is told of a period."""

from dataclasses import dataclass

import numpy as np

from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.positions import Limits, trace_installation
from wattkeeper.core.readings.settle import is_untrusted, settle_reads, take
from wattkeeper.core.readings.told import read_told

_TOLD_SOURCES = (int(Source.FILE), int(Source.FIELD))


@dataclass(frozen=True, slots=True, eq=False)
class StandingReads:
    """Reads of one register in order of time, all int64 of shape (n,).

    `value` as the register showed it, in counts; `position_milliwh` primary, comparable within one `chain`.
    `doubt` rises wherever the register may have come round once more than it shows: between two reads of
    unlike doubt the energy is the least that is possible.
    """

    at_s: Int64s
    value: Int64s
    flags: Int64s
    source: Int64s
    position_milliwh: Int64s
    chain: Int64s
    doubt: Int64s


def find_standing(
    installation: InstallationFact, reads: ReadColumns, limits: Limits
) -> tuple[StandingReads, int]:
    """Return the reads of an installation that can be told, and how many are kept back.

    Of those at one instant the one that `settle_reads` prefers. Kept back are suspect reads, of which a
    file's own estimate is none, and those that no line of the register passes through
    (`trace_installation`).
    """
    is_own = reads.measured_at_s >= installation.starts_at_s
    if installation.ends_at_s is not None:
        is_own &= reads.measured_at_s <= installation.ends_at_s
    reads = take(reads, is_own)
    told = read_told(reads.flags)
    is_suspect = (told.provenance == Provenance.MEASURED) & ((told.flags & Flag.SUSPECT) != 0)
    is_suspect |= is_untrusted(told.flags)
    good = take(reads, ~is_suspect)
    knots, findings = trace_installation(installation, good, limits)
    settled, _conflicts = settle_reads(installation.channel_id, good, interval_s=limits.interval_s)
    at_s, first = np.unique(knots.at_s, return_index=True)  # a multiplier change at a read has two knots
    is_read = np.isin(at_s, settled.measured_at_s)
    at_s, first = at_s[is_read], first[is_read]
    own = take(settled, np.searchsorted(settled.measured_at_s, at_s))
    unsure_s = sorted(each.ends_at_s for each in findings if each.rule == "readings.rollover-ambiguous")
    standing = StandingReads(
        at_s,
        own.value,
        own.flags,
        own.source,
        knots.position_milliwh[first],
        knots.chain[first],
        np.searchsorted(unsure_s, at_s, side="right").astype(np.int64),
    )
    return standing, int(is_suspect.sum()) + len(settled) - len(at_s)


def ends_of(reads: StandingReads, from_s: int, to_s: int) -> list[int]:
    """Return the places of the reads that tell a period, in order of time.

    The last read at or before each end, and the first of the period where none is before it; of the period's
    others those that a person or a file told.
    """
    first, end = np.searchsorted(reads.at_s, [from_s, to_s], side="right").tolist()
    start = max(first - 1, 0)
    between = start + np.flatnonzero(np.isin(reads.source[start:end], _TOLD_SOURCES))
    return sorted({start, *between.tolist(), end - 1}) if end > first else []
