"""Class profiles: which day and slot stands for an interval, sums, refusals, the document of a rule set."""

from datetime import date
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from unit.core.vee.energy_tables import DAY_S, series
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Method
from wattkeeper.core.vee.estimate import DayCalendar, estimate
from wattkeeper.core.vee.profile import ClassProfile, InvalidProfile
from wattkeeper.core.vee.rule_set import Estimation
from wattkeeper.core.vee.rule_set_json import InvalidRuleSet, dump_rule_set, parse_rule_set

UTC = ZoneInfo("UTC")
HOUR = 114_155  # of 1000 kWh in 8760 hours
DAYS = {
    "workday_milliwh": [HOUR] * 24,
    "saturday_milliwh": [HOUR + 1] * 24,
    "sunday_milliwh": [HOUR + 2] * 24,
}
FLAT = ClassProfile(1000, tuple(tuple(curve) for curve in DAYS.values()))
FRIDAY = date(2026, 5, 1)


def midnight(day: date, zone: ZoneInfo = UTC) -> int:
    return to_seconds(local_midnight(day, zone))


def test_each_kind_of_day_has_its_curve_and_a_holiday_is_a_sunday() -> None:
    starts_s = midnight(FRIDAY) + DAY_S * np.arange(4)
    plain = FLAT.candidate(starts_s, 3600, UTC)
    assert plain.method == Method.CLASS_PROFILE
    assert plain.energy_milliwh.tolist() == [HOUR, HOUR + 1, HOUR + 2, HOUR]
    with_holiday = FLAT.candidate(starts_s, 3600, UTC, [FRIDAY])
    assert with_holiday.energy_milliwh.tolist() == [HOUR + 2, HOUR + 1, HOUR + 2, HOUR]


def test_slots_go_by_the_wall_clock_and_are_cut_without_loss() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    curve = tuple([7] * 23 + [24 * HOUR - 23 * 7])  # nearly all of it in the last hour of the day
    profile = ClassProfile(2000, (curve,) * 3)
    starts_s = midnight(FRIDAY, shanghai) + 900 * np.arange(96)
    quarters = profile.candidate(starts_s, 900, shanghai).energy_milliwh
    assert quarters[:4].sum() <= 14
    assert quarters[92:].tolist() == [2 * own for own in cut_in_four(curve[-1])]
    coarse = profile.candidate(starts_s[::16], 4 * 3600, shanghai).energy_milliwh
    assert coarse.tolist() == [2 * 28] * 5 + [2 * (21 + curve[-1])]


def cut_in_four(whole: int) -> list[int]:
    """Return four parts of a whole, each what the floor advances."""
    edges = [whole * i // 4 for i in range(5)]
    return [end - start for start, end in pairwise(edges)]


def test_a_year_of_hours_has_its_day_of_the_year_and_february_29_the_day_before() -> None:
    curves = tuple((HOUR * 24 - 23 * day,) + (day,) * 23 for day in range(365))
    profile = ClassProfile(1000, curves)
    days = [date(2027, 1, 1), date(2027, 3, 1), date(2028, 2, 28), date(2028, 2, 29), date(2028, 3, 1)]
    starts_s = np.array([midnight(day) + 3600 for day in days])
    assert profile.candidate(starts_s, 3600, UTC).energy_milliwh.tolist() == [0, 59, 58, 58, 59]
    last = np.array([midnight(date(2028, 12, 31)) + 3600])
    assert profile.candidate(last, 3600, UTC).energy_milliwh.tolist() == [364]


def test_the_profile_comes_last_but_before_a_flat_line() -> None:
    """And the fault to catch: without it the gap takes its one neighbour."""
    lost = series([None, None, 7], interval_s=3600, registers=False)
    calendar = DayCalendar(UTC)
    asked = estimate(lost, calendar, lost.gaps, estimation=Estimation(profile=FLAT))
    assert asked.method.tolist() == [Method.CLASS_PROFILE] * 2 + [Method.NONE]
    assert asked.value_milliwh.tolist() == [HOUR, HOUR, 7]
    assert estimate(lost, calendar, lost.gaps).method[0] == Method.FLAT_LINE


@pytest.mark.parametrize(
    ("curves", "code"),
    [
        ((), "vee.profile-shape"),
        (((HOUR,) * 24,) * 2, "vee.profile-shape"),
        (((HOUR,) * 24, (HOUR,) * 24, (HOUR,) * 23), "vee.profile-shape"),
        ((((HOUR * 24) // 7,) * 7,) * 3, "vee.profile-shape"),
        (((),) * 3, "vee.profile-shape"),
        (((HOUR * 102 // 100,) * 24,) * 3, "vee.profile-sum"),
    ],
)
def test_numbers_that_are_no_profile_are_refused(curves: tuple[tuple[int, ...], ...], code: str) -> None:
    with pytest.raises(InvalidProfile) as caught:
        ClassProfile(1000, curves)
    assert caught.value.code == code


@pytest.mark.parametrize("document", [DAYS, {"hours_milliwh": list(range(HOUR - 4380, HOUR + 4380))}])
def test_a_rule_set_says_its_profile_and_is_read_back(document: dict[str, Any]) -> None:
    stored = {"code": "homes", "rules": {}, "estimation": {"profile": {"annual_kwh": 3500, **document}}}
    rule_set = parse_rule_set(stored)
    assert rule_set.estimation.profile is not None
    assert dump_rule_set(rule_set) == stored
    assert parse_rule_set(dump_rule_set(rule_set)) == rule_set


@pytest.mark.parametrize(
    "profile",
    [
        7,
        {},
        {"annual_kwh": 1},
        {"annual_kwh": -1, **DAYS},
        {"annual_kwh": 1, **DAYS, "hours_milliwh": []},
        {"annual_kwh": 1, **DAYS, "sunday_milliwh": 3},
        {"annual_kwh": 1, **DAYS, "sunday_milliwh": [HOUR] * 23 + ["1"]},
        {"annual_kwh": 1, "hours_milliwh": [HOUR] * 8759},
    ],
)
def test_a_document_that_holds_no_profile_is_refused(profile: object) -> None:
    with pytest.raises(WattkeeperError) as caught:
        parse_rule_set({"code": "homes", "estimation": {"profile": profile}})
    assert isinstance(caught.value, InvalidRuleSet | InvalidProfile)
