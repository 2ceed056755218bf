"""Gaps that last year knows, wired: installed for over a year, silent for longer than like days reach."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest

from relational import LONG_AGO, NOW, People, Street
from unit.data.test_hints import GAP_DAY, Town, start_of, tariff, town, wired
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.core.kernel.quality import Method
from wattkeeper.data.billing.models import Tariff
from wattkeeper.data.collection.windows import mark_recent_dirty
from wattkeeper.data.registry.models import Installation
from wattkeeper.store.api import RawBatch

__all__ = ["town", "wired"]
LAST_DAY = date(2026, 10, 20)  # four weeks and a day before the gap day
YEAR = timedelta(days=364)


def deliver(town: Town, first: date, days: int, used: int, from_count: int) -> None:
    """Deliver a register that advances by so many counts each quarter of an hour."""
    places = np.arange(96 * days + 1)
    nothing = np.zeros(len(places), dtype=np.int64)
    columns = (
        nothing + town.channels[0],
        start_of(first) + 900 * places,
        from_count + used * places,
        nothing,
        nothing + 5,
        nothing - 1,
    )
    StoreSink(town.store, lambda: NOW).deliver(
        [RawBatch(town.people.tenant.id, start_of(first), start_of(first), *columns)]
    )


def look(town: Town, people: People) -> set[int]:
    """Derive, with the look that the worker takes again and again, and return the methods of the gap day."""
    mark_recent_dirty(tenant_id=people.tenant.id, since=LONG_AGO, now=NOW)
    town.run()
    return set(town.values(0)[2])


def test_last_year_fills_what_no_like_day_reaches_even_if_it_comes_late(wired: Town, ours: People) -> None:
    Installation.objects.update(starts_at=NOW - timedelta(days=500))
    deliver(wired, LAST_DAY - timedelta(days=10), 10, 6, 500_000)
    assert look(wired, ours) == {Method.UNFILLED}
    deliver(wired, LAST_DAY - timedelta(days=10) - YEAR, 50, 3, 1000)
    wired.run()  # what was marked by last year's values, nothing else
    values, _, methods = wired.values(0)
    assert set(methods) == {Method.PREVIOUS_YEAR}
    assert set(values) == {60_000}  # twice as much as then


def test_last_year_that_comes_late_and_tells_nobody_is_caught(
    wired: Town, ours: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: what is stored of last year is not told to what may be estimated from it."""
    monkeypatch.setattr("wattkeeper.pipeline.derive.mark_next_year", lambda _ports, _rows: None)
    Installation.objects.update(starts_at=NOW - timedelta(days=500))
    deliver(wired, LAST_DAY - timedelta(days=10), 10, 6, 500_000)
    assert look(wired, ours) == {Method.UNFILLED}
    deliver(wired, LAST_DAY - timedelta(days=10) - YEAR, 50, 3, 1000)
    wired.run()
    assert set(wired.values(0)[2]) == {Method.UNFILLED}


def name_holidays(people: People, version: int, first_day: date, holidays: Sequence[date]) -> None:
    document = tariff(version, first_day, holidays)
    add_tariff_version(actor=people.administrator, now=NOW, name="town", document=document)


@pytest.mark.parametrize(
    "is_told",
    [
        pytest.param(True, id="told"),
        pytest.param(False, id="the planted fault: not told", marks=pytest.mark.slow),
    ],
)
def test_a_holiday_of_last_year_that_is_named_late_is_no_like_day(
    *, wired: Town, ours: People, street: Street, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    then = GAP_DAY - YEAR
    Installation.objects.update(starts_at=NOW - timedelta(days=500))
    name_holidays(ours, 1, date(2025, 1, 1), [])
    set_contract(
        actor=ours.administrator,
        now=NOW,
        usage_point_id=street.point_id,
        tariff_id=Tariff.objects.get(code="town").id,
        at=NOW - timedelta(days=500),
    )
    deliver(wired, LAST_DAY - timedelta(days=10), 10, 6, 500_000)
    first, count = LAST_DAY - timedelta(days=10) - YEAR, 1000
    for days, used in ((32, 3), (1, 5), (17, 3)):  # the week before the day uses more
        deliver(wired, first, days, used, count)
        first, count = first + timedelta(days=days), count + 96 * days * used
    assert look(wired, ours) == {Method.PREVIOUS_YEAR}
    assert set(wired.values(0)[0]) == {60_000}
    if not is_told:
        monkeypatch.setattr("wattkeeper.actions.tariffs.changed_holidays.days_told_by", lambda _day: ())
    name_holidays(ours, 2, date(2025, 11, 1), [then])
    wired.run()
    assert set(wired.values(0)[0]) == {100_000 if is_told else 60_000}
