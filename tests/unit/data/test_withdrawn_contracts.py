"""A contract that nothing was billed under is withdrawn: bills are as if it had never been."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from relational import NOW
from unit.data.test_contract_parts import CHANGE, HOME, bill_faults, move_in, spans
from unit.data.test_exact_bills import (
    NOVEMBER,
    OCTOBER,
    ZONE,
    Town,
    assign,
    check_sums,
    issued,
    town,
)
from unit.data.test_new_customers import ladder, total_minor, used_between
from unit.data.test_new_customers import move_in as go_on
from wattkeeper.actions.tariffs.end_contract import end_contract
from wattkeeper.actions.tariffs.withdraw_contract import withdraw_contract
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Contract
from wattkeeper.data.billing.queries import list_contracts

__all__ = ["town"]
LATER = NOW + timedelta(days=10)


def contracts(town: Town) -> list[Contract]:
    """Return U2's contracts in order of time."""
    return list(Contract.objects.filter(usage_point_id=town.points["U2"]).order_by("starts_at"))


def withdraw(town: Town, contract: Contract, name: str = "administrator", **options: Any) -> None:
    """Withdraw a contract of U2."""
    withdraw_contract(
        actor=getattr(town.people, name),
        now=NOW,
        usage_point_id=town.points["U2"],
        contract_id=contract.id,
        **options,
    )


def refused(town: Town, contract: Contract, name: str = "administrator", **options: Any) -> str:
    """Return the code that a withdrawal is refused with."""
    with pytest.raises(WattkeeperError) as refusal:
        withdraw(town, contract, name, **options)
    return refusal.value.code


@pytest.mark.parametrize(("goes_on", "ends_at"), [(False, LATER), (True, None)])
def test_one_dated_ahead_is_withdrawn(town: Town, goes_on: bool, ends_at: datetime | None) -> None:
    assign(town, HOME)
    move_in(town, LATER)
    ahead = contracts(town)[1]
    assert refused(town, ahead, "operator") == "accounts.not-allowed"
    withdraw(town, ahead, before_goes_on=goes_on)
    (left,) = contracts(town)
    assert left.ends_at == ends_at
    record = AuditRecord.objects.get(verb="tariffs.withdraw-contract")
    told = {"contract_id": ahead.id, "tariff_id": ahead.tariff_id, "before_goes_on": goes_on}
    assert {name: record.detail[name] for name in told} == told
    assert record.detail["at"].startswith(LATER.isoformat()[:19])


def test_what_was_billed_under_another_since_stays_as_it_was(town: Town) -> None:
    """A change entered late and by mistake: the proposal of its parts ends with it."""
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    whole = issued("U2").id
    Contract.objects.update(recorded_at=NOW - timedelta(days=60))
    for at, count in ((CHANGE, 1), (OCTOBER, 0)):  # inside the month, and with its first day
        move_in_later(town, at)
        assert len(town.settle()) == count
        withdraw(town, contracts(town)[1], before_goes_on=True)
        assert town.settle() == []
    assert issued("U2").id == whole
    assert bill_faults(town) == set()


def move_in_later(town: Town, at: date) -> None:
    """Let another customer's contract be recorded after what was billed."""
    tariff_id = contracts(town)[0].tariff_id
    go_on(town, tariff_id, at)
    latest = contracts(town)[-1]
    Contract.objects.filter(id=latest.id).update(recorded_at=NOW + timedelta(seconds=1))


def test_one_that_was_billed_stays(town: Town) -> None:
    assign(town, HOME)
    move_in(town, local_midnight(CHANGE, ZONE))
    town.bill(OCTOBER, NOVEMBER)
    assert spans() == [(OCTOBER, CHANGE), (CHANGE, NOVEMBER)]
    first, second = contracts(town)
    assert refused(town, second) == "contracts.billed"
    go_on(town, first.tariff_id, CHANGE)  # corrected since: it is what was billed nevertheless
    town.approve(town.settle())
    assert refused(town, contracts(town)[1]) == "contracts.billed"
    assert refused(town, first) == "contracts.billed"
    check_sums(town)


def test_one_that_another_counts_on_from_stays(town: Town) -> None:
    tariff_id = assign(town, ladder("time_order", "year"))
    go_on(town, tariff_id, CHANGE)
    later = CHANGE + timedelta(days=7)
    go_on(town, tariff_id, later, is_same_customer=True)
    rows = list_contracts(tenant_id=town.people.tenant.id, usage_point_ids=[town.points["U2"]])
    assert [row.tiers_count_on for row in rows] == [False, False, True]
    _, middle, last = contracts(town)
    assert refused(town, middle) == "contracts.counted-on"
    withdraw(town, last, before_goes_on=True)
    withdraw(town, middle, before_goes_on=True)
    town.bill(OCTOBER, NOVEMBER)
    whole = [(OCTOBER, NOVEMBER, ladder("time_order", "year"))]
    used = used_between(town, date(2026, 9, 20), OCTOBER)
    assert issued("U2").total_minor == total_minor(town, "U2", whole, **used)
    check_sums(town)


def test_nobody_goes_on_where_no_contract_ended(town: Town) -> None:
    assign(town, HOME)
    end_contract(
        actor=town.people.administrator,
        now=NOW,
        usage_point_id=town.points["U2"],
        at=local_midnight(CHANGE, ZONE),
    )
    move_in(town, LATER)
    before, ahead = contracts(town)
    assert refused(town, ahead, before_goes_on=True) == "contracts.nobody-before"
    withdraw(town, ahead)
    assert contracts(town) == [before]
    others = Contract.objects.get(usage_point_id=town.points["U1"])
    assert refused(town, others) == "registry.not-found"
