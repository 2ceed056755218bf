"""Rules over what meters said at one instant (V21, V25), wired: raw reads of channels that feed no series."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.bootstrap.instant_reads import InstantRows, in_smallest, read_instants
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.registry import RULE_BY_CODE, Rule
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.core.vee.rules_instants import Instants, PhaseReads, find_phase_faults, find_tou_mismatches
from wattkeeper.data.alarms.queries import FindingDraft, keep_all
from wattkeeper.data.registry.instant_meters import (
    CURRENTS,
    POWER,
    RATES,
    TOTAL,
    VOLTAGES,
    InstantMeter,
    iter_instant_meters,
)
from wattkeeper.data.vee.schedules import NO_GROUP, TenantSchedule, load_schedule
from wattkeeper.store.api import ReadingStore

LOOK_BACK_DAYS = 4
TOU, PHASES = RULE_BY_CODE["vee.tou-sum"], RULE_BY_CODE["vee.voltage-missing"]
CODES = frozenset((*TOU.codes, *PHASES.codes))


def judge_instants(
    store: ReadingStore, *, tenant_id: int, now: datetime, rule_set: RuleSet, day_count: int = LOOK_BACK_DAYS
) -> int:
    """Judge what a tenant's meters said on the latest local days and return how many findings stand.

    Each day by the rule set in force on it for the meter's series, `rule_set` where the tenant has none. What
    a meter doubts itself is left out. Meters that tell nothing but energy cost nothing.
    """
    now = now.replace(microsecond=0)
    schedule, count = load_schedule(tenant_id), 0
    for meters in iter_instant_meters(tenant_id, since=now - timedelta(days=day_count)):
        for zone, plan, own in _by_plan(schedule, meters, rule_set):
            today = now.astimezone(zone).date()
            days = [today + timedelta(days=1 - ago) for ago in range(day_count, -1, -1)]
            bounds_s = np.array([to_seconds(local_midnight(day, zone)) for day in days], dtype=np.int64)
            found = _judge(store, tenant_id, own, bounds_s, plan)
            _keep(tenant_id, own, found, from_seconds(int(bounds_s[0])), now)
            count += len(found)
    return count


def _by_plan(
    schedule: TenantSchedule, meters: Sequence[InstantMeter], rule_set: RuleSet
) -> Iterator[tuple[ZoneInfo, RulePlan, list[InstantMeter]]]:
    """Yield the meters of a zone that are judged alike: as the first of their series that is in a group."""
    parts: dict[tuple[str, str], list[InstantMeter]] = {}
    for meter in meters:
        groups = (schedule.group_of[own] for own in meter.series_ids if own in schedule.group_of)
        parts.setdefault((meter.time_zone, next(groups, NO_GROUP)), []).append(meter)
    for (zone, group), own in parts.items():
        plan = RulePlan.of(rule_set) if schedule.is_default else schedule.plan_of_group(group, zone)
        yield ZoneInfo(zone), plan, own


def _judge(
    store: ReadingStore, tenant_id: int, meters: Sequence[InstantMeter], bounds_s: Int64s, plan: RulePlan
) -> list[Finding]:
    spans = plan.over(int(bounds_s[0]), int(bounds_s[-1]))
    asked = [(rule, *span) for rule in (TOU, PHASES) for span in spans if not span[2].is_off(rule.code)]
    if not asked:
        return []
    reads = read_instants(store, tenant_id, meters, int(bounds_s[0]), int(bounds_s[-1]))
    findings: list[Finding] = []
    for rule, from_s, to_s, rules in asked:
        for kinds, places in _by_kinds(rule, meters).items():
            rows = reads.rows(places, kinds, from_s, to_s)
            if rule is TOU:
                findings += _judge_rates(rows, meters, kinds, bounds_s)
            else:
                findings += _judge_phases(rows, meters, kinds, bounds_s, rules.parameters_of(rule))
    return findings


def _by_kinds(rule: Rule, meters: Sequence[InstantMeter]) -> Mapping[tuple[str, ...], Int64s]:
    """Return the places of meters by what a rule compares of them; without those that lack it."""
    places: dict[tuple[str, ...], list[int]] = {}
    for place, meter in enumerate(meters):
        kinds = (_rates_of if rule is TOU else _phases_of)(meter)
        if kinds:
            places.setdefault(kinds, []).append(place)
    return {kinds: np.array(own, dtype=np.int64) for kinds, own in places.items()}


def _rates_of(meter: InstantMeter) -> tuple[str, ...]:
    rates = tuple(kind for kind in RATES if kind in meter.channels)
    return (TOTAL, *rates) if rates and TOTAL in meter.channels else ()


def _phases_of(meter: InstantMeter) -> tuple[str, ...]:
    """Return power, if the meter has it, then voltages, then currents of the phases that have both."""
    pairs = [pair for pair in zip(VOLTAGES, CURRENTS, strict=True) if meter.channels.keys() >= set(pair)]
    power = (POWER,) if POWER in meter.channels else ()
    return (*power, *(voltage for voltage, _ in pairs), *(current for _, current in pairs))


def _instants(rows: InstantRows, meters: Sequence[InstantMeter], kind: str) -> Instants:
    channel_id = np.array([_channel_id(meter, kind) for meter in meters], dtype=np.int64)
    return Instants(channel_id[rows.meter], rows.measured_at_s)


def _channel_id(meter: InstantMeter, kind: str) -> int:
    return meter.channels[kind].channel_id if kind in meter.channels else 0


def _judge_rates(
    rows: InstantRows, meters: Sequence[InstantMeter], kinds: Sequence[str], bounds_s: Int64s
) -> list[Finding]:
    rows = rows.take(np.logical_and.reduce(rows.is_known, axis=1))
    registers = np.array([_register(meter, kinds) for meter in meters], dtype=np.int64)[rows.meter]
    return find_tou_mismatches(
        _instants(rows, meters, TOTAL),
        day_bounds_s=bounds_s,
        total_milliwh=rows.value[:, 0],
        rates_milliwh=rows.value[:, 1:],
        resolution_milliwh=registers[:, 0],
        modulus_milliwh=registers[:, 1],
    )


def _register(meter: InstantMeter, kinds: Sequence[str]) -> tuple[int, int]:
    """Return by how much the coarsest of some registers moves, and where all of them start again.

    0: not all alike.
    """
    own = [(meter.channels[kind], kind) for kind in kinds if kind in meter.channels]
    steps = [in_smallest(channel.step, kind) for channel, kind in own]
    moduli = {step * channel.modulus for step, (channel, _) in zip(steps, own, strict=True)}
    shown = [step * channel.shown_count for step, (channel, _) in zip(steps, own, strict=True)]
    return -int(-max(shown, default=0) // 1), int(moduli.pop()) if len(moduli) == 1 else 0


def _judge_phases(
    rows: InstantRows,
    meters: Sequence[InstantMeter],
    kinds: Sequence[str],
    bounds_s: Int64s,
    parameters: Mapping[str, int],
) -> list[Finding]:
    """A current that flows back is as large as one that does not; who may feed in feeds in."""
    has_power = int(kinds[0] == POWER)
    middle = (len(kinds) + has_power) // 2
    voltage, current = slice(has_power, middle), slice(middle, len(kinds))
    is_exporting = np.array([meter.is_exporting for meter in meters])[rows.meter]
    power_max_w = np.array([int(meter.power_max_w / meter.multiplier) for meter in meters], dtype=np.int64)
    power_w = rows.value[:, :has_power].sum(axis=1)
    reads = PhaseReads(
        _instants(rows, meters, kinds[0]),
        voltage_mv=rows.value[:, voltage],
        current_ma=np.abs(rows.value[:, current]),
        power_w=np.where(is_exporting, np.maximum(power_w, 0), power_w),
        is_known=rows.is_known[:, voltage] & rows.is_known[:, current],
    )
    return find_phase_faults(reads, day_bounds_s=bounds_s, power_max_w=power_max_w[rows.meter], **parameters)


def _keep(
    tenant_id: int, meters: Sequence[InstantMeter], found: Sequence[Finding], from_at: datetime, now: datetime
) -> None:
    meter_of = {channel.channel_id: meter for meter in meters for channel in meter.channels.values()}
    drafts = [
        FindingDraft(
            tenant_id,
            finding.rule,
            f"meter:{meter.meter_id}",
            from_seconds(finding.starts_at_s),
            from_seconds(finding.ends_at_s),
            usage_point_id=meter.usage_point_id,
            meter_id=meter.meter_id,
            evidence=finding.evidence,
        )
        for finding in found
        for meter in [meter_of[finding.channel_id or 0]]
    ]
    keep_all(
        drafts,
        tenant_id=tenant_id,
        rules=CODES,
        subject_keys={f"meter:{meter.meter_id}" for meter in meters},
        from_at=from_at,
        now=now,
    )
