"""Virtual series over arrays against a plain oracle in fractions, interval by interval."""

from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.registry.formulas import InvalidFormula
from wattkeeper.core.registry.virtual_series import (
    MemberRows,
    Term,
    VirtualFacts,
    VirtualSet,
    VirtualValues,
    begin_together,
    common_interval_s,
    evaluate,
    order_series,
)

STEP_S, COUNT = 900, 96
Row = tuple[int, int, int, int, int, int]
KINDS = (Provenance.MEASURED, Provenance.ESTIMATED, Provenance.EDITED, Provenance.DERIVED, Provenance.MISSING)
VALID = int(Flag.VALIDATED)
WORST = (Provenance.DERIVED, Provenance.EDITED, Provenance.ESTIMATED, Provenance.MISSING)


def columns(rows: list[Row]) -> MemberRows:
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    return MemberRows(*(np.ascontiguousarray(table[:, i]) for i in range(6)))


def values_of(
    terms: tuple[Term, ...],
    rows: list[Row],
    *,
    interval_s: int = STEP_S,
    grids: dict[int, int] | None = None,
    days: int = 1,
) -> VirtualValues:
    """Evaluate over days of UTC that begin at 0."""
    facts = VirtualFacts(99, terms, interval_s, ZoneInfo("UTC"))
    starts_at_s = np.arange(0, days * 86_400, interval_s)
    first = starts_at_s // 86_400 * (86_400 // interval_s)
    return evaluate(facts, columns(rows), starts_at_s, first, grids or {})


def flat(series_id: int, value: int, *, count: int = COUNT, step_s: int = STEP_S) -> list[Row]:
    return [(series_id, at * step_s, value, 1, VALID, 0) for at in range(count)]


def test_main_minus_subs() -> None:
    terms = (Term(1, Fraction(1), 0, None), Term(2, Fraction(-1), 0, None), Term(3, Fraction(-1), 0, 43_200))
    found = values_of(terms, flat(1, 1000) + flat(2, 300) + flat(3, 200))
    assert found.value_milliwh.tolist() == [500] * 48 + [700] * 48
    assert set(found.provenance.tolist()) == {Provenance.DERIVED}
    assert set(found.flags.tolist()) == {VALID}


def test_finer_members_are_summed_upward_and_a_missing_part_is_missing() -> None:
    terms = (Term(1, Fraction(1), 0, None), Term(2, Fraction(1), 0, None))
    rows = flat(1, 10)[:-1] + flat(2, 100, count=24, step_s=3600)
    found = values_of(terms, rows, interval_s=3600, grids={1: 900, 2: 3600})
    assert found.value_milliwh.tolist() == [140] * 23 + [0]
    assert found.provenance.tolist() == [Provenance.DERIVED] * 23 + [Provenance.MISSING]
    filled = (Term(1, Fraction(1), 0, None, is_zero_when_missing=True), terms[1])
    found = values_of(filled, rows, interval_s=3600, grids={1: 900, 2: 3600})
    assert found.value_milliwh.tolist() == [140] * 23 + [130]
    assert (found.provenance[-1], found.method[-1]) == (Provenance.ESTIMATED, Method.KNOWN_ZERO)


def test_what_lies_across_two_intervals_is_part_of_neither() -> None:
    terms = (Term(1, Fraction(1), 0, None),)
    late = [(1, at * 3600 + 1800, 10, 1, VALID, 0) for at in range(23)]
    found = values_of(terms, late, interval_s=3600, grids={1: 3600})
    assert set(found.provenance.tolist()) == {Provenance.MISSING}
    assert not found.value_milliwh.any()
    halves = [(1, at * 1800, 10, 1, VALID, 0) for at in range(48)]
    assert values_of(terms, halves, interval_s=3600, grids={1: 1800}).value_milliwh.tolist() == [20] * 24


@pytest.mark.parametrize(
    ("zone", "other", "interval_s", "is_so"),
    [
        ("Asia/Shanghai", "Asia/Kolkata", 3600, False),
        ("Asia/Shanghai", "Asia/Kolkata", 1800, True),
        ("Asia/Kathmandu", "Asia/Kolkata", 1800, False),
        ("Asia/Kathmandu", "Asia/Kolkata", 900, True),
        ("Australia/Lord_Howe", "Australia/Sydney", 3600, False),  # half an hour apart in winter alone
        ("Europe/Berlin", "Asia/Shanghai", 3600, True),
    ],
)
def test_days_of_zones_begin_whole_intervals_apart_or_not(
    zone: str, other: str, interval_s: int, is_so: bool
) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert begin_together(ZoneInfo(zone), ZoneInfo(other), interval_s, since) is is_so
    assert begin_together(ZoneInfo(other), ZoneInfo(zone), interval_s, since) is is_so


