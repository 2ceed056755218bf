"""Measured intervals in dispute: estimated anew where a rule set wants it, else used but not VALIDATED."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.table import Mask, iter_runs


@dataclass(frozen=True, slots=True, eq=False)
class Disputed:
    """A series without what was disputed, `is_disputed` (intervals,), which is now part of its gaps."""

    intervals: Intervals
    is_disputed: Mask


def take_out(measured: Intervals, findings: list[Finding], *, has_registers: bool) -> Disputed:
    """Return the series with the measured intervals that findings name made MISSING.

    With `has_registers` the energy of each new gap is what the intervals in it held: estimation may move
    energy between them and loses none. Without, nothing is known of it. Adjacent gaps become one. What a
    person edited is not disputed.
    """
    is_named = np.zeros(len(measured), dtype=np.bool_)
    for finding in findings:
        first, end = np.searchsorted(measured.starts_at_s, (finding.starts_at_s, finding.ends_at_s))
        is_named[first:end] = True
    is_disputed = is_named & (measured.provenance == Provenance.MEASURED)
    if not is_disputed.any():
        return Disputed(measured, is_disputed)
    provenance = np.where(is_disputed, int(Provenance.MISSING), measured.provenance)
    gaps = _join_gaps(measured, is_disputed, has_registers=has_registers)
    return Disputed(replace(measured, provenance=provenance, gaps=gaps), is_disputed)


def _join_gaps(measured: Intervals, is_disputed: Mask, *, has_registers: bool) -> tuple[Gap, ...]:
    """Return the gaps of a series with its disputed intervals, in order, adjacent ones joined."""
    parts = list(measured.gaps)
    for _, first, end in iter_runs(is_disputed[np.newaxis]):
        energy = int(measured.value_milliwh[first:end].sum()) if has_registers else None
        parts.append(
            Gap(first, end, None if energy is None or energy < 0 else energy, is_exact=has_registers)
        )
    joined: list[Gap] = []
    for gap in sorted(parts, key=lambda gap: gap.first_index):
        last = joined[-1] if joined else None
        is_adjacent = last is not None and last.end_index == gap.first_index
        if last is None or not is_adjacent or not is_disputed[last.first_index : gap.end_index].any():
            joined.append(gap)
            continue
        known = last.energy_milliwh is not None and gap.energy_milliwh is not None
        energy = (last.energy_milliwh or 0) + (gap.energy_milliwh or 0) if known else None
        length_s = (last.end_index - last.first_index) * measured.interval_s
        later = ((length_s + at_s, (last.energy_milliwh or 0) + until) for at_s, until in gap.cuts)
        cuts = (*last.cuts, *later) if known else ()
        is_exact = known and last.is_exact and gap.is_exact
        joined[-1] = Gap(last.first_index, gap.end_index, energy, is_exact, cuts)
    return tuple(joined)


def put_back(disputed: Disputed, estimated: Intervals, measured: Intervals) -> Intervals:
    """Return the estimated series with every disputed interval SUSPECT.

    One for which no estimate was found keeps what was measured.
    """
    if not disputed.is_disputed.any():
        return estimated
    is_open = disputed.is_disputed & (estimated.provenance == Provenance.MISSING)
    provenance = np.where(is_open, measured.provenance, estimated.provenance)
    flags = np.where(is_open, measured.flags, estimated.flags)
    is_missing = provenance == Provenance.MISSING
    return replace(
        estimated,
        value_milliwh=np.where(is_open, measured.value_milliwh, estimated.value_milliwh),
        provenance=provenance,
        method=np.where(is_open, measured.method, estimated.method),
        flags=np.where(disputed.is_disputed, flags | int(Flag.SUSPECT), flags),
        gaps=tuple(gap for gap in measured.gaps if is_missing[gap.first_index : gap.end_index].any()),
    )


def unmark_validated(intervals: Intervals, found: Iterable[Finding]) -> Intervals:
    """Return the series with the measured intervals that the reads of findings begin or end not VALIDATED."""
    is_named = np.zeros(len(intervals), dtype=np.bool_)
    for finding in found:
        ends_at_s = intervals.starts_at_s + intervals.interval_s
        is_named |= (ends_at_s >= finding.starts_at_s) & (intervals.starts_at_s < finding.ends_at_s)
    is_named &= intervals.provenance == Provenance.MEASURED
    flags = np.where(is_named, intervals.flags & ~int(Flag.VALIDATED), intervals.flags)
    return replace(intervals, flags=flags)
