"""Instants and periods: UTC, whole seconds, half-open, local days of any length."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import shared_path
from wattkeeper.core.kernel.instants import (
    Period,
    day_unit_s,
    from_seconds,
    local_day,
    local_days,
    to_seconds,
)

DAYS = [
    day for day in json.loads(shared_path("vectors/calendar/day_lengths.json").read_text()) if day["n15"] > 0
]


@given(st.integers(-(2**33), 2**36))
def test_seconds_survive_the_round_trip(seconds: int) -> None:
    assert to_seconds(from_seconds(seconds)) == seconds


def test_an_instant_is_the_same_in_every_zone() -> None:
    here = datetime(2026, 11, 22, 10, tzinfo=timezone(timedelta(hours=8)))
    assert from_seconds(to_seconds(here)) == here


def test_naive_and_broken_seconds_are_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        to_seconds(datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="whole second"):
        to_seconds(datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC))


def test_a_period_is_half_open() -> None:
    first, second = (Period(from_seconds(a), from_seconds(b)) for a, b in ((0, 10), (10, 20)))
    open_ended = Period(from_seconds(19))
    assert first.contains(from_seconds(0))
    assert not first.contains(from_seconds(10))
    assert not first.overlaps(second)
    assert second.overlaps(open_ended)
    assert open_ended.overlaps(second)
    assert open_ended.contains(from_seconds(10**9))
    with pytest.raises(ValueError, match="ends after"):
        Period(from_seconds(5), from_seconds(5))
    with pytest.raises(ValueError, match="naive"):
        Period(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("day", DAYS, ids=lambda day: f"{day['tz']} {day['day']}")
def test_local_days_have_their_length(day: dict[str, Any]) -> None:
    period = local_day(date.fromisoformat(day["day"]), ZoneInfo(day["tz"]))
    assert period.ends_at is not None
    assert (period.ends_at - period.starts_at).total_seconds() == day["hours"] * 3600
    assert list(local_days(period, ZoneInfo(day["tz"]))) == [date.fromisoformat(day["day"])]


def test_an_open_period_has_no_last_day() -> None:
    with pytest.raises(ValueError, match="no last day"):
        list(local_days(Period(from_seconds(0)), ZoneInfo("UTC")))


@pytest.mark.parametrize(
    ("zone", "unit_s"),
    [
        ("Asia/Shanghai", 86_400),
        ("Asia/Kathmandu", 86_400),
        ("Europe/Berlin", 3600),
        ("America/Santiago", 3600),
        ("Australia/Lord_Howe", 1800),
    ],
)
def test_every_day_is_a_whole_number_of_units(zone: str, unit_s: int) -> None:
    assert day_unit_s(ZoneInfo(zone)) == unit_s
