"""Whose tiers count on when a contract changes: a new customer's begin anew, beside another engine."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from relational import NOW
from unit.data.test_contract_parts import CHANGE, spans
from unit.data.test_exact_bills import (
    NOVEMBER,
    OCTOBER,
    SPLIT,
    ZONE,
    Town,
    assign,
    by_rate,
    check_sums,
    issued,
    shown,
    tariff,
    total_minor,
    town,
)
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.end_contract import end_contract
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Contract, TariffVersion
from wattkeeper.data.billing.parts import ContractPart, contract_parts
from wattkeeper.data.registry.models import UsagePoint

__all__ = ["town"]
TEN_DAYS = {"counter": "days", "nominal_days": 10}


def ladder(mode: str, counter: dict[str, Any] | str) -> dict[str, Any]:
    """Return a tariff whose tiers count by the year, the month or the days."""
    counted = {"counter": counter} if isinstance(counter, str) else counter
    return tariff(1, "2026-01-01", "0.3127", {"mode": mode, **counted})


def move_in(town: Town, tariff_id: int, at: date, *, is_same_customer: bool = False) -> None:
    """Let another contract of U2 begin with a day."""
    set_contract(
        actor=town.people.administrator,
        now=NOW,
        usage_point_id=town.points["U2"],
        tariff_id=tariff_id,
        at=local_midnight(at, ZONE),
        is_same_customer=is_same_customer,
    )


def move_out(town: Town, at: date) -> None:
    """Let the contract of U2 end with a day."""
    end_contract(
        actor=town.people.administrator,
        now=NOW,
        usage_point_id=town.points["U2"],
        at=local_midnight(at, ZONE),
    )


def used_between(town: Town, first: date, end: date) -> dict[str, Any]:
    """Return what the tiers of who goes on have counted before."""
    return {"used_before_milliwh": sum(each for _, each in town.energy("U2", first, end))}


MODES = ("time_order", "pro_rata", "per_period")


@pytest.mark.alike
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("counter", ["year", "month", TEN_DAYS])
def test_a_new_customer_begins_with_empty_tiers(town: Town, mode: str, counter: dict[str, Any] | str) -> None:
    """The same tariff from the 13th on; who left has used up the first tier of the year and of the month."""
    document = ladder(mode, counter)
    tariff_id = assign(town, document)
    move_in(town, tariff_id, CHANGE)
    assert town.bill(SPLIT, OCTOBER).held == []
    assert town.bill(OCTOBER, NOVEMBER).held == []
    assert spans() == [(SPLIT, OCTOBER), (OCTOBER, CHANGE), (CHANGE, NOVEMBER)]
    new = issued("U2", CHANGE)
    assert new.document["tier_used_milliwh"] == 0
    assert new.total_minor == total_minor(town, "U2", [(CHANGE, NOVEMBER, document)])
    used: dict[str, Any] = {}
    if counter == "year":
        rates = by_rate(town, "U2")
        used = {"used_before_milliwh": sum(rates.values()), "used_before_by_rate_milliwh": rates}
    old = issued("U2", OCTOBER)
    assert old.total_minor == total_minor(town, "U2", [(OCTOBER, CHANGE, document)], **used)
    check_sums(town)


def test_who_counts_for_the_usage_point_bills_another_sum(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault, as it was: the tiers are the usage point's, whoever lives there."""
    exact = contract_parts

    def of_the_point(*asked: Any) -> list[ContractPart]:
        return [replace(part, customer_from=SPLIT) for part in exact(*asked)]

    monkeypatch.setattr("wattkeeper.actions.billing.inputs.contract_parts", of_the_point)
    document = ladder("time_order", "year")
    tariff_id = assign(town, document)
    move_in(town, tariff_id, CHANGE)
    town.bill(OCTOBER, NOVEMBER)
    assert issued("U2", CHANGE).total_minor > total_minor(town, "U2", [(CHANGE, NOVEMBER, document)])


