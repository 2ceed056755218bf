"""From which day on which rule set judges a group of series."""

from datetime import date, datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.actions.vee.groups import lock_rules
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.vee.marks import mark_changed_rules
from wattkeeper.data.vee.models import EVERYONE, Assignment, SeriesGroup, StoredRuleSet
from wattkeeper.data.vee.schedules import load_schedule


@audited("vee.assign-rule-set", role=Role.ADMINISTRATOR)
def assign_rule_set(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    starts_date: date,
    group_code: str = EVERYONE,
    rule_set_id: int | None = None,
) -> int:
    """
    Judge a group from the local day `starts_date` on, until its next one, and return the assignment's id.

    `group_code` ``*``: every series. `rule_set_id` None: by none of its own, so by that of every series. What
    is thereby judged otherwise, and only that, is derived again; one of the same day is taken back.

    :raises WattkeeperError: ``registry.not-found``
    """
    rule_set = None if rule_set_id is None else own(StoredRuleSet, rule_set_id, actor=actor)
    lock_rules(actor.tenant_id)
    before = load_schedule(actor.tenant_id)
    group = _group(actor, group_code)
    standing = Assignment.objects.filter(group=group, starts_date=starts_date, withdrawn_at__isnull=True)
    standing.update(withdrawn_at=now)
    assignment = Assignment.objects.create(
        tenant_id=actor.tenant_id,
        group=group,
        rule_set=rule_set,
        starts_date=starts_date,
        recorded_at=now,
        made_by=str(actor),
    )
    after = load_schedule(actor.tenant_id)
    count = mark_changed_rules(tenant_id=actor.tenant_id, before=before, after=after, now=now)
    entry.subject = f"series-group:{group.id}"
    entry.detail = {
        "group": group.code,
        "rule_set": rule_set.code if rule_set else None,
        "starts_date": starts_date,
        "series_count": count,
    }
    return assignment.id


@audited("vee.withdraw-assignment", role=Role.ADMINISTRATOR)
def withdraw_assignment(entry: Entry, *, actor: Actor, now: datetime, assignment_id: int) -> int:
    """
    Take an assignment back, and return how many series are judged otherwise.

    :raises WattkeeperError: ``registry.not-found``, ``vee.assignment-withdrawn``
    """
    lock_rules(actor.tenant_id)
    assignment = own(Assignment, assignment_id, actor=actor)
    if assignment.withdrawn_at is not None:
        raise WattkeeperError("vee.assignment-withdrawn")
    before = load_schedule(actor.tenant_id)
    assignment.withdrawn_at = now
    assignment.save(update_fields=["withdrawn_at"])
    after = load_schedule(actor.tenant_id)
    count = mark_changed_rules(tenant_id=actor.tenant_id, before=before, after=after, now=now)
    entry.subject = f"series-group:{assignment.group_id}"
    entry.detail = {"assignment_id": assignment.id, "series_count": count}
    return count


def _group(actor: Actor, code: str) -> SeriesGroup:
    if code == EVERYONE:
        return SeriesGroup.objects.get_or_create(tenant_id=actor.tenant_id, code=EVERYONE)[0]
    group = SeriesGroup.objects.filter(tenant_id=actor.tenant_id, code=code).first()
    if group is None:
        raise WattkeeperError("registry.not-found", kind="series-group", id=code)
    return group
