"""Comment on a finding."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.models import Finding, FindingComment


@audited("findings.comment")
def comment_finding(entry: Entry, *, actor: Actor, now: datetime, finding_id: int, text: str) -> int:
    """
    Keep a comment on a finding and return its id.

    :raises WattkeeperError: ``registry.not-found``, ``findings.comment-missing``
    """
    finding = own(Finding, finding_id, actor=actor)
    if not text.strip():
        raise WattkeeperError("findings.comment-missing")
    comment = FindingComment.objects.create(finding=finding, author_id=actor.user_id, at=now, text=text)
    entry.subject = f"finding:{finding.id}"
    entry.detail = {"comment_id": comment.id}
    return comment.id
