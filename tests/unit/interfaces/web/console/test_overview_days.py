"""What the overview draws: the energy that entered each site by day, once, whatever was fed by what when."""

from datetime import date, timedelta

import pytest

from relational import NOW
from unit.actions.test_nodes import DAYS, FIRST, FIRST_AT, MILLIWH, Totals, totals
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.interfaces.web.console import reads_overview
from wattkeeper.interfaces.web.console.reads_overview import site_days

__all__ = ["totals"]

DAY_KWH = 96


def drawn(totals: Totals) -> dict[date, int | None]:
    """Return the kilowatt-hours of the street's site by day."""
    (site,) = site_days(totals.store, tenant_id=totals.people.tenant.id, now=NOW, days_count=31)
    known = [None if each is None else each // MILLIWH for each in site.energy_milliwh]
    return dict(zip(site.days, known, strict=True))


def test_what_another_point_feeds_counts_in_it_for_that_time_only(totals: Totals) -> None:
    """From noon of the tenth day on the second point is fed by the first, until noon of the twelfth."""
    parent_id, child_id = totals.points
    for day, own_id in ((9, parent_id), (11, None)):
        at = FIRST_AT + timedelta(days=day, hours=12)
        set_topology(actor=totals.people.operator, now=NOW, child_id=child_id, parent_id=own_id, at=at)
    found = drawn(totals)
    kwh = [found[FIRST + timedelta(days=day)] for day in range(8, 14)]
    assert kwh == [3 * DAY_KWH, 2 * DAY_KWH, DAY_KWH, 2 * DAY_KWH, 3 * DAY_KWH, 3 * DAY_KWH]


def test_a_virtual_meter_enters_nothing(totals: Totals) -> None:
    before = drawn(totals)
    point_id = add_virtual_meter(
        actor=totals.people.operator,
        now=NOW,
        site_id=totals.street.site_id,
        code="V",
        name="Both",
        formula="[U1] + [U2]",
        at=FIRST_AT,
    )
    totals.put(point_id, 3 * MILLIWH, missing=range(0))
    assert drawn(totals) == before


def test_what_a_virtual_meter_feeds_counts_unless_a_measured_one_feeds_that(totals: Totals) -> None:
    before = drawn(totals)
    main_id, child_id = totals.points
    actor = totals.people.operator
    site_id = totals.street.site_id
    virtual = {"site_id": site_id, "code": "V", "name": "Half", "formula": "[U1] * 0.5", "at": FIRST_AT}
    point_id = add_virtual_meter(actor=actor, now=NOW, **virtual)
    set_topology(actor=actor, now=NOW, child_id=child_id, parent_id=point_id, at=FIRST_AT)
    assert drawn(totals) == before
    at = FIRST_AT + timedelta(days=9, hours=12)
    set_topology(actor=actor, now=NOW, child_id=point_id, parent_id=main_id, at=at)
    found = drawn(totals)
    kwh = [found[FIRST + timedelta(days=day)] for day in (8, 9, 10)]
    assert kwh == [3 * DAY_KWH, 2 * DAY_KWH, DAY_KWH]


def test_a_day_of_zero_is_known_and_one_without_values_is_not(totals: Totals) -> None:
    for point_id in totals.points:
        totals.put(point_id, 0, missing=range(96, 192))
    found = drawn(totals)
    assert [found[FIRST + timedelta(days=day)] for day in (0, 1, 2)] == [0, None, 0]
    assert found[FIRST + timedelta(days=DAYS)] is None


def test_counting_all_that_is_fed_now_or_virtual_is_seen(
    totals: Totals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads_overview, "ENTRY", "site")
    with pytest.raises(AssertionError):
        test_what_another_point_feeds_counts_in_it_for_that_time_only(totals)
    monkeypatch.setattr(reads_overview, "MEASURED", ("CUSTOMER", "VIRTUAL"))
    with pytest.raises(AssertionError):
        test_a_virtual_meter_enters_nothing(totals)
