"""What the overview draws: the energy that entered each site by day, once, whatever was fed by what when."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from relational import NOW
from unit.actions.test_nodes import DAYS, FIRST, FIRST_AT, MILLIWH, Totals, totals
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.core.readings.rollups import RollUpRows
from wattkeeper.data.registry.models import Series, UsagePoint
from wattkeeper.data.virtual.nodes import Sort, list_leaves, number_of
from wattkeeper.interfaces.web.console import reads_overview
from wattkeeper.interfaces.web.console.reads_overview import MEASURED, SiteDays, site_days

__all__ = ["totals"]

DAY_KWH = 96


def drawn(totals: Totals) -> dict[date, int | None]:
    """Return the kilowatt-hours of the street's site by day."""
    (site,) = site_days(totals.store, tenant_id=totals.people.tenant.id, now=NOW, days_count=31)
    return known_kwh(site)


def known_kwh(site: SiteDays) -> dict[date, int | None]:
    """Return the kilowatt-hours of a site by day."""
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


def of_one_site(totals: Totals, site_id: int) -> SiteDays:
    """Return the days of one of several sites; registry and store are asked of its own series alone."""
    node = number_of(Sort.SITE, site_id)
    leaves = list_leaves(totals.people.tenant.id, node, kinds=MEASURED, quantity="energy_import")
    asked = set(leaves.series_id.tolist())
    roll_ups = totals.store.roll_ups

    def noted(tenant_id: int, series_ids: Sequence[int], *given: Any, **more: Any) -> RollUpRows:
        asked.update(series_ids)
        return roll_ups(tenant_id, series_ids, *given, **more)

    own = {"tenant_id": totals.people.tenant.id, "now": NOW, "days_count": 31}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(totals.store, "roll_ups", noted)
        (found,) = site_days(totals.store, **own, site_id=site_id)
    assert asked <= set(Series.objects.filter(usage_point__site_id=site_id).values_list("id", flat=True))
    assert found in site_days(totals.store, **own)
    return found


def test_one_site_is_asked_of_alone_and_is_what_it_is_among_all(totals: Totals) -> None:
    """Of three sites one is fed by a virtual meter of another, which a meter feeds for two days."""
    main_id, child_id = totals.points
    actor, home_id = totals.people.operator, totals.street.site_id
    away_id, third_id = (
        add_site(actor=actor, now=NOW, code=code, name=code, kind="INDUSTRIAL", time_zone="Asia/Shanghai")
        for code in ("AWAY", "THIRD")
    )
    UsagePoint.objects.filter(id=child_id).update(site_id=away_id)
    virtual = {"site_id": third_id, "code": "V", "name": "Half", "formula": "[U1] * 0.5", "at": FIRST_AT}
    point_id = add_virtual_meter(actor=actor, now=NOW, **virtual)
    set_topology(actor=actor, now=NOW, child_id=child_id, parent_id=point_id, at=FIRST_AT)
    for day, parent_id in ((9, main_id), (11, None)):
        at = FIRST_AT + timedelta(days=day)
        set_topology(actor=actor, now=NOW, child_id=point_id, parent_id=parent_id, at=at)
    kwh = {site_id: known_kwh(of_one_site(totals, site_id)) for site_id in (home_id, away_id, third_id)}
    days = [FIRST + timedelta(days=day) for day in range(8, 12)]
    assert [kwh[home_id][day] for day in days] == [DAY_KWH] * 4
    assert [kwh[away_id][day] for day in days] == [2 * DAY_KWH, None, None, 2 * DAY_KWH]
    assert set(kwh[third_id].values()) == {None}


def test_counting_all_that_is_fed_now_or_virtual_is_seen(
    totals: Totals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads_overview, "ENTRY", "site")
    with pytest.raises(AssertionError):
        test_what_another_point_feeds_counts_in_it_for_that_time_only(totals)
    monkeypatch.setattr(reads_overview, "MEASURED", ("CUSTOMER", "VIRTUAL"))
    with pytest.raises(AssertionError):
        test_a_virtual_meter_enters_nothing(totals)
