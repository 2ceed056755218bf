"""V06 over whole months: sums within two counts and a thousandth of the advance, whatever the days were."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.readings.rollups import DAY, MONTH, RollUpRows
from wattkeeper.core.vee.periods import Judged, judge_month_sums
from wattkeeper.core.vee.rule_set import RuleSet

BERLIN = ZoneInfo("Europe/Berlin")
SERIES = np.array([3, 5, 8])
EVER = Judged(SERIES, np.full(3, 900), np.zeros(3, dtype=np.int64), np.full(3, 2**40))


def bounds(month: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return when a month of 2026 begins and ends in Berlin."""
    dates = date(2026, month, 1), date(2026, month + 1, 1)
    return np.array([to_seconds(local_midnight(each, BERLIN)) for each in dates], dtype=np.int64)


def judge(
    energy: list[int],
    advance: list[int],
    *,
    month: int = 4,
    missing_count: int = 0,
    chain: tuple[int, int] = (0, 0),
    rule_set: RuleSet | None = None,
    judged: Judged = EVER,
) -> list[Finding]:
    """Return what is found of series with registers of 10 a count."""
    month_s = bounds(month)
    count = int(month_s[1] - month_s[0]) // 900
    rows = [
        [grain, series_id, int(month_s[0]), count, value, count - missing_count, 0, 0, 0, 0, 1]
        for grain, share in ((MONTH, 1), (DAY, 30))
        for series_id, value in zip(SERIES.tolist(), (each // share for each in energy), strict=True)
    ]
    return judge_month_sums(
        RollUpRows(*np.array(rows, dtype=np.int64).T),
        judged,
        month_bounds_s=month_s,
        register_milliwh=np.array([[70, 70 + each] for each in advance], dtype=np.int64),
        register_chain=np.full((len(advance), 2), chain, dtype=np.int64),
        resolution_milliwh=np.full(len(advance), 10, dtype=np.int64),
        rule_set=rule_set or RuleSet(),
    )


@given(
    st.lists(st.tuples(st.integers(0, 10**15), st.integers(-(10**13), 10**13)), min_size=3, max_size=3),
    st.integers(0, 5),
    st.integers(0, 20),
)
@example([(1000, 21), (1000, -21), (20_000, 41)], 2, 1)
def test_a_month_is_off_by_more_than_its_counts_and_thousandths(
    pairs: list[tuple[int, int]], steps: int, permille: int
) -> None:
    advance = [each for each, _ in pairs]
    energy = [each + off for each, off in pairs]
    rule_set = RuleSet().with_setting("vee.month-sum", sum_step_count=steps, sum_permille=permille)
    wanted = [
        (series_id, total, counted)
        for series_id, total, counted in zip(SERIES.tolist(), energy, advance, strict=True)
        if abs(total - counted) > 10 * steps + counted * permille // 1000
    ]
    found = judge(energy, advance, rule_set=rule_set)
    assert wanted == [
        (each.series_id, each.evidence["sum_milliwh"], each.evidence["advance_milliwh"]) for each in found
    ]


@pytest.mark.parametrize("month", [3, 4, 10], ids=["an hour less", "plain", "an hour more"])
def test_a_finding_is_of_the_month_and_says_what_it_saw(month: int) -> None:
    (found,) = judge([20_000, 20_000, 20_000], [20_040, 20_041, 20_000], month=month)
    assert (found.rule, found.series_id) == ("vee.month-sum", 5)
    assert [found.starts_at_s, found.ends_at_s] == bounds(month).tolist()
    assert found.evidence == {"sum_milliwh": 20_000, "advance_milliwh": 20_041, "tolerance_milliwh": 40}


def test_what_is_not_whole_or_not_known_is_not_judged() -> None:
    off = [900, 1000, 1100], [1000, 1000, 1000]
    assert [each.series_id for each in judge(*off)] == [3, 8]
    assert judge(*off, missing_count=1) == []
    assert judge(*off, chain=(0, 1)) == []
    assert judge(*off, chain=(-1, -1)) == []
    late = Judged(SERIES, np.full(3, 900), np.full(3, bounds(4)[0] + 1), np.full(3, 2**40))
    assert judge(*off, judged=late) == []


def test_some_of_the_series_are_taken_with_all_that_belongs_to_them() -> None:
    point = Judged(*(np.array(own) for own in ([3, 5, 8], [900, 1800, 900], [0, 1, 2], [7, 8, 9], [1, 1, 2])))
    some = point.take(np.array([False, True, True]))
    columns = (some.series_id, some.interval_s, some.installed_from_s, some.installed_to_s, some.device_id)
    assert [None if each is None else each.tolist() for each in columns] == [
        [5, 8],
        [1800, 900],
        [1, 2],
        [8, 9],
        [1, 2],
    ]
    assert EVER.take(slice(1)).device_id is None
