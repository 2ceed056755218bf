"""The rule sets of a tenant over time: by series, as they are now or were known at an instant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import TypeVar
from zoneinfo import ZoneInfo

from django.db.models import Model, Q, QuerySet

from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_json import parse_rule_set
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.core.vee.schedule import Assignment as Dated
from wattkeeper.core.vee.schedule import RuleSchedule
from wattkeeper.data.vee.models import EVERYONE, Assignment, GroupMember

M = TypeVar("M", bound=Model)
NO_GROUP = EVERYONE


@dataclass(frozen=True)
class TenantSchedule:
    """Which rule set holds for which group from which local day on, and who is in a group.

    `rows`: (group code, first day, rule set or None for none of its own); `group_of`: series id -> code.
    """

    rows: tuple[tuple[str, date, RuleSet | None], ...] = ()
    group_of: Mapping[int, str] = field(default_factory=dict)
    version_id: int = 0

    @property
    def is_default(self) -> bool:
        """Whether nothing was ever assigned."""
        return not self.rows

    @cached_property
    def _plans(self) -> dict[tuple[str, str], RulePlan]:
        return {}

    def plan_of(self, series_id: int, zone: str) -> RulePlan:
        """Return the rule sets of a series over time; its days begin at midnight in `zone`."""
        return self.plan_of_group(self.group_of.get(series_id, NO_GROUP), zone)

    def plan_of_group(self, group: str, zone: str) -> RulePlan:
        """Return the rule sets of a group over time, ``*`` for series that are in none."""
        key = (group, zone)
        if key not in self._plans:
            self._plans[key] = self._schedule(ZoneInfo(zone)).plan([] if group == NO_GROUP else [group])
        return self._plans[key]

    def _schedule(self, zone: ZoneInfo) -> RuleSchedule:
        dated: list[Dated] = []
        by_group: dict[str, list[tuple[date, RuleSet | None]]] = {}
        for group, starts_date, rule_set in self.rows:
            by_group.setdefault(group, []).append((starts_date, rule_set))
        for group, own in by_group.items():
            own.sort(key=lambda row: row[0])
            starts_s = [to_seconds(local_midnight(day, zone)) for day, _ in own]
            for (_, rule_set), start_s, end_s in zip(own, starts_s, [*starts_s[1:], None], strict=True):
                if rule_set is not None:
                    code = None if group == EVERYONE else group
                    dated.append(Dated(code, rule_set, start_s, end_s))
        return RuleSchedule(tuple(dated))


def load_schedule(
    tenant_id: int, *, as_of: datetime | None = None, series_ids: Sequence[int] | None = None
) -> TenantSchedule:
    """Return the schedule as it stands, or as it was known at an instant.

    `series_ids`: whose groups are wanted; None: everybody's.
    """
    known = _standing(Assignment.objects.filter(tenant_id=tenant_id), as_of).select_related(
        "group", "rule_set"
    )
    stored = sorted(known, key=lambda row: row.id)
    if not stored:
        return TenantSchedule()
    parsed: dict[int, RuleSet] = {}
    for row in stored:
        if row.rule_set is not None and row.rule_set.id not in parsed:
            parsed[row.rule_set.id] = parse_rule_set(row.rule_set.document)
    return TenantSchedule(
        tuple((row.group.code, row.starts_date, parsed.get(row.rule_set_id or 0)) for row in stored),
        group_of(tenant_id, as_of=as_of, series_ids=series_ids),
        stored[-1].id,
    )


def group_of(
    tenant_id: int, *, as_of: datetime | None = None, series_ids: Iterable[int] | None = None
) -> dict[int, str]:
    """Return the group of each series that is in one."""
    members = _standing(GroupMember.objects.filter(tenant_id=tenant_id), as_of)
    if series_ids is not None:
        members = members.filter(series_id__in=list(series_ids))
    return dict(members.values_list("series_id", "group__code"))


def _standing(rows: QuerySet[M], as_of: datetime | None) -> QuerySet[M]:
    if as_of is None:
        return rows.filter(withdrawn_at__isnull=True)
    is_standing = Q(withdrawn_at__isnull=True) | Q(withdrawn_at__gt=as_of)
    return rows.filter(is_standing, recorded_at__lte=as_of)
