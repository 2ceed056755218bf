"""Determinants in arrays against each interval by itself."""

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.billing.determinants import RateCalendar, RateDayRows, sum_rates
from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.tariffs.calendar import rate_of_intervals
from wattkeeper.core.tariffs.model import Calendar, DayType, Season, Switch

ZONE = ZoneInfo("Europe/Berlin")
NIGHT = (Switch(0, 0), Switch(360, 1), Switch(1320, 0))
ALL_DAY = (Switch(0, 2),)
CALENDAR = Calendar(
    (Season((1, 1), (12, 31), {DayType.WEEKDAY: NIGHT, DayType.WEEKEND: ALL_DAY, DayType.HOLIDAY: ALL_DAY}),)
)
RATES = RateCalendar(CALENDAR, ZONE, 3)
BOUNDS_S = np.array([to_seconds(local_midnight(date(2026, 3, day), ZONE)) for day in (27, 28, 29, 30)])
STARTS_S = np.arange(BOUNDS_S[0], BOUNDS_S[-1], 900)  # a working day, and a weekend whose Sunday has 23 hours


@given(seed=st.integers(0, 2**32))
def test_each_interval_is_in_one_row(seed: int) -> None:
    chance = np.random.default_rng(seed)
    shape = (3, len(STARTS_S))
    energy = chance.integers(0, 10**9, shape)
    provenance = chance.choice([0, 1, 1, 1, 2, 5], shape).astype(np.int8)
    flags = chance.choice([0, int(Flag.REGISTER_BRACKETED)], shape)
    ids = np.array([4, 5, 9])
    rows = sum_rates(ids, STARTS_S, energy, provenance, flags, day_bounds_s=BOUNDS_S, rates=RATES)
    rate = rate_of_intervals(STARTS_S, CALENDAR, ZONE)
    days = [from_seconds(at_s).astimezone(ZONE).date() for at_s in STARTS_S.tolist()]
    found = {}
    for i in range(len(rows)):
        row = {name: int(getattr(rows, name)[i]) for name in RateDayRows.__slots__}
        day = from_seconds(row["starts_at_s"]).astimezone(ZONE).date()
        found[row["series_id"], day, row["rate_index"]] = row
    for place, series_id in enumerate(ids.tolist()):
        for day in sorted(set(days)):
            for own in range(3):
                inside = [i for i, each in enumerate(days) if each == day and rate[i] == own]
                row = found.pop((series_id, day, own), None)
                if row is None:
                    assert not inside
                    continue
                held = [i for i in inside if provenance[place, i] != Provenance.MISSING]
                estimates = [i for i in inside if provenance[place, i] in (2, 5)]
                assert row["expected_count"] == len(inside)
                assert row["held_count"] == len(held)
                assert row["energy_milliwh"] == sum(energy[place, held].tolist())
                assert row["estimated_count"] == len(estimates)
                assert row["estimated_milliwh"] == sum(energy[place, estimates].tolist())
                assert row["loose_count"] == sum(flags[place, i] == 0 for i in estimates)
    assert not found


def test_a_calendar_that_says_the_same_is_the_same() -> None:
    assert RATES.calendar_id == RateCalendar(replace(CALENDAR), ZoneInfo("Europe/Berlin"), 3).calendar_id
    others = [
        RateCalendar(replace(CALENDAR, holidays=frozenset({date(2026, 1, 1)})), ZONE, 3),
        RateCalendar(CALENDAR, ZoneInfo("Asia/Shanghai"), 3),
        RateCalendar(CALENDAR, ZONE, 4),
    ]
    assert len({RATES.calendar_id, *(each.calendar_id for each in others)}) == 4
    assert 0 <= RATES.calendar_id < 2**63


def test_sums_that_may_not_fit_are_refused() -> None:
    energy = np.full((1, len(STARTS_S)), 2**60)
    nothing = np.zeros_like(energy)
    with pytest.raises(UnableToBill):
        sum_rates(np.array([1]), STARTS_S, energy, nothing + 1, nothing, day_bounds_s=BOUNDS_S, rates=RATES)