@pytest.mark.parametrize(("counter", "since"), [("year", SPLIT), ("month", OCTOBER)])
def test_the_tiers_of_who_stays_count_on_over_another_tariff(town: Town, counter: str, since: date) -> None:
    assign(town, ladder("time_order", counter))
    other = {**ladder("time_order", counter), "code": "other"}
    version_id = add_tariff_version(actor=town.people.administrator, now=NOW, name="", document=other)
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    move_in(town, tariff_id, CHANGE, is_same_customer=True)
    assert town.bill(OCTOBER, NOVEMBER).held == []
    new, used = issued("U2", CHANGE), used_between(town, since, CHANGE)
    assert new.document["tier_used_milliwh"] == used["used_before_milliwh"] > 0
    assert new.total_minor == total_minor(town, "U2", [(CHANGE, NOVEMBER, other)], **used)


def test_the_tiers_of_who_was_never_asked_count_on(town: Town) -> None:
    """As they did when an earlier release billed them: an upgrade changes no bill."""
    tariff_id = assign(town, ladder("time_order", "year"))
    move_in(town, tariff_id, CHANGE)
    Contract.objects.filter(usage_point_id=town.points["U2"]).update(is_same_customer=None)
    assert town.bill(OCTOBER, NOVEMBER).held == []
    used = used_between(town, SPLIT, CHANGE)
    assert issued("U2", CHANGE).document["tier_used_milliwh"] == used["used_before_milliwh"] > 0


def test_a_month_later_the_tiers_still_count_from_who_moved_in(town: Town) -> None:
    """Of the year, not of the month: what September's customer used after moving in, and no more."""
    tariff_id = assign(town, ladder("time_order", "year"))
    moved_in = date(2026, 9, 25)
    move_in(town, tariff_id, moved_in)
    assert town.bill(OCTOBER, NOVEMBER).held == []
    used = used_between(town, moved_in, OCTOBER)
    document = ladder("time_order", "year")
    assert issued("U2").total_minor == total_minor(town, "U2", [(OCTOBER, NOVEMBER, document)], **used)
    assert issued("U2").depends_from == local_midnight(moved_in, ZONE)


def test_days_of_nobody_count_for_nobody(town: Town) -> None:
    document = ladder("time_order", "year")
    tariff_id = assign(town, document)
    move_out(town, OCTOBER)
    move_in(town, tariff_id, CHANGE)
    assert town.bill(OCTOBER, NOVEMBER).held == []
    assert spans() == [(CHANGE, NOVEMBER)]
    assert issued("U2", CHANGE).total_minor == total_minor(town, "U2", [(CHANGE, NOVEMBER, document)])


def test_who_moved_in_known_late_is_proposed(town: Town) -> None:
    """September and October are billed as one customer's: the change of 1 October empties October's tiers."""
    document = ladder("time_order", "year")
    tariff_id = assign(town, document)
    town.bill(SPLIT, OCTOBER)
    town.bill(OCTOBER, NOVEMBER)
    move_in(town, tariff_id, OCTOBER)
    proposals = town.settle()
    assert shown(proposals) == {("U2", OCTOBER)}
    town.approve(proposals)
    assert issued("U2").total_minor == total_minor(town, "U2", [(OCTOBER, NOVEMBER, document)])
    assert town.settle() == []


def test_a_contract_that_begins_at_the_same_instant_is_corrected(town: Town) -> None:
    """Entered as a new customer's by mistake; it was the same one, whose tiers count on."""
    document = ladder("time_order", "year")
    tariff_id = assign(town, document)
    move_in(town, tariff_id, OCTOBER)
    town.bill(OCTOBER, NOVEMBER)
    move_in(town, tariff_id, OCTOBER, is_same_customer=True)
    assert Contract.objects.filter(usage_point_id=town.points["U2"]).count() == 2
    town.approve(town.settle())
    used = used_between(town, SPLIT, OCTOBER)
    assert issued("U2").total_minor == total_minor(town, "U2", [(OCTOBER, NOVEMBER, document)], **used)
    before = AuditRecord.objects.filter(verb="tariffs.set-contract").latest("sequence").detail["before"]
    assert (before["tariff_id"], before["is_same_customer"]) == (tariff_id, False)


def test_nobody_goes_on_where_no_contract_holds_until_then(town: Town) -> None:
    tariff_id = assign(town, ladder("time_order", "year"))
    move_out(town, OCTOBER)
    with pytest.raises(WattkeeperError) as refusal:
        move_in(town, tariff_id, CHANGE, is_same_customer=True)
    assert refusal.value.code == "contracts.nobody-before"
    move_in(town, tariff_id, OCTOBER, is_same_customer=True)  # the day it ended: they touch
    point = UsagePoint.objects.select_related("site").get(id=town.points["U2"])
    (part,) = contract_parts(point, OCTOBER, NOVEMBER)
    assert part.customer_from == SPLIT


