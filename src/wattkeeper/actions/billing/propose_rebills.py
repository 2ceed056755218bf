"""Compare issued bills whose values may have changed with the values of now; propose, and decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import transaction

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.billing.inputs import BillInputs, read_inputs
from wattkeeper.actions.billing.issue_bill import issue_bill
from wattkeeper.actions.billing.run_billing import compute
from wattkeeper.actions.records import own
from wattkeeper.actions.services import Services
from wattkeeper.core.billing.document import BillDocument
from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.models import Bill, RebillCheck, RebillProposal
from wattkeeper.data.billing.rebills import is_rejected
from wattkeeper.store.api import ReadingStore

CHECKS_COUNT = 200
State = RebillProposal.State


@dataclass(frozen=True, slots=True)
class Figures:
    """What a bill would be now; `document` None where it can't be billed, `held_code` why."""

    inputs: BillInputs
    document: BillDocument | None
    held_code: str = ""


def propose_rebills(*, services: Services, now: datetime, limit_count: int = CHECKS_COUNT) -> int:
    """Look at bills whose values may have changed and return how many; what came of it are proposals.

    A bill whose values are those that were billed loses its open proposal. One that a newer run marks again
    meanwhile is looked at again.
    """
    if services.store is None:
        return 0
    checks = RebillCheck.objects.select_related("bill__usage_point__site").order_by("id")[:limit_count]
    done = list(checks)
    for check in done:
        if check.bill.state == Bill.State.ISSUED:
            _look_at(check.bill, store=services.store, now=now)
        RebillCheck.objects.filter(id=check.id, marks_count=check.marks_count).delete()
    return len(done)


def approve_rebill(
    *, actor: Actor, now: datetime, services: Services, proposal_id: int, data_version: str = ""
) -> int:
    """
    Reverse the bill of a proposal, issue the new one, and return that one's id.

    `data_version`: what the person saw; empty: whatever the values are now.

    :raises WattkeeperError: ``billing.proposal-decided``, ``billing.proposal-stale``, ``billing.*`` where it
        can't be billed, ``registry.not-found``, ``store.not-running``
    """
    actor.require(Role.OPERATOR)
    if services.store is None:
        raise WattkeeperError("store.not-running", is_permanent=False, folder=str(services.data_folder))
    proposal = RebillProposal.objects.filter(tenant_id=actor.tenant_id, id=proposal_id).first()
    if proposal is None:
        raise WattkeeperError("registry.not-found", kind="rebill-proposal", id=proposal_id)
    if proposal.state != State.OPEN:
        raise WattkeeperError("billing.proposal-decided", state=proposal.state)
    bill = Bill.objects.select_related("usage_point__site").get(id=proposal.bill_id)
    inputs = _inputs(bill, services.store)
    if data_version and inputs.data_version != data_version:
        _look_at(bill, store=services.store, now=now)
        raise WattkeeperError("billing.proposal-stale", is_permanent=False)
    document = compute(inputs, accept_estimates=_accepts_estimates(bill))
    return _approve(actor=actor, now=now, proposal_id=proposal_id, inputs=inputs, document=document)


@audited("billing.reject-rebill")
def reject_rebill(entry: Entry, *, actor: Actor, now: datetime, proposal_id: int, note: str) -> None:
    """
    Let the bill stay as it is by the values that were proposed, and say why.

    :raises WattkeeperError: ``billing.proposal-decided``, ``billing.proposal-reason``, ``registry.not-found``
    """
    proposal = _open(entry, actor, proposal_id)
    if not note.strip():
        raise WattkeeperError("billing.proposal-reason", field="note")
    entry.detail["note"] = note
    proposal.state, proposal.note = State.REJECTED, note
    proposal.decided_at, proposal.decided_by = now, str(actor)
    proposal.save()


@audited("billing.approve-rebill")
def _approve(
    entry: Entry, *, actor: Actor, now: datetime, proposal_id: int, inputs: BillInputs, document: BillDocument
) -> int:
    _open(entry, actor, proposal_id)
    issued = issue_bill(
        actor=actor,
        now=now,
        usage_point=inputs.usage_point,
        versions=inputs.versions,
        bill=document,
        run_id=inputs.run_id,
        depends_from=inputs.depends_from,
    )
    entry.detail["new_bill_id"] = issued.bill_id
    if issued.outcome == "unchanged":
        RebillProposal.objects.filter(id=proposal_id).update(state=State.OBSOLETE, looked_at=now)
    return issued.bill_id


def _open(entry: Entry, actor: Actor, proposal_id: int) -> RebillProposal:
    proposal = own(RebillProposal, proposal_id, actor=actor)
    entry.subject = f"bill:{proposal.bill_id}"
    entry.detail = {"proposal_id": proposal.id, "data_version": proposal.data_version}
    if proposal.state != State.OPEN:
        raise WattkeeperError("billing.proposal-decided", state=proposal.state)
    return proposal


def _look_at(bill: Bill, *, store: ReadingStore, now: datetime) -> None:
    """Raise, refresh or end the proposal of an issued bill."""
    try:
        figures = _figures(bill, store)
    except UnableToBill:  # its contract or its series is gone: there is nothing to compare with
        return
    inputs = figures.inputs
    told = (bill.document["data_version"], bill.document.get("tier_used_milliwh"))
    now_is = (inputs.data_version, inputs.tier_used_milliwh if told[1] is not None else None)
    with transaction.atomic():
        Bill.objects.select_for_update().get(id=bill.id)
        current = RebillProposal.objects.filter(bill=bill, state=State.OPEN).first()
        if told == now_is:
            if current is not None:
                _end(current, now)
            return
        if current is None and is_rejected(
            bill_id=bill.id,
            data_version=inputs.data_version,
            tier_used_milliwh=inputs.tier_used_milliwh,
        ):
            return
        proposal = current or RebillProposal(tenant_id=bill.tenant_id, bill=bill, raised_at=now)
        _fill(proposal, figures, now)


def _end(proposal: RebillProposal, now: datetime) -> None:
    proposal.state, proposal.looked_at = State.OBSOLETE, now
    proposal.save(update_fields=["state", "looked_at"])


def _fill(proposal: RebillProposal, figures: Figures, now: datetime) -> None:
    inputs, document = figures.inputs, figures.document
    proposal.data_version = inputs.data_version
    proposal.tier_used_milliwh = inputs.tier_used_milliwh
    proposal.energy_milliwh = int(inputs.intervals.energy_milliwh.sum())
    proposal.total_minor = None if document is None else document.total_minor
    proposal.held_code, proposal.looked_at = figures.held_code, now
    proposal.save()


def _figures(bill: Bill, store: ReadingStore) -> Figures:
    inputs = _inputs(bill, store)
    try:
        return Figures(inputs, compute(inputs, accept_estimates=_accepts_estimates(bill)))
    except UnableToBill as error:
        return Figures(inputs, None, error.code)


def _inputs(bill: Bill, store: ReadingStore) -> BillInputs:
    first, end = _dates(bill)
    return read_inputs(bill.usage_point, first, end, store=store)


def _dates(bill: Bill) -> Sequence[date]:
    zone = ZoneInfo(bill.usage_point.site.time_zone)
    return [at.astimezone(zone).date() for at in (bill.starts_at, bill.ends_at)]


def _accepts_estimates(bill: Bill) -> bool:
    """Whether the bill was made of estimates too: then its correction may be."""
    return any(Fraction(line["estimated_share"]) for line in bill.document["lines"])
