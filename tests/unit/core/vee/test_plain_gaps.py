"""Gaps of many series estimated in arrays against `estimate_window`, series by series, to the last digit."""

from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.intervals import Intervals, derive_intervals
from wattkeeper.core.readings.plain_table import IntervalTable, gaps_of, join_gaps
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.core.vee import plain_days, plain_gaps
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.like_days import iter_like_days
from wattkeeper.core.vee.plain_gaps import estimate_gaps
from wattkeeper.core.vee.rule_set import Estimation, RuleSet
from wattkeeper.core.vee.series import cut_window, estimate_window

FIRST = date(2026, 3, 2)  # Berlin's short day is the 28th from here
LENGTHS = (1, 2, 3, 9, 40)
SOURCE = int(Source.PROFILE)
STEP_S = 3600
ZONES = (ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin"))
HOLIDAYS = frozenset({FIRST + timedelta(days=9), FIRST + timedelta(days=31)})
FLAGS = (Flag.POWER_LOST, Flag.POWER_LOST, Flag.SUSPECT, Flag.CLOCK_INVALID)


def make_row(chance: Random, start_s: int, end_s: int, *, is_huge: bool) -> Intervals:
    """Return a series of which much is lost, flagged or dark."""
    count = (end_s - start_s) // STEP_S + 1
    value = 10**7
    rows: list[tuple[int, int, int, int]] = []
    still = chance.randrange(count)
    for i in range(count):
        value += 0 if still < i < still + 30 else chance.randrange(40)
        rows.append((start_s + i * STEP_S, value, 0, SOURCE))
    for _ in range(chance.randrange(8)):
        i = chance.randrange(count)
        for k in range(i, min(count, i + chance.randrange(1, 3))):
            rows[k] = (*rows[k][:2], int(chance.choice(FLAGS)), SOURCE)
    lost: set[int] = set()
    for _ in range(chance.randrange(7)):
        first = chance.randrange(count)
        lost |= set(range(first, first + chance.choice((1, 1, 2, 3, 8, 20, 60, 300))))
    if chance.random() < 0.2:
        rows[count // 2 :] = [(row[0], row[1] - 9_000_000, *row[2:]) for row in rows[count // 2 :]]
    if count > 20:
        for i in (dark := chance.randrange(count - 12)), dark + 4:
            rows[i] = (rows[i][0], rows[dark][1], int(Flag.POWER_LOST), SOURCE)
        rows[dark + 3] = (rows[dark + 3][0], rows[dark][1], 0, SOURCE)
        lost = lost - set(range(dark - 1, dark + 5)) | {dark + 1, dark + 2}
    kept = [row for i, row in enumerate(rows) if i not in lost]
    step = Fraction(10**10 if is_huge else chance.choice((10_000, 1, 333)), 1)
    installation = ChannelInstallation(1, 0, None, step, None, (MultiplierPeriod(0, None, Fraction(1)),))
    return derive_intervals(
        installations=(installation,),
        reads={1: ReadColumns.of(kept)},
        from_s=start_s,
        to_s=end_s,
        interval_s=STEP_S,
        power_max_w=int(step) * 100 + 1000,
    )


def make_table(rows: list[Intervals]) -> IntervalTable:
    """Return the rows as a table."""
    first = rows[0]
    from_s, to_s = int(first.starts_at_s[0]), int(first.starts_at_s[-1]) + STEP_S
    table = IntervalTable.empty(np.arange(len(rows)) + 1, from_s, to_s, STEP_S)
    for i, row in enumerate(rows):
        table.fill(i, row)
    table.gaps = join_gaps([gaps_of(i, row.gaps) for i, row in enumerate(rows)])
    return table


def compare(seed: int, rules: RuleSet, *, is_huge: bool = False) -> tuple[int, set[int]]:
    """Compare a table of six series; return how many were left to `estimate`, and the methods seen."""
    chance = Random(seed)
    calendar = DayCalendar(chance.choice(ZONES), HOLIDAYS)
    start_s, end_s = (
        to_seconds(local_midnight(FIRST + timedelta(days=days), calendar.zone))
        for days in (0, chance.choice(LENGTHS))
    )
    rows = [make_row(chance, start_s, end_s, is_huge=is_huge) for _ in range(6)]
    first = chance.randrange(len(rows[0]) - 1)
    end = chance.randrange(first + 1, len(rows[0]) + 1)
    now_s = end_s + chance.randrange(-3, 3) * 86_400
    table = make_table(rows)
    is_left = estimate_gaps(table, first, end, calendar=calendar, now_s=now_s, rules=rules)
    methods: set[int] = set()
    for i, row in enumerate(rows):
        window = estimate_window(
            row,
            calendar=calendar,
            from_s=start_s + first * STEP_S,
            to_s=start_s + end * STEP_S,
            now_s=now_s,
            rules=rules,
        )
        wanted = cut_window(row, first, end) if is_left[i] else window
        methods |= set(window.method.tolist())
        for name in ("value_milliwh", "provenance", "flags", "method"):
            found = getattr(table, name)[i, first:end]
            assert (found == getattr(wanted, name)).all(), (seed, i, name)
    return int(is_left.sum()), methods


def rules_of(chance: Random) -> RuleSet:
    return RuleSet(
        estimation=Estimation(
            linear_max_s=chance.choice((STEP_S, 2 * STEP_S, 6 * STEP_S)),
            is_average_first=chance.random() < 0.3,
            is_zero_last=chance.random() < 0.3,
        )
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_many_gaps_are_estimated_as_each_by_itself(seed: int) -> None:
    compare(seed, rules_of(Random(seed)))


def test_every_method_of_estimation_is_met() -> None:
    left = 0
    methods: set[int] = set()
    for seed in range(30):
        own, seen = compare(seed, rules_of(Random(seed)))
        left, methods = left + own, methods | seen
    assert left == 0
    assert methods >= {
        Method.LINEAR,
        Method.LIKE_DAY,
        Method.AVERAGE_LIKE_DAY,
        Method.EVEN_SPREAD,
        Method.FLAT_LINE,
        Method.KNOWN_ZERO,
        Method.UNFILLED,
    }


def test_numbers_beyond_64_bits_are_left_to_exact_integers() -> None:
    assert sum(compare(seed, RuleSet(), is_huge=True)[0] for seed in range(8)) > 0


def _no_holidays(target: date, *, is_holiday: bool) -> Iterator[date]:
    return iter_like_days(target, is_holiday=False)


PLANTS: dict[str, tuple[object, str, Any]] = {
    "holidays forgotten": (plain_days, "iter_like_days", _no_holidays),
    "flagged days learnt from": (plain_days, "UNUSABLE_FLAGS", 0),
    "means over any days": (plain_days, "AHEAD_DAYS", 40),
    "shares not made whole": (plain_gaps, "_share_out", lambda *_: None),
    "poor neighbours": (plain_gaps, "BAD_END_FLAGS", 0),
    "no flat line": (plain_gaps, "_take_last", lambda *_: None),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_difference_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, fault = PLANTS[name]
    monkeypatch.setattr(owner, attribute, fault)
    for seed in range(60):
        try:
            compare(seed, rules_of(Random(seed)))
        except AssertionError:
            return
    pytest.fail(f"nobody noticed: {name}")
