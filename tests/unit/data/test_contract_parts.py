"""A contract that changes inside a month: a bill for each part of it, and every watt-hour on one bill."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from relational import NOW
from unit.data.test_exact_bills import (
    NOVEMBER,
    OCTOBER,
    SPLIT,
    ZONE,
    Town,
    assign,
    check_sums,
    issued,
    shown,
    tariff,
    total_minor,
    town,
)
from wattkeeper.actions.billing.issue_bill import reverse_bill
from wattkeeper.actions.billing.propose_rebills import reject_rebill
from wattkeeper.actions.operations.verify_bills import check_bills
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.end_contract import end_contract
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.billing.parse import bill_from_json
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.core.tariffs.model import Per, Proration
from wattkeeper.core.tariffs.proration import quoted_spans
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill, Contract, RebillCheck, RebillProposal, TariffVersion
from wattkeeper.data.billing.parts import ContractPart, contract_parts
from wattkeeper.data.billing.rebills import get_proposal, version_of
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.store.verify import Check

__all__ = ["town"]
CHANGE = date(2026, 10, 13)
HOME = tariff(1, "2026-01-01", "0.3127")
NEW = {**tariff(1, "2026-01-01", "0.4444"), "code": "new"}


def move_in(town: Town, at: datetime, name: str = "U2") -> None:
    """Let another contract hold from an instant on."""
    actor = town.people.administrator
    version_id = add_tariff_version(actor=actor, now=NOW, name="", document=NEW)
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    set_contract(actor=actor, now=NOW, usage_point_id=town.points[name], tariff_id=tariff_id, at=at)


def spans(name: str = "U2") -> list[tuple[date, date]]:
    """Return the local days of the issued bills of a usage point."""
    rows = Bill.objects.filter(usage_point__code=name, state="ISSUED").order_by("starts_at")
    return [(row.starts_at.astimezone(ZONE).date(), row.ends_at.astimezone(ZONE).date()) for row in rows]


def check_parts(town: Town, month_milliwh: int) -> None:
    """The parts are priced each by its contract, and add up to the month."""
    assert spans() == [(OCTOBER, CHANGE), (CHANGE, NOVEMBER)]
    before, after = issued("U2"), issued("U2", CHANGE)
    assert before.total_minor == total_minor(town, "U2", [(OCTOBER, CHANGE, HOME)])
    assert after.total_minor == total_minor(town, "U2", [(CHANGE, NOVEMBER, NEW)])
    assert before.energy_milliwh + after.energy_milliwh == month_milliwh
    assert month_milliwh == sum(each for _, each in town.energy("U2", OCTOBER, NOVEMBER))
    lines = [line for bill in (before, after) for line in bill_from_json(bill.document).lines]
    standing = [line for line in lines if line.component_id == "standing"]
    assert sum(Fraction(line.spans or 0) for line in standing) == 31  # each day once


@pytest.mark.parametrize("month", range(1, 13))
def test_a_price_a_month_by_days_is_charged_once_over_the_parts(month: int) -> None:
    first = date(2028, month, 1)
    end = date(2028 + month // 12, month % 12 + 1, 1)
    for after_days in range(1, (end - first).days):
        change = first + timedelta(days=after_days)
        spans = [
            quoted_spans(Per.MONTH, Proration.BY_DAYS, begin, until, bill_first=begin, bill_end=until)
            for begin, until in ((first, change), (change, end))
        ]
        assert sum(spans) == 1


def test_a_month_of_two_contracts_is_two_bills(town: Town) -> None:
    assign(town, HOME)
    move_in(town, local_midnight(CHANGE, ZONE))
    report = town.bill(OCTOBER, NOVEMBER)
    assert (len(report.issued_ids), report.held) == (3, [])  # U1 is one bill
    check_parts(town, sum(each for _, each in town.energy("U2", OCTOBER, NOVEMBER)))
    assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 3
    assert town.settle() == []


def test_a_change_known_late_replaces_the_month_by_its_parts(town: Town) -> None:
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    old = issued("U2")
    move_in(town, local_midnight(CHANGE, ZONE))
    proposals = town.settle()
    assert shown(proposals) == {("U2", OCTOBER)}
    (proposal,) = proposals
    assert [(part["first"], part["end"]) for part in proposal.parts or ()] == [
        ("2026-10-01", "2026-10-13"),
        ("2026-10-13", "2026-11-01"),
    ]
    assert proposal.energy_milliwh == old.energy_milliwh
    town.approve(proposals)
    check_parts(town, old.energy_milliwh)
    old.refresh_from_db()
    reversal, before, after = Bill.objects.get(reverses=old), issued("U2"), issued("U2", CHANGE)
    assert (old.state, before.corrects_id, after.corrects_id) == ("REVERSED", old.id, old.id)
    assert reversal.total_minor == -old.total_minor
    assert proposal.total_minor == before.total_minor + after.total_minor
    row = get_proposal(tenant_id=old.tenant_id, proposal_id=proposal.id)
    assert row is not None
    assert (row.state, row.new_bill_id) == ("APPROVED", before.id)
    assert [part["bill_id"] for part in row.parts or ()] == [before.id, after.id]
    verbs = set(AuditRecord.objects.values_list("verb", flat=True))
    assert {"billing.replace", "billing.approve-rebill", "billing.issue"} <= verbs
    assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 3
    assert town.settle() == []


def test_a_part_splits_again(town: Town) -> None:
    """The second part's contract ends, too: what replaces it is its own two parts, whole days by midnight."""
    assign(town, HOME)
    move_in(town, local_midnight(CHANGE, ZONE))
    town.bill(OCTOBER, NOVEMBER)
    third = date(2026, 10, 25)  # of 25 hours
    home_id = Contract.objects.filter(usage_point_id=town.points["U2"]).earliest("starts_at").tariff_id
    set_contract(
        actor=town.people.administrator,
        now=NOW,
        usage_point_id=town.points["U2"],
        tariff_id=home_id,
        at=local_midnight(third, ZONE),
    )
    proposals = town.settle()
    assert shown(proposals) == {("U2", CHANGE)}
    town.approve(proposals)
    assert spans() == [(OCTOBER, CHANGE), (CHANGE, third), (third, NOVEMBER)]
    check = Bill.objects.filter(usage_point_id=town.points["U2"])
    assert sum(bill.energy_milliwh for bill in check) == sum(
        each for _, each in town.energy("U2", OCTOBER, NOVEMBER)
    )


