"""Virtual series: dated terms over other series, evaluated over arrays of intervals.

Exact: coefficients are fractions, energies whole milliwatt-hours. Where a coefficient is no whole number the
remainder is carried from interval to interval within a local day, so that a day is the floor of its exact
sum and no interval is more than one milliwatt-hour away from its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from math import lcm
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.kernel.remainders import carry_remainders
from wattkeeper.core.registry.formulas import InvalidFormula

MILLIWH_MAX = 2**62
FORESEEN_MONTHS_COUNT = 20 * 12
_KEPT_FLAGS = int(
    Flag.SUSPECT | Flag.CLOCK_INVALID | Flag.CLOCK_ADJUSTED | Flag.POWER_LOST | Flag.DST_AMBIGUOUS | Flag.LATE
)
_RANK_OF = {
    Provenance.MEASURED: 0,
    Provenance.DERIVED: 0,
    Provenance.EDITED: 1,
    Provenance.ESTIMATED: 2,
    Provenance.PROJECTED: 3,
    Provenance.MISSING: 4,
}
_RANKS = np.array([_RANK_OF[Provenance(code)] for code in range(len(Provenance))], dtype=np.int64)
_OF_RANK = np.array([Provenance.DERIVED, Provenance.EDITED, Provenance.ESTIMATED, Provenance.PROJECTED])
_ESTIMATED = _RANK_OF[Provenance.ESTIMATED]
_KNOWN_ZERO = (_ESTIMATED << 8) + int(Method.KNOWN_ZERO)
_METHOD_MASK = 255

Integers = NDArray[np.signedinteger[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Term:
    """`coefficient` times a series, in force over ``[starts_at_s, ends_at_s)`` of the virtual series.

    Of the series itself count the intervals that start in ``[from_s, to_s)``: those in which a main meter
    feeds it, also where its intervals are finer.
    """

    series_id: int
    coefficient: Fraction
    starts_at_s: int
    ends_at_s: int | None
    is_zero_when_missing: bool = False
    from_s: int = 0
    to_s: int | None = None

    def counts(self, at_s: int) -> bool:
        """Whether the interval of the series that starts at `at_s` counts."""
        return self.from_s <= at_s and (self.to_s is None or at_s < self.to_s)


@dataclass(frozen=True, slots=True)
class VirtualFacts:
    """A virtual series: its dated terms, its grid and the zone whose days it is summed by."""

    series_id: int
    terms: tuple[Term, ...]
    interval_s: int
    zone: ZoneInfo

    @property
    def member_ids(self) -> frozenset[int]:
        """Every series it ever takes a part from."""
        return frozenset(term.series_id for term in self.terms)


@dataclass(frozen=True, slots=True)
class VirtualSet:
    """All virtual series of a tenant, members before those who use them.

    `users`: series id -> the virtual series that take a part from it. `interval_s_of`: grid of each member.
    `broken`: those that use themselves, which nobody can derive.
    """

    facts: Mapping[int, VirtualFacts]
    users: Mapping[int, tuple[int, ...]]
    interval_s_of: Mapping[int, int]
    broken: frozenset[int] = frozenset()

    @classmethod
    def sound_of(cls, facts: Iterable[VirtualFacts], interval_s_of: Mapping[int, int]) -> "VirtualSet":
        """Return the set without those that use themselves, which are named as broken."""
        known = {each.series_id: each for each in facts}
        broken: set[int] = set()
        while True:
            try:
                sound = cls.of(known.values(), interval_s_of)
            except InvalidFormula as error:
                cycle = error.params["series_ids"]
                assert isinstance(cycle, tuple)
                for series_id in set(cycle):
                    broken.add(series_id)
                    known.pop(series_id, None)
            else:
                return cls(sound.facts, sound.users, interval_s_of, frozenset(broken))

    @classmethod
    def of(cls, facts: Iterable[VirtualFacts], interval_s_of: Mapping[int, int]) -> "VirtualSet":
        """
        Return the set in its order.

        :raises InvalidFormula: ``formulas.cycle``
        """
        known = {each.series_id: each for each in facts}
        order = order_series({own: each.member_ids for own, each in known.items()})
        users: dict[int, list[int]] = {}
        for series_id in order:
            for member_id in sorted(known[series_id].member_ids):
                users.setdefault(member_id, []).append(series_id)
        return cls(
            {own: known[own] for own in order},
            {member: tuple(own) for member, own in users.items()},
            interval_s_of,
        )

    def find_bases(self, series_id: int, span: Span) -> frozenset[int]:
        """Return a series and all that it takes a part from within a span, through others too."""
        found, waiting = {series_id}, [series_id]
        while waiting:
            facts = self.facts.get(waiting.pop())
            for term in facts.terms if facts else ():
                is_in_force = term.starts_at_s < span[1] and (term.ends_at_s or MILLIWH_MAX) > span[0]
                if is_in_force and term.series_id not in found:
                    found.add(term.series_id)
                    waiting.append(term.series_id)
        return frozenset(found)


@dataclass(frozen=True, slots=True, eq=False)
class MemberRows:
    """Current values of member series, in any order; arrays of shape (n,)."""

    series_id: Int64s
    starts_at_s: Int64s
    value_milliwh: Int64s
    provenance: Integers
    flags: Integers
    method: Integers


@dataclass(frozen=True, slots=True, eq=False)
class VirtualValues:
    """Intervals of a virtual series; int64 of shape (n,). `is_covered`: a formula was in force there."""

    value_milliwh: Int64s
    provenance: Int64s
    flags: Int64s
    method: Int64s
    is_covered: Mask


def order_series(members: Mapping[int, frozenset[int]]) -> tuple[int, ...]:
    """Return the virtual series so that each comes after the virtual ones among its members.

    :raises InvalidFormula: ``formulas.cycle`` with the series on it
    """
    order: list[int] = []
    done: set[int] = set()
    for root in sorted(members):
        path: list[int] = []
        on_path: set[int] = set()
        waiting: list[tuple[int, bool]] = [(root, False)]
        while waiting:
            series_id, is_left = waiting.pop()
            if is_left:
                path.pop()
                on_path.discard(series_id)
                done.add(series_id)
                order.append(series_id)
                continue
            if series_id in on_path:
                cycle = [*path[path.index(series_id) :], series_id]
                raise InvalidFormula("formulas.cycle", series_ids=tuple(cycle))
            if series_id in done:
                continue
            path.append(series_id)
            on_path.add(series_id)
            waiting.append((series_id, True))
            waiting += [(own, False) for own in sorted(members[series_id], reverse=True) if own in members]
    return tuple(order)


def common_interval_s(interval_s: Iterable[int]) -> int:
    """Return the shortest interval that holds whole intervals of every member, seconds."""
    return lcm(*interval_s)


def begin_together(zone: ZoneInfo, other: ZoneInfo, interval_s: int, since: datetime) -> bool:
    """Whether the days of two zones begin whole intervals apart, as far as is foreseen for twenty years."""
    months = [datetime(since.year + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(FORESEEN_MONTHS_COUNT)]
    return all((_offset_s(at, zone) - _offset_s(at, other)) % interval_s == 0 for at in months)


def _offset_s(at: datetime, zone: ZoneInfo) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def evaluate(
    facts: VirtualFacts,
    rows: MemberRows,
    starts_at_s: Int64s,
    day_first_index: Int64s,
    interval_s_of: Mapping[int, int],
) -> VirtualValues:
    """Return a virtual series over the intervals that start at `starts_at_s` (n,), evenly `interval_s` apart.

    `day_first_index` (n,): the index of the first interval of each one's local day. A finer member is summed
    upward and missing where a part is; what lies across two intervals is part of neither. An interval is
    missing where a term in force is, unless that term counts what is missing as zero and anything at all is
    there. Its quality is that of its worst part: DERIVED where all were measured. Where all estimates among
    the parts are REGISTER_BRACKETED, so is it.

    :raises WattkeeperError: ``formulas.overflow`` for energies beyond 62 bits
    """
    expected = count_expected(facts, starts_at_s, interval_s_of)
    parts = _gather(facts, rows, starts_at_s, interval_s_of)
    in_force = expected > 0
    is_there = parts.count == expected
    may_fill = np.array([term.is_zero_when_missing for term in facts.terms], dtype=np.bool_)[:, None]
    is_covered: Mask = np.logical_or.reduce(in_force, axis=0)
    is_used = in_force & (is_there | ((parts.count > 0) & may_fill))
    is_known = (~in_force | is_there | may_fill).all(axis=0) & is_used.any(axis=0)
    is_filled = in_force & ~is_there
    quality = np.where(is_used, parts.quality, 0)
    quality = np.where(is_filled, _KNOWN_ZERO, quality).max(axis=0, initial=0)
    flags = np.bitwise_or.reduce(np.where(is_used, parts.flags, 0), axis=0)
    is_held = (quality >> 8 == _ESTIMATED) & ~is_filled.any(axis=0)
    is_held &= (~is_used | parts.is_held).all(axis=0)
    flags |= np.where(is_held, int(Flag.REGISTER_BRACKETED), 0)
    is_valid = (~is_used | parts.is_valid).all(axis=0)
    value = _sum(facts.terms, np.where(is_used & is_known, parts.value, 0), day_first_index)
    provenance = np.where(is_known, _OF_RANK[quality >> 8], int(Provenance.MISSING))
    return VirtualValues(
        value_milliwh=value,
        provenance=provenance.astype(np.int64),
        flags=np.where(is_known, flags | np.where(is_valid, int(Flag.VALIDATED), 0), 0),
        method=np.where(is_known, quality & _METHOD_MASK, int(Method.NONE)),
        is_covered=is_covered,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """What each term adds up, on the grid of the virtual series; arrays of shape (terms, n)."""

    value: Int64s
    count: Int64s  # of the intervals that are there
    quality: Int64s  # rank << 8 | method, the worst of the parts
    flags: Int64s
    is_valid: Mask
    is_held: Mask  # registers hold each of its estimates


def _gather(
    facts: VirtualFacts, rows: MemberRows, starts_at_s: Int64s, interval_s_of: Mapping[int, int]
) -> _Parts:
    shape = (len(facts.terms), len(starts_at_s))
    from_s, to_s = int(starts_at_s[0]), int(starts_at_s[-1]) + facts.interval_s
    is_own = (rows.starts_at_s >= from_s) & (rows.starts_at_s < to_s)
    own = np.flatnonzero(is_own & (rows.provenance != Provenance.MISSING))
    term, row = _terms_of_rows(facts.terms, rows.series_id[own])
    row = own[row]
    first, end = _bounds([(each.from_s, each.to_s) for each in facts.terms])
    counts = (rows.starts_at_s[row] >= first[term]) & (rows.starts_at_s[row] < end[term])
    within_s = (rows.starts_at_s[row] - from_s) % facts.interval_s
    counts &= within_s + _lengths_s(facts, interval_s_of)[term] <= facts.interval_s
    term, row = term[counts], row[counts]
    at = (term, (rows.starts_at_s[row] - from_s) // facts.interval_s)
    value, quality, flags, count, invalid, loose = np.zeros((6, *shape), dtype=np.int64)
    np.add.at(value, at, rows.value_milliwh[row])
    np.add.at(count, at, 1)
    rank = _RANKS[rows.provenance[row]]
    method = np.where(rank > 0, rows.method[row], int(Method.NONE))
    np.maximum.at(quality, at, (rank << 8) + method)
    own_flags = rows.flags[row].astype(np.int64)
    np.bitwise_or.at(flags, at, own_flags & _KEPT_FLAGS)
    np.add.at(invalid, at, (own_flags & int(Flag.VALIDATED)) == 0)
    is_loose = (own_flags & int(Flag.REGISTER_BRACKETED)) == 0
    np.add.at(loose, at, is_loose & (rank == _ESTIMATED))
    return _Parts(value, count, quality, flags, invalid == 0, loose == 0)


def _terms_of_rows(terms: Sequence[Term], series_id: Int64s) -> tuple[Int64s, Int64s]:
    """Return each pair of a term and a row of its series, by their indexes."""
    of_term = np.array([term.series_id for term in terms], dtype=np.int64)
    order = np.argsort(of_term, kind="stable")
    first, end = (np.searchsorted(of_term[order], series_id, side=side) for side in ("left", "right"))
    row = np.repeat(np.arange(len(series_id)), end - first)
    place = np.arange(len(row)) - np.repeat(np.cumsum(end - first) - end, end - first)
    return order[place], row


def count_expected(facts: VirtualFacts, starts_at_s: Int64s, interval_s_of: Mapping[int, int]) -> Int64s:
    """Return how many intervals of its series each term adds up, shape (terms, n)."""
    first, end = _bounds([(term.starts_at_s, term.ends_at_s) for term in facts.terms])
    in_force = (starts_at_s >= first[:, None]) & (starts_at_s < end[:, None])
    grid_s = _lengths_s(facts, interval_s_of)[:, None]
    before = [
        np.clip(-((starts_at_s - bound_s[:, None]) // grid_s), 0, facts.interval_s // grid_s)
        for bound_s in _bounds([(term.from_s, term.to_s) for term in facts.terms])
    ]
    return np.where(in_force, before[1] - before[0], 0)


def _lengths_s(facts: VirtualFacts, interval_s_of: Mapping[int, int]) -> Int64s:
    """Return how long the intervals of each term are, shape (terms,)."""
    lengths = [interval_s_of.get(term.series_id, facts.interval_s) for term in facts.terms]
    return np.array(lengths, dtype=np.int64)


def _bounds(periods: Sequence[tuple[int, int | None]]) -> tuple[Int64s, Int64s]:
    """Return where periods begin and where they end, each of shape (periods,)."""
    first = np.array([from_s for from_s, _ in periods], dtype=np.int64)
    end = np.array([MILLIWH_MAX if to_s is None else to_s for _, to_s in periods], dtype=np.int64)
    return first, end


def _sum(terms: Sequence[Term], value: Int64s, day_first_index: Int64s) -> Int64s:
    """Return whole milliwatt-hours: the floor of the exact sum since the day began, interval by interval."""
    denominator = lcm(*(term.coefficient.denominator for term in terms))
    factors = [int(term.coefficient * denominator) for term in terms]
    biggest = np.abs(value).max(axis=1, initial=0).tolist()
    bound = sum(abs(factor) * size for factor, size in zip(factors, biggest, strict=True))
    if bound * value.shape[1] >= MILLIWH_MAX or max(map(abs, factors), default=0) >= MILLIWH_MAX:
        raise WattkeeperError("formulas.overflow")
    total: Int64s = np.array(factors, dtype=np.int64) @ value
    if denominator == 1:
        return total
    return carry_remainders(total, denominator, day_first_index)
