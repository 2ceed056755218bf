"""V20, wired: reactive energy without active, from the series of a meter that measures both."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from period_world import TODAY_S, assign, judge, store_days, store_months, store_quarters
from relational import LONG_AGO, NOW, People, Street
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.channels import ChannelSpec
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.data.registry.models import Installation, Series
from wattkeeper.store.memory import MemoryReadingStore

DAY_S = 86_400
KWH = 1_000_000
REGISTERS = (
    "energy_import_register_kwh",
    "energy_export_register_kwh",
    "energy_reactive_import_register_kvarh",
    "energy_reactive_export_register_kvarh",
)


@pytest.fixture
def series(ours: People, street: Street, services: Services, store: MemoryReadingStore) -> dict[str, int]:
    """The series of a meter with four registers, by quantity; weeks of days are stored."""
    given: dict[str, Any] = {"actor": ours.operator, "now": NOW, "services": services}
    meter_id = add_meter(
        **given,
        site_id=street.site_id,
        serial_number="four",
        channels=[ChannelSpec(name, Fraction(1, 100)) for name in REGISTERS],
    )
    install_meter(**given, meter_id=meter_id, usage_point_id=street.point_id, at=LONG_AGO)
    found = dict(Series.objects.filter(usage_point_id=street.point_id).values_list("quantity", "id"))
    for series_id in found.values():
        store_days(store, ours, series_id, dict.fromkeys(range(1, 60), 96), 1)
    return found


def store_day(
    store: MemoryReadingStore,
    ours: People,
    series: dict[str, int],
    ago: int,
    *,
    run_id: int = 1,
    **energy: list[int],
) -> None:
    """Store the first quarters of a day by quantity; a quantity not given has nothing but zeros."""
    count = max(map(len, energy.values()))
    for quantity, series_id in series.items():
        values = energy.get(quantity.removeprefix("energy_"), [0] * count)
        rows = [(TODAY_S - ago * DAY_S + 900 * i, value, 0) for i, value in enumerate(values)]
        store_quarters(store, ours, series_id, rows, run_id=run_id)


def reactive(store: MemoryReadingStore, ours: People) -> list[tuple[str, int, int]]:
    """Return what V20 finds, its day and the reactive energy."""
    codes = ("vee.reactive-only", "vee.power-factor")
    return [
        (each[0], each[1], each[3]["reactive_millivarh"]) for each in judge(store, ours) if each[0] in codes
    ]


def test_a_register_of_kvarh_makes_a_series_of_millivar_hours(series: dict[str, int]) -> None:
    assert set(series) == {
        "energy_import",
        "energy_export",
        "energy_reactive_import",
        "energy_reactive_export",
    }
    facts = get_series_facts(list(series.values()))
    (register,) = facts[series["energy_reactive_export"]].registers
    assert register.step_milliwh == 10_000


def test_reactive_energy_alone_is_found_and_goes(
    ours: People, series: dict[str, int], store: MemoryReadingStore
) -> None:
    store_day(store, ours, series, 9, reactive_import=[7, 7], reactive_export=[0, 1, 1])  # two, then one
    store_day(store, ours, series, 8, reactive_import=[7, 7, 0], reactive_export=[0, 1, 1])
    assert reactive(store, ours) == [("vee.reactive-only", 8, 16)]
    store_quarters(store, ours, series["energy_import"], [(TODAY_S - 8 * DAY_S + 900, 1, 0)], run_id=2)
    assert reactive(store, ours) == []


def test_what_is_generated_is_active_energy_too(
    ours: People, series: dict[str, int], store: MemoryReadingStore
) -> None:
    store_day(store, ours, series, 8, reactive_import=[7] * 4, export=[9] * 4)
    assert reactive(store, ours) == []


def test_where_a_series_lacks_an_interval_nothing_is_said(
    ours: People, series: dict[str, int], store: MemoryReadingStore
) -> None:
    at_s = TODAY_S - 8 * DAY_S
    for quantity in ("energy_import", "energy_reactive_import", "energy_reactive_export"):
        store_quarters(store, ours, series[quantity], [(at_s + 900 * i, 0, 0) for i in range(4)])
    store_quarters(
        store, ours, series["energy_reactive_import"], [(at_s + 900 * i, 5, 0) for i in range(4)], 2
    )
    assert reactive(store, ours) == []
    store_quarters(store, ours, series["energy_export"], [(at_s + 900 * i, 0, 0) for i in range(4)])
    assert [rule for rule, _, _ in reactive(store, ours)] == ["vee.reactive-only"]


def test_a_poor_day_is_judged_by_the_rules_of_that_day(
    ours: People, series: dict[str, int], store: MemoryReadingStore
) -> None:
    for ago in (8, 4):  # 20 kW carry 4.8 kvarh a day at 1 %
        store_day(store, ours, series, ago, **{"import": [2 * KWH], "reactive_import": [8 * KWH]})
    assert [row[:2] for row in reactive(store, ours)] == [("vee.power-factor", 8), ("vee.power-factor", 4)]
    assign(ours, {"code": "coils-1", "rules": {"vee.reactive-only": {"power_factor_pct": 20}}}, 5)
    assert [row[:2] for row in reactive(store, ours)] == [("vee.power-factor", 8)]
    assign(ours, {"code": "coils-2", "rules": {"vee.reactive-only": {"severity": "off"}}}, 60)
    assert reactive(store, ours) == []


def test_reactive_energy_may_rest_or_grow(
    ours: People, series: dict[str, int], store: MemoryReadingStore
) -> None:
    Installation.objects.update(starts_at=NOW - timedelta(days=200))
    own = series["energy_reactive_import"]
    days = store.roll_ups(ours.tenant.id, [own], [(0, TODAY_S)])
    days.energy_milliwh[:] = 0
    store.insert_roll_ups(ours.tenant.id, 2, days)
    store_months(store, ours, own, {2: 1000, 1: 9000}, 1)
    october_s = int(datetime(2026, 10, 20, tzinfo=UTC).timestamp())
    store_quarters(store, ours, own, [(october_s - 30 * DAY_S, 1, 0), (october_s, 9, 0)])
    assert judge(store, ours) == []
