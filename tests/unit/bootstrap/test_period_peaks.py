"""V12, wired: the highest interval of a month against that of the month before, from stored intervals."""

from datetime import timedelta

import pytest

from period_world import TODAY_S, assign, judge, store_days, store_months, store_quarters
from relational import NOW, People, Street, install_first
from wattkeeper.actions.services import Services
from wattkeeper.data.registry.models import Installation, Series
from wattkeeper.store.memory import MemoryReadingStore

DAY_S = 86_400
OCTOBER_S, NOVEMBER_S = TODAY_S - 40 * DAY_S, TODAY_S - 10 * DAY_S  # a quarter of an hour in each


@pytest.fixture
def series(ours: People, street: Street, services: Services, store: MemoryReadingStore) -> int:
    """The import series of a meter of long standing; two whole months and weeks of a third are stored."""
    install_first(ours, street, services, at=NOW - timedelta(days=200))
    series_id = Series.objects.get(usage_point_id=street.point_id, quantity="energy_import").id
    store_days(store, ours, series_id, dict.fromkeys(range(1, 60), 96), 1)
    store_months(store, ours, series_id, {2: 1000, 1: 1000}, 1)
    return series_id


def peaks(store: MemoryReadingStore, ours: People) -> list[tuple[int, dict[str, int]]]:
    """Return the day and the evidence of what V12 finds."""
    return [(ago, evidence) for rule, ago, _, evidence in judge(store, ours) if rule == "vee.peak-change"]


def test_a_higher_peak_is_found_where_it_is_and_goes_with_it(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_quarters(store, ours, series, [(OCTOBER_S, 100, 0), (NOVEMBER_S, 300, 0), (NOVEMBER_S + 900, 7, 0)])
    assert peaks(store, ours) == []  # three times as much is not more than that
    store_quarters(store, ours, series, [(NOVEMBER_S, 301, 0)], run_id=2)
    evidence = {"energy_milliwh": 301, "reference_milliwh": 100, "threshold_pct": 300}
    assert peaks(store, ours) == [(10, evidence)]
    store_quarters(store, ours, series, [(NOVEMBER_S, 30, 0)], run_id=3)
    assert peaks(store, ours) == []


def test_a_month_is_compared_with_a_whole_one_only(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_quarters(store, ours, series, [(OCTOBER_S, 100, 0), (NOVEMBER_S, 900, 0)])
    assert len(peaks(store, ours)) == 1
    Installation.objects.update(starts_at=NOW - timedelta(days=45))  # in October
    assert peaks(store, ours) == []


def test_what_is_gone_is_compared_with_nothing(ours: People, series: int, store: MemoryReadingStore) -> None:
    store_quarters(store, ours, series, [(NOVEMBER_S, 900, 0)])
    assert peaks(store, ours) == []


def test_a_peak_is_judged_by_the_rules_of_its_day(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    first_s, later_s = NOVEMBER_S, NOVEMBER_S + 7 * DAY_S
    store_quarters(store, ours, series, [(OCTOBER_S, 100, 0), (first_s, 400, 0), (later_s, 500, 0)])
    assert [ago for ago, _ in peaks(store, ours)] == [3]
    assign(ours, {"code": "quiet-12", "rules": {"vee.peak-change": {"severity": "off"}}}, 5)
    assert [ago for ago, _ in peaks(store, ours)] == [10]  # the highest before that
    assign(ours, {"code": "wide-12", "rules": {"vee.peak-change": {"peak_pct": 400}}}, 300)
    assert peaks(store, ours) == []
