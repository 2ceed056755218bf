"""The rules over periods, on stored days and months: what shows only over weeks is found from roll-ups."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import DAY, MONTH, Peaks, RollUpRows
from wattkeeper.core.vee.like_days import DAY_S
from wattkeeper.core.vee.registry import RULE_BY_CODE, Scope, Severity
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.core.vee.rules_days import DUE_DAY_COUNT
from wattkeeper.core.vee.rules_periods import REFERENCE_ESTIMATED_PCT
from wattkeeper.core.vee.table import EnergyTable, Mask
from wattkeeper.core.vee.validate import Known, run_rules, validate

SIBLINGS = RULE_BY_CODE["vee.sibling-missing"]
SUMS = RULE_BY_CODE["vee.month-sum"]
USAGE = RULE_BY_CODE["vee.high-usage"]
PEAKS = RULE_BY_CODE["vee.peak-change"]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Series whose days are judged together: of one zone, shape (series,), `series_id` rising.

    A meter measured each in ``[installed_from_s, installed_to_s)``; intervals of `interval_s`. `device_id`:
    what the series of one device share; None: not known.
    """

    series_id: Int64s
    interval_s: Int64s
    installed_from_s: Int64s
    installed_to_s: Int64s
    device_id: Int64s | None = None

    def take(self, chosen: Mask | slice) -> "Judged":
        """Return the series of a mask or slice."""
        return Judged(
            self.series_id[chosen],
            self.interval_s[chosen],
            self.installed_from_s[chosen],
            self.installed_to_s[chosen],
            None if self.device_id is None else self.device_id[chosen],
        )


def judge_days(
    days: RollUpRows,
    judged: Judged,
    *,
    day_bounds_s: Int64s,
    now_s: int,
    plan: RulePlan,
    is_excused: Mask | None = None,
) -> list[Finding]:
    """Return what the rules over periods find in the days of some series (V02, V13, V22, V23).

    `day_bounds_s`: local midnights, one more than there are days. Of `days` only those of grain DAY, of the
    series, and that start at such a midnight count. Each day is judged by the rule set that `plan` has in
    force on it: what goes on for days is cut where the rules over periods change. `is_excused` (series,
    days): in an outage or disconnected.
    """
    own = _own_days(days, judged.series_id, day_bounds_s)
    at = np.searchsorted(judged.series_id, own.series_id), np.searchsorted(day_bounds_s, own.starts_at_s)
    shape = (len(judged.series_id), len(day_bounds_s) - 1)
    energy, present_count, estimated_count = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    energy[at] = own.energy_milliwh
    present_count[at] = own.measured_count + own.edited_count
    estimated_count[at] = own.estimated_count
    expected_count = np.diff(day_bounds_s) // judged.interval_s[:, np.newaxis]
    is_installed = judged.installed_from_s[:, np.newaxis] <= day_bounds_s[:-1]
    is_installed &= judged.installed_to_s[:, np.newaxis] >= day_bounds_s[1:]
    is_present = present_count == expected_count
    is_awaited = np.maximum.accumulate(present_count, axis=1) == 0
    excused = np.zeros(shape, dtype=np.bool_) if is_excused is None else is_excused
    findings: list[Finding] = []
    for first, end, rule_set in iter_ruled_days(plan, day_bounds_s):
        part = slice(first, end)
        known = Known(
            day_bounds_s=day_bounds_s[first : end + 1],
            now_s=now_s,
            expected_count=expected_count[:, part],
            present_count=present_count[:, part],
            is_installed=is_installed[:, part],
            is_awaited=is_awaited[:, part],
            is_excused=excused[:, part],
            is_estimated=(present_count[:, part] == 0) & (estimated_count[:, part] > 0),
        )
        starts_s = day_bounds_s[first:end]
        table = EnergyTable(judged.series_id, starts_s, DAY_S, energy[:, part], is_present[:, part])
        findings += validate(table, known, rule_set, scope=Scope.PERIOD)
        if rule_set.severity_of(SIBLINGS.code) is not Severity.OFF:
            is_due = day_bounds_s[first + 1 : end + 1] <= now_s - DUE_DAY_COUNT * DAY_S
            siblings = Known(
                day_bounds_s=day_bounds_s[first : end + 1],
                is_installed=is_installed[:, part] & ~is_awaited[:, part] & is_due,
                device_id=judged.device_id,
            )
            has_any = replace(table, is_present=present_count[:, part] > 0)
            findings += run_rules(has_any, siblings, rule_set, [SIBLINGS])
    return [_at_midnight(finding, day_bounds_s) for finding in findings]


