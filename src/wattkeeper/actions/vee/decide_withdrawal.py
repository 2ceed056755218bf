"""The second person of a large withdrawal of a noted read."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.actions.registry.deliver_field_reads import deliver_field_reads
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.second_person import check_second_person
from wattkeeper.actions.vee.withdraw_read import drop_and_mark
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.vee.models import ReadWithdrawal, StoredEdit

State = StoredEdit.State


def approve_withdrawal(*, actor: Actor, now: datetime, services: Services, withdrawal_id: int) -> None:
    """
    Put a withdrawal in force that waits for a second person.

    :raises WattkeeperError: ``vee.edit-own-approval``, ``vee.edit-creator``, ``vee.edit-person``,
        ``readings.withdrawal-state``, ``registry.not-found``; ``readings.not-noted`` where the read was
        corrected since
    """
    _approve(actor=actor, now=now, withdrawal_id=withdrawal_id)
    deliver_field_reads(services=services, now=now)


@audited("vee.approve-withdrawal")
def _approve(entry: Entry, *, actor: Actor, now: datetime, withdrawal_id: int) -> None:
    withdrawal = _waiting(entry, actor, withdrawal_id)
    _decide(withdrawal, State.IN_FORCE, actor, now)
    drop_and_mark(withdrawal, now=now)


@audited("vee.reject-withdrawal")
def reject_withdrawal(entry: Entry, *, actor: Actor, now: datetime, withdrawal_id: int, note: str) -> None:
    """
    Refuse a withdrawal that waits for a second person, and say why; the read counts on.

    :raises WattkeeperError: as `approve_withdrawal`, and ``vee.edit-note`` without a reason
    """
    withdrawal = _waiting(entry, actor, withdrawal_id)
    if not note.strip():
        raise WattkeeperError("vee.edit-note", field="note")
    withdrawal.decision_note = note
    _decide(withdrawal, State.REJECTED, actor, now)


def _waiting(entry: Entry, actor: Actor, withdrawal_id: int) -> ReadWithdrawal:
    withdrawal = own(ReadWithdrawal, withdrawal_id, actor=actor)
    entry.subject = f"withdrawal:{withdrawal.id}"
    entry.detail = {"changed_milliwh": withdrawal.changed_milliwh}
    if withdrawal.state != State.PENDING:
        raise WattkeeperError("readings.withdrawal-state", state=withdrawal.state)
    check_second_person(actor, withdrawal.author_id)
    return withdrawal


def _decide(withdrawal: ReadWithdrawal, state: StoredEdit.State, actor: Actor, now: datetime) -> None:
    withdrawal.state, withdrawal.approver_id, withdrawal.decided_at = state, actor.user_id, now
    withdrawal.save(update_fields=["state", "approver", "decided_at", "decision_note"])
