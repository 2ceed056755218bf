"""A series that has registers and interval energy: the intervals give the shape, the registers the energy.

What the registers say of a stretch between two of their reads is legal for trade and misses nothing; what a
profile says has the finer shape. So:

- an interval that the profile holds is that value, one that only two register reads hold is their advance;
- once for each local day, at the first boundary of it at which the registers are known, they are compared.
  Where the intervals between two such boundaries are all there and their sum is within what is tolerated of
  the registers' advance, they stand;
- where it is not, the registers win: the intervals are scaled to the advance, ESTIMATED. If it is off by more
  than one count of the profile too, they are SUSPECT and ``vee.sum-check`` (V06) keeps what they held;
- where intervals are missing, what the registers advanced beyond the others is the energy of the gap, on each
  side of a cut at which they were read its own.

No stretch is judged by a position that was itself interpolated, nor by a register that may have come round
once more than it shows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import UNKNOWN_CHAIN, Gap, Intervals
from wattkeeper.core.readings.rest import find_rest

Steps = Callable[[Span], int]
Tolerance = Callable[[int, int, int], int]


def combine_intervals(
    registers: Intervals,
    profile: Intervals,
    *,
    day_bounds_s: Int64s,
    register_step_milliwh: Steps,
    profile_step_milliwh: Steps,
    tolerance: Tolerance | None = None,
) -> Intervals:
    """Return one series of the two derivations of the same window, reconciled.

    `day_bounds_s`: the starts of the local days of the window and its end. The steps are what one count is
    worth, multiplied, over a span of time: what holds on other days decides nothing. `tolerance`: what a sum
    may be off an advance, by the instant at which that begins, the register's step and the advance, all in
    milliwatt-hours; one count of the registers by default. Positions are those of the registers; beside
    them, on chains of their own, sums over runs of intervals that no register read touches.
    """
    is_profile = profile.provenance != Provenance.MISSING
    sheet = _Sheet.of(registers, profile, is_profile)
    sheet.take_gaps(registers)
    for bracket in _find_brackets(registers, day_bounds_s):
        from_s = int(registers.starts_at_s[bracket.first])
        span = from_s, from_s + (bracket.end - bracket.first) * registers.interval_s
        tolerated = register_step_milliwh(span)
        if tolerance is not None:
            tolerated = tolerance(from_s, tolerated, bracket.advance_milliwh)
        _reconcile(sheet, registers, bracket, tolerated, profile_step_milliwh(span))
    position, chain = _positions(registers, sheet)
    return Intervals(
        interval_s=registers.interval_s,
        starts_at_s=registers.starts_at_s,
        value_milliwh=sheet.value,
        provenance=sheet.provenance,
        flags=sheet.flags,
        method=sheet.method,
        is_installed=registers.is_installed | profile.is_installed,
        position_milliwh=position,
        position_chain=chain,
        gaps=tuple(_close_gaps(sheet, registers, profile)),
        findings=(*registers.findings, *profile.findings, *sheet.findings),
        is_confirmed=sheet.is_confirmed,
    )


@dataclass(slots=True, eq=False)
class _Sheet:
    """The series being made, shape (intervals,); what is known of gaps, by first and end index."""

    value: Int64s
    provenance: Int64s
    flags: Int64s
    method: Int64s
    is_profile: NDArray[np.bool_]
    is_confirmed: NDArray[np.bool_]
    gaps: dict[tuple[int, int], Gap]
    findings: list[Finding]

    @classmethod
    def of(cls, registers: Intervals, profile: Intervals, is_profile: NDArray[np.bool_]) -> "_Sheet":
        names = ("value_milliwh", "provenance", "flags", "method")
        columns = [np.where(is_profile, getattr(profile, n), getattr(registers, n)) for n in names]
        is_both = is_profile & (registers.provenance != Provenance.MISSING)
        value, provenance, flags, method = columns
        flags = flags | np.where(is_both, registers.flags & Flag.ROLLOVER, 0)
        return cls(value, provenance, flags, method, is_profile, np.zeros_like(is_profile), {}, [])

    def take_gaps(self, registers: Intervals) -> None:
        """Take what the registers know of gaps of theirs in which the profile holds nothing."""
        for gap in registers.gaps:
            span = gap.first_index, gap.end_index
            if gap.energy_milliwh is not None and not self.provenance[slice(*span)].any():
                self.gaps[span] = gap


@dataclass(frozen=True, slots=True)
class _Bracket:
    """The intervals ``[first, end)`` between two register reads and the registers' advance over them."""

    first: int
    end: int
    advance_milliwh: int
    is_exact: bool


