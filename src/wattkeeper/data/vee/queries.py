"""Rule sets, groups, assignments and edits as pages, API and shell list them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.vee.edits import APPROVAL_MILLIWH, Edit
from wattkeeper.data.registry.paging import Page, read_page
from wattkeeper.data.vee.models import Assignment, SeriesGroup, StoredEdit, StoredRuleSet, VeeSettings


@dataclass(frozen=True, slots=True)
class RuleSetRow:
    """A stored rule set; `document` as `core.vee.rule_set_json` reads it."""

    rule_set_id: int
    code: str
    document: Mapping[str, Any]
    recorded_at: datetime
    made_by: str
    assignments_count: int


@dataclass(frozen=True, slots=True)
class AssignmentRow:
    """From which local day on a group is judged by which rule set; `rule_set_code` None: none of its own."""

    assignment_id: int
    group_id: int
    group_code: str
    rule_set_code: str | None
    starts_date: date
    recorded_at: datetime
    made_by: str
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group of series with how many are in it."""

    group_id: int
    code: str
    name: str
    members_count: int


@dataclass(frozen=True, slots=True)
class EditRow:
    """An edit as lists show it; energies of its intervals in milliwatt-hours or millivar-hours."""

    edit_id: int
    series_id: int
    quantity: str
    interval_s: int
    usage_point_id: int
    usage_point_code: str
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    energy_milliwh: Sequence[int]
    rejected_milliwh: Sequence[int | None]
    changed_milliwh: int
    reason_code: int
    reason: str
    state: str
    author_id: int
    author: str
    recorded_at: datetime
    approver: str | None
    decided_at: datetime | None
    decision_note: str
    withdrawn_by: str | None
    withdrawn_at: datetime | None


def list_rule_sets(*, tenant_id: int, rule_set_id: int | None = None) -> list[RuleSetRow]:
    """Return the rule sets of a tenant, or one of them, newest first."""
    rows = StoredRuleSet.objects.filter(tenant_id=tenant_id)
    if rule_set_id is not None:
        rows = rows.filter(id=rule_set_id)
    standing = Count("assignments", filter=Q(assignments__withdrawn_at__isnull=True))
    return [
        RuleSetRow(row.id, row.code, row.document, row.recorded_at, row.made_by, row.standing_count)
        for row in rows.annotate(standing_count=standing).order_by("-id")
    ]


def list_assignments(*, tenant_id: int, with_withdrawn: bool = False) -> list[AssignmentRow]:
    """Return which group is judged by what from when on: every series first, then by group and day."""
    rows = Assignment.objects.filter(tenant_id=tenant_id).select_related("group", "rule_set")
    if not with_withdrawn:
        rows = rows.filter(withdrawn_at__isnull=True)
    return [
        AssignmentRow(
            row.id,
            row.group_id,
            row.group.code,
            row.rule_set.code if row.rule_set else None,
            row.starts_date,
            row.recorded_at,
            row.made_by,
            row.withdrawn_at,
        )
        for row in rows.order_by("group__code", "starts_date", "id")
    ]


def list_groups(*, tenant_id: int) -> list[GroupRow]:
    """Return the groups of series."""
    standing = Count("members", filter=Q(members__withdrawn_at__isnull=True))
    rows = SeriesGroup.objects.filter(tenant_id=tenant_id).annotate(members_count=standing)
    return [GroupRow(row.id, row.code, row.name, row.members_count) for row in rows.order_by("code")]


def edit_approval_milliwh(tenant_id: int) -> int:
    """Return from how much changed energy on an edit needs a second person."""
    own = VeeSettings.objects.filter(tenant_id=tenant_id).values_list("edit_approval_milliwh", flat=True)
    found = own.first()
    return APPROVAL_MILLIWH if found is None else found


def changed_alone_milliwh(*, series_id: int, author_id: int, since: datetime) -> int:
    """Return how much energy edits in force change of a series that somebody made alone since an instant."""
    own = StoredEdit.objects.filter(series_id=series_id, author_id=author_id, state=StoredEdit.State.IN_FORCE)
    alone = own.filter(approver__isnull=True, recorded_at__gt=since)
    return alone.aggregate(changed=Sum("changed_milliwh"))["changed"] or 0


def list_edits(
    *,
    tenant_id: int,
    series_id: int | None = None,
    state: str | None = None,
    offset_index: int = 0,
    limit_count: int = 50,
) -> Page[EditRow]:
    """Return one page of edits, newest first."""
    exact = {"series_id": series_id, "state": state}
    rows = _edits(tenant_id).filter(**{name: value for name, value in exact.items() if value is not None})
    rows = rows.order_by("-id")
    return read_page(
        rows, lambda page: list(map(_edit_row, page)), offset_index=offset_index, limit_count=limit_count
    )


def get_edit(*, tenant_id: int, edit_id: int) -> EditRow | None:
    """Return one edit, None where the tenant has none of that id."""
    row = _edits(tenant_id).filter(id=edit_id).first()
    return None if row is None else _edit_row(row)


def edits_in_force(series_ids: Iterable[int]) -> dict[int, tuple[Edit, ...]]:
    """Return what derivations take in, by series that have any."""
    found: dict[int, list[Edit]] = {}
    rows = StoredEdit.objects.filter(series_id__in=list(series_ids), state=StoredEdit.State.IN_FORCE)
    for row in rows.order_by("id"):
        found.setdefault(row.series_id, []).append(as_edit(row))
    return {series_id: tuple(own) for series_id, own in found.items()}


def edited_series(tenant_id: int) -> list[int]:
    """Return the series with an edit in force."""
    rows = StoredEdit.objects.filter(tenant_id=tenant_id, state=StoredEdit.State.IN_FORCE)
    return list(rows.values_list("series_id", flat=True).distinct())


def as_edit(row: StoredEdit) -> Edit:
    """Return a stored edit as the core knows it."""
    return Edit(
        edit_id=row.id or 0,
        starts_at_s=to_seconds(row.starts_at),
        energy_milliwh=tuple(row.energy_milliwh),
        rejected_milliwh=tuple(row.rejected_milliwh),
        reason_code=row.reason_code,
        author_id=row.author_id,
        recorded_at_s=int((row.decided_at or row.recorded_at).timestamp()),
        approver_id=row.approver_id,
        reason=row.reason,
    )


def _edits(tenant_id: int) -> QuerySet[StoredEdit]:
    return StoredEdit.objects.filter(tenant_id=tenant_id).select_related(
        "series__usage_point__site", "author", "approver", "withdrawn_by"
    )


def _edit_row(row: StoredEdit) -> EditRow:
    point = row.series.usage_point
    return EditRow(
        edit_id=row.id,
        series_id=row.series_id,
        quantity=row.series.quantity,
        interval_s=row.series.interval_s,
        usage_point_id=point.id,
        usage_point_code=point.code,
        time_zone=point.site.time_zone,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        energy_milliwh=row.energy_milliwh,
        rejected_milliwh=row.rejected_milliwh,
        changed_milliwh=row.changed_milliwh,
        reason_code=row.reason_code,
        reason=row.reason,
        state=row.state,
        author_id=row.author_id,
        author=row.author.username,
        recorded_at=row.recorded_at,
        approver=row.approver.username if row.approver else None,
        decided_at=row.decided_at,
        decision_note=row.decision_note,
        withdrawn_by=row.withdrawn_by.username if row.withdrawn_by else None,
        withdrawn_at=row.withdrawn_at,
    )
