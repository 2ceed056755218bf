"""From the reads of one installation to exact energy positions at the instants of the reads.

A position is the whole milliwatt-hours of ``value * step * multiplier`` of the register's own value, so it
does not depend on which reads are given besides; it goes on without loss through rollovers and multiplier
changes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Flag
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.advance import BACKWARDS, AdvanceRule, Break, Chains, link_reads
from wattkeeper.core.readings.between import Between, by_time
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.knots import Knots, join_knots, no_knots, scale_counts
from wattkeeper.core.readings.settle import settle_reads, take

CLOCK_SLACK_S = 3600
BREAK_RULES = ("readings.register-backwards", "readings.jump")


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a plausible advance: the service's largest power and the series' interval."""

    interval_s: int
    power_max_w: int
    advance_rule: AdvanceRule


def trace_installation(
    installation: InstallationFact, reads: ReadColumns, limits: Limits, between: Between = by_time
) -> tuple[Knots, list[Finding]]:
    """Return the knots at the usable reads of one installation, stretches numbered 1, 3, 5 ..., and findings.

    Reads at the very instant of removal belong to it. `between` says what the register showed at a multiplier
    change at which nobody read it. Findings: ``readings.conflict``, ``.out-of-range``,
    ``.register-backwards``, ``.jump``, ``.rollover``, ``.rollover-ambiguous``, ``.multiplier-read-missing``.
    """
    reads, findings = _select_reads(installation, reads)
    if not len(reads):
        return no_knots(), findings
    settled, conflicts = settle_reads(installation.channel_id, reads, interval_s=limits.interval_s)
    modulus = installation.register_modulus
    advances = _AdvanceMax(installation, settled, limits.power_max_w)
    chains = link_reads(settled.measured_at_s, settled.value, modulus, advances, limits.advance_rule)
    findings += conflicts
    findings += [_describe_break(installation.channel_id, settled, found) for found in chains.breaks]
    kept = take(settled, chains.index)
    unwrapped = _unwrap(kept.value, chains)
    findings += _find_rollovers(installation, kept, unwrapped)
    findings += _find_ambiguous(installation, kept, chains, advances)
    ones = np.ones(len(kept), dtype=np.int64)
    rollover = ones * 0 if modulus is None else unwrapped // modulus
    counts = Knots(kept.measured_at_s, unwrapped, chains.chain, ones, ones, rollover, kept.flags)
    counts, cuts = _cut_at_multipliers(installation, counts, between)
    return _to_positions(installation, counts), findings + cuts


def _select_reads(installation: InstallationFact, reads: ReadColumns) -> tuple[ReadColumns, list[Finding]]:
    is_installed = reads.measured_at_s >= installation.starts_at_s
    if installation.ends_at_s is not None:
        is_installed &= reads.measured_at_s <= installation.ends_at_s
    is_possible = reads.value >= 0
    if installation.register_modulus is not None:
        is_possible &= reads.value < installation.register_modulus
    impossible = take(reads, is_installed & ~is_possible)
    findings = [
        Finding("readings.out-of-range", at_s, at_s + 1, {"value": value}, channel_id=installation.channel_id)
        for at_s, value in sorted(
            set(zip(impossible.measured_at_s.tolist(), impossible.value.tolist(), strict=True))
        )
    ]
    return take(reads, is_installed & is_possible), findings


