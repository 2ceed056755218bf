"""A biller's October of 745 hours: bills and corrections beside an engine that shares nothing with them.

Each step says which bills may change; every other stays, and what the documents of a period add up to is what
the store holds, to the milliwatt-hour.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from relational import NOW, People, Street, same_again
from wattkeeper.actions.billing.inputs import version_of as values_version
from wattkeeper.actions.billing.propose_rebills import approve_rebill, propose_rebills, reject_rebill
from wattkeeper.actions.billing.run_billing import BillingReport, run_billing
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.actions.vee.edit_values import edit_values
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.billing.parse import bill_from_json
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.data.billing.models import Bill, RebillCheck, RebillProposal, TariffVersion
from wattkeeper.data.billing.rebills import version_of
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Channel, Series, Site
from wattkeeper.pipeline.derive import run_once
from wattkeeper.simulators import bill_oracle
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

ZONE = ZoneInfo("Europe/Berlin")
SEPTEMBER, OCTOBER, NOVEMBER = date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 1)
STEP_S, COUNT_MILLIWH = 900, 10_000
FIRST_S = to_seconds(local_midnight(date(2026, 9, 20), ZONE))
END_S = to_seconds(local_midnight(date(2026, 11, 3), ZONE))
EXCHANGED_S = to_seconds(local_midnight(date(2026, 10, 12), ZONE)) + 9 * 3600 + 1800
LATE_S = range(EXCHANGED_S - 2 * 86_400 - 6 * 3600, EXCHANGED_S - 2 * 86_400 + 6 * 3600, STEP_S)
STARTS_S = range(FIRST_S, END_S, STEP_S)
DAYS = {
    "holidays": ["2026-10-02"],
    "seasons": [
        {
            "from": "01-01",
            "to": "12-31",
            "days": {
                "weekday": [["00:00", "valley"], ["06:00", "peak"], ["22:00", "valley"]],
                "weekend": [["00:00", "valley"]],
            },
        }
    ],
}


def tariff(version: int, valid_from: str, peak: str, tiers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a tariff document with a price a day, time of use and a tax."""
    energy: dict[str, Any] = {
        "id": "energy",
        "kind": "energy",
        "calendar": DAYS,
        "rates": [
            {"code": "peak", "price_per_kwh": peak},
            {"code": "valley", "price_per_kwh": "0.2289"},
        ],
    }
    if tiers is not None:
        energy["tiers"] = {"limits_kwh": ["300"], "adders_per_kwh": ["0", "0.05"], **tiers}
    return {
        "format": 1,
        "code": "home",
        "version": version,
        "currency": "EUR",
        "zone": ZONE.key,
        "valid_from": valid_from,
        "components": [
            {"id": "standing", "kind": "fixed", "price": "0.21", "per": "day"},
            energy,
            {"id": "vat", "kind": "tax", "percent": "19", "covers": ["standing", "energy"]},
        ],
    }


