"""Bills whose values change: a proposal for exactly those; approved by reversal or rejected with reason."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest

from relational import LONG_AGO, NOW, People, Street
from vee_world import World
from wattkeeper.actions.billing.propose_rebills import approve_rebill, propose_rebills, reject_rebill
from wattkeeper.actions.billing.run_billing import run_billing
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.services import Services
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.actions.vee.decide_edit import withdraw_edit
from wattkeeper.core.billing.document import exact_text
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.money import Money
from wattkeeper.data.billing.models import Bill, RebillCheck, RebillProposal, TariffVersion
from wattkeeper.data.billing.rebills import get_proposal, list_proposals, version_of
from wattkeeper.interfaces.cli.demo.tariffs import RESIDENTIAL
from wattkeeper.store.memory import MemoryReadingStore

BILLED = date(2026, 11, 21)
OTHER_DAY = NOW - timedelta(hours=2)  # of 22 November in Shanghai


@pytest.fixture
def world(ours: People, services: Services, store: MemoryReadingStore, street: Street) -> World:
    """A measured series whose 21 November is billed."""
    world = World(ours, services, store, street)
    world.deliver()
    version_id = add_tariff_version(actor=ours.administrator, now=NOW, name="", document=RESIDENTIAL)
    set_contract(
        actor=ours.administrator,
        now=NOW,
        usage_point_id=street.point_id,
        tariff_id=TariffVersion.objects.get(id=version_id).tariff_id,
        at=LONG_AGO,
    )
    bill(world)
    assert Bill.objects.get().state == "ISSUED"
    return world


def bill(world: World) -> Any:
    """Bill the day."""
    return run_billing(
        actor=world.people.operator,
        now=world.now,
        services=world.services,
        first=BILLED,
        end=BILLED + timedelta(days=1),
    )


def propose(world: World) -> list[RebillProposal]:
    """Derive what is dirty, look at what that marks, and return every proposal."""
    world.run()
    propose_rebills(services=world.services, now=world.now)
    assert not RebillCheck.objects.exists()
    return list(RebillProposal.objects.order_by("id"))


def approve(world: World, proposal: RebillProposal, version: str | None = None) -> int:
    """Approve what the proposal shows, or a version of it, and return the new bill's id."""
    (new_id,) = approve_rebill(
        actor=world.people.operator,
        now=world.now,
        services=world.services,
        proposal_id=proposal.id,
        version=version or version_of(proposal),
    )
    return new_id


def reject(world: World, proposal: RebillProposal, note: str, version: str | None = None) -> None:
    """Reject what the proposal shows, or a version of it."""
    reject_rebill(
        actor=world.people.operator,
        now=world.now,
        proposal_id=proposal.id,
        version=version or version_of(proposal),
        note=note,
    )


def test_an_edit_of_a_billed_day_proposes_and_approval_reverses(world: World, ours: People) -> None:
    old = Bill.objects.get()
    world.edit(ours.operator, 2_030_000)  # two kilowatt-hours more
    (proposal,) = propose(world)
    assert (proposal.bill_id, proposal.state, proposal.energy_milliwh) == (
        old.id,
        "OPEN",
        old.energy_milliwh + 2_000_000,
    )
    assert proposal.total_minor is not None
    assert proposal.total_minor > old.total_minor
    assert Bill.objects.count() == 1  # nothing changed by itself
    new_id = approve(world, proposal)
    old.refresh_from_db()
    new, reversal = Bill.objects.get(id=new_id), Bill.objects.get(reverses=old)
    assert (old.state, new.state, reversal.state) == ("REVERSED", "ISSUED", "REVERSAL")
    assert (new.corrects_id, new.total_minor) == (old.id, proposal.total_minor)
    assert (reversal.total_minor, reversal.energy_milliwh) == (-old.total_minor, -old.energy_milliwh)
    lines = reversal.lines.order_by("position")
    assert [line.amount_minor for line in lines] == [
        -line.amount_minor for line in old.lines.order_by("position")
    ]
    proposal.refresh_from_db()
    assert (proposal.state, proposal.new_bill_id) == ("APPROVED", new_id)
    refused("billing.proposal-decided", lambda: approve(world, proposal))
    assert propose(world) == [proposal]


