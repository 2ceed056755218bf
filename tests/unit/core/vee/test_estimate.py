"""Gaps of days: like days, their fallbacks, exact scaling, the nasty days of a year."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.apportion import UnableToEstimate, apportion
from wattkeeper.core.vee.estimate import DayCalendar, Shape, estimate
from wattkeeper.core.vee.like_days import to_wall

BERLIN = ZoneInfo("Europe/Berlin")
CALENDAR = DayCalendar(BERLIN)
HOUR_S = 3600


def hourly(first: date, days: int) -> Intervals:
    """Return whole local days of measured hours: value = day of month x 100 + hour of the wall clock."""
    start_s = to_seconds(datetime(first.year, first.month, first.day, tzinfo=BERLIN).astimezone(UTC))
    end = first + timedelta(days=days)
    end_s = to_seconds(datetime(end.year, end.month, end.day, tzinfo=BERLIN).astimezone(UTC))
    starts_at_s = np.arange(start_s, end_s, HOUR_S)
    ordinals, wall_s = to_wall(starts_at_s, BERLIN)
    day_of_month = np.array([date.fromordinal(int(ordinal)).day for ordinal in ordinals])
    size = len(starts_at_s)
    nothing = np.zeros(size, dtype=np.int64)
    return Intervals(
        HOUR_S,
        starts_at_s,
        day_of_month * 100 + wall_s // HOUR_S,
        np.full(size, int(Provenance.MEASURED)),
        nothing,
        nothing,
        np.ones(size, dtype=np.bool_),
        np.zeros(size + 1, dtype=np.int64),
        np.zeros(size + 1, dtype=np.int64),
        (),
        (),
    )


def day_span(intervals: Intervals, day: date) -> tuple[int, int]:
    ordinals, _ = to_wall(intervals.starts_at_s, BERLIN)
    places = np.flatnonzero(ordinals == day.toordinal())
    return int(places[0]), int(places[-1]) + 1


def lose(intervals: Intervals, *days: date, energy_milliwh: int | None = None) -> Intervals:
    """Return the intervals without the given days."""
    provenance = intervals.provenance.copy()
    gaps = []
    for day in days:
        first, end = day_span(intervals, day)
        provenance[first:end] = Provenance.MISSING
        gaps.append(Gap(first, end, energy_milliwh, is_exact=energy_milliwh is not None))
    return replace(intervals, provenance=provenance, gaps=tuple(gaps))


def flagged(intervals: Intervals, day: date, flag: Flag) -> Intervals:
    flags = intervals.flags.copy()
    first, _ = day_span(intervals, day)
    flags[first] = flag
    return replace(intervals, flags=flags)


JULY = date(2026, 7, 1)  # a Wednesday


def test_the_same_weekday_of_last_week_comes_first() -> None:
    target = date(2026, 7, 17)
    lost = lose(hourly(JULY, 20), target)
    found = estimate(lost, CALENDAR, lost.gaps)
    first, end = day_span(lost, target)
    assert found.value_milliwh[first:end].tolist() == [1000 + hour for hour in range(24)]
    assert set(found.method[first:end].tolist()) == {Method.LIKE_DAY}
    assert set(found.provenance[first:end].tolist()) == {Provenance.ESTIMATED}
    assert set(found.flags[first:end].tolist()) == {0}
    assert not found.gaps


def test_a_gap_of_years_is_filled_a_day_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    fill = Shape.fill

    def counted(self: Shape, *given: Any) -> None:
        sizes.append(len(self.is_known))
        fill(self, *given)

    monkeypatch.setattr(Shape, "fill", counted)
    lost = lose(hourly(JULY, 400))
    first, end = day_span(lost, date(2026, 7, 20))[0], len(lost)
    gap = Gap(first, end, None, is_exact=False)
    lost.provenance[first:end] = Provenance.MISSING
    found = estimate(replace(lost, gaps=(gap,)), CALENDAR, [gap])
    assert found.method[first] == Method.LIKE_DAY
    assert len(sizes) > 300
    assert max(sizes) == 25, "the work grows with the square of the gap's length"


def test_days_with_an_outage_and_holidays_are_skipped() -> None:
    target = date(2026, 7, 17)
    lost = flagged(lose(hourly(JULY, 20), target), date(2026, 7, 10), Flag.POWER_LOST)
    first, _ = day_span(lost, target)
    assert estimate(lost, CALENDAR, lost.gaps).value_milliwh[first] == 300
    on_holiday = DayCalendar(BERLIN, frozenset({date(2026, 7, 3)}))
    found = estimate(lost, on_holiday, lost.gaps)
    assert found.method[first] == Method.AVERAGE_LIKE_DAY
    working = [1, 2, 6, 7, 8, 9, 13, 14, 15, 16]  # of July, but the holiday and the tenth, which was dark
    assert found.value_milliwh[first + 1] == sum(day * 100 + 1 for day in working) // 10


def test_a_holiday_is_a_sunday() -> None:
    target = date(2026, 7, 17)
    lost = lose(hourly(JULY, 20), target)
    found = estimate(lost, DayCalendar(BERLIN, frozenset({target})), lost.gaps)
    assert found.value_milliwh[day_span(lost, target)[0]] == 1200


def test_an_estimated_day_is_never_a_like_day() -> None:
    first_lost, second_lost = date(2026, 7, 10), date(2026, 7, 17)
    lost = lose(hourly(JULY, 20), first_lost, second_lost)
    found = estimate(lost, CALENDAR, lost.gaps)
    assert found.value_milliwh[day_span(lost, second_lost)[0]] == 300
    assert found.value_milliwh[day_span(lost, first_lost)[0]] == 300


@pytest.mark.parametrize(("target", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_slots_are_matched_by_the_wall_clock(target: date, hours: int) -> None:
    lost = lose(hourly(target - timedelta(days=15), 17), target)
    first, end = day_span(lost, target)
    assert end - first == hours
    found = estimate(lost, CALENDAR, lost.gaps)
    wall = found.value_milliwh[first:end] % 100
    spring = [0, 1, *range(3, 24)]
    autumn = [0, 1, 2, 2, *range(3, 24)]
    assert wall.tolist() == (spring if hours == 23 else autumn)


def test_what_the_registers_know_is_shared_exactly() -> None:
    target = date(2026, 7, 17)
    lost = lose(hourly(JULY, 20), target, energy_milliwh=12_345_677)
    found = estimate(lost, CALENDAR, lost.gaps)
    first, end = day_span(lost, target)
    assert int(found.value_milliwh[first:end].sum()) == 12_345_677
    assert set(found.flags[first:end].tolist()) == {Flag.REGISTER_BRACKETED}
    measured = np.ones(len(found), dtype=np.bool_)
    measured[first:end] = False
    np.testing.assert_array_equal(found.value_milliwh[measured], lost.value_milliwh[measured])


def test_without_history_the_registers_are_spread_evenly_and_nothing_is_made_up() -> None:
    only = hourly(JULY, 1)
    lost = lose(only, JULY, energy_milliwh=25)
    found = estimate(lost, CALENDAR, lost.gaps)
    assert found.value_milliwh.tolist() == [2, *[1] * 23]
    assert set(found.method.tolist()) == {Method.EVEN_SPREAD}
    unknown = lose(only, JULY)
    assert estimate(unknown, CALENDAR, unknown.gaps).gaps == unknown.gaps


def test_a_register_that_stood_still_leaves_zeros() -> None:
    lost = lose(hourly(JULY, 20), date(2026, 7, 17), energy_milliwh=0)
    found = estimate(lost, CALENDAR, lost.gaps)
    first, end = day_span(lost, date(2026, 7, 17))
    assert not found.value_milliwh[first:end].any()


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=60), st.integers(0, 10**15))
def test_shares_sum_to_the_energy_and_stay_within_one(shape: list[int], energy_milliwh: int) -> None:
    shares = apportion(shape, energy_milliwh)
    assert sum(shares) == energy_milliwh
    weights = shape if any(shape) else [1] * len(shape)
    total = sum(weights)
    assert all(
        abs(share * total - weight * energy_milliwh) < total
        for share, weight in zip(shares, weights, strict=True)
    )


def test_nothing_cannot_be_shared() -> None:
    with pytest.raises(UnableToEstimate, match="no-shape"):
        apportion([], 1)


@given(st.data())
def test_each_side_of_a_cut_has_its_own_energy_in_the_shape_of_its_days(data: st.DataObject) -> None:
    """An interval that a cut lies in has of each side what its seconds there have of the side's shape."""
    target = date(2026, 7, 17)
    lost = lose(hourly(JULY, 20), target, energy_milliwh=0)
    cut_s = data.draw(st.integers(1, 24 * HOUR_S - 1))
    sides = data.draw(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)))
    gap = replace(lost.gaps[0], energy_milliwh=sum(sides), cuts=((cut_s, sides[0]),))
    found = estimate(replace(lost, gaps=(gap,)), CALENDAR, (gap,))
    energy = found.value_milliwh[gap.first_index : gap.end_index].tolist()
    assert sum(energy) == sum(sides)
    like = [1000 + hour for hour in range(24)]  # of a week before
    for place, own in enumerate(energy):
        before_s = min(max(cut_s - place * HOUR_S, 0), HOUR_S)
        weights = like[place] * before_s, like[place] * (HOUR_S - before_s)
        whole, rest_s = divmod(cut_s, HOUR_S)
        first = sum(like[:whole]) * HOUR_S + (like[whole] * rest_s if rest_s else 0)
        exact = Fraction(sides[0] * weights[0], first) + Fraction(
            sides[1] * weights[1], sum(like) * HOUR_S - first
        )
        assert abs(own - exact) < 2
    assert set(found.flags[gap.first_index : gap.end_index].tolist()) == {Flag.REGISTER_BRACKETED}


def test_a_side_that_its_days_say_nothing_of_is_spread_evenly() -> None:
    target = date(2026, 7, 17)
    whole = hourly(JULY, 20)
    value = whole.value_milliwh.copy()
    first, _ = day_span(whole, date(2026, 7, 10))
    value[first + 12 : first + 24] = 0
    lost = lose(replace(whole, value_milliwh=value), target, energy_milliwh=9000)
    gap = replace(lost.gaps[0], cuts=((45_000, 3000),))  # half past twelve
    found = estimate(replace(lost, gaps=(gap,)), CALENDAR, (gap,))
    own = found.value_milliwh[gap.first_index : gap.end_index]
    assert (int(own[:12].sum()), own[12:].tolist()) == (3000, [261, *[522] * 8, *[521] * 3])
    methods = found.method[gap.first_index : gap.end_index].tolist()
    assert methods == [Method.LIKE_DAY] * 12 + [Method.EVEN_SPREAD] * 12
