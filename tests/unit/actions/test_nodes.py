"""Energy by site, area, feeder and customer: sums over parts, under changes with dates, tenants apart."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray

from relational import NOW, People, Street, make_street_of
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.services import Services
from wattkeeper.actions.virtual.nodes import add_node, edit_node, set_belonging
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.readings.rollups import find_days
from wattkeeper.core.registry.aggregation import count_due, place_rows
from wattkeeper.data.registry.models import Series, Site, UsagePoint
from wattkeeper.data.virtual.models import Node
from wattkeeper.data.virtual.nodes import (
    REST,
    ROOT,
    Sort,
    key_of,
    list_links,
    names_of,
    node_of_key,
    number_of,
)
from wattkeeper.interfaces.reads.aggregation import Question, Sums, add_up
from wattkeeper.store.api import Measurements
from wattkeeper.store.memory import MemoryReadingStore

ZONE_H = 8
FIRST = date(2026, 11, 1)
FIRST_AT = datetime(2026, 10, 31, 24 - ZONE_H, tzinfo=UTC)
DAYS = 20
MILLIWH = 1_000_000


class Totals:
    """Two points with 1 and 2 kWh a quarter of an hour for twenty days, stored with their days."""

    def __init__(self, people: People, street: Street, services: Services) -> None:
        self.people, self.street, self.services = people, street, services
        assert isinstance(services.store, MemoryReadingStore)
        self.store = services.store
        meters = (street.meter_id, street.other_meter_id)
        self.points = (street.point_id, street.other_point_id)
        for meter_id, point_id in zip(meters, self.points, strict=True):
            install_meter(
                actor=people.operator,
                now=NOW,
                services=services,
                meter_id=meter_id,
                usage_point_id=point_id,
                at=FIRST_AT,
            )
        for index, point_id in enumerate(self.points):
            self.put(point_id, (index + 1) * MILLIWH, missing=range(index * 5))

    def put(self, point_id: int, milliwh: int, *, missing: range) -> None:
        """Store values and the roll-ups they make."""
        series = Series.objects.select_related("usage_point__site").get(usage_point_id=point_id)
        starts_at_s = to_seconds(FIRST_AT) + 900 * np.arange(96 * DAYS)
        provenance = np.ones(len(starts_at_s), dtype=np.int64)
        provenance[list(missing)] = 0
        value = np.where(provenance == 1, milliwh, 0)
        nothing = np.zeros(len(starts_at_s), dtype=np.int64)
        rows = Measurements(
            nothing + series.id, starts_at_s, value, provenance, nothing, nothing, nothing + 1
        )
        tenant_id = self.people.tenant.id
        self.store.insert_measurements(tenant_id, rows)
        zone = series.usage_point.site.time_zone
        days = find_days(
            np.array([series.id]),
            starts_at_s,
            value[None],
            provenance[None],
            interval_s=900,
            zone=ZoneInfo(zone),
        ).rows
        month = replace(
            days.take(np.arange(1)),
            grain=np.array([2]),
            energy_milliwh=np.array([int(days.energy_milliwh.sum())]),
            measured_count=np.array([int(days.measured_count.sum())]),
        )
        self.store.insert_roll_ups(tenant_id, 1, days)
        self.store.insert_roll_ups(tenant_id, 1, month)

    def sums(self, tree: str, node: int, grain: str = "day", **more: object) -> Sums:
        fields = {"first_date": FIRST, "end_date": FIRST + timedelta(days=DAYS), **more}
        if grain == "month":
            fields["end_date"] = date(2026, 12, 1)
        question = Question(tree, node, grain, **fields)  # type: ignore[arg-type]
        return add_up(self.store, tenant_id=self.people.tenant.id, question=question, now=NOW)

    def kwh(self, tree: str, node: int, grain: str = "day", **more: object) -> dict[str, list[int]]:
        """Return kilowatt-hours of each part by period."""
        found = self.sums(tree, node, grain, **more)
        values = (found.energy_milliwh // MILLIWH).tolist()
        return {key_of(part): own for part, own in zip(found.parts, values, strict=True)}

    def node(self, kind: str, code: str) -> int:
        return add_node(actor=self.people.operator, now=NOW, kind=kind, code=code, name=code.title())

    def belong(self, belonging: str, part_id: int, whole_id: int | None, at: datetime) -> None:
        set_belonging(
            actor=self.people.operator,
            now=NOW,
            belonging=belonging,
            part_id=part_id,
            whole_id=whole_id,
            at=at,
        )


@pytest.fixture
def totals(ours: People, street: Street, services: Services) -> Totals:
    return Totals(ours, street, services)


def group(node_id: int) -> int:
    return number_of(Sort.GROUP, node_id)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(WattkeeperError) as caught:
        act()
    return caught.value.code


def test_a_site_and_a_tenant_by_day(totals: Totals) -> None:
    site = number_of(Sort.SITE, totals.street.site_id)
    assert totals.kwh("site", ROOT) == {key_of(site): [96 * 3 - 10, *[96 * 3] * (DAYS - 1)]}
    found = totals.sums("site", site)
    assert found.periods[0] == FIRST
    assert found.due_count.tolist() == [[96] * DAYS] * 2
    assert found.missing_count.tolist() == [[0] * DAYS, [5] + [0] * (DAYS - 1)]
    assert found.energy_milliwh.sum() == totals.sums("site", ROOT).energy_milliwh.sum()


def test_a_customer_who_moved_out_keeps_the_old_bill(totals: Totals) -> None:
    first, second = totals.node("CUSTOMER", "old"), totals.node("CUSTOMER", "new")
    point_id = totals.points[0]
    noon = FIRST_AT + timedelta(days=3, hours=12)
    totals.belong("customer-point", point_id, first, FIRST_AT)
    totals.belong("customer-point", point_id, second, noon)
    found = totals.kwh("customer", ROOT)
    assert found[key_of(group(first))] == [96, 96, 96, 48, *[0] * (DAYS - 4)]
    assert found[key_of(group(second))] == [0, 0, 0, 48, *[96] * (DAYS - 4)]
    assert found["rest"] == [182, *[192] * (DAYS - 1)]
    by_month = totals.kwh("customer", ROOT, "month")
    assert by_month == {part: [sum(own)] for part, own in found.items()}
    assert sum(map(sum, found.values())) == 96 * 3 * DAYS - 10


def test_two_who_move_out_on_different_days_count_once(totals: Totals) -> None:
    customer = totals.node("CUSTOMER", "c")
    for point_id, days in zip(totals.points, (3, 6), strict=True):
        totals.belong("customer-point", point_id, customer, FIRST_AT + timedelta(days=days, hours=12))
    found = totals.kwh("customer", ROOT)
    assert found[key_of(group(customer))] == [0, 0, 0, 48, 96, 96, 96 + 96, *[288] * (DAYS - 7)]
    assert sum(map(sum, found.values())) == 96 * 3 * DAYS - 10
    assert totals.kwh("customer", ROOT, "month") == {part: [sum(own)] for part, own in found.items()}


def test_by_the_hour_an_interval_belongs_where_it_began(totals: Totals) -> None:
    customer = totals.node("CUSTOMER", "c")
    totals.belong("customer-point", totals.points[0], customer, FIRST_AT + timedelta(hours=2, minutes=20))
    found = totals.kwh("customer", ROOT, "hour", end_date=FIRST + timedelta(days=1))
    assert found[key_of(group(customer))][:4] == [0, 0, 2, 4]
    assert len(found["rest"]) == 24


def test_areas_hold_areas_and_sites_for_a_time(totals: Totals) -> None:
    town, quarter = totals.node("AREA", "town"), totals.node("AREA", "quarter")
    totals.belong("area", quarter, town, FIRST_AT)
    totals.belong("site", totals.street.site_id, quarter, FIRST_AT + timedelta(days=2))
    found = totals.kwh("area", ROOT)
    site = key_of(number_of(Sort.SITE, totals.street.site_id))
    assert found[site] == [278, 288, *[0] * (DAYS - 2)]
    assert found[key_of(group(town))] == [0, 0, *[288] * (DAYS - 2)]
    assert totals.kwh("area", group(town)) == {key_of(group(quarter)): found[key_of(group(town))]}
    loop = refusal(lambda: totals.belong("area", town, quarter, FIRST_AT))
    assert loop == "topology.cycle"


def test_feeders_follow_who_feeds_whom(totals: Totals) -> None:
    UsagePoint.objects.filter(id=totals.points[0]).update(kind="MAIN")
    main, sub = (number_of(Sort.POINT, own) for own in totals.points)
    actor, at = totals.people.operator, FIRST_AT + timedelta(days=1)
    set_topology(actor=actor, now=NOW, child_id=totals.points[1], parent_id=totals.points[0], at=at)
    feeder = totals.node("FEEDER", "F1")
    totals.belong("feeder-point", totals.points[0], feeder, FIRST_AT)
    assert totals.kwh("feeder", ROOT) == {
        key_of(sub): [182, *[0] * (DAYS - 1)],
        key_of(group(feeder)): [0, *[192] * (DAYS - 1)],
    }
    kinds = ("CUSTOMER", "MAIN")
    own_series = Series.objects.get(usage_point_id=totals.points[0]).id
    assert totals.kwh("feeder", main, kinds=kinds) == {
        key_of(own_series): [96] * DAYS,
        key_of(sub): [0, *[192] * (DAYS - 1)],
    }


def test_what_was_never_read_is_missing_not_zero(totals: Totals) -> None:
    now = FIRST_AT + timedelta(days=DAYS + 1)
    question = Question("site", ROOT, "day", FIRST, FIRST + timedelta(days=DAYS + 2))
    found = add_up(totals.store, tenant_id=totals.people.tenant.id, question=question, now=now)
    assert found.missing_count.tolist()[0][-3:] == [0, 192, 0]
    assert found.due_count.tolist()[0][-1] == 0


@pytest.mark.parametrize(("second", "due_count"), [(-1, 0), (0, 1), (1, 1), (899, 1), (900, 2)])
def test_the_interval_that_runs_is_not_missing(totals: Totals, second: int, due_count: int) -> None:
    """Seconds after the first interval of a day that nothing was read of yet."""
    now = FIRST_AT + timedelta(days=DAYS, minutes=15, seconds=second)
    question = Question("site", ROOT, "day", FIRST, FIRST + timedelta(days=DAYS + 1))
    found = add_up(totals.store, tenant_id=totals.people.tenant.id, question=question, now=now)
    assert found.missing_count.sum(axis=0).tolist()[-1] == 2 * due_count


def test_tenants_see_their_own(totals: Totals, theirs: People, services: Services) -> None:
    make_street_of(theirs, services)
    question = Question("site", ROOT, "day", FIRST, FIRST + timedelta(days=2))
    found = add_up(totals.store, tenant_id=theirs.tenant.id, question=question, now=NOW)
    assert found.energy_milliwh.sum() == 0
    site = number_of(Sort.SITE, totals.street.site_id)
    own = add_up(totals.store, tenant_id=theirs.tenant.id, question=replace(question, node=site), now=NOW)
    assert own.parts == ()
    assert names_of(theirs.tenant.id, [site]) == {}
    node_id = totals.node("AREA", "a")
    asked = {"now": NOW, "belonging": "site", "whole_id": node_id, "at": FIRST_AT}
    foreign = refusal(lambda: set_belonging(actor=theirs.operator, part_id=totals.street.site_id, **asked))
    assert foreign == "registry.not-found"


def test_groups_are_made_renamed_and_refused(totals: Totals) -> None:
    node_id = totals.node("CUSTOMER", "C1")
    edit_node(actor=totals.people.operator, now=NOW, node_id=node_id, name="Mrs Wu")
    assert Node.objects.get(id=node_id).name == "Mrs Wu"
    assert names_of(totals.people.tenant.id, [group(node_id), REST]) == {group(node_id): ("C1", "Mrs Wu")}
    assert refusal(lambda: totals.node("CUSTOMER", "C1")) == "registry.taken"
    assert refusal(lambda: totals.node("PLANET", "P")) == "registry.invalid-field"
    assert refusal(lambda: totals.belong("site", totals.street.site_id, node_id, FIRST_AT)) == "nodes.kind"
    assert refusal(lambda: totals.belong("moon", 1, node_id, FIRST_AT)) == "registry.not-found"
    assert refusal(lambda: totals.sums("site", ROOT, "day", end_date=FIRST)) == "aggregation.span"
    assert refusal(lambda: totals.sums("moon", ROOT)) == "registry.not-found"


def test_addresses_name_nodes() -> None:
    for node in (ROOT, REST, number_of(Sort.SITE, 7), number_of(Sort.GROUP, 1)):
        assert node_of_key(key_of(node)) == node
    assert refusal(lambda: node_of_key("moon-1")) == "registry.not-found"
    assert refusal(lambda: node_of_key("site-x")) == "registry.not-found"


def test_sites_of_two_zones_are_added_by_local_date(totals: Totals) -> None:
    site_id = add_site(
        actor=totals.people.operator, now=NOW, code="S2", name="Far", kind="COMMERCIAL", time_zone="UTC"
    )
    UsagePoint.objects.filter(id=totals.points[1]).update(site_id=site_id)
    found = totals.kwh("site", ROOT)
    assert set(found) == {key_of(number_of(Sort.SITE, own)) for own in (totals.street.site_id, site_id)}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Asia/Kolkata", date(2026, 10, 25), 24),
    ],
)
@pytest.mark.parametrize("other_zone", ["Asia/Shanghai", "Pacific/Auckland", "America/Lima"])
def test_hours_lose_nothing_of_a_day_whatever_its_length(
    totals: Totals, zone: str, day: date, hours: float, other_zone: str
) -> None:
    site_id = add_site(
        actor=totals.people.operator, now=NOW, code="S2", name="Far", kind="COMMERCIAL", time_zone=zone
    )
    UsagePoint.objects.filter(id=totals.points[1]).update(site_id=site_id)
    Site.objects.filter(id=totals.street.site_id).update(time_zone=other_zone)
    series_ids = [Series.objects.get(usage_point_id=point_id).id for point_id in totals.points]
    starts_at_s = to_seconds(datetime.combine(day - timedelta(days=2), time(), UTC)) + 900 * np.arange(96 * 5)
    for series_id, milliwh in zip(series_ids, (MILLIWH, 2 * MILLIWH), strict=True):
        one, nothing = np.ones(len(starts_at_s), np.int64), np.zeros(len(starts_at_s), np.int64)
        rows = Measurements(one * series_id, starts_at_s, one * milliwh, one, nothing, nothing, one)
        totals.store.insert_measurements(totals.people.tenant.id, rows)
    asked = {"first_date": day, "end_date": day + timedelta(days=1)}
    own = totals.kwh("site", number_of(Sort.SITE, site_id), "hour", **asked)
    (by_hour,) = own.values()
    assert by_hour == [8] * int(hours) + [4] * (hours % 1 == 0.5)
    periods = totals.sums("site", number_of(Sort.SITE, site_id), "hour", **asked).periods
    midnight = local_midnight(day, ZoneInfo(zone))
    assert [at - midnight for at in periods] == [timedelta(hours=i) for i in range(len(by_hour))]  # type: ignore[operator]
    together = totals.sums("site", ROOT, "hour", **asked)
    for period, milliwh in zip(together.periods, together.energy_milliwh.sum(axis=0).tolist(), strict=True):
        assert isinstance(period, datetime)
        assert milliwh == 12 * MILLIWH or (period == together.periods[-1] and milliwh == 6 * MILLIWH)


@pytest.mark.parametrize("grain", ["hour", "day", "month"])
@pytest.mark.parametrize("first", [date(1, 1, 1), date(1900, 1, 1), date(9999, 12, 30)])
def test_days_that_nobody_can_store_are_refused(totals: Totals, grain: str, first: date) -> None:
    asked = {"first_date": first, "end_date": first + timedelta(days=1)}
    question = Question("site", ROOT, grain, **asked)
    tenant_id = totals.people.tenant.id
    assert refusal(lambda: add_up(totals.store, tenant_id=tenant_id, question=question, now=NOW)) == (
        "aggregation.span"
    )


def uncut(*given: Any) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    place, is_cut = place_rows(*given)
    return place, np.zeros_like(is_cut)


FAULTS: list[tuple[str, Any, Callable[[Totals], None]]] = [
    ("place_rows", uncut, test_a_customer_who_moved_out_keeps_the_old_bill),
    ("_is_inside", lambda rows, _: rows.leaf >= 0, test_two_who_move_out_on_different_days_count_once),
    ("count_due", lambda *given: 0 * count_due(*given), test_what_was_never_read_is_missing_not_zero),
    (
        "list_links",
        lambda *given, from_s, as_of: list_links(*given, from_s=2**33, as_of=as_of),
        test_feeders_follow_who_feeds_whom,
    ),
    ("local_midnight", lambda day, _: local_midnight(day, UTC), test_a_site_and_a_tenant_by_day),
]


@pytest.mark.parametrize(("name", "fault", "test"), FAULTS, ids=[name for name, _, _ in FAULTS])
def test_each_planted_fault_is_caught(
    totals: Totals, monkeypatch: pytest.MonkeyPatch, name: str, fault: object, test: Callable[[Totals], None]
) -> None:
    monkeypatch.setattr(f"wattkeeper.interfaces.reads.aggregation.{name}", fault)
    with pytest.raises(AssertionError):
        test(totals)
