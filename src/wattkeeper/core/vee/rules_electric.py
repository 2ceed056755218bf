"""Validation rules of electricity: reactive against active, feeder against meters."""

from collections.abc import Iterator
from math import isqrt

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.rules import carried_milliwh
from wattkeeper.core.vee.table import EnergyTable, Mask, find_daily_runs, iter_runs

REACTIVE_INTERVAL_COUNT = 3
POWER_FACTOR_PCT = 30
REACTIVE_FLOOR_PCT = 1
FEEDER_PCT = 5
PARTS = 10_000


def find_reactive_without_active(
    table: EnergyTable,
    *,
    reactive_millivarh: Int64s,
    day_bounds_s: Int64s,
    power_max_w: Int64s,
    reactive_interval_count: int = REACTIVE_INTERVAL_COUNT,
    power_factor_pct: int = POWER_FACTOR_PCT,
    reactive_floor_pct: int = REACTIVE_FLOOR_PCT,
) -> list[Finding]:
    """V20 ``vee.reactive-only``, ``vee.power-factor``: reactive energy where active is zero or tiny.

    California kVARh check: lost pulses or a lost voltage. `reactive_millivarh` (series, intervals), present
    where the active energy is. Found are `reactive_interval_count` (default 3) intervals in a row of a local
    day of no active energy with some reactive, and local days with a power factor below `power_factor_pct` /
    100 (default 0.3) whose reactive energy exceeds `reactive_floor_pct` (default 1) of what the service
    carries.
    """
    reactive = np.abs(reactive_millivarh)
    is_only = table.is_present & (table.energy_milliwh == 0) & (reactive > 0)
    runs = find_daily_runs(table, is_only, day_bounds_s, reactive_interval_count)
    findings = [
        table.finding(
            "vee.reactive-only",
            series,
            first,
            end,
            reactive_millivarh=reactive[series, first:end].sum(),
            interval_count=end - first,
        )
        for series, first, end in runs
    ]
    return [
        *findings,
        *_find_poor_factors(table, reactive, day_bounds_s, power_max_w, power_factor_pct, reactive_floor_pct),
    ]


def _find_poor_factors(
    table: EnergyTable,
    reactive: Int64s,
    day_bounds_s: Int64s,
    power_max_w: Int64s,
    power_factor_pct: int,
    floor_pct: int,
) -> Iterator[Finding]:
    tangent = isqrt(PARTS * PARTS * (10_000 - power_factor_pct**2) // power_factor_pct**2)
    edges = table.edges(day_bounds_s)
    active_sum = table.sums(np.where(table.is_present, table.energy_milliwh, 0), day_bounds_s)
    reactive_sum = table.sums(np.where(table.is_present, reactive, 0), day_bounds_s)
    floor = carried_milliwh(power_max_w, 1, floor_pct)[:, np.newaxis] * np.diff(day_bounds_s)
    is_poor = (active_sum > 0) & (reactive_sum > floor) & (active_sum * tangent < reactive_sum * PARTS)
    for series, day in np.argwhere(is_poor).tolist():
        yield table.finding(
            "vee.power-factor",
            series,
            int(edges[day]),
            int(edges[day + 1]),
            energy_milliwh=active_sum[series, day],
            reactive_millivarh=reactive_sum[series, day],
            power_factor_pct=power_factor_pct,
        )


def find_feeder_imbalances(
    table: EnergyTable,
    *,
    day_bounds_s: Int64s,
    feeder_index: Int64s,
    feeder_milliwh: Int64s,
    feeder_series_id: Int64s,
    loss_milliwh: Int64s,
    is_partly_metered: Mask,
    feeder_pct: int = FEEDER_PCT,
) -> list[Finding]:
    """V24 ``vee.feeder-balance``, ``vee.feeder-exceeded``: meters behind a feeder and its loss are not it.

    `feeder_index` (series,): row of the feeder of each series, -1 without one; `feeder_milliwh` (feeders,
    intervals), `feeder_series_id` (feeders,); `loss_milliwh` (feeders, days): expected technical loss;
    `is_partly_metered` (feeders, days): something takes energy that no meter counts. Judged are local days
    with every meter present; off is one whose difference exceeds `feeder_pct` of the feeder (default 5), of a
    partly metered feeder only one on which the meters took more than went in. That is another matter than
    what is lacking: a meter counts too much, or something feeds in that no meter counts.

    One finding for days off in the same direction in a row, sums over them; a day that is not judged ends no
    row. It belongs to the feeder's series; its sign is in `difference_milliwh`.
    """
    is_member = feeder_index >= 0
    shape = (len(feeder_milliwh), len(day_bounds_s) - 1)
    used, lacking = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    np.add.at(used, feeder_index[is_member], table.sums(table.energy_milliwh, day_bounds_s)[is_member])
    missing = table.counts(~table.is_present, day_bounds_s)
    np.add.at(lacking, feeder_index[is_member], missing[is_member])
    sent = table.sums(feeder_milliwh, day_bounds_s)
    difference = sent - used - loss_milliwh
    is_judged, limit = lacking == 0, np.abs(sent) * feeder_pct // 100
    is_lacking = is_judged & ~is_partly_metered & (difference > limit)
    is_exceeded = is_judged & (difference < -limit)
    return [
        Finding(
            rule,
            starts_at_s=int(day_bounds_s[days[0]]),
            ends_at_s=int(day_bounds_s[days[-1] + 1]),
            evidence={
                "day_count": len(days),
                "feeder_milliwh": int(sent[feeder, days].sum()),
                "meters_milliwh": int(used[feeder, days].sum()),
                "loss_milliwh": int(loss_milliwh[feeder, days].sum()),
                "difference_milliwh": int(difference[feeder, days].sum()),
            },
            series_id=int(feeder_series_id[feeder]),
        )
        for rule, is_off in (("vee.feeder-balance", is_lacking), ("vee.feeder-exceeded", is_exceeded))
        for feeder, days in _iter_days_in_a_row(is_off, is_judged)
    ]


def _iter_days_in_a_row(is_off: Mask, is_judged: Mask) -> Iterator[tuple[int, Int64s]]:
    """Yield (row, days) of the days that are off with no judged day between that is not."""
    for row in np.flatnonzero(is_off.any(axis=1)).tolist():
        judged = np.flatnonzero(is_judged[row])
        for _, first, end in iter_runs(is_off[row : row + 1, judged]):
            yield row, judged[first:end]
