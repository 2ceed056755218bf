"""Validation rules that compare a period with another, or with what is known of a place."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.formula import Formula
from wattkeeper.core.vee.table import EnergyTable, Mask, find_places

LOW_PCT = 50
HIGH_PCT = 150
REFERENCE_ESTIMATED_PCT = 25
PEAK_PCT = 300

_STATISTICS: Mapping[str, Callable[..., Any]] = {
    "sum": np.nansum,
    "min": np.nanmin,
    "max": np.nanmax,
    "mean": np.nanmean,
    "median": np.nanmedian,
    "deviation": np.nanstd,
}
STATISTIC_NAMES = frozenset({*_STATISTICS, "count", "zero_count", "outage_count", "previous_sum"})


def find_high_low_usage(
    table: EnergyTable,
    *,
    reference_milliwh: Int64s,
    reference_s: Int64s,
    reference_estimated_milliwh: Int64s,
    low_pct: int = LOW_PCT,
    high_pct: int = HIGH_PCT,
    reference_estimated_pct: int = REFERENCE_ESTIMATED_PCT,
) -> list[Finding]:
    """V11 ``vee.high-usage``, ``vee.low-usage``: daily average against that of a reference period.

    Below `low_pct` (50) or above `high_pct` (150): Oracle High/Low; Itron register rules, by elapsed time.
    `reference_milliwh`, `reference_s`, `reference_estimated_milliwh` (series,): energy and length of the last
    period, else of the same one last year, and what of it was estimated; if more than
    `reference_estimated_pct` was (default 25), or the table has missing intervals, the rule does not apply.
    """
    current_s = table.interval_s * table.energy_milliwh.shape[1]
    current_milliwh = table.energy_milliwh.sum(axis=1)
    applies = table.is_present.all(axis=1) & (reference_milliwh > 0) & (reference_s > 0)
    applies &= reference_estimated_milliwh * 100 <= reference_milliwh * reference_estimated_pct
    findings = []
    for series in np.flatnonzero(applies).tolist():
        current = int(current_milliwh[series]) * int(reference_s[series])
        reference = int(reference_milliwh[series]) * current_s
        is_high = current * 100 > reference * high_pct
        if is_high or current * 100 < reference * low_pct:
            findings.append(
                table.finding(
                    "vee.high-usage" if is_high else "vee.low-usage",
                    series,
                    0,
                    table.energy_milliwh.shape[1],
                    energy_milliwh=current_milliwh[series],
                    period_s=current_s,
                    reference_milliwh=reference_milliwh[series],
                    reference_s=reference_s[series],
                    ratio_pct=current * 100 // reference,
                )
            )
    return findings


def find_peak_changes(
    table: EnergyTable, *, reference_peak_milliwh: Int64s, peak_pct: int = PEAK_PCT
) -> list[Finding]:
    """V12 ``vee.peak-change``: the highest interval exceeds `peak_pct` of the previous period's highest.

    Itron Historical Max Usage Per Diff; default 300 %. `reference_peak_milliwh` (series,): the highest
    interval of a period of the same length, shifted back; 0 where there is none.
    """
    energy = np.where(table.is_present, table.energy_milliwh, 0)
    if not energy.shape[1]:
        return []
    at = energy.argmax(axis=1)
    peak = energy[np.arange(len(energy)), at]
    is_higher = (reference_peak_milliwh > 0) & (peak * 100 > reference_peak_milliwh * peak_pct)
    return [
        table.finding(
            "vee.peak-change",
            series,
            int(at[series]),
            int(at[series]) + 1,
            energy_milliwh=peak[series],
            reference_milliwh=reference_peak_milliwh[series],
            threshold_pct=peak_pct,
        )
        for series in np.flatnonzero(is_higher).tolist()
    ]


def find_odd_statistics(
    table: EnergyTable, *, day_bounds_s: Int64s, is_excused: Mask, formulas: tuple[Formula, ...]
) -> list[Finding]:
    """V26 ``vee.statistics``: a formula of the user's about each local day of a series does not hold.

    Oracle Dynamic Comparison. The formulas (see `formula`) may name what `describe_days` computes; each day
    for which one is false is a finding, which names all that are.
    """
    statistics = describe_days(table, day_bounds_s=day_bounds_s, is_excused=is_excused)
    shape = statistics["sum"].shape
    is_false = np.stack([~np.broadcast_to(formula.holds(statistics), shape) for formula in formulas])
    edges = table.edges(day_bounds_s)
    findings = []
    for series, day in find_places(is_false.any(axis=0) & (statistics["count"] > 0)):
        seen = {
            "sum_milliwh": int(statistics["sum"][series, day]),
            "max_milliwh": int(statistics["max"][series, day]),
            "mean_milliwh": int(statistics["mean"][series, day]),
        }
        found = table.finding("vee.statistics", series, int(edges[day]), int(edges[day + 1]), **seen)
        own = [
            formula.text for formula, is_own in zip(formulas, is_false, strict=True) if is_own[series, day]
        ]
        findings.append(replace(found, evidence={**found.evidence, "formula": "; ".join(own)}))
    return findings


def describe_days(
    table: EnergyTable, *, day_bounds_s: Int64s, is_excused: Mask
) -> dict[str, NDArray[np.float64]]:
    """Return statistics (series, days) of the present intervals of each local day, in milliwatt-hours.

    ``sum min max mean median deviation``, the counts ``count zero_count outage_count``, and
    ``previous_sum``, the day before's (the same day's for the first). Floats: they decide, they are not
    billed. Nothing present gives zeros and a count of 0.
    """
    spans = table.spans(day_bounds_s)
    shape = (len(table.energy_milliwh), len(spans))
    names = ("sum", "min", "max", "mean", "median", "deviation", "count", "zero_count", "outage_count")
    found = {name: np.zeros(shape) for name in names}
    for day, (first, end) in enumerate(spans):
        held = table.is_present[:, first:end]
        rows = held.any(axis=1)
        energy = np.where(held, table.energy_milliwh[:, first:end], np.nan)[rows]
        found["count"][:, day] = held.sum(axis=1)
        found["zero_count"][rows, day] = (energy == 0).sum(axis=1)
        found["outage_count"][:, day] = (is_excused[:, first:end] & held).sum(axis=1)
        for name, compute in _STATISTICS.items():
            found[name][rows, day] = compute(energy, axis=1)
    found["previous_sum"] = np.concatenate((found["sum"][:, :1], found["sum"][:, :-1]), axis=1)
    return found
