"""The published validation and estimation cases, in whole milliwatt-hours."""

import json
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from shared import shared_path
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.intervals import Gap, Intervals, derive_intervals
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.core.vee.apportion import UnableToEstimate, apportion
from wattkeeper.core.vee.estimate import DayCalendar, estimate, interpolate
from wattkeeper.core.vee.like_days import iter_like_days
from wattkeeper.core.vee.ranks import rank_all
from wattkeeper.core.vee.register_rules import find_clock_errors
from wattkeeper.core.vee.rules import find_demand_over_limit, find_spikes
from wattkeeper.core.vee.rules_constant import find_constant
from wattkeeper.core.vee.rules_days import find_usage_on_inactive, find_wrong_counts, find_zero_consumption
from wattkeeper.core.vee.rules_electric import find_reactive_without_active
from wattkeeper.core.vee.rules_instants import Instants, find_tou_mismatches
from wattkeeper.core.vee.rules_periods import find_high_low_usage
from wattkeeper.core.vee.rules_sums import find_daily_sum_mismatches
from wattkeeper.core.vee.table import EnergyTable

QUARTER_S = 900
CASES = {
    case["name"]: case
    for case in json.loads(shared_path("vectors/vee/vee_cases.json").read_text(encoding="utf-8"))
}


def of_rule(rule: str) -> list[Any]:
    return [pytest.param(case, id=name) for name, case in CASES.items() if case["rule"] == rule]


def milliwh(kwh: float | list[float]) -> Any:
    if isinstance(kwh, list):
        return np.array([milliwh(each) for each in kwh], dtype=np.int64)
    return int(Fraction(str(kwh)) * 10**6)


def table(energy_kwh: list[float], interval_s: int = QUARTER_S) -> EnergyTable:
    energy = milliwh(energy_kwh)[np.newaxis]
    starts_at_s = interval_s * np.arange(energy.shape[1])
    return EnergyTable(np.array([7]), starts_at_s, interval_s, energy, np.ones(energy.shape, dtype=np.bool_))


NOTHING = np.array([0])


@pytest.mark.parametrize("case", of_rule("sum"))
def test_sum_check(case: dict[str, Any]) -> None:
    advance = (Fraction(str(case["register_stop"])) - Fraction(str(case["register_start"]))) * case[
        "multiplier"
    ]
    one = table(case["intervals_kwh"])
    found = find_daily_sum_mismatches(
        one,
        day_bounds_s=np.array([0, one.interval_s * len(one.starts_at_s)]),
        register_milliwh=np.array([[0, int(advance * 10**6)]]),
        register_chain=np.array([[0, 0]]),
        is_filled=one.is_present,
        resolution_milliwh=np.array([milliwh(case["tolerance_kwh"])]),
    )
    assert bool(found) == (case["expect"] == "fail")


@pytest.mark.parametrize("case", of_rule("spike"))
def test_spike(case: dict[str, Any]) -> None:
    found = find_spikes(
        table(case["intervals_kwh"]),
        day_bounds_s=np.array([0, 86_400]),
        power_max_w=NOTHING,
        is_confirmed=np.zeros((1, 1), dtype=np.bool_),
        spike_pct=case["threshold_pct"],
    )
    assert bool(found) == (case["expect"] == "fail")


def test_max_demand() -> None:
    case = CASES["capacity_limit"]
    one = table([case["value_kwh"]])
    limit_w = np.array([case["limit_kw"] * 1000])
    assert find_demand_over_limit(one, power_max_w=limit_w)
    assert not find_demand_over_limit(one, power_max_w=limit_w, demand_pct=120)


def test_zero_consumption_and_its_excuse() -> None:
    case = CASES["zero_consumption_active"]
    days = table([0.0] * case["days"], interval_s=86_400)
    excused = np.zeros((1, case["days"]), dtype=np.bool_)
    assert find_zero_consumption(days, is_excused=excused, zero_day_count=case["limit_days"])
    excused[0, 10] = True
    assert not find_zero_consumption(days, is_excused=excused, zero_day_count=case["limit_days"])


@pytest.mark.parametrize("case", of_rule("tou_sum"))
def test_tou_sum(case: dict[str, Any]) -> None:
    found = find_tou_mismatches(
        Instants(NOTHING, NOTHING),
        day_bounds_s=np.array([0, 86_400]),
        total_milliwh=np.array([milliwh(case["total"])]),
        rates_milliwh=np.array([[milliwh(rate) for rate in case["rates"]]]),
        resolution_milliwh=np.array([10_000]),
        modulus_milliwh=np.array([0]),
    )
    assert bool(found) == (case["expect"] == "fail")