def test_where_nobody_has_a_contract_nothing_replaces_the_bill(town: Town) -> None:
    """And once somebody has one again, the month is billed: by a document of its own."""
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    old = issued("U2")
    contract = Contract.objects.get(usage_point_id=town.points["U2"])
    Contract.objects.filter(id=contract.id).update(ends_at=local_midnight(SPLIT + timedelta(days=2), ZONE))
    report = town.bill(OCTOBER, NOVEMBER)
    assert (report.proposed_ids, report.held) == ([old.id], [])
    (proposal,) = town.settle()
    assert (proposal.parts, proposal.total_minor, proposal.energy_milliwh) == ([], 0, 0)
    town.approve([proposal])
    assert spans() == []
    own = Bill.objects.filter(usage_point_id=town.points["U2"])
    assert (sum(row.total_minor for row in own), sum(row.energy_milliwh for row in own)) == (0, 0)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.new_bill_id) == ("APPROVED", None)
    Contract.objects.filter(id=contract.id).update(ends_at=None)
    assert town.bill(OCTOBER, NOVEMBER).held == []
    again = issued("U2")
    assert again.total_minor == old.total_minor
    assert again.document_key != old.document_key
    check_sums(town)


def test_who_moves_out_pays_until_then_and_who_moves_in_from_then_on(town: Town) -> None:
    """Known late: two months are billed already. The days between are nobody's, and are on no bill."""
    assign(town, HOME)
    town.bill(SPLIT, OCTOBER)
    town.bill(OCTOBER, date(2026, 11, 2))  # both days of November, too
    actor = town.people.administrator
    about: dict[str, Any] = {"actor": actor, "now": NOW, "usage_point_id": town.points["U2"]}
    end_contract(**about, at=local_midnight(CHANGE, ZONE))
    proposals = town.settle()
    assert shown(proposals) == {("U2", OCTOBER)}
    town.approve(proposals)
    assert spans() == [(SPLIT, OCTOBER), (OCTOBER, CHANGE)]
    assert issued("U2").energy_milliwh == sum(each for _, each in town.energy("U2", OCTOBER, CHANGE))
    assert issued("U2").total_minor == total_minor(town, "U2", [(OCTOBER, CHANGE, HOME)])
    back = date(2026, 10, 20)
    move_in(town, local_midnight(back, ZONE))
    assert town.settle() == []
    assert town.bill(OCTOBER, NOVEMBER).held[0].usage_point.code == "U1"  # billed until 2 November
    assert spans() == [(SPLIT, OCTOBER), (OCTOBER, CHANGE), (back, NOVEMBER)]
    assert issued("U2", back).total_minor == total_minor(town, "U2", [(back, NOVEMBER, NEW)])
    assert bill_faults(town) == set()