def judge_months(
    months: RollUpRows, judged: Judged, *, month_bounds_s: Int64s, plan: RulePlan
) -> list[Finding]:
    """Return where the usage of a month is far from that of the month before, else a year before (V11).

    `month_bounds_s`: first instants of local months without a break, the last one the end of the last; the
    last thirteen and earlier are compared, those without anything to compare with are not. A month counts if
    it had a meter and none of its intervals is missing, and is judged by the rule set of its last day.
    """
    length_s = np.diff(month_bounds_s)
    energy, there_count, estimated_count, is_whole = _by_month(months, judged, month_bounds_s)
    estimated = energy * estimated_count // np.maximum(1, there_count)
    findings: list[Finding] = []
    for place in range(1, len(length_s)):
        rule_set = plan.at(int(month_bounds_s[place + 1]) - 1)
        if rule_set.severity_of(USAGE.code) is Severity.OFF:
            continue
        year = max(0, place - 12)
        before = np.where(is_whole[:, place - 1] | (place < 12) | ~is_whole[:, year], place - 1, year)
        row = np.arange(len(before))
        table = EnergyTable(
            judged.series_id,
            month_bounds_s[place : place + 1],
            int(length_s[place]),
            energy[:, place : place + 1],
            is_whole[:, place : place + 1],
        )
        known = Known(
            reference_milliwh=np.where(is_whole[row, before], energy[row, before], 0),
            reference_s=length_s[before],
            reference_estimated_milliwh=estimated[row, before],
        )
        findings += run_rules(table, known, rule_set, [USAGE])
    return findings


def find_whole_month(months: RollUpRows, judged: Judged, month_bounds_s: Int64s) -> Mask:
    """Return which series (series,) had a meter all the month between two bounds, and miss none of it."""
    whole: Mask = _by_month(months, judged, month_bounds_s)[3][:, 0]
    return whole


def judge_month_sums(
    months: RollUpRows,
    judged: Judged,
    *,
    month_bounds_s: Int64s,
    register_milliwh: Int64s,
    register_chain: Int64s,
    resolution_milliwh: Int64s,
    rule_set: RuleSet,
) -> list[Finding]:
    """Return where the intervals of one month do not come to what its registers advanced (V06).

    `month_bounds_s`: its beginning and end. Positions and resolution: as `find_month_sum_mismatches` has
    them. A month counts if it had a meter and none of its intervals is missing.
    """
    energy, _, _, is_whole = _by_month(months, judged, month_bounds_s)
    length_s = int(month_bounds_s[1] - month_bounds_s[0])
    table = EnergyTable(judged.series_id, month_bounds_s[:1], length_s, energy, is_whole)
    known = Known(
        is_filled=is_whole,
        register_milliwh=register_milliwh,
        register_chain=register_chain,
        resolution_milliwh=resolution_milliwh,
    )
    return run_rules(table, known, rule_set, [SUMS])