class Town:
    """Two usage points, U1 and U2, whose registers count in steps of ten watt-hours."""

    def __init__(self, people: People, services: Services, street: Street) -> None:
        self.people, self.street, self.store = people, street, MemoryReadingStore()
        self.services = replace(services, store=self.store, measured=measured_by(self.store, lambda: NOW))
        self.points = {"U1": street.point_id, "U2": street.other_point_id}
        self.meters = {"U1": street.meter_id, "U2": street.other_meter_id}
        self.used = {
            name: {at_s: 5 + (at_s // STEP_S * (7919 + index)) % 61 for at_s in STARTS_S}
            for index, name in enumerate(self.points)
        }
        self.changed: dict[tuple[str, int], int] = {}  # milliwatt-hours that a person put there

    @cached_property
    def series(self) -> dict[str, Series]:
        """The energy that each point takes."""
        return {
            name: Series.objects.get(usage_point_id=own, quantity="energy_import")
            for name, own in self.points.items()
        }

    def install(self, name: str) -> None:
        """Install a point's meter."""
        install_meter(
            actor=self.people.operator,
            now=NOW,
            services=self.services,
            meter_id=self.meters[name],
            usage_point_id=self.points[name],
            at=from_seconds(FIRST_S),
        )

    def read(self, name: str, meter_id: int, stamps: Iterable[int], start_s: int, start_count: int) -> None:
        """Deliver a register that showed a count at an instant and counts what is used from then on."""
        channel = Channel.objects.get(meter_id=meter_id, reading_type="energy_import_register_kwh")
        at_s = np.array(sorted(stamps), dtype=np.int64)
        shown, count = {}, start_count
        for each in range(start_s, END_S + STEP_S, STEP_S):
            shown[each] = count
            count += self.used[name].get(each, 0)
        value = np.array([shown[each] for each in at_s.tolist()])
        zeros = np.zeros(len(at_s), dtype=np.int64)
        columns = (zeros + channel.id, at_s, value, zeros, zeros + 5, zeros - 1)
        batch = RawBatch(self.people.tenant.id, int(at_s[-1]) + meter_id, int(at_s[-1]), *columns)
        StoreSink(self.store, lambda: NOW).deliver([batch])

    def bill(self, first: date, end: date) -> BillingReport:
        """Bill every point."""
        return run_billing(
            actor=self.people.operator,
            now=NOW,
            services=self.services,
            first=first,
            end=end,
            accept_estimates=True,
        )

    def settle(self) -> list[RebillProposal]:
        """Derive what is dirty and return what is proposed."""
        while DirtyWindow.objects.exists():
            assert not run_once(pipeline_ports(self.store, self.people.tenant.id, lambda: NOW), NOW).failures
        propose_rebills(services=self.services, now=NOW)
        found = RebillProposal.objects.filter(state="OPEN").order_by("id")
        return list(found.select_related("bill__usage_point"))

    def approve(self, proposals: Iterable[RebillProposal]) -> None:
        """Approve proposals as they are shown."""
        for each in proposals:
            approve_rebill(
                actor=self.people.administrator,
                now=NOW,
                services=self.services,
                proposal_id=each.id,
                version=version_of(each),
            )

    def energy(self, name: str, first: date, end: date) -> list[list[int]]:
        """Return what was used, by the counts of the world and what a person put there."""
        bounds = [to_seconds(local_midnight(day, ZONE)) for day in (first, end)]
        return [
            [at_s, self.changed.get((name, at_s), count * COUNT_MILLIWH)]
            for at_s, count in self.used[name].items()
            if bounds[0] <= at_s < bounds[1]
        ]


@pytest.fixture
def town(ours: People, services: Services, street: Street) -> Town:
    """A town that is read until 3 November: U1 with a gap over a change of rate, U2 over an exchange."""
    town = Town(ours, services, street)
    same_again(build, ours, town, services=town.services)
    return town


def build(people: People, town: Town, *, services: Services) -> None:
    """Make all that the town begins with."""
    Site.objects.update(time_zone=ZONE.key)
    for name in town.points:
        town.install(name)
    town.read("U1", town.meters["U1"], [*(set(STARTS_S) - set(LATE_S)), END_S], FIRST_S, 1000)
    town.read("U2", town.meters["U2"], range(FIRST_S, EXCHANGED_S, STEP_S), FIRST_S, 2000)
    new_id = add_meter(
        actor=people.operator,
        now=NOW,
        services=services,
        site_id=town.street.site_id,
        serial_number="260100000003",
        family="dlt645_2007",
        link_id=town.street.link_id,
        address="260100000003",
        keys={"password": b"\x00\x11\x22\x33"},
    )
    exchange_meter(
        actor=people.operator,
        now=NOW,
        services=services,
        meter_id=town.meters["U2"],
        new_meter_id=new_id,
        at=from_seconds(EXCHANGED_S),
        final_read=2000 + sum(town.used["U2"][at_s] for at_s in range(FIRST_S, EXCHANGED_S, STEP_S)),
        initial_read=7,
    )
    town.read("U2", new_id, range(EXCHANGED_S, END_S + STEP_S, STEP_S), EXCHANGED_S, 7)
    town.settle()


def assign(town: Town, document: dict[str, Any]) -> int:
    """Add a tariff and bill every point by it."""
    version_id = add_tariff_version(actor=town.people.administrator, now=NOW, name="", document=document)
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    for point_id in town.points.values():
        set_contract(
            actor=town.people.administrator,
            now=NOW,
            usage_point_id=point_id,
            tariff_id=tariff_id,
            at=from_seconds(FIRST_S),
        )
    return tariff_id


def edit(town: Town, name: str, at_s: int, energy_milliwh: list[int]) -> None:
    """Put other values in the place of what was measured."""
    edit_values(
        actor=town.people.operator,
        now=NOW,
        services=town.services,
        series_id=town.series[name].id,
        starts_at=from_seconds(at_s),
        energy_milliwh=energy_milliwh,
        reason_code=51,
        reason="",
    )


def shown(proposals: list[RebillProposal]) -> set[tuple[str, date]]:
    """Return for which bills there are proposals: usage point and first day."""
    return {(each.bill.usage_point.code, each.bill.starts_at.astimezone(ZONE).date()) for each in proposals}


def total_minor(town: Town, name: str, parts: list[tuple[date, date, dict[str, Any]]], **used: Any) -> int:
    """Return what a period comes to, part by part of one version each, taxed once."""
    net_minor = 0
    for first, end, document in parts:
        untaxed = {**document, "components": document["components"][:2]}
        request = {"tariff": untaxed, "zone": ZONE.key, "intervals": town.energy(name, first, end), **used}
        days = {"first_date": first.isoformat(), "end_date": end.isoformat()}
        net_minor += bill_oracle.compute({**request, **days})["total_minor"]
    return net_minor + int(Fraction(net_minor * 19, 100) + Fraction(1, 2))


def issued(name: str, first: date = OCTOBER) -> Bill:
    return Bill.objects.get(
        usage_point__code=name, starts_at=local_midnight(first, ZONE), state=Bill.State.ISSUED
    )


def check_sums(town: Town) -> None:
    """All documents of a period come to what the store holds, and to the bill that stands."""
    for bill in Bill.objects.filter(state="ISSUED").select_related("usage_point"):
        together = Bill.objects.filter(usage_point=bill.usage_point, starts_at=bill.starts_at)
        rows = together.values_list("energy_milliwh", "total_minor")
        energy, money = (sum(column) for column in zip(*rows, strict=True))
        series = town.series[bill.usage_point.code]
        bounds = to_seconds(bill.starts_at), to_seconds(bill.ends_at)
        stored = town.store.measurements(town.people.tenant.id, [series.id], *bounds)
        assert (energy, money) == (int(stored.value_milliwh.sum()), bill.total_minor)
        assert energy == sum(line.quantity_milliwh for line in lines_of(bill))
        days = [at.astimezone(ZONE).date() for at in (bill.starts_at, bill.ends_at)]
        assert energy == sum(each for _, each in town.energy(bill.usage_point.code, *days))


def lines_of(bill: Bill) -> list[Any]:
    """Return the energy lines of a bill as they were issued."""
    return [line for line in bill_from_json(bill.document).lines if line.quantity_milliwh is not None]


def test_every_correction_is_exact_and_touches_no_other_bill(town: Town) -> None:
    first = tariff(1, "2026-01-01", "0.3127")
    whole = [(OCTOBER, NOVEMBER, first)]
    assign(town, first)
    assert len(town.bill(OCTOBER, NOVEMBER).issued_ids) == 2
    as_first = issued("U1")
    assert issued("U2").total_minor == total_minor(town, "U2", whole)
    check_sums(town)  # what is estimated between two reads is what the register advanced

    town.read("U1", town.meters["U1"], LATE_S, FIRST_S, 1000)
    proposals = town.settle()
    assert shown(proposals) == {("U1", OCTOBER)}
    town.approve(proposals)
    assert issued("U1").total_minor == proposals[0].total_minor == total_minor(town, "U1", whole)
    check_sums(town)

    second = tariff(2, "2026-10-16", "0.3331")
    parts = [(OCTOBER, date(2026, 10, 16), first), (date(2026, 10, 16), NOVEMBER, second)]
    add_tariff_version(actor=town.people.administrator, now=NOW, name="", document=second)
    proposals = town.settle()
    assert shown(proposals) == {("U1", OCTOBER), ("U2", OCTOBER)}
    town.approve(proposals)
    for name in town.points:
        assert issued(name).total_minor == total_minor(town, name, parts)
    check_sums(town)

    again = to_seconds(local_midnight(date(2026, 10, 25), ZONE)) + 2 * 3600  # this hour comes twice
    values = [1_500_001, 2_500_003, 0, 7, 11, 13, 17, 19]
    edit(town, "U1", again, values)
    town.changed = {("U1", again + place * STEP_S): value for place, value in enumerate(values)}
    proposals = town.settle()
    assert shown(proposals) == {("U1", OCTOBER)}
    town.approve(proposals)
    assert issued("U1").total_minor == total_minor(town, "U1", parts)
    check_sums(town)

    counts = [Bill.objects.filter(usage_point_id=own).count() for own in town.points.values()]
    assert counts == [7, 3]  # what was issued, and what took it back
    assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 2
    as_first.refresh_from_db()
    bounds = to_seconds(as_first.starts_at), to_seconds(as_first.ends_at)
    then = town.store.measurements(
        as_first.tenant_id, [town.series["U1"].id], *bounds, as_of_run_id=as_first.run_id
    )
    assert as_first.state == "REVERSED"
    assert as_first.energy_milliwh == int(then.value_milliwh.sum())
    assert as_first.energy_milliwh != issued("U1").energy_milliwh
    assert as_first.document["data_version"] == values_version(then)


def test_who_marks_no_bill_when_prices_change_proposes_none(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault, as it was: only values told of a correction."""
    assign(town, tariff(1, "2026-01-01", "0.3127"))
    town.bill(OCTOBER, NOVEMBER)
    module = "wattkeeper.actions.tariffs.add_tariff_version.mark_repriced"
    monkeypatch.setattr(module, lambda *_args, **_options: 0)
    second = tariff(2, "2026-10-16", "0.3331")
    add_tariff_version(actor=town.people.administrator, now=NOW, name="", document=second)
    assert town.settle() == []


def test_prices_of_later_days_and_of_other_points_propose_nothing(town: Town) -> None:
    assign(town, tariff(1, "2026-01-01", "0.3127"))
    town.bill(OCTOBER, NOVEMBER)
    people = town.people
    later = tariff(2, "2026-11-01", "0.3331")
    add_tariff_version(actor=people.administrator, now=NOW, name="", document=later)
    assert not RebillCheck.objects.exists()
    other = {**tariff(1, "2026-01-01", "0.1"), "code": "other"}
    version_id = add_tariff_version(actor=people.administrator, now=NOW, name="", document=other)
    set_contract(
        actor=people.administrator,
        now=NOW,
        usage_point_id=town.points["U2"],
        tariff_id=TariffVersion.objects.get(id=version_id).tariff_id,
        at=local_midnight(OCTOBER, ZONE),
    )
    proposals = town.settle()
    assert shown(proposals) == {("U2", OCTOBER)}
    town.approve(proposals)
    assert issued("U2").total_minor == total_minor(town, "U2", [(OCTOBER, NOVEMBER, other)])


def test_a_rejection_holds_for_the_prices_it_was_made_by(town: Town) -> None:
    assign(town, tariff(1, "2026-01-01", "0.3127"))
    town.bill(OCTOBER, NOVEMBER)
    people = town.people
    for version, price in ((2, "0.3331"), (3, "0.4")):
        document = tariff(version, f"2026-10-{14 + version}", price)
        add_tariff_version(actor=people.administrator, now=NOW, name="", document=document)
        proposals = town.settle()
        assert shown(proposals) == {("U1", OCTOBER), ("U2", OCTOBER)}
        for each in proposals:
            reject_rebill(
                actor=people.operator, now=NOW, proposal_id=each.id, version=version_of(each), note="agreed"
            )
        assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 2


LADDER = tariff(1, "2026-01-01", "0.3127", {"mode": "per_period", "counter": "year"})
SPLIT = date(2026, 9, 20)


def by_rate(town: Town, name: str) -> dict[str, int]:
    """Return what each rate held in September, by the oracle's clock."""
    flat = tariff(1, "2026-01-01", "0.3127")
    request = {"tariff": flat, "zone": ZONE.key, "intervals": town.energy(name, SPLIT, OCTOBER)}
    days = {"first_date": SPLIT.isoformat(), "end_date": OCTOBER.isoformat()}
    lines = bill_oracle.compute({**request, **days})["lines"]
    return {line["rate"]: line["quantity_milliwh"] for line in lines if line["rate"]}


def test_a_ladder_of_each_rate_goes_on_from_month_to_month(town: Town) -> None:
    assign(town, LADDER)
    town.bill(SPLIT, OCTOBER)
    assert not town.bill(OCTOBER, NOVEMBER).held
    october = [(OCTOBER, NOVEMBER, LADDER)]

    def used() -> dict[str, Any]:
        rates = by_rate(town, "U2")
        return {"used_before_milliwh": sum(rates.values()), "used_before_by_rate_milliwh": rates}

    assert issued("U2").total_minor == total_minor(town, "U2", october, **used())
    day_s = to_seconds(local_midnight(date(2026, 9, 23), ZONE))
    for hour, more in ((12, 30_000), (2, -30_000)):  # as much in all, at other rates
        at_s = day_s + hour * 3600
        town.changed["U2", at_s] = town.used["U2"][at_s] * COUNT_MILLIWH + more
        edit(town, "U2", at_s, [town.changed["U2", at_s]])
    proposals = town.settle()
    assert shown(proposals) == {("U2", SPLIT), ("U2", OCTOBER)}
    town.approve(proposals)
    assert issued("U2").total_minor == total_minor(town, "U2", october, **used())
    check_sums(town)
    assert not town.settle()
    assert issued("U2").corrects_id is not None


def test_who_knows_no_use_by_rate_bills_no_second_month(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault, as it was: the month after the first was held, whatever was billed before."""
    monkeypatch.setattr("wattkeeper.actions.billing.inputs.use_by_rate", lambda *_: {})
    assign(town, LADDER)
    town.bill(SPLIT, OCTOBER)
    held = town.bill(OCTOBER, NOVEMBER).held
    assert [each.error.code for each in held] == ["billing.tier-use-by-rate-needed"] * 2


def test_a_version_that_was_replaced_counts_nothing_any_more(town: Town) -> None:
    """Tiers that counted the year, then the month: the month's begin at nothing."""
    assign(town, tariff(1, "2026-01-01", "0.3127", {"mode": "time_order", "counter": "year"}))
    town.bill(SPLIT, OCTOBER)
    monthly = tariff(2, "2026-10-01", "0.3127", {"mode": "time_order", "counter": "month"})
    add_tariff_version(actor=town.people.administrator, now=NOW, name="", document=monthly)
    assert not town.bill(OCTOBER, NOVEMBER).held
    assert issued("U2").total_minor == total_minor(town, "U2", [(OCTOBER, NOVEMBER, monthly)])


def test_what_is_missing_before_the_period_is_no_zero(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    assign(town, tariff(1, "2026-01-01", "0.3127", {"mode": "time_order", "counter": "year"}))
    measurements = town.store.measurements

    def with_a_gap(*args: Any, **options: Any) -> Any:
        values = measurements(*args, **options)
        is_gone = values.starts_at_s == FIRST_S + 9 * STEP_S
        return replace(values, provenance=np.where(is_gone, Provenance.MISSING, values.provenance))

    monkeypatch.setattr(town.store, "measurements", with_a_gap)
    held = town.bill(OCTOBER, NOVEMBER).held
    assert [each.error.code for each in held] == ["billing.tier-use-incomplete"] * 2
    assert held[0].error.params["first_missing_at"] == from_seconds(FIRST_S + 9 * STEP_S).isoformat()


def test_no_part_of_a_period_is_billed_twice(town: Town) -> None:
    assign(town, tariff(1, "2026-01-01", "0.3127"))
    town.bill(OCTOBER, NOVEMBER)
    held = town.bill(date(2026, 10, 16), NOVEMBER).held
    assert [each.error.code for each in held] == ["billing.overlap"] * 2
    assert held[0].error.params == {
        "bill_id": issued("U1").id,
        "first": "2026-10-01",
        "end": "2026-11-01",
    }
    assert not town.bill(SPLIT, OCTOBER).held  # they touch
    check_sums(town)


def test_a_version_has_a_number_of_its_own(town: Town) -> None:
    assign(town, tariff(1, "2026-01-01", "0.3127"))
    second = tariff(1, "2026-10-16", "0.3331")
    with pytest.raises(WattkeeperError) as refusal:
        add_tariff_version(actor=town.people.administrator, now=NOW, name="", document=second)
    assert (refusal.value.code, refusal.value.params) == ("tariffs.number-taken", {"version": 1, "next": 2})