def refused(code: str, attempt: Any) -> dict[str, Any]:
    """Return what a refusal names."""
    with pytest.raises(WattkeeperError) as refusal:
        attempt()
    assert refusal.value.code == code
    return dict(refusal.value.params)


def test_values_of_other_days_propose_nothing(world: World, ours: People) -> None:
    """The bill depends on its own day: the counter of its tiers begins with the period's month or year."""
    world.edit(ours.operator, 2_030_000, at=OTHER_DAY)
    assert propose(world) == []


def test_a_mark_too_wide_is_seen(world: World, ours: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exactness has teeth: every bill of the series marked is more work, and still proposes nothing."""
    monkeypatch.setattr("wattkeeper.data.billing.rebills._resting", lambda rows, *_: list(rows))
    world.edit(ours.operator, 2_030_000, at=OTHER_DAY)
    world.run()
    assert not RebillCheck.objects.exists()  # a day that ended before the change is no candidate at all
    world.edit(ours.operator, 2_030_000)
    world.run()
    assert RebillCheck.objects.count() == 1


def test_an_edit_taken_back_takes_its_proposal_back(world: World, ours: People) -> None:
    edit_id = world.edit(ours.operator, 2_030_000)
    (proposal,) = propose(world)
    withdraw_edit(actor=ours.operator, now=NOW, edit_id=edit_id)
    (proposal,) = propose(world)
    assert proposal.state == "OBSOLETE"


def test_a_multiplier_back_dated_proposes(world: World, ours: People) -> None:
    change_multiplier(
        actor=ours.operator, now=NOW, usage_point_id=world.street.point_id, at=LONG_AGO, numerator=40
    )
    (proposal,) = propose(world)
    old = Bill.objects.get()
    assert proposal.energy_milliwh == 40 * old.energy_milliwh


def test_late_data_propose(ours: People, services: Services, street: Street) -> None:
    """A day with a gap is billed by estimates; what comes late replaces them."""
    world = World(ours, services, MemoryReadingStore(), street)
    world.services = replace(world.services, store=world.store)
    gap = range(100, 108)
    world.deliver(without=gap, changed=dict.fromkeys(range(104, 190), 5))
    version_id = add_tariff_version(actor=ours.administrator, now=NOW, name="", document=RESIDENTIAL)
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    set_contract(
        actor=ours.administrator, now=NOW, usage_point_id=street.point_id, tariff_id=tariff_id, at=LONG_AGO
    )
    run_billing(
        actor=ours.operator,
        now=NOW,
        services=world.services,
        first=BILLED,
        end=BILLED + timedelta(days=1),
        accept_estimates=True,
    )
    old = Bill.objects.get()
    world.deliver(changed=dict.fromkeys(range(104, 190), 5))
    (proposal,) = propose(world)
    assert (proposal.bill_id, proposal.energy_milliwh) == (old.id, old.energy_milliwh)
    assert proposal.total_minor is not None  # bracketed by registers: the same energy at other hours


def test_a_rejection_needs_a_reason_and_holds_for_these_values(world: World, ours: People) -> None:
    edit_id = world.edit(ours.operator, 2_030_000)
    (proposal,) = propose(world)
    refused("billing.proposal-reason", lambda: reject(world, proposal, " "))
    reject(world, proposal, "agreed with the customer")
    assert bill(world).proposed_ids == []
    withdraw_edit(actor=ours.operator, now=NOW, edit_id=edit_id)
    assert [each.state for each in propose(world)] == ["REJECTED"]
    world.edit(ours.operator, 2_030_000)
    assert [each.state for each in propose(world)] == ["REJECTED"]
    world.edit(ours.operator, 3_030_000)
    assert [each.state for each in propose(world)] == ["REJECTED", "OPEN"]
    assert bill(world).proposed_ids
    assert [each.state for each in propose(world)] == ["REJECTED", "OPEN"]


def test_what_changed_since_it_was_shown_is_not_decided(world: World, ours: People) -> None:
    """The refusal names the new figures, which are the proposal's from then on."""
    world.edit(ours.operator, 2_030_000)
    (proposal,) = propose(world)
    seen = version_of(proposal)
    world.edit(ours.operator, 3_030_000)
    world.run()
    told = refused("billing.proposal-stale", lambda: approve(world, proposal, seen))
    proposal.refresh_from_db()
    assert told == {
        "id": proposal.id,
        "version": version_of(proposal),
        "total": str(Money(proposal.total_minor or 0, "CNY")),
        "energy_kwh": exact_text(Fraction(proposal.energy_milliwh, 10**6)),
    }
    assert told["version"] != seen
    refused("billing.proposal-stale", lambda: reject(world, proposal, "as agreed", seen))
    assert Bill.objects.get().state == "ISSUED"
    approve(world, proposal)
    assert Bill.objects.get(state="ISSUED").energy_milliwh == proposal.energy_milliwh


def test_who_approves_what_is_now_approves_what_nobody_saw(
    world: World, ours: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: a version is whatever the figures are now."""
    monkeypatch.setattr("wattkeeper.actions.billing.propose_rebills.version_of", lambda _: "as now")
    world.edit(ours.operator, 2_030_000)
    (proposal,) = propose(world)
    world.edit(ours.operator, 3_030_000)
    world.run()
    approve(world, proposal, "as now")
    assert Bill.objects.get(state="ISSUED").energy_milliwh != proposal.energy_milliwh


def test_values_taken_back_leave_nothing_to_approve(world: World, ours: People) -> None:
    edit_id = world.edit(ours.operator, 2_030_000)
    (proposal,) = propose(world)
    withdraw_edit(actor=ours.operator, now=NOW, edit_id=edit_id)
    world.run()
    told = refused("billing.proposal-decided", lambda: approve(world, proposal))
    assert told == {"state": "OBSOLETE"}
    assert Bill.objects.get().state == "ISSUED"


def test_marked_again_while_looked_at_stays_marked(
    world: World, ours: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.edit(ours.operator, 2_030_000)
    world.run()
    look = "wattkeeper.actions.billing.propose_rebills._look_at"

    def mark(*_args: Any, **_options: Any) -> None:
        RebillCheck.objects.update(marks_count=99)

    monkeypatch.setattr(look, mark)
    propose_rebills(services=world.services, now=world.now)
    assert RebillCheck.objects.get().marks_count == 99


def test_an_interruption_before_the_mark_after_forgets_no_bill(
    world: World, ours: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.edit(ours.operator, 2_030_000)
    bills, calls = world.ports.bills, []
    assert bills is not None
    mark = bills.mark

    def first_only(rows: Any) -> None:
        calls.append(len(rows))
        if len(calls) > 1:
            raise KeyboardInterrupt
        mark(rows)

    monkeypatch.setattr(bills, "mark", first_only)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    monkeypatch.setattr(bills, "mark", mark)
    assert len(propose(world)) == 1


def test_proposals_are_the_tenants_own(world: World, ours: People, theirs: People) -> None:
    world.edit(ours.operator, 2_030_000)
    (proposal,) = propose(world)
    own = {"tenant_id": ours.tenant.id}
    assert [row.proposal_id for row in list_proposals(**own).items] == [proposal.id]
    row = get_proposal(**own, proposal_id=proposal.id)
    assert row is not None
    assert row.difference_minor == (row.total_minor or 0) - row.old_total_minor
    assert list_proposals(tenant_id=theirs.tenant.id).items == []
    assert get_proposal(tenant_id=theirs.tenant.id, proposal_id=proposal.id) is None
    about: dict[str, Any] = {"now": NOW, "proposal_id": proposal.id, "version": row.version}
    services = world.services
    refused("registry.not-found", lambda: approve_rebill(actor=theirs.operator, services=services, **about))
    refused("registry.not-found", lambda: reject_rebill(actor=theirs.operator, note="no", **about))
    refused("accounts.not-allowed", lambda: approve_rebill(actor=ours.viewer, services=services, **about))