def test_a_finer_member_that_moves_within_an_interval_counts_for_its_own_intervals() -> None:
    """Fed from ten past the hour until 25 to the next: of each half-hour those quarters that start then."""
    main, sub, coarse = (
        flat(1, 1000),
        [(2, at * STEP_S, 1 << at, 1, VALID, 0) for at in range(8)],
        flat(3, 50, count=48, step_s=1800),
    )
    terms = (
        Term(1, Fraction(1), 0, None),
        Term(2, Fraction(-1), 0, None, from_s=600, to_s=5700),
        Term(3, Fraction(-1), 0, None, from_s=2400),
    )
    grids = {1: 900, 2: 900, 3: 1800}
    found = values_of(terms, main + sub + coarse, interval_s=1800, grids=grids)
    assert found.value_milliwh[:4].tolist() == [2000 - 2, 2000 - 4 - 8, 2000 - 16 - 32 - 50, 2000 - 64 - 50]
    lacking = values_of(
        terms, main + [row for row in sub if row[1] not in {0, 900}] + coarse, interval_s=1800, grids=grids
    )
    assert lacking.provenance[:2].tolist() == [Provenance.MISSING, Provenance.DERIVED]
    outside = values_of(
        terms, main + [row for row in sub if row[1] not in {0, 6300}] + coarse, interval_s=1800, grids=grids
    )
    assert outside.value_milliwh.tolist() == found.value_milliwh.tolist()
    assert set(outside.provenance.tolist()) == {Provenance.DERIVED}


def test_missing_is_never_zero_and_zero_only_where_the_formula_says_so() -> None:
    plain = (Term(1, Fraction(1), 0, None), Term(2, Fraction(1), 0, None))
    rows = flat(1, 7, count=10)
    assert set(values_of(plain, rows).provenance.tolist()) == {Provenance.MISSING}
    filled = (plain[0], Term(2, Fraction(1), 0, None, is_zero_when_missing=True))
    found = values_of(filled, rows)
    assert found.provenance.tolist() == [Provenance.ESTIMATED] * 10 + [Provenance.MISSING] * 86
    assert found.value_milliwh[:10].tolist() == [7] * 10
    nothing = (Term(1, Fraction(1), 0, None, True),)
    assert set(values_of(nothing, []).provenance.tolist()) == {Provenance.MISSING}


def test_estimates_are_held_by_registers_where_those_of_all_parts_are() -> None:
    held = int(Flag.REGISTER_BRACKETED)
    both = (Term(1, Fraction(1), 0, None), Term(2, Fraction(-1), 0, None))
    parts = [(1, 2, held), (2, 1, VALID)], [(1, 2, held), (2, 2, held)], [(1, 2, held), (2, 2, 0)]
    rows = [
        (series_id, at * STEP_S, 7, provenance, flags, 0)
        for at, part in enumerate((*parts, [(1, 1, VALID), (2, 1, VALID)]))
        for series_id, provenance, flags in part
    ]
    assert values_of(both, rows).flags[:4].tolist() == [held, held, 0, VALID]
    filled = (both[0], Term(2, Fraction(1), 0, None, is_zero_when_missing=True))
    assert values_of(filled, rows[:1]).flags[0] == 0


def test_outside_every_formula_nothing_is_expected() -> None:
    found = values_of((Term(1, Fraction(1), 900, 1800),), flat(1, 7))
    assert np.flatnonzero(found.is_covered).tolist() == [1]
    assert not values_of((), flat(1, 7)).is_covered.any()


def test_energies_beyond_the_columns_are_refused() -> None:
    with pytest.raises(WattkeeperError, match=r"formulas\.overflow"):
        values_of((Term(1, Fraction(10**9), 0, None),), flat(1, 10**12))


COEFFICIENTS = st.fractions(-5, 5, max_denominator=7).filter(bool)
BOUNDS = st.tuples(st.integers(0, 200), st.integers(0, 200)).map(sorted)


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[Term, ...], list[Row]]:
    """Draw terms over three series, in force for part of two days, and holed values of mixed quality."""
    terms = tuple(
        Term(
            draw(st.integers(1, 3)),
            draw(COEFFICIENTS),
            (bounds := draw(BOUNDS))[0] * 450,
            draw(st.sampled_from([None, bounds[1] * 450])),
            draw(st.booleans()),
        )
        for _ in range(draw(st.integers(1, 4)))
    )
    seed = draw(st.integers(0, 2**32))
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    for series_id in (1, 2, 3):
        for at in np.flatnonzero(random.random(192) < 0.9).tolist():
            kind = KINDS[int(random.integers(0, 20)) % 5 if random.random() < 0.2 else 0]
            flags = VALID if random.random() < 0.9 else int(Flag.SUSPECT)
            rows.append((series_id, at * STEP_S, int(random.integers(0, 10**6)), int(kind), flags, 0))
    random.shuffle(rows)
    return terms, rows