def judge_peaks(
    peaks: Peaks,
    months: RollUpRows,
    judged: Judged,
    *,
    month_bounds_s: Int64s,
    bounds_s: Int64s,
    plan: RulePlan,
) -> list[Finding]:
    """Return where the highest interval of a month, whole or not, is far above the month before (V12).

    `peaks`: measured ones between consecutive `bounds_s`, which are the starts of months and the instants
    within them from which other rules hold. `months`, `month_bounds_s`: as of `judge_months`; nothing of the
    month before may be missing, and no more of it estimated than V11 allows by default.
    """
    _, there_count, estimated_count, is_whole = _by_month(months, judged, month_bounds_s)
    is_whole &= estimated_count * 100 <= there_count * REFERENCE_ESTIMATED_PCT
    peak, starts_at_s = np.zeros((2, len(judged.series_id), len(bounds_s) - 1), dtype=np.int64)
    at = np.searchsorted(judged.series_id, peaks.series_id), np.searchsorted(bounds_s, peaks.from_s)
    peak[at], starts_at_s[at] = peaks.value_milliwh, peaks.starts_at_s
    month_of = np.searchsorted(month_bounds_s, bounds_s[:-1], side="right") - 1
    findings: list[Finding] = []
    for part, month in enumerate(month_of.tolist()):
        rule_set = plan.at(int(bounds_s[part]))
        is_before = month_of == month - 1
        if not is_before.any() or rule_set.severity_of(PEAKS.code) is Severity.OFF:
            continue
        reference = np.where(is_whole[:, month - 1], peak[:, is_before].max(axis=1), 0)
        one = slice(part, part + 1)
        table = EnergyTable(judged.series_id, bounds_s[one], 1, peak[:, one], peak[:, one] > 0)
        for found in run_rules(table, Known(reference_peak_milliwh=reference), rule_set, [PEAKS]):
            row = int(np.searchsorted(judged.series_id, found.series_id or 0))
            at_s = int(starts_at_s[row, part])
            findings.append(replace(found, starts_at_s=at_s, ends_at_s=at_s + int(judged.interval_s[row])))
    return findings


def iter_ruled_days(plan: RulePlan, day_bounds_s: Int64s) -> Iterator[tuple[int, int, RuleSet]]:
    """Yield (first day, end, rule set): days cut where the rules over periods change, and only there."""
    joined: list[tuple[int, int, RuleSet]] = []
    for from_s, to_s, rule_set in plan.over(int(day_bounds_s[0]), int(day_bounds_s[-1])):
        first, end = np.searchsorted(day_bounds_s, (from_s, to_s)).tolist()
        if joined and _settings(joined[-1][2]) == _settings(rule_set):
            joined[-1] = (joined[-1][0], end, joined[-1][2])
        elif first < end:
            joined.append((first, end, rule_set))
    yield from joined


def _settings(rule_set: RuleSet) -> tuple[Any, ...]:
    own = [(rule.code, dict(rule_set.parameters_of(rule))) for rule in rule_set.rules(Scope.PERIOD)]
    return own, rule_set.formulas


def _at_midnight(finding: Finding, day_bounds_s: Int64s) -> Finding:
    """Return a finding whose last day ends when it does: a day of a changing clock has no 24 hours."""
    end = int(np.searchsorted(day_bounds_s, finding.ends_at_s - DAY_S // 2))
    return replace(finding, ends_at_s=int(day_bounds_s[end]))


def _by_month(
    months: RollUpRows, judged: Judged, month_bounds_s: Int64s
) -> tuple[Int64s, Int64s, Int64s, Mask]:
    """Return energy, intervals there and estimated, and which months are whole, shape (series, months)."""
    is_own = (months.grain == MONTH) & np.isin(months.series_id, judged.series_id)
    own = months.take(is_own & np.isin(months.starts_at_s, month_bounds_s[:-1]))
    at = np.searchsorted(judged.series_id, own.series_id), np.searchsorted(month_bounds_s, own.starts_at_s)
    shape = (len(judged.series_id), len(month_bounds_s) - 1)
    energy, there_count, estimated_count = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    energy[at] = own.energy_milliwh
    there_count[at] = own.measured_count + own.edited_count + own.estimated_count
    estimated_count[at] = own.estimated_count
    is_whole = there_count == np.diff(month_bounds_s) // judged.interval_s[:, np.newaxis]
    is_whole &= judged.installed_from_s[:, np.newaxis] <= month_bounds_s[:-1]
    is_whole &= judged.installed_to_s[:, np.newaxis] >= month_bounds_s[1:]
    return energy, there_count, estimated_count, is_whole


def _own_days(days: RollUpRows, series_id: Int64s, day_bounds_s: Int64s) -> RollUpRows:
    is_own = (days.grain == DAY) & np.isin(days.series_id, series_id)
    return days.take(is_own & np.isin(days.starts_at_s, day_bounds_s[:-1]))
