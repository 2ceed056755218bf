"""The rules over periods, on stored days: what shows only over weeks is found from roll-ups."""

from dataclasses import dataclass

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import DAY, RollUpRows
from wattkeeper.core.vee.registry import Scope
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.table import DAY_S, EnergyTable, Mask
from wattkeeper.core.vee.validate import Known, validate


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Series whose days are judged together: of one zone, shape (series,), `series_id` rising.

    A meter measured each in ``[installed_from_s, installed_to_s)``; intervals of `interval_s`.
    """

    series_id: Int64s
    interval_s: Int64s
    installed_from_s: Int64s
    installed_to_s: Int64s


def judge_days(
    days: RollUpRows,
    judged: Judged,
    *,
    day_bounds_s: Int64s,
    now_s: int,
    rule_set: RuleSet,
    reference: RollUpRows | None = None,
    reference_s: Int64s | None = None,
    is_excused: Mask | None = None,
) -> list[Finding]:
    """Return what the rules over periods find in the days of some series (V02, V11, V13, V23).

    `day_bounds_s`: local midnights, one more than there are days. Of `days` only those of grain DAY, of the
    series, and that start at such a midnight count. `reference` and `reference_s` (series,): the days of the
    period to compare usage with, and its length; without them usage is compared with nothing. `is_excused`
    (series, days): in an outage or disconnected.
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
    known = Known(
        day_bounds_s=day_bounds_s,
        now_s=now_s,
        expected_count=expected_count,
        present_count=present_count,
        is_installed=is_installed,
        is_awaited=np.maximum.accumulate(present_count, axis=1) == 0,
        is_excused=np.zeros(shape, dtype=np.bool_) if is_excused is None else is_excused,
        is_estimated=(present_count == 0) & (estimated_count > 0),
        reference_milliwh=None if reference is None else _sum(reference, reference.energy_milliwh, judged),
        reference_s=reference_s,
        reference_estimated_milliwh=None if reference is None else _sum_estimated(reference, judged),
    )
    table = EnergyTable(judged.series_id, day_bounds_s[:-1], DAY_S, energy, is_present)
    return validate(table, known, rule_set, scope=Scope.PERIOD)


def _own_days(days: RollUpRows, series_id: Int64s, day_bounds_s: Int64s) -> RollUpRows:
    is_own = (days.grain == DAY) & np.isin(days.series_id, series_id)
    return days.take(is_own & np.isin(days.starts_at_s, day_bounds_s[:-1]))


def _sum(days: RollUpRows, values: Int64s, judged: Judged) -> Int64s:
    """Return the sums of `values`, one for each series."""
    is_own = (days.grain == DAY) & np.isin(days.series_id, judged.series_id)
    sums = np.zeros(len(judged.series_id), dtype=np.int64)
    np.add.at(sums, np.searchsorted(judged.series_id, days.series_id[is_own]), values[is_own])
    return sums


def _sum_estimated(days: RollUpRows, judged: Judged) -> Int64s:
    """Return how much of each series' energy was estimated, as its part of the intervals of each day."""
    there_count = days.measured_count + days.edited_count + days.estimated_count
    part = days.energy_milliwh * days.estimated_count // np.maximum(1, there_count)
    return _sum(days, part, judged)
