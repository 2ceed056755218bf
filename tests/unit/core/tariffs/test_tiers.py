"""Ladders and shares: exact by rate and by tier."""

from datetime import date
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.tariffs.model import Per, Proration
from wattkeeper.core.tariffs.proration import month_starts, quoted_spans, year_starts
from wattkeeper.core.tariffs.tiers import (
    cells_per_period,
    cells_pro_rata,
    ladder,
    scale_limits,
    split_in_time_order,
)

energies = st.integers(0, 10**9)
limits = st.lists(st.integers(1, 10**9), max_size=4, unique=True).map(lambda found: tuple(sorted(found)))


@pytest.mark.parametrize(
    ("used", "energy", "parts"),
    [
        (0, 99, [99, 0, 0]),
        (0, 100, [100, 0, 0]),
        (0, 101, [100, 1, 0]),
        (99, 200, [1, 100, 99]),
        (300, 5, [0, 0, 5]),
    ],
)
def test_ladder(used: int, energy: int, parts: list[int]) -> None:
    assert ladder(used, energy, (100, 200)) == parts


@given(st.lists(energies, min_size=1, max_size=6), energies, limits)
def test_shares_add_up_both_ways(by_rate: list[int], used: int, bounds: tuple[int, ...]) -> None:
    cells = cells_pro_rata(by_rate, used, bounds)
    tiers = ladder(used, sum(by_rate), bounds)
    assert [sum(row) for row in cells] == by_rate
    assert [sum(column) for column in zip(*cells, strict=True)] == tiers
    for row, energy in zip(cells, by_rate, strict=True):
        for cell, tier in zip(row, tiers, strict=True):
            assert cell >= 0
            if sum(by_rate):
                assert abs(cell - Fraction(energy * tier, sum(by_rate))) < len(by_rate) + 1


@given(st.lists(energies, max_size=30), energies, limits)
def test_time_order_is_the_ladder_of_each_interval(
    values: list[int], used: int, bounds: tuple[int, ...]
) -> None:
    split = split_in_time_order(np.array(values, dtype=np.int64), used, bounds)
    for index, energy in enumerate(values):
        assert [int(tier[index]) for tier in split] == ladder(used + sum(values[:index]), energy, bounds)


@given(st.lists(st.tuples(energies, energies), min_size=1, max_size=4), limits)
def test_each_rate_climbs_alone(pairs: list[tuple[int, int]], bounds: tuple[int, ...]) -> None:
    cells = cells_per_period([energy for energy, _used in pairs], [used for _energy, used in pairs], bounds)
    assert [sum(row) for row in cells] == [energy for energy, _used in pairs]


def test_limits_scale_down_to_whole_milliwatt_hours() -> None:
    assert scale_limits((300_000_000, 1), 45, 30) == (450_000_000, 1)


def spans(per: Per, proration: Proration, first: str, end: str) -> Fraction:
    """Return the spans of a bill of one version."""
    days = date.fromisoformat(first), date.fromisoformat(end)
    return quoted_spans(per, proration, *days, bill_first=days[0], bill_end=days[1])


@pytest.mark.parametrize(
    ("per", "proration", "first", "end", "expected"),
    [
        (Per.DAY, Proration.BY_DAYS, "2026-03-01", "2026-03-11", Fraction(10)),
        (Per.MONTH, Proration.BY_DAYS, "2026-03-01", "2026-04-01", Fraction(1)),
        (Per.MONTH, Proration.BY_DAYS, "2026-02-15", "2026-03-11", Fraction(14, 28) + Fraction(10, 31)),
        (Per.MONTH, Proration.NOMINAL, "2026-03-01", "2026-04-01", Fraction(31, 30)),
        (Per.MONTH, Proration.WHOLE, "2026-02-15", "2026-03-11", Fraction(2)),
        (Per.YEAR, Proration.BY_DAYS, "2023-12-31", "2024-01-02", Fraction(1, 365) + Fraction(1, 366)),
        (Per.YEAR, Proration.NOMINAL, "2024-01-01", "2025-01-01", Fraction(366, 365)),
        (Per.PERIOD, Proration.BY_DAYS, "2026-02-15", "2026-03-11", Fraction(1)),
    ],
)
def test_spans(per: Per, proration: Proration, first: str, end: str, expected: Fraction) -> None:
    assert spans(per, proration, first, end) == expected


@given(
    st.dates(date(2020, 1, 1), date(2027, 1, 1)),
    st.integers(0, 400),
    st.integers(1, 400),
    st.sampled_from(Per),
)
def test_parts_add_up_to_the_whole(first: date, cut: int, more: int, per: Per) -> None:
    middle = date.fromordinal(first.toordinal() + cut)
    end = date.fromordinal(middle.toordinal() + more)
    for proration in Proration:
        bill = {"bill_first": first, "bill_end": end}
        whole = quoted_spans(per, proration, first, end, **bill)
        parts = [quoted_spans(per, proration, *part, **bill) for part in ((first, middle), (middle, end))]
        assert sum(parts) == whole


def test_starts_inside() -> None:
    assert month_starts(date(2026, 11, 1), date(2027, 2, 1)) == [date(2026, 12, 1), date(2027, 1, 1)]
    assert year_starts(date(2025, 1, 1), date(2027, 1, 1)) == [date(2026, 1, 1)]
