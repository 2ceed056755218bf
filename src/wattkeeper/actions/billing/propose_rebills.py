"""Compare issued bills whose values may have changed with the values of now; propose, and decide."""

from datetime import datetime, timedelta
from fractions import Fraction

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.billing.figures import Figures, figures_of, parts_of, weigh
from wattkeeper.actions.billing.held import FAILED, held_by, tell_held
from wattkeeper.actions.billing.issue_bill import MILLIWH_DIGITS_PER_KWH
from wattkeeper.actions.billing.replace_bill import replace_bill
from wattkeeper.actions.billing.tell_unbilled import tell_unbilled
from wattkeeper.actions.records import own
from wattkeeper.actions.services import Services
from wattkeeper.core.billing.document import exact_text
from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.money import Money
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.models import Bill, RebillCheck, RebillProposal
from wattkeeper.data.billing.rebills import version_of
from wattkeeper.store.api import ReadingStore

CHECKS_COUNT = 200
REST = timedelta(minutes=5)
State = RebillProposal.State


def propose_rebills(*, services: Services, now: datetime, limit_count: int = CHECKS_COUNT) -> int:
    """Look at bills whose values may have changed and return how many; what came of it are proposals.

    A bill that says what it would say now loses its open proposal. One that a newer run marks again meanwhile
    is looked at again, and so is after `REST` one that could not be compared for a reason nobody foresaw.
    """
    if services.store is None:
        return 0
    is_due = Q(failed_at__isnull=True) | Q(failed_at__lte=now - REST)
    checks = RebillCheck.objects.filter(is_due).select_related("bill__usage_point__site").order_by("id")
    done = list(checks[:limit_count])
    for check in done:
        held = _look_at(check.bill, store=services.store, now=now)
        looked_at = RebillCheck.objects.filter(id=check.id, marks_count=check.marks_count)
        if held is not None and held.code == FAILED:
            looked_at.update(failed_at=now)
        else:
            looked_at.delete()
    return len(done)


def approve_rebill(
    *, actor: Actor, now: datetime, services: Services, proposal_id: int, version: str
) -> list[int]:
    """
    Reverse the bill of a proposal, issue what replaces it, and return the new bills' ids in order of time.

    `version`: that of the figures the person was shown. The bill is computed once more: where it comes out
    otherwise the proposal holds the new figures, and what was shown is approved by nobody.

    :raises WattkeeperError: ``billing.proposal-decided``, ``billing.proposal-stale`` with the new figures,
        ``billing.*`` where it can't be billed, ``registry.not-found``, ``store.not-running``
    """
    actor.require(Role.OPERATOR)
    if services.store is None:
        raise WattkeeperError("store.not-running", is_permanent=False, folder=str(services.data_folder))
    proposal = RebillProposal.objects.filter(tenant_id=actor.tenant_id, id=proposal_id).first()
    if proposal is None:
        raise WattkeeperError("registry.not-found", kind="rebill-proposal", id=proposal_id)
    _refuse_decided(proposal)
    bill = Bill.objects.select_related("usage_point__site").get(id=proposal.bill_id)
    figures = figures_of(bill, services.store)
    weigh(bill, figures, now)
    return _approve(actor=actor, now=now, proposal_id=proposal_id, version=version, figures=figures)


@audited("billing.reject-rebill")
def reject_rebill(
    entry: Entry, *, actor: Actor, now: datetime, proposal_id: int, version: str, note: str
) -> None:
    """
    Let the bill stay as it is by the figures that the person was shown (`version`), and say why.

    :raises WattkeeperError: ``billing.proposal-decided``, ``billing.proposal-stale``,
        ``billing.proposal-reason``, ``registry.not-found``
    """
    proposal = _open(entry, actor, proposal_id, version)
    if not note.strip():
        raise WattkeeperError("billing.proposal-reason", field="note")
    entry.detail["note"] = note
    proposal.state, proposal.note = State.REJECTED, note
    proposal.decided_at, proposal.decided_by = now, str(actor)
    proposal.save()


@audited("billing.approve-rebill")
def _approve(
    entry: Entry, *, actor: Actor, now: datetime, proposal_id: int, version: str, figures: Figures
) -> list[int]:
    proposal = _open(entry, actor, proposal_id, version)
    if figures.held is not None:
        raise figures.held
    issued_ids = replace_bill(actor=actor, now=now, bill_id=proposal.bill_id, parts=figures.documents)
    if not figures.is_as_cut:
        parts = [
            {**part, "bill_id": own_id} for part, own_id in zip(parts_of(figures), issued_ids, strict=True)
        ]
        RebillProposal.objects.filter(id=proposal.id).update(parts=parts)
    entry.detail["new_bill_ids"] = issued_ids
    return issued_ids


def _open(entry: Entry, actor: Actor, proposal_id: int, version: str) -> RebillProposal:
    """Return a proposal that waits and still shows what the person was shown."""
    proposal = own(RebillProposal, proposal_id, actor=actor)
    entry.subject = f"bill:{proposal.bill_id}"
    entry.detail = {"proposal_id": proposal.id, "data_version": proposal.data_version, "version": version}
    _refuse_decided(proposal)
    if version_of(proposal) != version:
        total_minor, currency = proposal.total_minor, proposal.bill.currency
        raise WattkeeperError(
            "billing.proposal-stale",
            id=proposal.id,
            version=version_of(proposal),
            total="–" if total_minor is None else str(Money(total_minor, currency)),
            energy_kwh=exact_text(Fraction(proposal.energy_milliwh, 10**MILLIWH_DIGITS_PER_KWH)),
        )
    return proposal


def _refuse_decided(proposal: RebillProposal) -> None:
    if proposal.state != State.OPEN:
        raise WattkeeperError("billing.proposal-decided", state=proposal.state)


def _look_at(bill: Bill, *, store: ReadingStore, now: datetime) -> UnableToBill | None:
    """Raise, refresh or end the proposal of an issued bill; return why it can't be compared."""
    errors = []
    try:
        if bill.state == Bill.State.ISSUED:
            weigh(bill, figures_of(bill, store), now)
        tell_unbilled(bill.usage_point, now=now)
    except Exception as error:  # noqa: BLE001
        errors.append(held_by(error, bill.usage_point))
    tell_held(bill.usage_point, f"bill:{bill.id}", errors, starts_at=bill.starts_at, now=now)
    return next(iter(errors), None)