def test_a_chain_of_contracts_of_one_customer(town: Town) -> None:
    """Each goes on from the one before it as long as they touch; a gap begins a new one."""
    tariff_id = assign(town, ladder("time_order", "year"))
    days = [date(2026, 9, day) for day in (22, 24, 26, 28)]
    for index, day in enumerate(days):
        move_in(town, tariff_id, day, is_same_customer=index != 1)
    point = UsagePoint.objects.select_related("site").get(id=town.points["U2"])

    def since() -> list[date]:
        return [part.customer_from for part in contract_parts(point, SPLIT, NOVEMBER)]

    assert since() == [SPLIT, SPLIT, days[1], days[1], days[1]]
    third = Contract.objects.get(usage_point=point, starts_at=local_midnight(days[2], ZONE))
    Contract.objects.filter(id=third.id).update(ends_at=local_midnight(date(2026, 9, 27), ZONE))
    assert since() == [SPLIT, SPLIT, days[1], days[1], days[3]]


def test_versions_that_count_by_other_spans_are_not_mixed_up(town: Town) -> None:
    """The month's tiers, from the 16th on, would begin with what the year's had counted."""
    assign(town, ladder("time_order", "year"))
    monthly = tariff(2, "2026-10-16", "0.3127", {"mode": "time_order", "counter": "month"})
    add_tariff_version(actor=town.people.administrator, now=NOW, name="", document=monthly)
    held = town.bill(OCTOBER, NOVEMBER).held
    assert [each.error.code for each in held] == ["billing.tier-counters-differ"] * 2
    assert held[0].error.params == {"counters": "year, month"}
    assert town.bill(SPLIT, OCTOBER).held == []


def test_a_contract_from_next_month_bills_what_is_now_by_what_holds_now(town: Town) -> None:
    """Dated ahead: a tariff of next January and a contract by it, entered in November."""
    document = ladder("time_order", "year")
    assign(town, document)
    january = {**tariff(2, "2027-01-01", "0.5"), "code": "home"}
    add_tariff_version(actor=town.people.administrator, now=NOW, name="", document=january)
    other = {**tariff(1, "2027-01-01", "0.5"), "code": "other"}
    version_id = add_tariff_version(actor=town.people.administrator, now=NOW, name="", document=other)
    next_year = date(2027, 1, 1)
    move_in(town, TariffVersion.objects.get(id=version_id).tariff_id, next_year)
    assert town.bill(OCTOBER, NOVEMBER).held == []
    used = used_between(town, SPLIT, OCTOBER)
    assert issued("U2").total_minor == total_minor(town, "U2", [(OCTOBER, NOVEMBER, document)], **used)
    point = UsagePoint.objects.select_related("site").get(id=town.points["U2"])
    parts = contract_parts(point, date(2026, 12, 1), date(2027, 2, 1))
    assert [(part.first, part.end) for part in parts] == [
        (date(2026, 12, 1), next_year),
        (next_year, date(2027, 2, 1)),
    ]
    assert town.settle() == []


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ("9999-12-31T12:00:00+00:00", "contracts.too-far"),
        ("0001-01-01T00:00:00+00:00", "registry.instant-too-early"),
        ("2026-10-13T00:00:00.5+00:00", "registry.instant-fraction"),
    ],
)
def test_instants_that_no_bill_can_be_of_are_refused(town: Town, at: str, code: str) -> None:
    """The last one that there is ended in an OverflowError of every later run."""
    tariff_id = assign(town, ladder("time_order", "year"))
    about: dict[str, Any] = {"actor": town.people.administrator, "now": NOW}
    about |= {"usage_point_id": town.points["U2"], "at": datetime.fromisoformat(at)}
    for attempt in (lambda: end_contract(**about), lambda: set_contract(**about, tariff_id=tariff_id)):
        with pytest.raises(WattkeeperError) as refusal:
            attempt()
        assert refusal.value.code == code
    assert town.bill(OCTOBER, NOVEMBER).held == []
