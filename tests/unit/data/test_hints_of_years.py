"""Gaps that last year knows, wired: installed for over a year, silent for longer than like days reach."""

from datetime import date, timedelta

import numpy as np

from relational import LONG_AGO, NOW, People
from unit.data.test_hints import Town, start_of, town, wired
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.core.kernel.quality import Method
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
