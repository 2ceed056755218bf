"""Groups of series that are judged alike."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep, own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.models import Series, Tenant
from wattkeeper.data.vee.marks import mark_changed_rules
from wattkeeper.data.vee.models import EVERYONE, GroupMember, SeriesGroup
from wattkeeper.data.vee.schedules import load_schedule

CHUNK_COUNT = 1000
_STANDING = Q(withdrawn_at__isnull=True)
_NOBODY = GroupMember.objects.none()


@audited("vee.add-group", role=Role.ADMINISTRATOR)
def add_group(entry: Entry, *, actor: Actor, now: datetime, code: str, name: str = "") -> int:
    """
    Add an empty group and return its id.

    :raises WattkeeperError: ``registry.taken``, ``registry.invalid-field``, ``vee.group-everyone``
    """
    if code == EVERYONE:
        raise WattkeeperError("vee.group-everyone", field="code")
    group = SeriesGroup(tenant_id=actor.tenant_id, code=code, name=name)
    keep(group)
    entry.subject = f"series-group:{group.id}"
    entry.detail = {"code": code, "name": name}
    return group.id


@audited("vee.put-in-group", role=Role.ADMINISTRATOR)
def put_in_group(
    entry: Entry, *, actor: Actor, now: datetime, series_ids: Sequence[int], group_id: int | None
) -> int:
    """
    Put series into a group, or with None into none; return how many are judged otherwise by that.

    A series is in one group at a time. What is judged otherwise, and only that, is derived again.

    :raises WattkeeperError: ``registry.not-found``
    """
    lock_rules(actor.tenant_id)
    group = None if group_id is None else own(SeriesGroup, group_id, actor=actor)
    if group is not None and group.code == EVERYONE:
        raise WattkeeperError("vee.group-everyone", field="group")
    wanted = _own_series(actor, series_ids)
    before = load_schedule(actor.tenant_id)
    kept = (
        set() if group is None else set(group.members.filter(_STANDING).values_list("series_id", flat=True))
    )
    moved = [series_id for series_id in wanted if series_id not in kept]
    for start in range(0, len(moved), CHUNK_COUNT):
        part = moved[start : start + CHUNK_COUNT]
        GroupMember.objects.filter(_STANDING, series_id__in=part).update(withdrawn_at=now)
        if group is not None:
            GroupMember.objects.bulk_create(
                GroupMember(tenant_id=actor.tenant_id, group=group, series_id=series_id, recorded_at=now)
                for series_id in part
            )
    after = load_schedule(actor.tenant_id)
    count = mark_changed_rules(tenant_id=actor.tenant_id, before=before, after=after, now=now)
    entry.subject = "series-group:none" if group is None else f"series-group:{group.id}"
    entry.detail = {"moved": moved[:CHUNK_COUNT], "moved_count": len(moved), "series_count": count}
    return count


def lock_rules(tenant_id: int) -> None:
    """Let nobody else change the tenant's rules until the transaction ends."""
    Tenant.objects.select_for_update().get(id=tenant_id)


def _own_series(actor: Actor, series_ids: Iterable[int]) -> list[int]:
    wanted = sorted(set(series_ids))
    found: set[int] = set()
    for start in range(0, len(wanted), CHUNK_COUNT):
        part = wanted[start : start + CHUNK_COUNT]
        found |= set(
            Series.objects.filter(tenant_id=actor.tenant_id, id__in=part).values_list("id", flat=True)
        )
    for series_id in wanted:
        if series_id not in found:
            raise WattkeeperError("registry.not-found", kind="series", id=series_id)
    return wanted