def _find_brackets(registers: Intervals, day_bounds_s: Int64s) -> Iterator[_Bracket]:
    """Yield what lies between the first known boundaries of consecutive days that know any."""
    known = np.flatnonzero(registers.position_chain != UNKNOWN_CHAIN)
    if not len(known):
        return
    at_s = registers.starts_at_s[0] + known * registers.interval_s
    day = np.searchsorted(day_bounds_s, at_s, side="right")
    _, firsts = np.unique(day, return_index=True)
    is_open = np.zeros(len(registers), dtype=np.bool_)
    for gap in registers.gaps:
        is_open[gap.first_index : gap.end_index] = not gap.is_exact
    is_doubtful = is_open | (registers.provenance == Provenance.ESTIMATED)
    doubtful_count = np.concatenate(([0], np.cumsum(is_doubtful)))
    cuts = known[firsts].tolist()
    for first, end in pairwise(cuts):
        if registers.position_chain[first] == registers.position_chain[end]:
            advance = int(registers.position_milliwh[end] - registers.position_milliwh[first])
            yield _Bracket(first, end, advance, bool(doubtful_count[first] == doubtful_count[end]))


def _reconcile(
    sheet: _Sheet, registers: Intervals, bracket: _Bracket, tolerated: int, profile_step: int
) -> None:
    inside = slice(bracket.first, bracket.end)
    is_missing = (sheet.provenance[inside] == Provenance.MISSING) & registers.is_installed[inside]
    held = int(sheet.value[inside][~is_missing].sum())
    rest = bracket.advance_milliwh - held
    over = -rest if is_missing.any() else abs(rest)
    sheet.is_confirmed[inside] = over <= tolerated and bracket.is_exact and sheet.is_profile[inside].all()
    if over > tolerated and bracket.is_exact:
        tolerance = max(tolerated, profile_step)
        if over > tolerance:
            sheet.findings.append(_describe(registers, bracket, held, tolerance))
        _scale(sheet, bracket, ~is_missing, is_suspect=over > tolerance)
        rest = 0
    if is_missing.any() and (bracket.is_exact or rest >= 0):
        _give_to_gaps(sheet, registers, bracket, is_missing, max(rest, 0))


def _describe(registers: Intervals, bracket: _Bracket, held: int, tolerance: int) -> Finding:
    at_s = int(registers.starts_at_s[0])
    return Finding(
        "vee.sum-check",
        starts_at_s=at_s + bracket.first * registers.interval_s,
        ends_at_s=at_s + bracket.end * registers.interval_s,
        evidence={
            "sum_milliwh": held,
            "advance_milliwh": bracket.advance_milliwh,
            "tolerance_milliwh": tolerance,
        },
    )


def _scale(sheet: _Sheet, bracket: _Bracket, is_held: NDArray[np.bool_], *, is_suspect: bool) -> None:
    """Give the intervals that are held the registers' energy in their own shape (E4)."""
    places = bracket.first + np.flatnonzero(is_held)
    shape = sheet.value[places]
    sheet.value[places] = _share_out(shape.tolist(), bracket.advance_milliwh)
    if not shape.any():
        sheet.method[places] = Method.EVEN_SPREAD
    sheet.provenance[places] = Provenance.ESTIMATED
    sheet.flags[places] &= ~int(Flag.ACCEPTED)  # it was of what was measured
    sheet.flags[places] |= int(Flag.REGISTER_BRACKETED | (Flag.SUSPECT if is_suspect else Flag.NONE))


def _give_to_gaps(
    sheet: _Sheet, registers: Intervals, bracket: _Bracket, is_missing: NDArray[np.bool_], rest: int
) -> None:
    """Give what is left to the gaps, cut wherever the registers are known: to each what its own registers
    advanced, where they are known at both ends, and to the others in proportion to what the profile leaves of
    the registers around them, and within that by length: together they have exactly what is left.
    """
    gaps = list(_cut_gaps(registers, bracket, is_missing))
    own = [_own_advance(registers, first, end) for first, end in gaps]
    left = {(gap.first_index, gap.end_index): gap for gap in _left_by_profile(sheet, registers, bracket)}
    told = [energy for energy in own if energy is not None]
    if len(told) == len(own):
        energies = _share_out(told, rest)
    elif sum(told) <= rest:
        others = [gap for gap, energy in zip(gaps, own, strict=True) if energy is None]
        weights = [left[gap].energy_milliwh or 0 if gap in left else 0 for gap in others]
        weights = weights if any(weights) else [end - first for first, end in others]
        shares = iter(_share_out(weights, rest - sum(told)))
        energies = [next(shares) if energy is None else energy for energy in own]
    else:
        energies = _share_out([end - first for first, end in gaps], rest)
    is_exact = bracket.is_exact and sum(told) <= rest
    for gap, energy in zip(gaps, energies, strict=True):
        cuts = _scale_cuts(left[gap], energy) if gap in left else ()
        sheet.gaps[gap] = Gap(*gap, energy, is_exact, cuts)


