"""From the reads of all channels that measured a series to its intervals, gaps and findings.

A pure function of sets: neither the order nor the repetition of reads can change the result.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.advance import AdvanceRule, register_advance
from wattkeeper.core.readings.between import Between, by_time
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.knots import Knots
from wattkeeper.core.readings.positions import Limits
from wattkeeper.core.readings.trace import add_boundaries, trace_series

INTERVAL_FLAGS = (
    Flag.SUSPECT | Flag.CLOCK_INVALID | Flag.CLOCK_ADJUSTED | Flag.POWER_LOST | Flag.DST_AMBIGUOUS | Flag.LATE
)
START_FLAGS = Flag.SUSPECT | Flag.CLOCK_INVALID
UNKNOWN_CHAIN = -1  # where no position is known


class InvalidWindow(WattkeeperError):
    """Raised when a window is not a whole number of intervals."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing intervals ``[first_index, end_index)``.

    `energy_milliwh`: the registers' advance over exactly these intervals, None where no read brackets them;
    `is_exact`: both ends are actual reads, no multiplier change inside had to be interpolated, and no
    register may have come round once more than it shows; where it may, the energy is the least possible.
    `cuts`: what was read inside it, at an exchange, a reset or a multiplier change: (seconds, energy), both
    since it begins and rising.
    """

    first_index: int
    end_index: int
    energy_milliwh: int | None
    is_exact: bool
    cuts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """A series over a window, one element for each interval, named by its start; int64 of shape (n,).

    `value_milliwh` means nothing where `provenance` is MISSING. `is_installed` is False where no channel
    measured the series at all: not a gap. `position_milliwh` and `position_chain`, shape (n + 1,), are the
    energy positions at the interval boundaries; `UNKNOWN_CHAIN` where none is known; those of one
    chain may be subtracted. `is_confirmed`: where registers that were read apart say the same; None: nowhere.
    """

    interval_s: int
    starts_at_s: Int64s
    value_milliwh: Int64s
    provenance: Int64s
    flags: Int64s
    method: Int64s
    is_installed: NDArray[np.bool_]
    position_milliwh: Int64s
    position_chain: Int64s
    gaps: tuple[Gap, ...]
    findings: tuple[Finding, ...]
    is_confirmed: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.starts_at_s)


def derive_intervals(
    *,
    installations: Sequence[InstallationFact],
    reads: Mapping[int, ReadColumns],
    from_s: int,
    to_s: int,
    interval_s: int,
    power_max_w: int,
    advance_rule: AdvanceRule = register_advance,
    between: Between = by_time,
) -> Intervals:
    """Return the intervals of a series over ``[from_s, to_s)``.

    `installations`: every channel that measured the series, in order of time, without overlap. `reads`: by
    channel; reads outside the window serve as brackets. `power_max_w`: what the service can carry (primary).
    `advance_rule`: how far a register went between two values; replaced only by tests that plant a fault.
    `between`: what a register showed at a multiplier change at which nobody read it.

    An interval is the difference of the whole milliwatt-hours at its two boundaries, so sums telescope. It is
    MEASURED where both are actual reads (method EXCHANGE where an exchange or a multiplier change cuts it),
    ESTIMATED where one was interpolated between close reads, or where the register may have come round once
    more than it shows (``readings.rollover-ambiguous``; not REGISTER_BRACKETED then, its energy is the least
    that is possible), else MISSING and part of a `Gap`.

    :raises InvalidWindow: if the window is not a whole number of intervals
    :raises ReadingsOutOfRange: if a position does not fit 64 bits
    """
    if interval_s <= 0 or to_s <= from_s or (to_s - from_s) % interval_s:
        raise InvalidWindow("readings.window", from_s=from_s, to_s=to_s, interval_s=interval_s)
    limits = Limits(interval_s, power_max_w, advance_rule)
    boundaries = np.arange(from_s, to_s + 1, interval_s, dtype=np.int64)
    knots, findings = trace_series(installations, reads, limits, boundaries, between)
    knots = add_boundaries(knots, boundaries, interval_s)
    return _read_off(
        knots, boundaries, interval_s, find_installed(installations, boundaries), tuple(findings)
    )


def join_at_gap(head: Intervals, tail: Intervals) -> Intervals | None:
    """Return two windows as one; None unless a gap since a read ends the first and fills the other."""
    if [(gap.first_index, gap.end_index) for gap in tail.gaps] != [(0, len(tail))] or not head.gaps:
        return None
    begun = head.gaps[-1]
    is_same = begun.end_index == len(head) and head.position_chain[-1] < 0
    if not is_same or head.position_chain[begun.first_index] < 0:
        return None
    return Intervals(
        interval_s=tail.interval_s,
        starts_at_s=np.concatenate((head.starts_at_s, tail.starts_at_s)),
        value_milliwh=np.concatenate((head.value_milliwh, tail.value_milliwh)),
        provenance=np.concatenate((head.provenance, tail.provenance)),
        flags=np.concatenate((head.flags, tail.flags)),
        method=np.concatenate((head.method, tail.method)),
        is_installed=np.concatenate((head.is_installed, tail.is_installed)),
        position_milliwh=np.concatenate((head.position_milliwh[:-1], tail.position_milliwh)),
        position_chain=np.concatenate((head.position_chain[:-1], tail.position_chain)),
        gaps=(*head.gaps[:-1], replace(begun, end_index=len(head) + len(tail))),
        findings=(*head.findings, *tail.findings),
    )


def find_installed(installations: Sequence[InstallationFact], boundaries: Int64s) -> NDArray[np.bool_]:
    """Return for each interval between consecutive `boundaries` whether any channel was installed in it."""
    is_installed = np.zeros(len(boundaries) - 1, dtype=np.bool_)
    for installation in installations:
        overlaps = boundaries[1:] > installation.starts_at_s
        if installation.ends_at_s is not None:
            overlaps &= boundaries[:-1] < installation.ends_at_s
        is_installed |= overlaps
    return is_installed


@dataclass(frozen=True, slots=True, eq=False)
class _Bounds:
    """For each boundary whether a knot lies on it, and the last (to start from) and the first (to end at)."""

    is_known: NDArray[np.bool_]
    start: NDArray[np.intp]
    end: NDArray[np.intp]

    @classmethod
    def find(cls, knots: Knots, boundaries: Int64s) -> "_Bounds":
        end = np.searchsorted(knots.at_s, boundaries, side="left")
        start = np.searchsorted(knots.at_s, boundaries, side="right") - 1
        is_known = start >= end
        return cls(is_known, np.where(is_known, start, 0), np.where(is_known, end, 0))


def _read_off(
    knots: Knots,
    boundaries: Int64s,
    interval_s: int,
    is_installed: NDArray[np.bool_],
    findings: tuple[Finding, ...],
) -> Intervals:
    if not len(knots):
        return _nothing_known(boundaries, interval_s, is_installed, findings)
    bounds = _Bounds.find(knots, boundaries)
    start, end = bounds.start[:-1], bounds.end[1:]
    is_known = bounds.is_known[:-1] & bounds.is_known[1:] & is_installed
    is_known &= knots.chain[start] == knots.chain[end]
    is_unsure = _find_unsure(findings, boundaries)
    is_exact = _is_exact_between(knots, start, end) & ~is_unsure
    is_cut = knots.stretch[start] != knots.stretch[end]
    return Intervals(
        interval_s=interval_s,
        starts_at_s=boundaries[:-1],
        value_milliwh=np.where(is_known, knots.position_milliwh[end] - knots.position_milliwh[start], 0),
        provenance=np.where(is_known, np.where(is_exact, Provenance.MEASURED, Provenance.ESTIMATED), 0),
        flags=np.where(is_known, _interval_flags(knots, start, end, ~is_exact & ~is_unsure), 0),
        method=np.where(is_known, np.where(is_cut, Method.EXCHANGE, np.where(is_exact, 0, Method.LINEAR)), 0),
        is_installed=is_installed,
        position_milliwh=np.where(bounds.is_known, knots.position_milliwh[bounds.start], 0),
        position_chain=np.where(bounds.is_known, knots.chain[bounds.start], UNKNOWN_CHAIN),
        gaps=_find_gaps_between(knots, bounds, is_installed & ~is_known, is_unsure),
        findings=findings,
    )


def _nothing_known(
    boundaries: Int64s, interval_s: int, is_installed: NDArray[np.bool_], findings: tuple[Finding, ...]
) -> Intervals:
    nothing = np.zeros(len(boundaries) - 1, dtype=np.int64)
    is_first = is_installed & ~np.concatenate(([False], is_installed[:-1]))
    is_last = is_installed & ~np.concatenate((is_installed[1:], [False]))
    pairs = zip(np.flatnonzero(is_first).tolist(), np.flatnonzero(is_last).tolist(), strict=True)
    return Intervals(
        interval_s=interval_s,
        starts_at_s=boundaries[:-1],
        value_milliwh=nothing,
        provenance=nothing,
        flags=nothing,
        method=nothing,
        is_installed=is_installed,
        position_milliwh=np.zeros(len(boundaries), dtype=np.int64),
        position_chain=np.full(len(boundaries), UNKNOWN_CHAIN, dtype=np.int64),
        gaps=tuple(Gap(first, last + 1, None, is_exact=False) for first, last in pairs),
        findings=findings,
    )


def _is_exact_between(knots: Knots, start: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[np.bool_]:
    inexact_count = np.concatenate(([0], np.cumsum(1 - knots.is_exact)))
    result: NDArray[np.bool_] = inexact_count[end + 1] == inexact_count[start]
    return result


def _find_unsure(findings: Sequence[Finding], boundaries: Int64s) -> NDArray[np.bool_]:
    """Return in which intervals a register may have come round once more than it shows."""
    is_unsure = np.zeros(len(boundaries) - 1, dtype=np.bool_)
    for finding in findings:
        if finding.rule == "readings.rollover-ambiguous":
            is_unsure |= (boundaries[:-1] < finding.ends_at_s) & (boundaries[1:] > finding.starts_at_s)
    return is_unsure


def _interval_flags(
    knots: Knots, start: NDArray[np.intp], end: NDArray[np.intp], is_interpolated: NDArray[np.bool_]
) -> Int64s:
    flags = (knots.flags[end] & INTERVAL_FLAGS) | (knots.flags[start] & START_FLAGS)
    flags |= np.where(knots.rollover[end] > knots.rollover[start], Flag.ROLLOVER, 0)
    flags |= np.where(is_interpolated, Flag.REGISTER_BRACKETED, 0)
    return flags


def _find_gaps_between(
    knots: Knots, bounds: _Bounds, is_missing: NDArray[np.bool_], is_unsure: NDArray[np.bool_]
) -> tuple[Gap, ...]:
    """Return the runs of missing intervals, cut wherever a boundary inside is known."""
    is_first = is_missing.copy()
    is_first[1:] &= ~is_missing[:-1] | bounds.is_known[1:-1]
    is_last = is_missing.copy()
    is_last[:-1] &= ~is_missing[1:] | bounds.is_known[1:-1]
    gaps = []
    for first, last in zip(np.flatnonzero(is_first).tolist(), np.flatnonzero(is_last).tolist(), strict=True):
        start, end = bounds.start[first], bounds.end[last + 1]
        is_bracketed = bounds.is_known[first] and bounds.is_known[last + 1]
        if not is_bracketed or knots.chain[start] != knots.chain[end]:
            gaps.append(Gap(first, last + 1, None, is_exact=False))
            continue
        energy_milliwh = int(knots.position_milliwh[end] - knots.position_milliwh[start])
        is_exact = bool(_is_exact_between(knots, np.array([start]), np.array([end]))[0])
        is_sure = not is_unsure[first : last + 1].any()
        cuts = tuple(_find_cuts(knots.take(slice(start, end + 1))))
        gaps.append(Gap(first, last + 1, energy_milliwh, is_exact and is_sure, cuts))
    return tuple(gaps)


def _find_cuts(knots: Knots) -> Iterator[tuple[int, int]]:
    """Yield seconds and energy since the first of `knots` where a stretch ends or begins with a read."""
    is_cut = np.diff(knots.stretch) != 0
    if not is_cut.any():
        return
    is_read = (np.append(is_cut, False) | np.append(False, is_cut)) & (knots.is_exact == 1)
    is_read &= (knots.at_s > knots.at_s[0]) & (knots.at_s < knots.at_s[-1])
    _, places = np.unique(knots.at_s[is_read], return_index=True)
    read = knots.take(np.flatnonzero(is_read)[places])
    elapsed_s, energy = read.at_s - knots.at_s[0], read.position_milliwh - knots.position_milliwh[0]
    yield from zip(elapsed_s.tolist(), energy.tolist(), strict=True)