def oracle(terms: tuple[Term, ...], rows: list[Row]) -> list[tuple[int, Provenance] | None]:
    """Return value and provenance of each of 192 intervals by plain loops over fractions."""
    held = {(row[0], row[1]): row for row in rows if row[3] != Provenance.MISSING}
    found: list[tuple[int, Provenance] | None] = []
    reached = Fraction(0)
    for at in range(192):
        at_s = at * STEP_S
        if at % COUNT == 0:
            reached = Fraction(0)
        own = [t for t in terms if t.starts_at_s <= at_s and (t.ends_at_s is None or at_s < t.ends_at_s)]
        there = [(t, held[t.series_id, at_s]) for t in own if (t.series_id, at_s) in held]
        lacking = [t for t in own if (t.series_id, at_s) not in held]
        if not own:
            found.append(None)
            continue
        if not there or any(not t.is_zero_when_missing for t in lacking):
            found.append((0, Provenance.MISSING))
            continue
        before = reached // 1
        reached += sum((t.coefficient * row[2] for t, row in there), Fraction(0))
        kinds = [Provenance.ESTIMATED] if lacking else []
        kinds += [
            Provenance.DERIVED if row[3] == Provenance.MEASURED else Provenance(row[3]) for _, row in there
        ]
        found.append((int(reached // 1 - before), max(kinds, key=WORST.index)))
    return found


@given(cases())
def test_arrays_say_what_plain_loops_say(case: tuple[tuple[Term, ...], list[Row]]) -> None:
    terms, rows = case
    found = values_of(terms, rows, days=2)
    for at, expected in enumerate(oracle(terms, rows)):
        assert bool(found.is_covered[at]) == (expected is not None)
        if expected is not None:
            assert (found.value_milliwh[at], found.provenance[at]) == expected


@given(cases())
def test_rounding_loses_less_than_a_milliwatt_hour_a_day(case: tuple[tuple[Term, ...], list[Row]]) -> None:
    terms, rows = case
    found = values_of(terms, rows, days=2)
    held = {(row[0], row[1]): row[2] for row in rows if row[3] != Provenance.MISSING}
    for day in range(2):
        exact = Fraction(0)
        for at in range(day * COUNT, (day + 1) * COUNT):
            if found.provenance[at] != Provenance.MISSING:
                exact += sum(
                    t.coefficient * held.get((t.series_id, at * STEP_S), 0)
                    for t in terms
                    if t.starts_at_s <= at * STEP_S and (t.ends_at_s is None or at * STEP_S < t.ends_at_s)
                )
        assert 0 <= exact - int(found.value_milliwh[day * COUNT : (day + 1) * COUNT].sum()) < 1


GRAPHS = st.dictionaries(st.integers(0, 12), st.frozensets(st.integers(0, 15), max_size=3), max_size=10)


def has_cycle(graph: dict[int, frozenset[int]]) -> bool:
    """Whether taking away what uses nothing that is left ever ends before nothing is left."""
    left = {node: {member for member in members if member in graph} for node, members in graph.items()}
    while left:
        free = [node for node, members in left.items() if not members & left.keys()]
        if not free:
            return True
        for node in free:
            del left[node]
    return False


@given(GRAPHS)
def test_cycles_are_refused_and_members_come_first(graph: dict[int, frozenset[int]]) -> None:
    if has_cycle(graph):
        with pytest.raises(InvalidFormula) as refusal:
            order_series(graph)
        path = refusal.value.params["series_ids"]
        assert isinstance(path, tuple)
        assert path[0] == path[-1]
        assert all(after in graph[before] for before, after in pairwise(path))
        return
    order = order_series(graph)
    assert sorted(order) == sorted(graph)
    assert all(order.index(m) < order.index(own) for own in graph for m in graph[own] if m in graph)


def test_a_set_knows_its_order_and_its_users() -> None:
    zone = ZoneInfo("UTC")
    outer = VirtualFacts(5, (Term(6, Fraction(1), 0, None), Term(1, Fraction(1), 0, None)), 900, zone)
    inner = VirtualFacts(6, (Term(1, Fraction(1), 0, None),), 900, zone)
    known = VirtualSet.of([outer, inner], {1: 900})
    assert list(known.facts) == [6, 5]
    assert known.users == {1: (6, 5), 6: (5,)}


def test_what_a_series_rests_on_within_a_span() -> None:
    """5 takes 6 until 100 and 2 from then on, 6 takes 1: none of another time counts, all between do."""
    one, zone = Fraction(1), ZoneInfo("UTC")
    outer = VirtualFacts(5, (Term(6, one, 0, 100), Term(2, one, 100, None)), 900, zone)
    known = VirtualSet.of([outer, VirtualFacts(6, (Term(1, one, 0, None),), 900, zone)], {})
    bases = [known.find_bases(5, span) for span in ((0, 100), (100, 200), (99, 101))]
    assert bases == [{5, 6, 1}, {5, 2}, {5, 6, 1, 2}]
    assert known.find_bases(1, (0, 100)) == {1}


def test_the_common_interval_holds_whole_intervals_of_all() -> None:
    assert common_interval_s([900, 1800, 3600]) == 3600
    assert common_interval_s([900, 600]) == 1800