def _left_by_profile(sheet: _Sheet, registers: Intervals, bracket: _Bracket) -> Iterator[Gap]:
    """Yield what the profile leaves of each gap of the registers in a bracket that tells more than all of it.

    Nothing of one of which it holds more than the registers advanced.
    """
    for gap in registers.gaps:
        is_inside = bracket.first <= gap.first_index and gap.end_index <= bracket.end
        is_all = (gap.first_index, gap.end_index) == (bracket.first, bracket.end)
        if gap.energy_milliwh is not None and is_inside and (gap.cuts or not is_all):
            inside = slice(gap.first_index, gap.end_index)
            held = sheet.provenance[inside] != Provenance.MISSING, sheet.value[inside], registers.interval_s
            found = find_rest(gap, *held)
            yield from (find_rest(replace(gap, cuts=()), *held) if found is None else found) or ()


def _scale_cuts(gap: Gap, energy_milliwh: int) -> tuple[tuple[int, int], ...]:
    own = max(1, gap.energy_milliwh or 0)
    return tuple((at_s, until * energy_milliwh // own) for at_s, until in gap.cuts)


def _cut_gaps(
    registers: Intervals, bracket: _Bracket, is_missing: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Yield first and end index of each run of missing intervals between known positions."""
    edges = np.diff(is_missing.astype(np.int8), prepend=0, append=0) != 0
    edges |= registers.position_chain[bracket.first : bracket.end + 1] != UNKNOWN_CHAIN
    for first, end in pairwise(np.flatnonzero(edges).tolist()):
        if is_missing[first]:
            yield bracket.first + first, bracket.first + end


def _own_advance(registers: Intervals, first: int, end: int) -> int | None:
    chain = registers.position_chain
    if chain[first] == UNKNOWN_CHAIN or chain[first] != chain[end]:
        return None
    return int(registers.position_milliwh[end] - registers.position_milliwh[first])


def _close_gaps(sheet: _Sheet, registers: Intervals, profile: Intervals) -> Iterator[Gap]:
    """Yield the runs of intervals that nothing holds, cut where brackets meet, with what is known of them."""
    is_installed = registers.is_installed | profile.is_installed
    is_missing = (sheet.provenance == Provenance.MISSING) & is_installed
    starts_at = {first for first, _ in sheet.gaps}
    ends_at = {end for _, end in sheet.gaps}
    edges = set(np.flatnonzero(np.diff(is_missing.astype(np.int8), prepend=0, append=0)).tolist())
    cuts = sorted(edges | starts_at | ends_at)
    for first, end in pairwise(cuts):
        if is_missing[first]:
            yield sheet.gaps.get((first, end), Gap(first, end, None, is_exact=False))


def _positions(registers: Intervals, sheet: _Sheet) -> tuple[Int64s, Int64s]:
    """Return the registers' positions, and sums on chains of their own where only intervals are known."""
    is_held = sheet.provenance != Provenance.MISSING
    is_beside = np.concatenate((is_held, [False])) | np.concatenate(([False], is_held))
    is_known = registers.position_chain != UNKNOWN_CHAIN
    is_run_start = is_held & ~np.concatenate(([False], is_held[:-1]))
    run = np.concatenate(([0], np.cumsum(is_run_start)))
    run[:-1] = np.where(is_held, run[1:], run[:-1])
    free_chain = int(registers.position_chain.max(initial=0)) + 1
    total = np.concatenate(([0], np.cumsum(np.where(is_held, sheet.value, 0))))
    position = np.where(is_known, registers.position_milliwh, np.where(is_beside, total, 0))
    chain = np.where(is_known, registers.position_chain, np.where(is_beside, free_chain + run, UNKNOWN_CHAIN))
    return position, chain


def _share_out(shape: Sequence[int], energy_milliwh: int) -> list[int]:
    """Return whole shares of an energy in proportion to `shape`, evenly where it is all zeros; they sum."""
    parts = list(accumulate(shape if any(shape) else [1] * len(shape)))
    bounds = [0, *(part * energy_milliwh // parts[-1] for part in parts)]
    return [later - earlier for earlier, later in pairwise(bounds)]