def test_constant_values() -> None:
    case = CASES["constant_nonzero"]
    day = {"day_bounds_s": np.array([0, 86_400]), "constant_count": case["count"]}
    fine, coarse = np.array([1000]), np.array([10_000])
    assert find_constant(table(case["values"]), resolution_milliwh=fine, **day)
    assert not find_constant(table(case["values"][:11]), resolution_milliwh=fine, **day)
    assert not find_constant(table(case["values"]), resolution_milliwh=coarse, **day)


def test_high_usage() -> None:
    case = CASES["high_low_usage"]
    days = table([case["current_kwh"] / case["current_days"]] * case["current_days"], interval_s=86_400)
    reference = {
        "reference_milliwh": np.array([milliwh(case["reference_kwh"])]),
        "reference_s": np.array([case["reference_days"] * 86_400]),
        "low_pct": case["low_pct"],
        "high_pct": case["high_pct"],
    }
    (found,) = find_high_low_usage(days, reference_estimated_milliwh=NOTHING, **reference)
    assert (found.rule, found.evidence["ratio_pct"]) == ("vee.high-usage", case["ratio_pct"])
    much = np.array([milliwh(case["reference_kwh"]) * 26 // 100])
    assert not find_high_low_usage(days, reference_estimated_milliwh=much, **reference)


def test_usage_while_disconnected() -> None:
    case = CASES["usage_on_inactive"]
    one = table([case["kwh"], 0.0])
    day = np.array([0, 1800])
    (found,) = find_usage_on_inactive(one, day_bounds_s=day, is_disconnected=np.array([[True, True]]))
    assert (found.starts_at_s, found.evidence) == (0, {"energy_milliwh": milliwh(case["kwh"])})
    assert not find_usage_on_inactive(one, day_bounds_s=day, is_disconnected=np.array([[False, True]]))


def test_reactive_without_active() -> None:
    case = CASES["kvarh_without_kwh"]
    (found,) = find_reactive_without_active(
        table(case["kwh"]),
        reactive_millivarh=milliwh(case["kvarh"])[np.newaxis],
        day_bounds_s=np.array([0, 2700]),
        power_max_w=np.array([10_000]),
    )
    assert (found.rule, found.evidence["interval_count"]) == ("vee.reactive-only", 3)


def test_nothing_used_in_an_outage_is_valid() -> None:
    case = CASES["outage_zero_is_valid"]
    zeros = table([float(value) for value in case["values"]], interval_s=86_400 * 15)
    dark = np.full((1, 3), case["outage"])
    assert not find_zero_consumption(zeros, is_excused=dark)
    assert find_zero_consumption(zeros, is_excused=~dark)
    counted = find_wrong_counts(
        zeros,
        day_bounds_s=np.array([0, 86_400 * 45]),
        expected_count=np.array([[3]]),
        present_count=np.array([[len(case["values"])]]),
        is_installed=np.array([[True]]),
        is_awaited=np.array([[False]]),
        now_s=86_400 * 50,
    )
    assert not counted


def test_clock_drift() -> None:
    case = CASES["clock_drift"]
    device, reference = (
        np.array([to_seconds(datetime.fromisoformat(case[key]))]) for key in ("device", "reference")
    )
    found = find_clock_errors(
        channel_id=NOTHING, device_at_s=device, reference_at_s=reference, tolerance_s=case["tolerance_s"]
    )
    assert found[0].evidence["offset_s"] == case["drift_s"]
    assert not find_clock_errors(channel_id=NOTHING, device_at_s=reference + 180, reference_at_s=reference)


def gap_between(
    before_kwh: float, after_kwh: float, count: int, *, energy_kwh: float | None = None
) -> Intervals:
    """Return a measured interval, a gap of `count`, and another measured one."""
    size = count + 2
    values = np.zeros(size, dtype=np.int64)
    values[[0, -1]] = milliwh([before_kwh, after_kwh])
    provenance = np.zeros(size, dtype=np.int64)
    provenance[[0, -1]] = Provenance.MEASURED
    energy = None if energy_kwh is None else milliwh(energy_kwh)
    nothing = np.zeros(size, dtype=np.int64)
    return Intervals(
        QUARTER_S,
        QUARTER_S * np.arange(size),
        values,
        provenance,
        nothing,
        nothing,
        np.ones(size, dtype=np.bool_),
        np.zeros(size + 1, dtype=np.int64),
        np.zeros(size + 1, dtype=np.int64),
        (Gap(1, count + 1, energy, is_exact=energy is not None),),
        (),
    )


BERLIN = DayCalendar(ZoneInfo("Europe/Berlin"))


def test_linear() -> None:
    case = CASES["interpolate_gap_4"]
    gap = gap_between(case["before"], case["after"], case["n"])
    found = estimate(gap, BERLIN, gap.gaps)
    assert found.value_milliwh[1:-1].tolist() == milliwh(case["expect"]).tolist()
    assert set(found.method[1:-1].tolist()) == {Method.LINEAR}
    assert set(found.flags.tolist()) == {0}


def test_linear_scaled_to_the_registers() -> None:
    case = CASES["interpolate_scaled_to_registers"]
    gap = gap_between(case["before"], case["after"], case["n"], energy_kwh=case["register_advance_gap"])
    found = estimate(gap, BERLIN, gap.gaps)
    assert found.value_milliwh[1:-1].tolist() == milliwh(case["expect"]).tolist()
    assert set(found.flags[1:-1].tolist()) == {Flag.REGISTER_BRACKETED}


def test_a_long_gap_is_no_line() -> None:
    case = CASES["interpolate_refuse_long"]
    gap = gap_between(case["before"], case["after"], case["n"])
    assert Method.LINEAR not in estimate(gap, BERLIN, gap.gaps).method


def test_a_power_failure_ends_no_line() -> None:
    case = CASES["interpolate_refuse_outage_endpoint"]
    gap = gap_between(case["before"], case["after"], case["n"])
    gap.flags[0] = Flag.POWER_LOST
    assert Method.LINEAR not in estimate(gap, BERLIN, gap.gaps).method


@pytest.mark.parametrize("case", of_rule("scale"))
def test_scaling(case: dict[str, Any]) -> None:
    energy_milliwh = milliwh(case["register_advance_gap"])
    if case["expect"] == "refuse":
        with pytest.raises(UnableToEstimate, match="negative-energy"):
            apportion(case["profile"], energy_milliwh)
    else:
        assert apportion(case["profile"], energy_milliwh) == milliwh(case["expect"]).tolist()


def test_the_line_is_whole_before_it_is_divided() -> None:
    assert interpolate(1, 2, 4) == [6, 7, 8, 9]


def test_like_days_are_the_same_weekday_of_earlier_weeks() -> None:
    case = CASES["like_day_skips"]
    usable = {line.split()[0] for line in case["candidates"] if "valid" in line}
    days = [str(day) for day in iter_like_days(date.fromisoformat(case["target"]), is_holiday=False)]
    assert [day for day in days if day in usable] == case["expect_used"]
    assert {day.split()[0] for day in case["candidates"]} <= set(days)
    holiday = iter_like_days(date.fromisoformat(case["target"]), is_holiday=True)
    assert {day.weekday() for day in holiday} == {6}


@pytest.mark.parametrize("weekday", range(7))
def test_a_sunday_is_before_the_holiday(weekday: int) -> None:
    target = date(2026, 10, 5) + timedelta(days=weekday)
    first = next(iter_like_days(target, is_holiday=True))
    assert first.weekday() == 6
    assert 1 <= (target - first).days <= 7


def test_register_only() -> None:
    case = CASES["register_only_gap"]
    t0, at, t1 = (to_seconds(datetime.fromisoformat(case[key])) for key in ("t0", "at", "t1"))
    ratio = (MultiplierPeriod(t0, None, Fraction(1)),)
    rows = [(at_s, milliwh(case[key]), 0, 0) for at_s, key in ((t0, "r0"), (t1, "r1"))]
    derived = derive_intervals(
        installations=[ChannelInstallation(1, t0, None, Fraction(1), None, ratio)],
        reads={1: ReadColumns.of(rows)},
        from_s=t0,
        to_s=t1,
        interval_s=3600,
        power_max_w=10**6,
    )
    estimated = estimate(derived, DayCalendar(ZoneInfo("UTC")), derived.gaps)
    before = estimated.value_milliwh[estimated.starts_at_s < at]
    off = milliwh(case["r0"]) + int(before.sum()) - milliwh(case["expect"])
    assert 0 <= off < len(before)  # each interval takes less than one milliwatt-hour more, the first ones
    assert estimated.value_milliwh.sum() == milliwh(case["r1"]) - milliwh(case["r0"])


NAMES = {
    "estimated": Provenance.ESTIMATED,
    "actual": Provenance.MEASURED,
    "manually_edited": Provenance.EDITED,
}


@pytest.mark.parametrize("case", of_rule("replace"))
def test_replacement(case: dict[str, Any]) -> None:
    """What is reviewed stays: an edit holds until a different verified value ends it, and that is told."""
    qualities = np.array([NAMES[case["new_quality"]], NAMES[case["old_quality"]]])
    new_rank, old_rank = rank_all(qualities, np.zeros(2, dtype=np.int64))
    assert (new_rank >= old_rank) == (case["expect"] == "replace")
