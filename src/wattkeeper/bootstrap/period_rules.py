"""The rules over periods, wired: stored days of every series are judged, findings kept and closed."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.bootstrap.period_facts import Off, find_dark_days, find_off_days, judge_off, load_off
from wattkeeper.bootstrap.period_intervals import PRESENT, judge_formulas, judge_reactive
from wattkeeper.bootstrap.period_sums import judge_sums
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import RollUpRows
from wattkeeper.core.vee.feeders import Feeder, judge_feeders, list_series
from wattkeeper.core.vee.periods import Judged, iter_ruled_days, judge_days, judge_months, judge_peaks
from wattkeeper.core.vee.registry import PERIOD_CODES
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.data.alarms.queries import FindingDraft, keep_all
from wattkeeper.data.registry.measured_spans import MeasuredSpan, iter_measured_spans
from wattkeeper.data.registry.quantities import REACTIVE_QUANTITIES
from wattkeeper.data.vee.schedules import NO_GROUP, TenantSchedule, load_schedule
from wattkeeper.data.virtual.feeders import load_feeders
from wattkeeper.store.api import ReadingStore

LOOK_BACK_DAYS = 45  # to the first of that month: what goes on for longer goes on in a finding of its own
IDLE = "vee.zero-consumption"
OPEN_AT = datetime(9000, 1, 1, tzinfo=UTC)


def judge_periods(store: ReadingStore, *, tenant_id: int, now: datetime, rule_set: RuleSet) -> int:
    """Judge the stored days of a tenant's series and return how many findings stand.

    Each day by the rule set that is in force on it, `rule_set` where the tenant has none of its own: a rule
    set assigned now judges no day before its first.
    Series of which no day is stored yet are left alone.
    """
    now = now.replace(microsecond=0)
    count = 0
    schedule, off, feeders = load_schedule(tenant_id), load_off(tenant_id), load_feeders(tenant_id)
    for spans in iter_measured_spans(tenant_id):
        for zone_name in sorted({span.time_zone for span in spans}):
            own = [span for span in spans if span.time_zone == zone_name]
            for plan, part in _by_plan(schedule, own, zone_name, rule_set):
                count += _judge_zone(store, tenant_id, part, ZoneInfo(zone_name), now, plan, off, feeders)
    return count


def _by_plan(
    schedule: TenantSchedule, spans: Sequence[MeasuredSpan], zone: str, rule_set: RuleSet
) -> Iterator[tuple[RulePlan, list[MeasuredSpan]]]:
    """Yield the spans of series by the rule sets that hold for them over time: those of a group together."""
    if schedule.is_default:
        yield RulePlan.of(rule_set), list(spans)
        return
    by_group: dict[str, list[MeasuredSpan]] = {}
    for span in spans:
        by_group.setdefault(schedule.group_of.get(span.series_id, NO_GROUP), []).append(span)
    for group, own in by_group.items():
        yield schedule.plan_of_group(group, zone), own


def _judge_zone(
    store: ReadingStore,
    tenant_id: int,
    spans: Sequence[MeasuredSpan],
    zone: ZoneInfo,
    now: datetime,
    plan: RulePlan,
    off: Off,
    feeders: Mapping[int, Feeder],
) -> int:
    bounds_s = np.array([to_seconds(local_midnight(day, zone)) for day in _days(zone, now)], dtype=np.int64)
    ids = [span.series_id for span in spans]
    days = store.roll_ups(tenant_id, ids, [(int(bounds_s[0]), int(bounds_s[-1]))])
    held = set(days.series_id.tolist())
    spans = [span for span in spans if span.series_id in held]
    if not spans:
        return 0
    judged = _judged(spans)
    active = [span for span in spans if span.quantity not in REACTIVE_QUANTITIES]
    excused = find_off_days(spans, off, bounds_s)
    excused[~np.isin(judged.series_id, [span.series_id for span in active])] = True  # none is ordinary
    now_s = to_seconds(now)
    found = judge_days(days, judged, day_bounds_s=bounds_s, now_s=now_s, plan=plan, is_excused=excused)
    idle = np.array(sorted({each.series_id or 0 for each in found if each.rule == IDLE}), dtype=np.int64)
    if len(idle):  # only now is it worth to look for power failures among their intervals
        is_idle = np.isin(judged.series_id, idle)
        excused[is_idle] |= find_dark_days(store, tenant_id, idle, bounds_s)
        found = judge_days(days, judged, day_bounds_s=bounds_s, now_s=now_s, plan=plan, is_excused=excused)
    found += judge_off(store, tenant_id, spans, off, day_bounds_s=bounds_s, plan=plan)
    found += judge_formulas(store, tenant_id, spans, day_bounds_s=bounds_s, zone=zone, plan=plan)
    found += judge_reactive(store, tenant_id, spans, day_bounds_s=bounds_s, plan=plan)
    fed = [feeders[span.series_id] for span in spans if span.series_id in feeders]
    behind = store.roll_ups(tenant_id, list_series(fed), [(int(bounds_s[0]), int(bounds_s[-1]))])
    found += judge_feeders(behind, fed, day_bounds_s=bounds_s, plan=plan)
    months_s = _month_bounds(bounds_s, zone)
    months = store.roll_ups(tenant_id, judged.series_id.tolist(), [], months_s[:-1].tolist())
    whole_s = months_s[months_s >= bounds_s[0]]
    found += judge_sums(store, tenant_id, judged, months, month_bounds_s=whole_s, plan=plan)
    found += _judge_months(store, tenant_id, _judged(active), months, bounds_s, months_s, plan)
    _keep(tenant_id, spans, found, from_seconds(int(bounds_s[0])), now)
    return len(found)


def _judged(spans: Sequence[MeasuredSpan]) -> Judged:
    return Judged(
        np.array([span.series_id for span in spans], dtype=np.int64),
        np.array([span.interval_s for span in spans], dtype=np.int64),
        np.array([_seconds(span.starts_at) for span in spans], dtype=np.int64),
        np.array([_seconds(span.ends_at or OPEN_AT) for span in spans], dtype=np.int64),
        np.array([span.usage_point_id for span in spans], dtype=np.int64),  # one device at a time
    )


def _month_bounds(day_bounds_s: Int64s, zone: ZoneInfo) -> Int64s:
    """Return the starts of the local months among days, and of those a year before."""
    last = from_seconds(int(day_bounds_s[-1])).astimezone(zone).date().replace(day=1)
    first = from_seconds(int(day_bounds_s[0])).astimezone(zone).date()
    month, dates = last, [last]
    while month > first.replace(year=first.year - 1):
        month = (month - timedelta(days=1)).replace(day=1)
        dates.append(month)
    return np.array([to_seconds(local_midnight(day, zone)) for day in reversed(dates)], dtype=np.int64)


def _judge_months(
    store: ReadingStore,
    tenant_id: int,
    judged: Judged,
    months: RollUpRows,
    day_bounds_s: Int64s,
    bounds_s: Int64s,
    plan: RulePlan,
) -> list[Finding]:
    """Return what is found in the months among days, against the month and the year before (V11, V12)."""
    found = judge_months(months, judged, month_bounds_s=bounds_s, plan=plan)
    found = [finding for finding in found if finding.starts_at_s >= day_bounds_s[0]]
    ruled = list(iter_ruled_days(plan, day_bounds_s))
    if all(rule_set.is_off("vee.peak-change") for _, _, rule_set in ruled):
        return found
    ruled_s = [int(day_bounds_s[day]) for day, _, _ in ruled]
    before = np.searchsorted(bounds_s, day_bounds_s[0]) - 1
    cuts_s = np.unique(np.concatenate((bounds_s[before:], ruled_s, day_bounds_s[-1:])))
    peaks = store.peaks(tenant_id, judged.series_id.tolist(), cuts_s.tolist(), PRESENT)
    return found + judge_peaks(peaks, months, judged, month_bounds_s=bounds_s, bounds_s=cuts_s, plan=plan)


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
    keep_all(
        drafts,
        tenant_id=tenant_id,
        rules=PERIOD_CODES,
        subject_keys={f"series:{series_id}" for series_id in point_of},
        from_at=from_at,
        now=now,
    )
