"""Registers to intervals for many series at once, as matrices over one window.

The result is that of `derive_intervals`, series by series, value by value; a series that is out of the
ordinary in any way is named instead of derived, and belongs to `derive_intervals` itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Flag, Method, Provenance, Source
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import INTERVAL_FLAGS, START_FLAGS
from wattkeeper.core.readings.knots import INT64_SAFE
from wattkeeper.core.readings.plain_beside import find_between
from wattkeeper.core.readings.plain_table import UNKNOWN, IntervalTable, find_gap_columns
from wattkeeper.core.readings.settle import is_untrusted
from wattkeeper.core.readings.usual_power import WITHSTOOD_TIMES

Mask = NDArray[np.bool_]
NO_MODULUS = 0
COUNT_MAX = 2**40  # what a register without a modulus may hold here
ELAPSED_MAX_S = 2**26
NARROW_MAX = 2**31


@dataclass(frozen=True, slots=True, eq=False)
class PlainFacts:
    """Facts of series that one channel measured throughout, with one multiplier: int64 of shape (series,).

    One count is ``numerator / denominator`` primary milliwatt-hours (step times multiplier);
    `register_modulus` is `NO_MODULUS` for a register that never starts again; reads move by `shown_count`
    counts at least.
    """

    series_id: Int64s
    channel_id: Int64s
    numerator: Int64s
    denominator: Int64s
    register_modulus: Int64s
    power_max_w: Int64s
    shown_count: Int64s

    def __len__(self) -> int:
        return len(self.series_id)

    @property
    def resolution_milliwh(self) -> Int64s:
        """The energy that reads move by at least, primary, rounded up."""
        return -(-self.numerator * self.shown_count // self.denominator)

    def take(self, rows: "NDArray[np.intp] | Mask") -> "PlainFacts":
        """Return the facts of the series at the places `rows`, or of a mask."""
        return PlainFacts(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class ReadTable:
    """Reads of many series, integers of shape (reads,), in order of `row`, instant, then the rest.

    `row` is the place of the series among the facts; the other columns as in `ReadColumns`.
    """

    row: NDArray[np.int64]
    measured_at_s: Int64s
    value: Int64s
    flags: NDArray[np.int32]
    source: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.row)

    def where(self, chosen: "Mask | NDArray[np.intp]") -> "ReadTable":
        """Return the reads of a mask, or at some places."""
        return ReadTable(*(getattr(self, name)[chosen] for name in self.__slots__))


def derive_plain(
    facts: PlainFacts, reads: ReadTable, from_s: int, to_s: int, interval_s: int
) -> tuple[IntervalTable, Mask]:
    """Return the intervals of all series over ``[from_s, to_s)``, and which of them are out of the ordinary.

    The rows of the latter (shape (series,)) are left empty: two reads at one instant, one beyond the
    register, a step that the service can't carry, that goes backwards, or that may hide another turn of the
    register, or a clock that was set; but for one read alone that both its neighbours contradict, which is
    rejected; untrusted reads are none. `reads` may hold any time around the window, as brackets. Boundaries
    beside those off the grid are interpolated (E7).
    """
    table = IntervalTable.empty(facts.series_id, from_s, to_s, interval_s)
    if reads.flags.any():
        reads = reads.where(~is_untrusted(reads.flags))
    reads = _without_live_beside_stored(reads, interval_s)
    is_odd = _out_of_range(facts)
    is_odd[reads.row[_find_beyond(facts, reads)]] = True
    if reads.flags.any():
        is_odd[reads.row[(reads.flags & int(Flag.CLOCK_ADJUSTED)) != 0]] = True
    steps = _Steps.between(facts, reads)
    impossible = steps.find_impossible(facts, reads, interval_s)
    strays = find_strays(facts, reads, impossible)
    is_explained = np.isin(reads.row[impossible + 1], reads.row[strays])
    is_odd[reads.row[impossible[~is_explained] + 1]] = True
    turns = steps.find_turns(reads, is_odd, strays)
    is_interpolated = _place(table, facts, reads, strays, turns)
    _blank(table, np.flatnonzero(is_odd))
    _flag_rollovers(table, reads, turns)
    _read_off(table, is_interpolated)
    table.gaps = find_gap_columns(table, ~is_odd, is_interpolated)
    _report_strays(table, facts, reads, strays[~is_odd[reads.row[strays]]])
    _find_rollovers(table, facts, reads, turns)
    return table, is_odd


def _each(of_series: Int64s, row: "NDArray[np.int64]") -> Int64s | int:
    """Return what belongs to the series of each read; one number where it is the same for all."""
    if len(of_series) and bool((of_series == of_series[0]).all()):
        return int(of_series[0])
    return of_series[row]


def _without_live_beside_stored(reads: ReadTable, interval_s: int) -> ReadTable:
    """Drop live reads within one interval of a stored one, as `settle_reads` does."""
    is_live = reads.source == Source.LIVE
    if not is_live.any():
        return reads
    is_stored = ~is_live & (reads.source != Source.FIELD)
    places = np.arange(len(reads))
    before = np.maximum.accumulate(np.where(is_stored, places, -1))
    after = np.minimum.accumulate(np.where(is_stored, places, len(reads))[::-1])[::-1]
    is_beside = np.zeros(len(reads), dtype=np.bool_)
    for nearest in (before, after):
        inside = (nearest >= 0) & (nearest < len(reads))
        found = np.where(inside, nearest, 0)
        is_near = np.abs(reads.measured_at_s - reads.measured_at_s[found]) < interval_s
        is_beside |= inside & (reads.row[found] == reads.row) & is_near
    return reads.where(~(is_live & is_beside))


def _out_of_range(facts: PlainFacts) -> Mask:
    """Which series have numbers that a product of 64 bits may not hold, or a register of no digits."""
    modulus = facts.register_modulus
    largest = np.where(modulus == NO_MODULUS, COUNT_MAX, modulus).astype(np.float64)
    is_wide = largest * facts.numerator >= INT64_SAFE
    is_wide |= facts.power_max_w.astype(np.float64) * 1000 * facts.denominator * ELAPSED_MAX_S >= INT64_SAFE
    is_wide |= facts.numerator >= INT64_SAFE // 3600
    is_wide |= (modulus != NO_MODULUS) & (modulus < 2)
    return is_wide


def _find_places(
    reads: ReadTable, from_s: int, interval_s: int
) -> tuple[NDArray[np.signedinteger[Any]], Mask]:
    """Return which boundary of the window each read lies on, and which lie beside the grid."""
    elapsed_s: NDArray[np.signedinteger[Any]] = reads.measured_at_s - from_s
    if len(elapsed_s) and max(-int(elapsed_s.min()), int(elapsed_s.max())) < NARROW_MAX:
        elapsed_s = elapsed_s.astype(np.int32)
    place = elapsed_s // interval_s
    return place, place * interval_s != elapsed_s


def _find_beyond(facts: PlainFacts, reads: ReadTable) -> NDArray[np.intp]:
    """Return the places of reads that hold what their register can't."""
    limit = np.where(facts.register_modulus == NO_MODULUS, COUNT_MAX, facts.register_modulus)
    if not len(reads) or (int(reads.value.min()) >= 0 and int(reads.value.max()) < int(limit.min())):
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero((reads.value < 0) | (reads.value >= limit[reads.row]))


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """From each read to the next, shape (reads - 1,): same series, lower value, advance in counts."""

    is_same: Mask
    is_lower: Mask
    advance: Int64s

    @classmethod
    def between(cls, facts: PlainFacts, reads: ReadTable) -> "_Steps":
        is_same = reads.row[1:] == reads.row[:-1]
        advance = np.diff(reads.value)
        is_lower = advance < 0
        is_lower &= is_same
        lower = np.flatnonzero(is_lower)
        advance[lower] += facts.register_modulus[reads.row[lower]]
        return cls(is_same, is_lower, advance)

    def find_impossible(self, facts: PlainFacts, reads: ReadTable, interval_s: int) -> NDArray[np.intp]:
        """Return the steps that can't be, or may hide another turn; the exact bound where the plain one
        fails."""
        divisor = 3600 * facts.numerator
        power = facts.power_max_w * 1000 * facts.denominator
        least = interval_s * power // divisor + 1
        is_modular = facts.register_modulus != NO_MODULUS
        least[is_modular & (facts.register_modulus <= least)] = -1  # each step may hide a turn
        doubtful = self.advance > _each(least, reads.row[1:])
        doubtful |= self.advance < 0
        doubtful |= np.diff(reads.measured_at_s) != interval_s
        doubtful &= self.is_same
        places = np.flatnonzero(doubtful)
        of, advance = reads.row[places + 1], self.advance[places]
        elapsed_s = reads.measured_at_s[places + 1] - reads.measured_at_s[places]
        most = elapsed_s * power[of] // divisor[of] + 1
        modulus = facts.register_modulus[of]
        is_wrong = (elapsed_s <= 0) | (elapsed_s >= ELAPSED_MAX_S) | (advance < 0) | (advance > most)
        is_wrong |= (modulus != NO_MODULUS) & (advance + modulus <= most)
        return places[is_wrong]

    def find_turns(self, reads: ReadTable, is_odd: Mask, strays: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the steps of ordinary series, to and from no stray, in which the register comes round."""
        lower = np.flatnonzero(self.is_lower)
        return lower[~is_odd[reads.row[lower]] & ~np.isin(lower, [strays - 1, strays])]


def find_strays(facts: PlainFacts, reads: ReadTable, impossible: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the places of reads that both neighbours contradict, in series where nothing else is wrong.

    The line that explains most reads is then surely the one without it: `link_reads` rejects it alone.
    """
    if not len(impossible):
        return impossible
    row = reads.row[impossible + 1]
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    pairs = starts[np.diff(starts, append=len(row)) == 2]
    strays = impossible[pairs[impossible[pairs] + 1 == impossible[pairs + 1]]] + 1
    return np.array([place for place in strays.tolist() if _is_stray(facts, reads, place)], dtype=np.intp)


def _is_stray(facts: PlainFacts, reads: ReadTable, place: int) -> bool:
    """Whether a read follows from neither neighbour, and they from each other without a turn."""
    row = int(reads.row[place])
    at_s = reads.measured_at_s[place - 1 : place + 2].tolist()
    before, stray, after = reads.value[place - 1 : place + 2].tolist()
    modulus = int(facts.register_modulus[row])
    power = int(facts.power_max_w[row]) * 1000 * int(facts.denominator[row])

    def most(elapsed_s: int) -> int:
        return elapsed_s * power // (3600 * int(facts.numerator[row])) + 1

    def follows(first: int, then: int, elapsed_s: int) -> bool:
        if then < first:
            return modulus != NO_MODULUS and then - first + modulus <= most(elapsed_s)
        return then - first <= WITHSTOOD_TIMES * most(elapsed_s)

    if not at_s[0] < at_s[1] < at_s[2] or at_s[2] - at_s[0] >= ELAPSED_MAX_S:
        return False
    is_single = modulus == NO_MODULUS or after - before + modulus > most(at_s[2] - at_s[0])
    return (
        is_single
        and 0 <= after - before <= most(at_s[2] - at_s[0])
        and not follows(before, stray, at_s[1] - at_s[0])
        and not follows(stray, after, at_s[2] - at_s[1])
    )


def _report_strays(
    table: IntervalTable, facts: PlainFacts, reads: ReadTable, strays: NDArray[np.intp]
) -> None:
    """Report each rejected read as `trace_installation` does."""
    for i in strays.tolist():
        row, at_s = int(reads.row[i]), int(reads.measured_at_s[i])
        previous, value = int(reads.value[i - 1]), int(reads.value[i])
        finding = Finding(
            "readings.register-backwards" if value < previous else "readings.jump",
            starts_at_s=at_s,
            ends_at_s=at_s + 1,
            channel_id=int(facts.channel_id[row]),
            evidence={
                "previous_at_s": int(reads.measured_at_s[i - 1]),
                "previous_value": previous,
                "value": value,
                "read_count": 1,
                "is_rejected": 1,
            },
        )
        table.findings[row] = (*table.findings.get(row, ()), finding)


def _place(
    table: IntervalTable,
    facts: PlainFacts,
    reads: ReadTable,
    strays: NDArray[np.intp],
    turns: NDArray[np.intp],
) -> Mask | None:
    """Put positions, chains and flags of the reads but `strays` into the table's boundaries.

    Return which positions are interpolated, shape (series, boundaries); None for none.
    """
    boundaries_count = table.position_chain.shape[1]
    position = reads.value * _each(facts.numerator, reads.row)
    if (facts.denominator != 1).any():
        position //= _each(facts.denominator, reads.row)
    whole = facts.register_modulus * facts.numerator // facts.denominator
    for first, end in _turned(reads, turns):
        position[first:end] += whole[reads.row[first]]
    if len(strays):
        reads, position = reads.where(is_kept := _all_but(strays, len(reads))), position[is_kept]
    place, is_beside = _find_places(reads, table.from_s, table.interval_s)
    is_interpolated = None
    if is_beside.any():
        row, bound, between = find_between(table, reads.row, reads.measured_at_s, position, place, is_beside)
        is_interpolated = np.zeros(table.position_chain.shape, dtype=np.bool_)
        is_interpolated[row, bound] = True
        table.position_milliwh[row, bound] = between
        table.position_chain[row, bound] = 0
    at = reads.row * boundaries_count
    at += place
    is_inside = (place >= 0) & (place < boundaries_count) & ~is_beside
    has_flags = bool(reads.flags.any())
    flags = reads.flags
    if not is_inside.all():
        at, position, flags = at[is_inside], position[is_inside], flags[is_inside]
    table.position_milliwh.ravel()[at] = position
    table.position_chain.ravel()[at] = 0
    if has_flags:
        _place_flags(table, at, flags)
    return is_interpolated


def _all_but(places: NDArray[np.intp], count: int) -> Mask:
    is_kept = np.ones(count, dtype=np.bool_)
    is_kept[places] = False
    return is_kept


def _turned(reads: ReadTable, turns: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Yield the reads after each turn of a register: from the read behind it to the last of its series."""
    ends = np.searchsorted(reads.row, reads.row[turns], side="right")
    yield from zip((turns + 1).tolist(), ends.tolist(), strict=True)


def _blank(table: IntervalTable, rows: NDArray[np.intp]) -> None:
    """Leave rows as `IntervalTable.empty` makes them."""
    table.position_milliwh[rows] = 0
    table.position_chain[rows] = UNKNOWN
    table.flags[rows] = 0


def _place_flags(table: IntervalTable, at: Int64s, read_flags: NDArray[np.int32]) -> None:
    flags = np.zeros(table.position_chain.shape, dtype=np.int32)
    flags.ravel()[at] = read_flags
    np.bitwise_or(flags[:, 1:] & int(INTERVAL_FLAGS), flags[:, :-1] & int(START_FLAGS), out=table.flags)


def _flag_rollovers(table: IntervalTable, reads: ReadTable, turns: NDArray[np.intp]) -> None:
    """Flag the interval in which a register comes round; `_read_off` forgets it where an end is unknown."""
    for step in turns.tolist():
        place = -((table.from_s - int(reads.measured_at_s[step + 1])) // table.interval_s) - 1
        if 0 <= place < len(table.starts_at_s):
            table.flags[reads.row[step], place] |= int(Flag.ROLLOVER)


def _read_off(table: IntervalTable, is_interpolated: Mask | None) -> None:
    """Fill values and provenance from the positions; flags count where both ends are known."""
    is_known = table.position_chain >= 0
    is_held = is_known[:, 1:] & is_known[:, :-1]
    np.subtract(table.position_milliwh[:, 1:], table.position_milliwh[:, :-1], out=table.value_milliwh)
    if not is_held.all():
        table.value_milliwh[~is_held] = 0
        table.flags[~is_held] = 0
    table.provenance[...] = is_held.astype(np.int8) * np.int8(Provenance.MEASURED)
    if is_interpolated is not None:
        is_estimated = is_held & (is_interpolated[:, 1:] | is_interpolated[:, :-1])
        table.provenance[is_estimated] = Provenance.ESTIMATED
        table.flags[is_estimated] |= int(Flag.REGISTER_BRACKETED)
        table.method[is_estimated] = Method.LINEAR


def _find_rollovers(
    table: IntervalTable, facts: PlainFacts, reads: ReadTable, turns: NDArray[np.intp]
) -> None:
    """Report each turn of a register that touches the window."""
    for i in turns.tolist():
        row = int(reads.row[i])
        starts_at_s, ends_at_s = int(reads.measured_at_s[i]), int(reads.measured_at_s[i + 1])
        finding = Finding(
            "readings.rollover",
            starts_at_s=starts_at_s,
            ends_at_s=ends_at_s,
            channel_id=int(facts.channel_id[row]),
            evidence={
                "previous_value": int(reads.value[i]),
                "value": int(reads.value[i + 1]),
                "register_modulus": int(facts.register_modulus[row]),
            },
        )
        table.findings[row] = (*table.findings.get(row, ()), finding)