def test_an_end_is_set_earlier_but_not_where_no_contract_holds(town: Town) -> None:
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    about: dict[str, Any] = {"now": NOW, "usage_point_id": town.points["U2"]}
    with pytest.raises(WattkeeperError) as refusal:
        end_contract(actor=town.people.operator, **about, at=NOW)
    assert refusal.value.code == "accounts.not-allowed"
    about["actor"] = town.people.administrator
    end_contract(**about, at=local_midnight(NOVEMBER, ZONE))
    assert town.settle() == []
    assert not RebillCheck.objects.exists()  # October ends with it
    end_contract(**about, at=local_midnight(CHANGE, ZONE))
    assert shown(town.settle()) == {("U2", OCTOBER)}
    for at, code in (
        (local_midnight(NOVEMBER, ZONE), "contracts.none-in-force"),
        (local_midnight(date(2026, 9, 1), ZONE), "contracts.none-in-force"),
        (datetime(2026, 10, 2), "registry.instant-naive"),  # noqa: DTZ001
    ):
        with pytest.raises(WattkeeperError) as refusal:
            end_contract(**about, at=at)
        assert refusal.value.code == code
    record = AuditRecord.objects.filter(verb="tariffs.end-contract").latest("sequence")
    assert record.detail["ended_before"] is not None


def test_a_rejected_split_stays_rejected_and_the_month_is_never_billed_twice(town: Town) -> None:
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    move_in(town, local_midnight(CHANGE, ZONE))
    (proposal,) = town.settle()
    reject_rebill(
        actor=town.people.operator,
        now=NOW,
        proposal_id=proposal.id,
        version=version_of(proposal),
        note="agreed",
    )
    assert spans() == [(OCTOBER, NOVEMBER)]
    assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 2
    RebillCheck.objects.create(bill=issued("U2"))
    assert town.settle() == []
    assert RebillProposal.objects.count() == 1


def test_a_change_that_nobody_looked_at_is_found_by_the_next_run(town: Town) -> None:
    """Contracts that changed before changes were proposed: the run that meets the bill has it looked at."""
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    move_in(town, local_midnight(CHANGE, ZONE))
    RebillCheck.objects.all().delete()
    assert town.settle() == []
    town.bill(OCTOBER, NOVEMBER)
    assert shown(town.settle()) == {("U2", OCTOBER)}


def bill_faults(town: Town) -> set[str]:
    """Return what `verify` finds wrong with the bills."""
    scope: Any = SimpleNamespace(
        tenant_id=town.people.tenant.id, store=town.store, on_done=int, is_away=lambda *_: False
    )
    check = Check("bills")
    check_bills(scope, check)
    assert check.examined_count == Bill.objects.count()
    return {fault.code for fault in check.faults}


