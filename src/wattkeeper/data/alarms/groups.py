"""Findings of one rule at one meter together: how many, since when, until when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.db.models import Case, CharField, Count, F, Max, Min, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.past import findings_as_of
from wattkeeper.data.registry.paging import Page, read_page

_NO_SUBJECT = Value("", output_field=CharField())
_BY = ("rule", "meter_id", "usage_point_id", "lone_subject_key")


@dataclass(frozen=True, slots=True)
class GroupKey:
    """A rule and what it is about; `subject_key` only where neither a meter nor a usage point is known."""

    rule: str
    meter_id: int | None
    usage_point_id: int | None
    subject_key: str

    def __str__(self) -> str:
        return f"{self.rule}|{self.meter_id or ''}|{self.usage_point_id or ''}|{self.subject_key}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the key that a text names, None where it names none."""
        parts = text.split("|", 3)
        if len(parts) != 4 or any(part and not part.isdecimal() for part in parts[1:3]):
            return None
        meter_id, usage_point_id = (int(part) if part else None for part in parts[1:3])
        return cls(parts[0], meter_id, usage_point_id, parts[3])

    def condition(self) -> Q:
        """Return which findings belong to the group."""
        same = Q(rule=self.rule, meter_id=self.meter_id, usage_point_id=self.usage_point_id)
        return same & Q(subject_key=self.subject_key) if self.subject_key else same


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """The findings of a group; `last_at` is the latest end, or start where none has ended."""

    key: GroupKey
    meter_serial_number: str | None
    usage_point_code: str | None
    findings_count: int
    open_count: int
    first_at: datetime
    last_at: datetime
    newest_id: int


def list_finding_groups(
    *,
    tenant_id: int,
    state: str | None = Finding.State.OPEN,
    rule: str | None = None,
    meter_id: int | None = None,
    site_id: int | None = None,
    search: str = "",
    as_of: datetime | None = None,
    offset_index: int = 0,
    limit_count: int = 50,
) -> Page[FindingGroup]:
    """Return one page of groups, the one with the newest finding first; `state` None: open and closed.

    `as_of` an instant: of findings as they stood then.

    :raises WattkeeperError: ``registry.instant-naive``
    """
    exact = {"then_state": state, "rule": rule, "meter_id": meter_id}
    query = findings_as_of(tenant_id, as_of).filter(
        **{name: value for name, value in exact.items() if value is not None}
    )
    if site_id is not None:
        query = query.filter(Q(usage_point__site_id=site_id) | Q(meter__site_id=site_id))
    for word in search.split():
        query = query.filter(
            Q(meter__serial_number__icontains=word)
            | Q(usage_point__code__icontains=word)
            | Q(rule__icontains=word)
        )
    groups = _grouped(query)
    rows = groups.order_by("-last_at", "-newest_id")
    return read_page(
        rows, lambda page: list(map(_group, page)), offset_index=offset_index, limit_count=limit_count
    )


def count_open_groups(*, tenant_id: int) -> int:
    """Return how many groups hold an open finding."""
    return _grouped(findings_as_of(tenant_id, None).filter(then_state=Finding.State.OPEN)).count()


def newest_finding_id(*, tenant_id: int) -> int:
    """Return the id of the newest finding, 0 where there is none."""
    newest = Finding.objects.filter(tenant_id=tenant_id).order_by("-id").values_list("id", flat=True)
    return newest.first() or 0


def find_open(*, tenant_id: int, keys: Sequence[GroupKey], up_to_id: int) -> QuerySet[Finding]:
    """Return the open findings of some groups that were there when `up_to_id` was the newest."""
    wanted = Q(pk__in=())
    for key in keys:
        wanted |= key.condition()
    return Finding.objects.filter(wanted, tenant_id=tenant_id, state=Finding.State.OPEN, id__lte=up_to_id)


def _grouped(query: QuerySet[Finding]) -> QuerySet[Any, dict[str, Any]]:
    lone = Case(
        When(meter_id__isnull=True, usage_point_id__isnull=True, then=F("subject_key")), default=_NO_SUBJECT
    )
    groups: QuerySet[Any, dict[str, Any]] = (
        query.order_by()
        .annotate(lone_subject_key=lone)
        .values(*_BY, "meter__serial_number", "usage_point__code")
        .annotate(
            findings_count=Count("id"),
            open_count=Count("id", filter=Q(then_state=Finding.State.OPEN)),
            first_at=Min("starts_at"),
            last_at=Max(Coalesce("then_ends_at", "starts_at")),
            newest_id=Max("id"),
        )
    )
    return groups


def _group(row: Mapping[str, Any]) -> FindingGroup:
    return FindingGroup(
        GroupKey(*(row[name] for name in _BY)),
        row["meter__serial_number"],
        row["usage_point__code"],
        row["findings_count"],
        row["open_count"],
        row["first_at"],
        row["last_at"],
        row["newest_id"],
    )