class _AdvanceMax:
    """The most counts the service can add between two reads: power x time, and one count of resolution.

    A clock that was set back before a read makes the time since the one before longer than the stamps say:
    by up to `CLOCK_SLACK_S`, if the device says so (CLOCK_ADJUSTED).
    """

    def __init__(self, installation: InstallationFact, reads: ReadColumns, power_max_w: int) -> None:
        starts = np.array([period.starts_at_s for period in installation.multipliers[1:]], dtype=np.int64)
        self._at_s = reads.measured_at_s
        self._slack_s = np.where((reads.flags & Flag.CLOCK_ADJUSTED) != 0, CLOCK_SLACK_S, 0)
        self._period = np.searchsorted(starts, reads.measured_at_s, side="right")
        self._counts_per_s = [
            Fraction(power_max_w * 1000, 3600) / (installation.step_milliwh * period.ratio)
            for period in installation.multipliers
        ]

    def __call__(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> Int64s:
        elapsed_s = self._at_s[right] - self._at_s[left] + self._slack_s[right]
        if len(self._counts_per_s) == 1:
            return scale_counts(elapsed_s, self._counts_per_s[0]) + 1
        most = np.zeros(len(elapsed_s), dtype=np.int64)
        for period, counts_per_s in enumerate(self._counts_per_s):
            is_within = (self._period[left] <= period) & (period <= self._period[right])
            most[is_within] = np.maximum(most, scale_counts(elapsed_s, counts_per_s))[is_within]
        return most + 1


def _unwrap(values: Int64s, chains: Chains) -> Int64s:
    """Return values that go on rising through rollovers; each chain starts at the register's own value."""
    total = np.cumsum(chains.advance)
    _, firsts = np.unique(chains.chain, return_index=True)
    offsets = values[firsts] - total[firsts]
    result: Int64s = total + offsets[chains.chain]
    return result


def has_break(findings: Iterable[Finding]) -> bool:
    """Whether by what was found reads contradict each other: those of days around tell which are right."""
    return any(each.rule in BREAK_RULES for each in findings)


def _describe_break(channel_id: int, reads: ReadColumns, found: Break) -> Finding:
    rule = BREAK_RULES[0 if found.verdict == BACKWARDS else 1]
    return Finding(
        rule,
        starts_at_s=int(reads.measured_at_s[found.first]),
        ends_at_s=int(reads.measured_at_s[found.last]) + 1,
        channel_id=channel_id,
        evidence={
            "previous_at_s": int(reads.measured_at_s[found.before]),
            "previous_value": int(reads.value[found.before]),
            "value": int(reads.value[found.first]),
            "read_count": found.last - found.first + 1,
            "is_rejected": int(found.is_rejected),
        },
    )


def _find_rollovers(installation: InstallationFact, reads: ReadColumns, unwrapped: Int64s) -> list[Finding]:
    if installation.register_modulus is None:
        return []
    wraps = unwrapped // installation.register_modulus
    return [
        Finding(
            "readings.rollover",
            starts_at_s=int(reads.measured_at_s[i]),
            ends_at_s=int(reads.measured_at_s[i + 1]),
            channel_id=installation.channel_id,
            evidence={
                "previous_value": int(reads.value[i]),
                "value": int(reads.value[i + 1]),
                "register_modulus": installation.register_modulus,
            },
        )
        for i in np.flatnonzero(wraps[1:] > wraps[:-1])
    ]


def _find_ambiguous(
    installation: InstallationFact, reads: ReadColumns, chains: Chains, advances: "_AdvanceMax"
) -> list[Finding]:
    """Report gaps so long that the register may have gone round once more than its values show.

    It advanced by `advance`, or whole turns more: any that `advance_max` leaves room for.
    """
    modulus = installation.register_modulus
    if modulus is None:
        return []
    most = advances(chains.index[:-1], chains.index[1:])
    is_ambiguous = (chains.advance[1:] + modulus <= most) & (chains.chain[1:] == chains.chain[:-1])
    return [
        Finding(
            "readings.rollover-ambiguous",
            starts_at_s=int(reads.measured_at_s[i]),
            ends_at_s=int(reads.measured_at_s[i + 1]),
            channel_id=installation.channel_id,
            evidence={
                "register_modulus": modulus,
                "advance": int(chains.advance[i + 1]),
                "advance_max": int(most[i]),
            },
        )
        for i in np.flatnonzero(is_ambiguous)
    ]


def _cut_at_multipliers(
    installation: InstallationFact, counts: Knots, between: Between
) -> tuple[Knots, list[Finding]]:
    """Number the stretches and put two knots, end and start, at each multiplier change between reads."""
    changes = np.array([period.starts_at_s for period in installation.multipliers[1:]], dtype=np.int64)
    if not len(changes):
        return counts, []
    stretch = np.searchsorted(changes, counts.at_s, side="left") * 2 + 1
    numbered = Knots(
        counts.at_s,
        counts.position_milliwh,
        counts.chain,
        counts.is_exact,
        stretch,
        counts.rollover,
        counts.flags,
    )
    step = installation.step_milliwh
    extra = [
        part
        for i, at_s in enumerate(changes.tolist())
        for part in _knots_at_change(numbered, i, at_s, step, between)
    ]
    findings = [
        Finding(
            "readings.multiplier-read-missing",
            starts_at_s=int(counts.at_s[counts.at_s < part.at_s[0]][-1]),
            ends_at_s=int(counts.at_s[counts.at_s > part.at_s[0]][0]),
            channel_id=installation.channel_id,
            evidence={
                "changed_at_s": int(part.at_s[0]),
                "interpolated_value": _shown(installation, int(part.position_milliwh[0])),
            },
        )
        for part in extra
        if len(part) == 2
    ]
    return join_knots([numbered, *extra]), findings


def _shown(installation: InstallationFact, count: int) -> int:
    modulus = installation.register_modulus
    return count if modulus is None else count % modulus


def _knots_at_change(
    counts: Knots, change: int, at_s: int, step_milliwh: Fraction, between: Between
) -> Iterator[Knots]:
    """Yield what is missing at the change: the start after an actual read, or both, interpolated."""
    here = np.array([at_s], dtype=np.int64)
    after = int(np.searchsorted(counts.at_s, at_s, side="left"))
    if after == len(counts):
        return
    if counts.at_s[after] == at_s:
        yield counts.at(after, here, is_exact=True, stretch=2 * change + 3, flags=int(counts.flags[after]))
    elif after > 0 and counts.chain[after - 1] == counts.chain[after]:
        before = after - 1
        rise = int(counts.position_milliwh[after] - counts.position_milliwh[before])
        part = between(int(counts.at_s[before]), at_s, int(counts.at_s[after]), rise * step_milliwh)
        value = int(counts.position_milliwh[before]) + int(rise * part)
        both = np.repeat(here, 2)
        stretch = np.array([2 * change + 1, 2 * change + 3], dtype=np.int64)
        yield counts.at(before, both, is_exact=False, stretch=stretch, position_milliwh=value)


def _to_positions(installation: InstallationFact, counts: Knots) -> Knots:
    """Turn unwrapped counts into milliwatt-hours, each stretch going on where the last ended."""
    position = np.empty(len(counts), dtype=np.int64)
    ends_at = 0
    for i, period in enumerate(installation.multipliers):
        first, last = np.searchsorted(counts.stretch, (2 * i + 1, 2 * i + 2))
        if first == last:
            continue
        rate = installation.step_milliwh * period.ratio
        raw = _scale_unwrapped(counts.position_milliwh[first:last], rate, installation.register_modulus)
        position[first:last] = raw + (ends_at - int(raw[0]) if first else 0)
        ends_at = int(position[last - 1])
    return Knots(
        counts.at_s, position, counts.chain, counts.is_exact, counts.stretch, counts.rollover, counts.flags
    )


def _scale_unwrapped(unwrapped: Int64s, rate: Fraction, modulus: int | None) -> Int64s:
    if modulus is None:
        return scale_counts(unwrapped, rate)
    turns, value = np.divmod(unwrapped, modulus)
    return scale_counts(value, rate) + scale_counts(turns, Fraction(int(modulus * rate)))
