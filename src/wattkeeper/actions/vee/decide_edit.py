"""The second person of a large edit, and the end of any."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.actions.vee.edit_values import mark_edit
from wattkeeper.actions.vee.second_person import check_second_person, person_of
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.vee.edits import check_edit
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.vee.models import StoredEdit, VeeSettings
from wattkeeper.data.vee.queries import as_edit, edit_approval_milliwh

State = StoredEdit.State


@audited("vee.approve-edit")
def approve_edit(entry: Entry, *, actor: Actor, now: datetime, edit_id: int) -> None:
    """
    Put an edit in force that waits for a second person.

    :raises WattkeeperError: ``vee.edit-own-approval`` for its author, ``vee.edit-creator`` where one of the
        two made the other's account, ``vee.edit-state``, ``vee.edit-person``, ``registry.not-found``
    """
    edit = _waiting(entry, actor, edit_id)
    check_second_person(actor, edit.author_id)
    edit.approver_id = actor.user_id
    check_edit(as_edit(edit), approval_milliwh=edit_approval_milliwh(actor.tenant_id))
    _decide(edit, State.IN_FORCE, now)
    mark_edit(edit, now=now)


@audited("vee.reject-edit")
def reject_edit(entry: Entry, *, actor: Actor, now: datetime, edit_id: int, note: str) -> None:
    """
    Refuse an edit that waits for a second person, and say why.

    :raises WattkeeperError: as `approve_edit`, and ``vee.edit-note`` without a reason
    """
    edit = _waiting(entry, actor, edit_id)
    check_second_person(actor, edit.author_id)
    if not note.strip():
        raise WattkeeperError("vee.edit-note", field="note")
    edit.approver_id, edit.decision_note = actor.user_id, note
    _decide(edit, State.REJECTED, now)


@audited("vee.withdraw-edit")
def withdraw_edit(entry: Entry, *, actor: Actor, now: datetime, edit_id: int) -> None:
    """
    Take an edit back: what was measured, or estimated, stands again.

    :raises WattkeeperError: ``vee.edit-state``, ``vee.edit-person``, ``registry.not-found``
    """
    edit = own(StoredEdit, edit_id, actor=actor)
    entry.subject = f"edit:{edit.id}"
    was_in_force = edit.state == State.IN_FORCE
    if edit.state not in {State.IN_FORCE, State.PENDING}:
        raise WattkeeperError("vee.edit-state", state=edit.state)
    edit.state, edit.withdrawn_at, edit.withdrawn_by_id = State.WITHDRAWN, now, person_of(actor)
    edit.save(update_fields=["state", "withdrawn_at", "withdrawn_by"])
    if was_in_force:
        mark_edit(edit, now=now)


@audited("vee.set-edit-threshold", role=Role.ADMINISTRATOR)
def set_edit_threshold(entry: Entry, *, actor: Actor, now: datetime, milliwh: int) -> None:
    """
    Let edits need a second person from so much changed energy on; edits in force stay so.

    :raises WattkeeperError: ``vee.edit-threshold``
    """
    if not 0 <= milliwh < 2**63:
        raise WattkeeperError("vee.edit-threshold", field="threshold")
    before = edit_approval_milliwh(actor.tenant_id)
    VeeSettings.objects.update_or_create(
        tenant_id=actor.tenant_id, defaults={"edit_approval_milliwh": milliwh}
    )
    entry.subject = "vee-settings"
    entry.detail = {"edit_approval_milliwh": [before, milliwh]}


def _waiting(entry: Entry, actor: Actor, edit_id: int) -> StoredEdit:
    edit = own(StoredEdit, edit_id, actor=actor)
    entry.subject = f"edit:{edit.id}"
    entry.detail = {"changed_milliwh": edit.changed_milliwh}
    if edit.state != State.PENDING:
        raise WattkeeperError("vee.edit-state", state=edit.state)
    return edit


def _decide(edit: StoredEdit, state: StoredEdit.State, now: datetime) -> None:
    edit.state, edit.decided_at = state, now
    edit.save(update_fields=["state", "decided_at", "approver", "decision_note"])
