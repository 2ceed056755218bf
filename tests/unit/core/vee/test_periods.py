"""What only shows over weeks, found from stored days."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.readings.rollups import DAY, MONTH, RollUpRows
from wattkeeper.core.vee.periods import Judged, judge_days, judge_months
from wattkeeper.core.vee.registry import Severity
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import BEGINNING_S, RulePlan

BERLIN = ZoneInfo("Europe/Berlin")
FIRST = date(2026, 3, 10)  # the 29th has 23 hours
DAYS = 40
BOUNDS = np.array([to_seconds(local_midnight(FIRST + timedelta(days=i), BERLIN)) for i in range(DAYS + 1)])
SERIES = np.array([3, 5, 8])


def days_of(energy: dict[int, list[int | None]], *, estimated: bool = False) -> RollUpRows:
    """Return day rows of series; None is a day without a row."""
    hours = (np.diff(BOUNDS) // 3600).tolist()
    rows = [
        (
            DAY,
            series_id,
            int(BOUNDS[i]),
            hours[i],
            value,
            *((0, hours[i]) if estimated else (hours[i], 0)),
            0,
            0,
            0,
        )
        for series_id, values in energy.items()
        for i, value in enumerate(values)
        if value is not None
    ]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 10).T.copy()
    nothing = {name: np.zeros(len(rows), dtype=np.int64) for name in RollUpRows.__slots__}
    return RollUpRows(**(nothing | dict(zip(RollUpRows.__slots__, columns, strict=False))))


EVER = Judged(SERIES, np.full(3, 3600), np.zeros(3, dtype=np.int64), np.full(3, 2**40))
COUNTS_OFF = RuleSet().with_setting("vee.interval-count", Severity.OFF)


def judge(
    days: RollUpRows, rule_set: RuleSet = COUNTS_OFF, judged: Judged = EVER, **more: Any
) -> list[tuple[str, int | None, int, int]]:
    given = {"day_bounds_s": BOUNDS, "now_s": int(BOUNDS[-1]) + 86_400 * 9, "plan": RulePlan.of(rule_set)}
    found = judge_days(days, judged, **(given | more))
    return [(each.rule, each.series_id, each.starts_at_s, each.ends_at_s) for each in found]


def counted(days: RollUpRows, **more: Any) -> list[tuple[int | None, int, int]]:
    """Return series, first and end day of what V02 finds."""
    found = [each for each in judge(days, RuleSet(), **more) if each[0] == "vee.interval-count"]
    place = BOUNDS.tolist().index
    return [(series_id, place(first_s), place(end_s)) for _, series_id, first_s, end_s in found]


def test_short_days_in_a_row_are_one_finding() -> None:
    rows = days_of({3: [5] * 20 + [None] * 3 + [5] * 17, 5: [5] * DAYS, 8: [5] * DAYS})
    rows.measured_count[30] = 20  # of series 3: the 34th day, as three have no row
    rows.measured_count[31] = 0
    assert counted(rows) == [(3, 20, 23), (3, 33, 35)]
    (found,) = judge_days(
        rows,
        Judged(SERIES[:1], np.array([3600]), np.array([0]), np.array([int(BOUNDS[30])])),
        day_bounds_s=BOUNDS,
        now_s=int(BOUNDS[-1]),
        plan=RulePlan.of(RuleSet()),
    )
    assert found.evidence == {"day_count": 3, "expected_count": 72, "present_count": 0}


def test_a_day_of_23_hours_is_whole_with_23() -> None:
    rows = days_of({3: [5] * DAYS, 5: [5] * DAYS, 8: [5] * DAYS})
    assert counted(rows) == []
    rows.measured_count[rows.starts_at_s == BOUNDS[20]] = 23
    assert counted(rows) == [(each, 20, 21) for each in (3, 5, 8)]


def test_what_was_never_fetched_waits_longer_than_what_stopped() -> None:
    rows = days_of({3: [None] * 10 + [5] * 30, 5: [5] * 30 + [None] * 10, 8: [5] * DAYS})
    assert counted(rows, now_s=int(BOUNDS[-1])) == [(5, 30, 38)]
    assert counted(rows, now_s=int(BOUNDS[34]) + 2 * 86_400) == [(5, 30, 34)]
    month = RuleSet().with_setting("vee.interval-count", silent_day_count=35)
    found = judge(rows, month, now_s=int(BOUNDS[-1]))
    assert ("vee.interval-count", 3, int(BOUNDS[0]), int(BOUNDS[4])) in found


def test_days_without_a_meter_are_not_short() -> None:
    rows = days_of({3: [None] * 10 + [5] * 30, 5: [5] * 30, 8: [5] * DAYS})
    installed = Judged(
        SERIES,
        np.full(3, 3600),
        np.array([BOUNDS[9] + 60, 0, 0]),
        np.array([2**40, BOUNDS[30] + 60, 2**40]),
    )
    assert counted(rows, judged=installed) == []


def test_thirty_days_without_energy_are_found_across_a_short_day() -> None:
    rows = days_of({3: [0] * 30 + [5] * 10, 5: [0] * 29 + [5] * 11, 8: [0] * 15 + [None] + [0] * 24})
    assert judge(rows) == [("vee.zero-consumption", 3, int(BOUNDS[0]), int(BOUNDS[30]))]
    excused = np.zeros((3, DAYS), dtype=np.bool_)
    excused[0, 15] = True
    assert judge(rows, is_excused=excused) == []


def test_six_days_of_estimates_want_somebody_to_go_there() -> None:
    rows = RollUpRows.concatenate(
        [days_of({3: [9] * 10}), days_of({5: [9] * 5, 8: [None] * 3 + [9] * 6}, estimated=True)]
    )
    assert judge(rows) == [("vee.prolonged-estimation", 8, int(BOUNDS[3]), int(BOUNDS[9]))]


def test_days_are_judged_by_the_rules_in_force_on_them() -> None:
    rows = days_of({3: [0] * DAYS, 5: [5] * 10 + [None] * 10 + [5] * 20, 8: [5] * DAYS})
    later = int(BOUNDS[15])
    strict = COUNTS_OFF.with_setting("vee.zero-consumption", zero_day_count=20)
    cut = RulePlan((BEGINNING_S, later), (COUNTS_OFF, strict))
    assert judge(rows, plan=cut) == [("vee.zero-consumption", 3, later, int(BOUNDS[-1]))]
    off = RulePlan((BEGINNING_S, later), (RuleSet(), COUNTS_OFF))
    assert counted(rows, plan=off) == [(5, 10, 15)]


def test_a_change_of_other_rules_cuts_no_run_of_days() -> None:
    rows = days_of({3: [0] * DAYS, 5: [5] * DAYS, 8: [5] * DAYS})
    other = COUNTS_OFF.with_setting("vee.spike", spike_pct=300)
    plan = RulePlan((BEGINNING_S, int(BOUNDS[15])), (COUNTS_OFF, other))
    assert judge(rows, plan=plan) == [("vee.zero-consumption", 3, int(BOUNDS[0]), int(BOUNDS[-1]))]


def test_a_run_that_is_cut_at_a_day_of_23_hours_ends_at_midnight() -> None:
    rows = days_of({3: [9] * 20, 5: [9] * DAYS, 8: [9] * DAYS}, estimated=True)
    plan = RulePlan(
        (BEGINNING_S, int(BOUNDS[20])),
        (COUNTS_OFF, COUNTS_OFF.with_setting("vee.prolonged-estimation", Severity.OFF)),
    )
    assert BOUNDS[20] - BOUNDS[19] == 82_800
    assert {each[3] for each in judge(rows, plan=plan)} == {int(BOUNDS[20])}


def test_a_series_lacks_days_that_a_sibling_has() -> None:
    pair = replace(EVER, device_id=np.array([1, 1, 2]))
    rows = days_of({3: [5] * 10 + [None] * 3 + [5] * 27, 5: [5] * DAYS, 8: [5] * 10 + [None] * 30})
    found = [("vee.sibling-missing", 3, int(BOUNDS[10]), int(BOUNDS[13]))]
    assert judge(rows, judged=pair) == found
    assert judge(rows) == []
    off = COUNTS_OFF.with_setting("vee.sibling-missing", Severity.OFF)
    assert judge(rows, off, judged=pair) == []
    days_ago = judge(rows, judged=pair, now_s=int(BOUNDS[13]) + 86_400)
    assert days_ago == [("vee.sibling-missing", 3, int(BOUNDS[10]), int(BOUNDS[12]))]  # the last is not due
    both = days_of({3: [5] * 10 + [None] * 3 + [5] * 27, 5: [5] * 10 + [None] * 30, 8: [5] * DAYS})
    assert judge(both, judged=pair)[1:] == []
    assert [each[2] for each in judge(both, judged=pair)] == [int(BOUNDS[13])]
    never = days_of({3: [None] * 30 + [5] * 10, 5: [5] * DAYS, 8: [5] * DAYS})
    assert judge(never, judged=pair) == []


MONTHS = np.array(
    [to_seconds(local_midnight(date(2025 + i // 12, i % 12 + 1, 1), BERLIN)) for i in range(15)]
)


def months_of(energy: dict[int, list[int | None]], *, estimated: bool = False) -> RollUpRows:
    """Return month rows of series from January 2025 on; None is a month that lacks an hour."""
    hours = (np.diff(MONTHS) // 3600).tolist()
    rows = [
        (MONTH, series_id, int(MONTHS[i]), hours[i], value or 0, *((0, count) if estimated else (count, 0)))
        for series_id, values in energy.items()
        for i, value in enumerate(values)
        for count in [hours[i] - (value is None)]
    ]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 7).T.copy()
    nothing = {name: np.zeros(len(rows), dtype=np.int64) for name in RollUpRows.__slots__}
    return RollUpRows(**(nothing | dict(zip(RollUpRows.__slots__, columns, strict=False))))


def judge_usage(
    months: RollUpRows, rule_set: RuleSet = COUNTS_OFF, judged: Judged = EVER
) -> list[tuple[str, int | None, int]]:
    found = judge_months(months, judged, month_bounds_s=MONTHS, plan=RulePlan.of(rule_set))
    assert {each.ends_at_s for each in found} <= set(MONTHS.tolist())
    return [(each.rule, each.series_id, MONTHS.tolist().index(each.starts_at_s)) for each in found]


def test_usage_is_compared_with_the_month_before() -> None:
    rows = months_of({3: [30] * 9 + [70] * 5, 5: [30] * 13 + [10], 8: [30] * 7 + [40] * 7})
    found = [("vee.high-usage", 3, 9), ("vee.low-usage", 5, 13)]
    assert judge_usage(rows) == found
    assert judge_usage(rows, COUNTS_OFF.with_setting("vee.high-usage", Severity.OFF)) == []
    assert judge_usage(rows, COUNTS_OFF.with_setting("vee.high-usage", high_pct=250)) == found[1:]
    newer = Judged(SERIES, EVER.interval_s, np.full(3, int(MONTHS[9])), EVER.installed_to_s)
    assert judge_usage(rows, judged=newer) == found[1:]


def test_usage_is_compared_with_the_year_before_where_the_month_before_lacks_something() -> None:
    assert judge_usage(months_of({3: [30, 90, *[60] * 10, None, 85]})) == [("vee.high-usage", 3, 1)]
    assert judge_usage(months_of({3: [30, 20, *[20] * 10, None, 85]})) == [("vee.high-usage", 3, 13)]
    assert judge_usage(months_of({3: [None] * 13 + [85]})) == []
    assert judge_usage(months_of({3: [90, *[10] * 13]}, estimated=True)) == []


def test_other_series_and_months_do_not_count() -> None:
    rows = days_of({3: [0] * DAYS, 4: [0] * DAYS})
    months = RollUpRows(
        np.full(DAYS, MONTH), *[getattr(rows, name)[:DAYS] for name in RollUpRows.__slots__[1:]]
    )
    assert [each[1] for each in judge(rows)] == [3]
    assert judge(months) == []
