"""The end of a contract is taken back, or put off: every day is billed once again, and audited."""

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
    shown,
    total_minor,
    town,
)
from wattkeeper.actions.billing.propose_rebills import reject_rebill
from wattkeeper.actions.tariffs.end_contract import end_contract
from wattkeeper.actions.tariffs.reopen_contract import reopen_contract
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Contract, RebillCheck, RebillProposal
from wattkeeper.data.billing.rebills import version_of

__all__ = ["town"]
WHOLE = [(OCTOBER, NOVEMBER, HOME)]


def end(town: Town, at: date = CHANGE) -> None:
    """End U2's contract with a day."""
    about: dict[str, Any] = {"actor": town.people.administrator, "usage_point_id": town.points["U2"]}
    end_contract(now=NOW, at=local_midnight(at, ZONE), **about)


def reopen(town: Town, until: datetime | None = None, name: str = "administrator") -> int:
    """Take U2's end back."""
    actor = getattr(town.people, name)
    return reopen_contract(actor=actor, now=NOW, usage_point_id=town.points["U2"], until=until)


def billed(town: Town) -> int:
    """Bill October, and return what U2's came to."""
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    return issued("U2").total_minor


def test_an_end_taken_back_in_time_leaves_the_bill(town: Town) -> None:
    billed(town)
    bill_id = issued("U2").id
    end(town)
    assert shown(town.settle()) == {("U2", OCTOBER)}
    contract_id = reopen(town)
    assert town.settle() == []
    assert [each.state for each in RebillProposal.objects.all()] == ["OBSOLETE"]
    assert issued("U2").id == bill_id
    contract = Contract.objects.get(usage_point_id=town.points["U2"])
    assert (contract.id, contract.ends_at) == (contract_id, None)
    record = AuditRecord.objects.filter(verb="tariffs.reopen-contract").latest("sequence")
    assert record.detail["ended_before"].startswith("2026-10-12T22:00:00")
    assert record.subject == f"usage-point:{town.points['U2']}"


def unbilled(state: str = "OPEN") -> list[tuple[str, str, str]]:
    """Return of which days it is said that no bill holds them."""
    rows = Finding.objects.filter(rule="billing.unbilled", state=state).order_by("starts_at")
    dates = [(row.usage_point, row.evidence) for row in rows.select_related("usage_point")]
    return [(point.code, told["first_date"], told["last_date"]) for point, told in dates if point]


@pytest.mark.parametrize("is_run", [False, True])
def test_an_end_taken_back_late_bills_the_month_again(town: Town, is_run: bool) -> None:
    """The bill of the days before had taken the month's place: the month's takes its place again."""
    total = billed(town)
    end(town)
    town.approve(town.settle())
    assert spans() == [(OCTOBER, CHANGE)]
    reopen(town)
    if is_run:
        report = town.bill(OCTOBER, NOVEMBER)
        assert (report.proposed_ids, report.held) == ([issued("U2").id], [])
    (proposal,) = town.settle()
    assert (proposal.reason, proposal.total_minor) == ("PARTS", total)
    assert unbilled() == []  # somebody is asked already
    town.approve([proposal])
    assert spans() == [(OCTOBER, NOVEMBER)]
    assert issued("U2").total_minor == total == total_minor(town, "U2", WHOLE)
    assert town.settle() == []
    assert unbilled() == []
    assert bill_faults(town) == set()
    check_sums(town)


def test_what_grows_again_leaves_who_moved_in_alone(town: Town) -> None:
    """The first customer stays a week longer than was said; the second's bill is of the second's days."""
    billed(town)
    end(town)
    back = CHANGE + timedelta(days=7)
    move_in(town, local_midnight(back, ZONE))
    town.approve(town.settle())
    assert spans() == [(OCTOBER, CHANGE), (back, NOVEMBER)]
    reopen(town)
    (proposal,) = town.settle()
    assert [(part["first"], part["end"]) for part in proposal.parts or ()] == [
        (OCTOBER.isoformat(), back.isoformat())
    ]
    town.approve([proposal])
    assert spans() == [(OCTOBER, back), (back, NOVEMBER)]
    assert town.settle() == []
    check_sums(town)


def test_a_growth_that_was_rejected_is_not_proposed_again_and_its_days_are_told(town: Town) -> None:
    billed(town)
    end(town)
    town.approve(town.settle())
    reopen(town)
    (proposal,) = town.settle()
    note, version = "moved out indeed", version_of(proposal)
    reject_rebill(actor=town.people.operator, now=NOW, proposal_id=proposal.id, version=version, note=note)
    RebillCheck.objects.create(bill=issued("U2"))
    assert town.settle() == []
    days = [("U2", "2026-10-13", "2026-10-31")]
    assert unbilled() == days
    end(town)
    assert town.settle() == []
    assert (unbilled(), unbilled("CLOSED")) == ([], days)


