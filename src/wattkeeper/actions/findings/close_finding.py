"""Close a finding."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import SEALED, own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.models import Finding, FindingComment


@audited("findings.close")
def close_finding(entry: Entry, *, actor: Actor, now: datetime, finding_id: int, comment: str) -> None:
    """
    Close a finding with a word on why.

    :raises WattkeeperError: ``registry.not-found``, ``findings.comment-missing``
    """
    finding = own(Finding, finding_id, actor=actor)
    if not comment.strip():
        raise WattkeeperError("findings.comment-missing")
    entry.subject = f"finding:{finding.id}"
    entry.detail = {"rule": finding.rule, "comment": SEALED}
    finding.state = Finding.State.CLOSED
    finding.closed_at = finding.closed_at or now
    finding.save(update_fields=["state", "closed_at"])
    FindingComment.objects.create(finding=finding, author_id=actor.user_id, at=now, text=comment)
