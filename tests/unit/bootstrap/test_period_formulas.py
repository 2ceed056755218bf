"""V26, wired: formulas of a rule set about each stored day."""

from typing import Any

import pytest

from period_world import TODAY_S, assign, judge, store_days, store_quarters
from relational import LONG_AGO, NOW, People, Street
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap import period_intervals
from wattkeeper.core.kernel.quality import Flag
from wattkeeper.data.registry.models import Series
from wattkeeper.store.memory import MemoryReadingStore

DAY_S = 86_400
LOOK_BACK_DAYS = 52  # to the first of October
PEAKY = {"code": "shape-1", "formulas": ["max < 4 * mean", "previous_sum == 0 or sum < 2 * previous_sum"]}


@pytest.fixture
def series(ours: People, street: Street, services: Services, store: MemoryReadingStore) -> int:
    """The import series of a meter; weeks of days are stored, and intervals as each test says."""
    meter = {"meter_id": street.meter_id, "usage_point_id": street.point_id, "at": LONG_AGO}
    install_meter(actor=ours.operator, now=NOW, services=services, **meter)
    series_id = Series.objects.get(usage_point_id=street.point_id, quantity="energy_import").id
    store_days(store, ours, series_id, dict.fromkeys(range(1, 60), 96), 1)
    return series_id


def store_day(store: MemoryReadingStore, ours: People, series_id: int, ago: int, *energy: int) -> None:
    """Store the first quarters of a day."""
    at_s = TODAY_S - ago * DAY_S
    store_quarters(store, ours, series_id, [(at_s + 900 * i, value, 0) for i, value in enumerate(energy)])


def odd(store: MemoryReadingStore, ours: People) -> dict[int, Any]:
    """Return what does not hold by the day, counted back."""
    found = [each for each in judge(store, ours) if each[0] == "vee.statistics"]
    return {ago: evidence["formula"] for _, ago, _, evidence in found}


def test_a_day_is_found_for_which_a_formula_is_false(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_day(store, ours, series, 9, 10, 10, 10, 10)
    store_day(store, ours, series, 8, 0, 0, 0, 0, 81)
    assert odd(store, ours) == {}
    assign(ours, PEAKY, 30)
    assert odd(store, ours) == {8: "; ".join(PEAKY["formulas"])}
    store_quarters(store, ours, series, [(TODAY_S - 8 * DAY_S + 4 * 900, 40, 0)], run_id=2)
    assert odd(store, ours) == {8: "max < 4 * mean"}
    store_quarters(store, ours, series, [(TODAY_S - 8 * DAY_S, 30, 0)], run_id=2)
    assert odd(store, ours) == {}


def test_a_day_is_judged_by_the_formulas_in_force_on_it(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    for ago in (20, 8, 7):
        store_day(store, ours, series, ago, 0, 0, 0, 0, 80)
    assign(ours, PEAKY, 9)
    assert set(odd(store, ours)) == {8, 7}
    assign(ours, {"code": "shape-2", "formulas": ["sum < 1000"]}, 7)
    assert set(odd(store, ours)) == {8}
    assign(ours, {**PEAKY, "code": "shape-3", "rules": {"vee.statistics": {"severity": "off"}}}, 9)
    assert odd(store, ours) == {}


def test_the_first_day_is_compared_with_the_day_before_it(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_day(store, ours, series, LOOK_BACK_DAYS + 1, 10, 10)
    store_day(store, ours, series, LOOK_BACK_DAYS, 30, 30)
    assign(ours, PEAKY, 60)
    assert set(odd(store, ours)) == {LOOK_BACK_DAYS}


def test_an_outage_can_be_named(ours: People, series: int, store: MemoryReadingStore) -> None:
    store_quarters(store, ours, series, [(TODAY_S - DAY_S, 5, int(Flag.POWER_LOST)), (TODAY_S - 900, 5, 0)])
    assign(ours, {"code": "dark-1", "formulas": ["outage_count == 0"]}, 30)
    assert set(odd(store, ours)) == {1}
    assign(ours, {"code": "dark-2", "formulas": ["outage_count == 1"]}, 30)
    assert odd(store, ours) == {}


def test_series_are_read_some_at_a_time(
    ours: People, street: Street, series: int, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"tenant_id": ours.tenant.id, "usage_point_id": street.point_id, "quantity": "energy_export"}
    other = Series.objects.create(**own).id
    store_days(store, ours, other, dict.fromkeys(range(1, 60), 96), 1)
    store_day(store, ours, other, 8, 0, 0, 0, 0, 81)
    store_day(store, ours, series, 7, 0, 0, 0, 0, 81)
    assign(ours, PEAKY, 30)
    monkeypatch.setattr(period_intervals, "TOGETHER_COUNT", 1)
    assert set(odd(store, ours)) == {8, 7}
