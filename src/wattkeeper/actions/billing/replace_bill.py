"""Correct an issued bill: by another, by those of the parts of its period, or by none."""

from collections.abc import Sequence
from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.billing.inputs import BillInputs
from wattkeeper.actions.billing.issue_bill import issue_bill, reverse_bill, settle
from wattkeeper.actions.records import own
from wattkeeper.core.billing.document import BillDocument
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.registry.models import UsagePoint


@audited("billing.replace")
def replace_bill(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    bill_id: int,
    parts: Sequence[tuple[BillInputs, BillDocument]],
) -> list[int]:
    """
    Reverse an issued bill, issue what takes its place, and return the ids of that in order of time.

    The reversal is a document of its own that takes back every line. Without `parts` nothing takes its place.

    :raises WattkeeperError: ``registry.not-found``, ``billing.not-issued``
    :raises UnableToBill: ``billing.overlap``: a part holds days of another issued bill or of another part
    """
    old = own(Bill, bill_id, actor=actor)
    entry.subject = f"bill:{old.id}"
    UsagePoint.objects.select_for_update().get(id=old.usage_point_id)
    old.refresh_from_db()
    if old.state != Bill.State.ISSUED:
        raise WattkeeperError("billing.not-issued", id=old.id, state=old.state)
    entry.detail = {"reversal_key": reverse_bill(old, now)}
    issued_ids = [
        issue_bill(actor=actor, now=now, inputs=inputs, bill=bill, corrects=old) for inputs, bill in parts
    ]
    settle(old, Bill.objects.get(id=issued_ids[0]) if issued_ids else None, actor, now)
    entry.detail["new_bill_ids"] = issued_ids
    return issued_ids