def test_days_that_were_billed_meanwhile_are_proposed_no_more(town: Town) -> None:
    billed(town)
    end(town)
    town.approve(town.settle())
    reopen(town)
    assert len(town.settle()) == 1
    assert len(town.bill(CHANGE, NOVEMBER).issued_ids) == 1
    assert (town.settle(), unbilled()) == ([], [])
    assert spans() == [(OCTOBER, CHANGE), (CHANGE, NOVEMBER)]
    check_sums(town)


def test_a_month_that_was_taken_back_is_billed_again(town: Town) -> None:
    total = billed(town)
    end(town, OCTOBER)
    town.approve(town.settle())
    assert (spans(), unbilled()) == ([], [])
    reopen(town)
    assert unbilled() == [("U2", "2026-10-01", "2026-10-31")]
    assert len(town.bill(OCTOBER, NOVEMBER).issued_ids) == 1
    assert unbilled() == []
    assert issued("U2").total_minor == total
    check_sums(town)


def test_a_run_tells_of_earlier_days_that_nobody_billed(town: Town) -> None:
    """The contract had ended when October was billed, so that no bill ever held the days after."""
    assign(town, HOME)
    end(town)
    town.bill(OCTOBER, NOVEMBER)
    reopen(town)
    assert (town.settle(), unbilled()) == ([], [])  # nobody said until when October is billed
    town.bill(NOVEMBER, NOVEMBER + timedelta(days=1))
    assert unbilled() == [("U2", "2026-10-13", "2026-10-31")]
    assert len(town.bill(CHANGE, NOVEMBER).issued_ids) == 1
    assert unbilled() == []
    check_sums(town)


def test_days_before_anybody_was_billed_are_not_told(town: Town) -> None:
    """The contracts hold since September; who came with them from elsewhere was billed there."""
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    assert unbilled() == []
    assert len(town.bill(date(2026, 9, 21), date(2026, 9, 22)).issued_ids) == 2
    assert unbilled() == [(name, "2026-09-22", "2026-09-30") for name in ("U1", "U2")]


def test_an_end_is_put_off(town: Town) -> None:
    billed(town)
    end(town)
    later = CHANGE + timedelta(days=5)
    reopen(town, local_midnight(later, ZONE))
    town.approve(town.settle())
    assert spans() == [(OCTOBER, later)]
    assert issued("U2").total_minor == total_minor(town, "U2", [(OCTOBER, later, HOME)])


def test_who_moves_in_meanwhile_is_where_it_goes_on_to(town: Town) -> None:
    billed(town)
    end(town)
    back = CHANGE + timedelta(days=7)
    move_in(town, local_midnight(back, ZONE))
    for until, code in (
        (local_midnight(back + timedelta(days=1), ZONE), "contracts.overlap"),
        (local_midnight(CHANGE, ZONE), "contracts.not-later"),
        (datetime(9999, 12, 31, tzinfo=NOW.tzinfo), "contracts.too-far"),
        (datetime(2026, 10, 20), "registry.instant-naive"),  # noqa: DTZ001
    ):
        with pytest.raises(WattkeeperError) as refusal:
            reopen(town, until)
        assert refusal.value.code == code
    with pytest.raises(WattkeeperError) as refusal:
        reopen(town, name="operator")
    assert refusal.value.code == "accounts.not-allowed"
    reopen(town)
    before, after = Contract.objects.filter(usage_point_id=town.points["U2"]).order_by("starts_at")
    assert (before.ends_at, after.ends_at) == (after.starts_at, None)
    town.approve(town.settle())
    assert spans() == [(OCTOBER, back), (back, NOVEMBER)]
    with pytest.raises(WattkeeperError) as refusal:  # they touch: there is no end to take back
        reopen(town)
    assert refusal.value.code == "contracts.none-ended"


def test_who_marks_nothing_leaves_a_wrong_proposal(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: nobody looks at the bills of the days that have a contract again."""
    billed(town)
    end(town)
    town.settle()
    monkeypatch.setattr("wattkeeper.actions.tariffs.contract_facts.mark_after", lambda *_, **__: 0)
    reopen(town)
    assert not RebillCheck.objects.exists()
    assert len(town.settle()) == 1
