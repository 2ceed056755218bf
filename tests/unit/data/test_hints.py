"""Gaps that are estimated with what is known elsewhere, wired: reads in, a run, value and method stored."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from relational import LONG_AGO, NOW, People, Street
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.actions.virtual.accuracy_checks import add_accuracy_check, retire_accuracy_check
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.data.billing.holidays import Holidays
from wattkeeper.data.billing.models import Tariff, TariffVersion
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.pipeline.derive import run_once
from wattkeeper.pipeline.ports import Ports
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
DAYS_COUNT = 40
FIRST_DAY = date(2026, 10, 12)
GAP_DAY = date(2026, 11, 18)  # a Wednesday
LIKE_DAY = GAP_DAY - 7 * DAY
SUNDAY = date(2026, 11, 15)
STEP_MILLIWH = 10_000


class Town:
    """Two measured points, their store and pipeline; each day is known by the slot of its largest hour."""

    def __init__(self, people: People, street: Street, services: Services) -> None:
        self.people, self.street = people, street
        self.store = MemoryReadingStore()
        self.ports = pipeline_ports(self.store, people.tenant.id, lambda: NOW)
        pairs = ((street.meter_id, street.point_id), (street.other_meter_id, street.other_point_id))
        self.channels, self.series = [], []
        for meter_id, point_id in pairs:
            install_meter(
                actor=people.operator,
                now=NOW,
                services=services,
                meter_id=meter_id,
                usage_point_id=point_id,
                at=LONG_AGO,
            )
            channels = Channel.objects.filter(meter_id=meter_id, reading_type="energy_import_register_kwh")
            self.channels.append(channels.get().id)
            series = Series.objects.filter(usage_point_id=point_id, quantity="energy_import")
            self.series.append(series.get().id)
        DirtyWindow.objects.all().delete()

    def deliver(self, place: int, without: range = range(0), *, only: range | None = None) -> None:
        """Deliver a register; the places of `without` are counted in quarters of an hour from the gap day."""
        at_s, value = register(place)
        quarter = (at_s - start_of(GAP_DAY)) // 900
        kept = ~np.isin(quarter, np.array(without)) & (at_s <= to_seconds(NOW))
        if only is not None:
            kept &= np.isin(quarter, np.array(only))
        nothing = np.zeros(int(kept.sum()), dtype=np.int64)
        batch = RawBatch(
            self.people.tenant.id,
            int(at_s[-1]) + 7 * place + len(nothing),
            int(at_s[-1]),
            nothing + self.channels[place],
            at_s[kept],
            value[kept],
            nothing,
            nothing + 5,
            nothing - 1,
        )
        StoreSink(self.store, lambda: NOW).deliver([batch])

    def run(self, ports: Ports | None = None) -> None:
        """Derive until nothing is dirty."""
        for _ in range(6):
            assert not run_once(ports or self.ports, NOW).failures
            if not DirtyWindow.objects.exists():
                return
        raise AssertionError

    def values(self, place: int, first: int = 0, end: int = 96) -> tuple[list[int], list[int], list[int]]:
        """Return values, provenance and methods of quarters of an hour of the gap day."""
        from_s = start_of(GAP_DAY)
        rows = self.store.measurements(
            self.people.tenant.id, [self.series[place]], from_s + 900 * first, from_s + 900 * end
        )
        return rows.value_milliwh.tolist(), rows.provenance.tolist(), rows.method.tolist()

    def all_values(self) -> list[list[int]]:
        """Return everything current but the runs."""
        rows = self.store.measurements(self.people.tenant.id, self.series, 0, 2**31)
        return [getattr(rows, name).tolist() for name in type(rows).__slots__ if name != "run_id"]


def start_of(day: date) -> int:
    """Return the first instant of a day."""
    return to_seconds(datetime.combine(day, time(), SHANGHAI))


def peak_of(day: date) -> int:
    """Return the quarter of an hour that uses most on a day."""
    return 40 + day.day


def register(place: int) -> tuple[Any, Any]:
    """Return the stamps and counts of a register over all days."""
    advance = np.full((DAYS_COUNT + 2, 96), 3 + place)
    for index in range(len(advance)):
        advance[index, peak_of(FIRST_DAY + index * DAY)] = 9
    counts = 1000 + np.concatenate(([0], np.cumsum(advance)))
    return start_of(FIRST_DAY) + 900 * np.arange(len(counts)), counts


def energy_of(place: int, first: int = 0, end: int = 96) -> int:
    """Return what the register advanced over quarters of an hour of the gap day, milliwatt-hours."""
    at_s, value = register(place)
    edges = np.searchsorted(at_s, [start_of(GAP_DAY) + 900 * first, start_of(GAP_DAY) + 900 * end])
    return int(value[edges[1]] - value[edges[0]]) * STEP_MILLIWH


@pytest.fixture
def town(ours: People, street: Street, services: Services) -> Town:
    """Two points without reads."""
    return Town(ours, street, services)


@pytest.fixture(params=[True, False], ids=["many", "single"])
def wired(request: pytest.FixtureRequest, town: Town) -> Town:
    """The same, with and without the array path."""
    if not request.param:
        town.ports = replace(town.ports, many=None)
    return town


def tariff(version: int, first_day: date, holidays: Sequence[date]) -> dict[str, Any]:
    """Return a tariff document that names holidays."""
    days = {"weekday": [["00:00", "valley"], ["08:00", "peak"]]}
    calendar = {
        "seasons": [{"from": "01-01", "to": "12-31", "days": days}],
        "holidays": [day.isoformat() for day in holidays],
    }
    rates = [{"code": "peak", "price_per_kwh": "0.8"}, {"code": "valley", "price_per_kwh": "0.3"}]
    return {
        "format": 1,
        "code": "town",
        "version": version,
        "currency": "CNY",
        "zone": "Asia/Shanghai",
        "valid_from": first_day.isoformat(),
        "components": [{"id": "energy", "kind": "energy", "rates": rates, "calendar": calendar}],
    }


def source_day(town: Town) -> int:
    """Return the slot of the largest value of the gap day, whose sum is what the register advanced."""
    values, provenance, methods = town.values(0)
    assert set(provenance) == {Provenance.ESTIMATED}
    assert set(methods) == {Method.LIKE_DAY}
    assert sum(values) == energy_of(0)
    return int(np.argmax(values))


@pytest.fixture
def bill_by(ours: People, street: Street) -> Callable[[Sequence[date]], int]:
    """Bill our first point by a tariff with holidays, from long ago on."""

    def bill(holidays: Sequence[date]) -> int:
        document = tariff(1, date(2026, 1, 1), holidays)
        add_tariff_version(actor=ours.administrator, now=NOW, name="town", document=document)
        tariff_id = Tariff.objects.get(code="town").id
        set_contract(
            actor=ours.administrator,
            now=NOW,
            usage_point_id=street.point_id,
            tariff_id=tariff_id,
            at=LONG_AGO,
        )
        return tariff_id

    return bill


def test_a_holiday_is_estimated_as_a_sunday_and_no_day_from_a_holiday(
    wired: Town, bill_by: Callable[[Sequence[date]], int], ours: People
) -> None:
    wired.deliver(0, range(1, 96))
    wired.run()
    assert source_day(wired) == peak_of(LIKE_DAY)
    bill_by([LIKE_DAY])
    assert DirtyWindow.objects.filter(reason="holidays").exists()
    wired.run()
    assert source_day(wired) == peak_of(LIKE_DAY - DAY)  # the Tuesday before
    document = tariff(2, date(2026, 11, 12), [GAP_DAY])
    add_tariff_version(actor=ours.administrator, now=NOW, name="town", document=document)
    wired.run()
    assert source_day(wired) == peak_of(SUNDAY)


def test_who_knows_no_holidays_takes_the_weekday(
    wired: Town, bill_by: Callable[[Sequence[date]], int]
) -> None:
    """The fault to catch: holidays never reach the estimates."""
    bill_by([LIKE_DAY])
    wired.deliver(0, range(1, 96))
    wired.run(replace(wired.ports, hints=None))
    assert source_day(wired) == peak_of(LIKE_DAY)


def test_days_that_were_no_holidays_and_those_to_come_mark_nothing(
    town: Town, bill_by: Callable[[Sequence[date]], int], ours: People
) -> None:
    tariff_id = bill_by([date(2026, 1, 1), date(2026, 12, 25)])  # before the contract, and to come
    assert tariff_id
    assert not DirtyWindow.objects.exists()
    document = tariff(2, date(2026, 11, 12), [date(2026, 11, 11), date(2027, 1, 1)])
    add_tariff_version(actor=ours.administrator, now=NOW, name="town", document=document)
    assert not DirtyWindow.objects.exists()


GAP = range(41, 72)  # reads at its quarters are lost: what is used from 40 to 72 is not measured


@pytest.fixture
def compare(ours: People, street: Street) -> Callable[[], int]:
    """Say that the second meter checks the first."""
    return lambda: add_accuracy_check(
        actor=ours.operator,
        now=NOW,
        main_id=street.point_id,
        reference_id=street.other_point_id,
        main_class="1",
        reference_class="1",
        base_power_w=1000,
    )


def assert_checked(town: Town, first: int = 40, end: int = 72) -> None:
    """Assert that the gap is filled from the check meter and sums to the registers."""
    values, provenance, methods = town.values(0, first, end)
    assert set(methods) == {Method.CHECK_METER}
    assert set(provenance) == {Provenance.ESTIMATED}
    assert sum(values) == energy_of(0, first, end)
    assert int(np.argmax(values)) == peak_of(GAP_DAY) - first
    assert town.values(0, first - 1, first)[2] == town.values(0, end, end + 1)[2] == [Method.NONE]


@pytest.mark.parametrize(
    "order", [(0, 1), (1, 0), (0, -1, 1)], ids=["main first", "check first", "run between"]
)
def test_a_gap_is_filled_from_the_check_meter_whichever_comes_first(
    wired: Town, compare: Callable[[], int], order: tuple[int, ...]
) -> None:
    compare()
    for place in order:
        if place < 0:
            wired.run()
            assert wired.values(0, 40, 72)[2] == [Method.LIKE_DAY] * 32
        else:
            wired.deliver(place, GAP if place == 0 else range(0))
    wired.run()
    assert_checked(wired)


def test_values_of_the_check_meter_that_come_late_fill_what_others_had_filled(
    wired: Town, compare: Callable[[], int]
) -> None:
    compare()
    wired.deliver(0, GAP)
    wired.deliver(1, range(30, 90))
    wired.run()
    assert (
        Method.CHECK_METER not in wired.values(0)[2]
    )  # what the check meter has estimated itself is no help
    wired.deliver(1, only=range(30, 90))
    wired.run()
    assert_checked(wired)


def test_a_short_gap_asks_the_check_meter_before_the_line_which_fills_the_rest(
    wired: Town, compare: Callable[[], int]
) -> None:
    compare()
    wired.deliver(0, range(57, 60))  # 56 to 60, the largest at 58
    wired.deliver(1, range(59, 70))  # which says nothing from 58 on
    wired.run()
    values, _, methods = wired.values(0, 56, 60)
    assert methods == [Method.CHECK_METER] * 2 + [Method.LINEAR] * 2
    assert sum(values) == energy_of(0, 56, 60)
    wired.deliver(1, only=range(59, 70))
    wired.run()
    assert_checked(wired, 56, 60)


def test_a_comparison_that_comes_or_goes_has_its_gaps_estimated_again(
    wired: Town, compare: Callable[[], int], ours: People
) -> None:
    wired.deliver(0, GAP)
    wired.deliver(1)
    wired.run()
    plain = wired.all_values()
    assert set(wired.values(0, 40, 72)[2]) == {Method.LIKE_DAY}
    check_id = compare()
    wired.run()
    assert_checked(wired)
    retire_accuracy_check(actor=ours.operator, now=NOW, check_id=check_id)
    wired.run()
    assert wired.all_values() == plain


def test_who_asks_no_check_meter_takes_the_like_day(wired: Town, compare: Callable[[], int]) -> None:
    """The fault to catch: candidates are left out."""
    compare()
    wired.deliver(0, GAP)
    wired.deliver(1)
    wired.run(replace(wired.ports, hints=None))
    assert set(wired.values(0, 40, 72)[2]) == {Method.LIKE_DAY}


def test_a_check_meter_marks_only_what_was_not_measured(town: Town, compare: Callable[[], int]) -> None:
    compare()
    town.deliver(0)
    town.deliver(1)
    DirtyWindow.objects.all().delete()
    town.deliver(0, only=range(-96, 0))
    town.deliver(1, only=range(-96, 0))
    report = run_once(town.ports, NOW)
    assert report.row_count > 100
    assert not DirtyWindow.objects.filter(reason="check-meter").exists()


def test_nobody_has_no_holidays(ours: People) -> None:
    """A group that every row left asks for nobody; on a day that a tariff names, a run once stopped there."""
    tariff = Tariff.objects.create(tenant=ours.tenant, code="H", name="h")
    calendar = {"kind": "energy", "calendar": {"holidays": [str(NOW.date())]}}
    document = {"zone": "UTC", "components": [calendar]}
    TariffVersion.objects.create(tariff=tariff, valid_from_date=LONG_AGO.date(), document=document)
    assert Holidays(ours.tenant.id).of_series([], NOW.date(), NOW.date()) == {}