def test_verify_finds_the_parts_right(town: Town) -> None:
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    move_in(town, local_midnight(CHANGE, ZONE))
    town.approve(town.settle())
    assert bill_faults(town) == set()


def test_a_reversal_that_nobody_recorded_is_found(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the audit names another document."""
    module = "wattkeeper.actions.billing.replace_bill.reverse_bill"
    monkeypatch.setattr(module, lambda *args: f"not {reverse_bill(*args)}")
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    move_in(town, local_midnight(CHANGE, ZONE))
    town.approve(town.settle())
    assert bill_faults(town) == {"verify.bill-unrecorded", "verify.bill-lost"}


@pytest.mark.parametrize(("shift_days", "is_refused"), [(-1, True), (1, False)])
def test_bounds_off_by_a_day_are_seen(
    town: Town, monkeypatch: pytest.MonkeyPatch, shift_days: int, is_refused: bool
) -> None:
    """The planted fault: the second part begins a day early, which is refused, or late, which loses a day."""
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    month_milliwh = issued("U2").energy_milliwh
    move_in(town, local_midnight(CHANGE, ZONE))
    exact = contract_parts

    def shifted(point: UsagePoint, first: date, end: date) -> list[ContractPart]:
        if (first, end) != (OCTOBER, NOVEMBER) or point.code != "U2":
            return [replace(part, first=first, end=end) for part in exact(point, first, end)[-1:]]
        before, after = exact(point, first, end)
        return [before, replace(after, first=after.first + timedelta(days=shift_days))]

    for module in ("figures", "inputs"):
        monkeypatch.setattr(f"wattkeeper.actions.billing.{module}.contract_parts", shifted)
    (proposal,) = town.settle()
    if is_refused:
        with pytest.raises(UnableToBill) as refusal:
            town.approve([proposal])
        assert refusal.value.code == "billing.overlap"
        assert spans() == [(OCTOBER, NOVEMBER)]  # all of it or nothing
        return
    town.approve([proposal])
    with pytest.raises(AssertionError):
        check_parts(town, month_milliwh)


def test_each_day_has_the_contract_that_holds_when_it_begins(town: Town) -> None:
    """Against the plain question, day by day, for random contracts with and without gaps between them."""
    random = Random(20261025)
    assign(town, HOME)
    first_contract = Contract.objects.get(usage_point_id=town.points["U2"])
    point = UsagePoint.objects.select_related("site").get(id=town.points["U2"])
    days = [OCTOBER + timedelta(days=each) for each in range(31)]
    for _ in range(60):
        Contract.objects.filter(usage_point=point).delete()
        hours = sorted(random.sample(range(-60, 31 * 24 + 60), random.choice((2, 4, 6))))
        if random.random() < 0.5:
            hours = [hour // 24 * 24 - 2 + (hour // 24 > 24) for hour in hours]  # local midnights
            hours = sorted(set(hours))[: len(set(hours)) // 2 * 2]
        origin = datetime(2026, 10, 1, tzinfo=UTC)
        bounds = [origin + timedelta(hours=hour) for hour in hours]
        held = list(zip(bounds[::2], bounds[1::2], strict=True))
        if random.random() < 0.5 and len(held) > 1:  # without a gap
            held = [(held[0][0], held[1][0]), *held[1:]]
        for starts_at, ends_at in held:
            Contract.objects.create(
                tenant_id=point.tenant_id,
                usage_point=point,
                tariff_id=first_contract.tariff_id,
                starts_at=starts_at,
                ends_at=ends_at,
                recorded_at=NOW,
            )
        told = {
            day: index
            for index, part in enumerate(contract_parts(point, OCTOBER, NOVEMBER))
            for day in days
            if part.first <= day < part.end
        }
        wanted = {
            day: (starts_at, ends_at)
            for day in days
            for starts_at, ends_at in held
            if starts_at <= local_midnight(day, ZONE) < ends_at
        }
        assert told.keys() == wanted.keys()
        order = sorted(set(wanted.values()))
        assert told == {day: order.index(own) for day, own in wanted.items()}
