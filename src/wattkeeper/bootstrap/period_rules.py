"""The rules over periods, wired: stored days of every series are judged, findings kept and closed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.vee.periods import Judged, judge_days
from wattkeeper.core.vee.registry import PERIOD_CODES
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.data.alarms.queries import FindingDraft, close_rules, keep_findings
from wattkeeper.data.registry.measured_spans import MeasuredSpan, iter_measured_spans
from wattkeeper.data.vee.schedules import TenantSchedule, load_schedule
from wattkeeper.store.api import ReadingStore

LOOK_BACK_DAYS = 45  # to the first of that month: what goes on for longer goes on in a finding of its own
OPEN_AT = datetime(9000, 1, 1, tzinfo=UTC)


def judge_periods(store: ReadingStore, *, tenant_id: int, now: datetime, rule_set: RuleSet) -> int:
    """Judge the stored days of a tenant's series and return how many findings stand.

    Each series by the rule set that is in force for it now, `rule_set` where the tenant has none of its own.
    Series of which no day is stored yet are left alone.
    """
    now = now.replace(microsecond=0)
    count = 0
    schedule = load_schedule(tenant_id)
    for spans in iter_measured_spans(tenant_id):
        for zone_name in sorted({span.time_zone for span in spans}):
            own = [span for span in spans if span.time_zone == zone_name]
            for rules, part in _by_rules(schedule, own, zone_name, now, rule_set):
                count += _judge_zone(store, tenant_id, part, ZoneInfo(zone_name), now, rules)
    return count


def _by_rules(
    schedule: TenantSchedule, spans: Sequence[MeasuredSpan], zone: str, now: datetime, rule_set: RuleSet
) -> Iterator[tuple[RuleSet, list[MeasuredSpan]]]:
    """Yield the spans of series by the rule set that is in force for them now."""
    if schedule.is_default:
        yield rule_set, list(spans)
        return
    by_code: dict[str, tuple[RuleSet, list[MeasuredSpan]]] = {}
    for span in spans:
        rules = schedule.plan_of(span.series_id, zone).at(to_seconds(now))
        by_code.setdefault(rules.code, (rules, []))[1].append(span)
    yield from by_code.values()


def _judge_zone(
    store: ReadingStore,
    tenant_id: int,
    spans: Sequence[MeasuredSpan],
    zone: ZoneInfo,
    now: datetime,
    rule_set: RuleSet,
) -> int:
    bounds_s = np.array([to_seconds(local_midnight(day, zone)) for day in _days(zone, now)], dtype=np.int64)
    ids = [span.series_id for span in spans]
    days = store.roll_ups(tenant_id, ids, [(int(bounds_s[0]), int(bounds_s[-1]))])
    held = set(days.series_id.tolist())
    spans = [span for span in spans if span.series_id in held]
    if not spans:
        return 0
    judged = Judged(
        np.array([span.series_id for span in spans], dtype=np.int64),
        np.array([span.interval_s for span in spans], dtype=np.int64),
        np.array([_seconds(span.starts_at) for span in spans], dtype=np.int64),
        np.array([_seconds(span.ends_at or OPEN_AT) for span in spans], dtype=np.int64),
    )
    found = judge_days(days, judged, day_bounds_s=bounds_s, now_s=to_seconds(now), rule_set=rule_set)
    _keep(tenant_id, spans, found, from_seconds(int(bounds_s[0])), now)
    return len(found)


def _days(zone: ZoneInfo, now: datetime) -> Iterator[date]:
    """Yield the local days that are judged and the one after: to the last midnight that has passed."""
    today = now.astimezone(zone).date()
    day = (today - timedelta(days=LOOK_BACK_DAYS)).replace(day=1)
    while day <= today:
        yield day
        day += timedelta(days=1)


def _seconds(instant: datetime) -> int:
    return to_seconds(instant.replace(microsecond=0))


def _keep(
    tenant_id: int, spans: Sequence[MeasuredSpan], found: Sequence[Finding], from_at: datetime, now: datetime
) -> None:
    point_of = {span.series_id: span.usage_point_id for span in spans}
    drafts = [
        FindingDraft(
            tenant_id,
            finding.rule,
            f"series:{finding.series_id}",
            from_seconds(finding.starts_at_s),
            from_seconds(finding.ends_at_s),
            usage_point_id=point_of[finding.series_id or 0],
            evidence=finding.evidence,
        )
        for finding in found
    ]
    keep_findings(drafts, now=now)
    close_rules(
        tenant_id=tenant_id,
        rules=PERIOD_CODES,
        subject_keys={f"series:{series_id}" for series_id in point_of},
        from_at=from_at,
        kept={(draft.rule, draft.subject_key, draft.starts_at) for draft in drafts},
        now=now,
    )
