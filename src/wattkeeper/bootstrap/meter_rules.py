"""The rule sets in force for a meter, for what the head-end judges itself: its clock and who answered."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.vee.registry import RULE_BY_CODE
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.data.registry.models import Installation, Series
from wattkeeper.data.vee.schedules import TenantSchedule, load_schedule

KNOWN_FOR = timedelta(minutes=1)
DEFAULT = (RuleSet(),)
CLOCK = RULE_BY_CODE["vee.clock"]


class MeterRules:
    """Rule sets by meter, each tenant's schedule read once a minute."""

    def __init__(self) -> None:
        self._schedules: dict[int, tuple[datetime, TenantSchedule]] = {}
        self._of_meter: dict[int, Sequence[RuleSet]] = {}

    def clock_tolerance_s(self, tenant_id: int, meter_id: int, at: datetime) -> int | None:
        """Return how wrong a meter's clock may be (rule V03): the least of its series; None: not judged."""
        rule_sets = self._rule_sets(tenant_id, meter_id, at)
        told = [each.parameters_of(CLOCK)["tolerance_s"] for each in rule_sets if not each.is_off(CLOCK.code)]
        return min(told, default=None)

    def is_off(self, code: str, tenant_id: int, meter_id: int, at: datetime) -> bool:
        """Whether the findings of a code are wanted by no rule set of a meter's series."""
        return all(each.is_off(code) for each in self._rule_sets(tenant_id, meter_id, at))

    def _rule_sets(self, tenant_id: int, meter_id: int, at: datetime) -> Sequence[RuleSet]:
        read_at, schedule = self._schedules.get(tenant_id, (None, None))
        if read_at is None or schedule is None or not read_at <= at < read_at + KNOWN_FOR:
            schedule = load_schedule(tenant_id)
            self._schedules[tenant_id] = (at, schedule)
            self._of_meter.clear()
        if schedule.is_default:
            return DEFAULT
        if meter_id not in self._of_meter:
            self._of_meter[meter_id] = _rule_sets_of(schedule, meter_id, at)
        return self._of_meter[meter_id]


def _rule_sets_of(schedule: TenantSchedule, meter_id: int, at: datetime) -> Sequence[RuleSet]:
    """Return the rule sets of a meter's series: of those that are in a group, where any is."""
    installed = Installation.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=at), meter_id=meter_id, starts_at__lte=at
    )
    points = installed.values("usage_point_id")
    found = Series.objects.filter(usage_point_id__in=points).values_list("id", "usage_point__site__time_zone")
    zones = list(found.order_by("id"))
    grouped = [row for row in zones if row[0] in schedule.group_of]
    at_s = to_seconds(at.replace(microsecond=0))
    return [schedule.plan_of(series_id, zone).at(at_s) for series_id, zone in grouped or zones] or DEFAULT
