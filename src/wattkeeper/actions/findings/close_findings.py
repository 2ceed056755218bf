"""Close the findings of whole groups in one step."""

from collections.abc import Sequence
from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import SEALED
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.groups import GroupKey, find_open
from wattkeeper.data.alarms.models import Finding, FindingComment
from wattkeeper.data.sealing.vault import one_key

_SLICE_COUNT = 500


@audited("findings.close-many")
def close_findings(
    entry: Entry, *, actor: Actor, now: datetime, keys: Sequence[GroupKey], up_to_id: int, comment: str
) -> int:
    """
    Close the open findings of some groups with a word on why; return how many those were.

    Nothing newer than `up_to_id` is closed: nobody has seen it.

    :raises WattkeeperError: ``findings.comment-missing``
    """
    if not comment.strip():
        raise WattkeeperError("findings.comment-missing")
    ids = list(
        find_open(tenant_id=actor.tenant_id, keys=keys, up_to_id=up_to_id)
        .select_for_update()
        .order_by("id")
        .values_list("id", flat=True)
    )
    for start in range(0, len(ids), _SLICE_COUNT):
        part = ids[start : start + _SLICE_COUNT]
        Finding.objects.filter(id__in=part).update(state=Finding.State.CLOSED, closed_at=now)
        with one_key():
            FindingComment.objects.bulk_create(
                [
                    FindingComment(finding=finding, author_id=actor.user_id, at=now, text=comment)
                    for finding in Finding.objects.filter(id__in=part)
                ]
            )
    entry.subject = "findings"
    entry.detail = {
        "groups": [str(key) for key in keys],
        "up_to_id": up_to_id,
        "comment": SEALED,
        "closed_count": len(ids),
    }
    return len(ids)
