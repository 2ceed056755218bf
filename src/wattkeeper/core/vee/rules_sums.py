"""V06 over many series, days and months: intervals against what the registers advanced."""

from dataclasses import replace

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import UNKNOWN_CHAIN
from wattkeeper.core.vee.table import EnergyTable, Mask, find_places

SUM_STEP_COUNT = 1
SUM_PERMILLE = 0  # the reference knows 1: an installation whose profiles round may allow it by a rule set
MONTH_STEP_COUNT = 2
MONTH_PERMILLE = 1


def find_daily_sum_mismatches(
    table: EnergyTable,
    *,
    day_bounds_s: Int64s,
    register_milliwh: Int64s,
    register_chain: Int64s,
    is_filled: Mask,
    resolution_milliwh: Int64s,
    sum_step_count: int = SUM_STEP_COUNT,
    sum_permille: int = SUM_PERMILLE,
) -> list[Finding]:
    """V06 ``vee.sum-check``: the intervals of a local day and the registers' advance differ.

    Oracle Sum Check: ``|M (R_end - R_start) - sum E| <= tolerance``. `register_milliwh` (series, days + 1):
    energy positions at the day bounds, multiplied; two may be subtracted where `register_chain` of the same
    shape is the same and known. The tolerance is `sum_step_count` steps of the register (default 1 a day, as
    `resolution_milliwh`, (series,) or (series, days)) plus `sum_permille` of the advance (default none).

    `is_filled` (series, intervals): any value, an estimate too. A day that is not filled fails only where its
    intervals already hold more than the registers advanced (``vee.negative-gap``).
    """
    if len(day_bounds_s) < 2:
        return []
    values = table.energy_milliwh if is_filled.all() else np.where(is_filled, table.energy_milliwh, 0)
    total_milliwh = table.sums(values, day_bounds_s)
    advance_milliwh = np.diff(register_milliwh, axis=1)
    tolerance_milliwh = _tolerance(advance_milliwh, resolution_milliwh, sum_step_count, sum_permille)
    difference = advance_milliwh - total_milliwh
    is_off = _has_registers(register_chain) & (np.abs(difference) > tolerance_milliwh)
    if not is_off.any():
        return []
    expected_count = np.diff(table.edges(day_bounds_s))
    is_whole = table.counts(is_filled, day_bounds_s) == expected_count
    return [
        Finding(
            "vee.sum-check" if is_whole[series, day] else "vee.negative-gap",
            starts_at_s=int(day_bounds_s[day]),
            ends_at_s=int(day_bounds_s[day + 1]),
            evidence={
                "sum_milliwh": int(total_milliwh[series, day]),
                "advance_milliwh": int(advance_milliwh[series, day]),
                "tolerance_milliwh": int(tolerance_milliwh[series, day]),
            },
            series_id=int(table.series_id[series]),
        )
        for series, day in find_places(is_off & (is_whole | (difference < 0)))
    ]


def find_month_sum_mismatches(
    table: EnergyTable,
    *,
    register_milliwh: Int64s,
    register_chain: Int64s,
    is_filled: Mask,
    resolution_milliwh: Int64s,
    sum_step_count: int = MONTH_STEP_COUNT,
    sum_permille: int = MONTH_PERMILLE,
) -> list[Finding]:
    """V06 ``vee.month-sum``: the intervals of a whole local month and the registers' advance differ.

    Oracle Sum Check, over a billing month: what each day may be off may go one way on all of them. The table
    has one column, the month; `is_filled` (series, 1): nothing of it is missing, else it is not judged.
    `register_milliwh` and `register_chain` (series, 2): positions at its ends, as of
    `find_daily_sum_mismatches`. The tolerance is `sum_step_count` steps of the register (default 2, as
    `resolution_milliwh`, (series,)) plus `sum_permille` of the advance (default 1).
    """
    found = find_daily_sum_mismatches(
        table,
        day_bounds_s=table.starts_at_s[:1] + np.array([0, table.interval_s], dtype=np.int64),
        register_milliwh=register_milliwh,
        register_chain=register_chain,
        is_filled=is_filled,
        resolution_milliwh=resolution_milliwh,
        sum_step_count=sum_step_count,
        sum_permille=sum_permille,
    )
    return [replace(finding, rule="vee.month-sum") for finding in found]


def _has_registers(register_chain: Int64s) -> Mask:
    has: Mask = (register_chain[:, :-1] == register_chain[:, 1:]) & (register_chain[:, 1:] != UNKNOWN_CHAIN)
    return has


def _tolerance(advance_milliwh: Int64s, resolution_milliwh: Int64s, step_count: int, permille: int) -> Int64s:
    steps_milliwh = resolution_milliwh.reshape(len(advance_milliwh), -1) * step_count
    result: Int64s = steps_milliwh + np.abs(advance_milliwh) * permille // 1000
    return result
