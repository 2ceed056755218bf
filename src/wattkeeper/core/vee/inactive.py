"""Use while the supply was disconnected (V14), found in stored values: read-backs come later than values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.periods import iter_ruled_days
from wattkeeper.core.vee.registry import RULE_BY_CODE, Severity
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.core.vee.table import EnergyTable
from wattkeeper.core.vee.validate import Known, run_rules

CLOCK_S = (
    180  # how far a meter's clock may be off before V03 tells: intervals so near to a switching do not count
)


@dataclass(frozen=True, slots=True, eq=False)
class StoredValues:
    """Current values of series, shape (n,), in any order; named by the start of their interval."""

    series_id: Int64s
    starts_at_s: Int64s
    value_milliwh: Int64s
    provenance: Int64s


def judge_inactive(
    values: StoredValues,
    off: Sequence[tuple[int, int, int]],
    *,
    series_id: Int64s,
    interval_s: int,
    day_bounds_s: Int64s,
    plan: RulePlan,
) -> list[Finding]:
    """Return what V14 finds in series (rising) of one interval, each day by the rule set in force on it.

    `off`: (series, from, to) in which a supply was surely off, in UTC seconds. Only what was measured or
    edited counts.
    """
    rule = RULE_BY_CODE["vee.usage-on-inactive"]
    first_s = -(-int(day_bounds_s[0]) // interval_s) * interval_s
    starts_s = np.arange(first_s, int(day_bounds_s[-1]), interval_s, dtype=np.int64)
    shape = (len(series_id), len(starts_s))
    energy, is_present = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
    place, rest = np.divmod(values.starts_at_s - first_s, interval_s)
    is_own = (place >= 0) & (place < len(starts_s)) & (rest == 0) & np.isin(values.series_id, series_id)
    at = np.searchsorted(series_id, values.series_id[is_own]), place[is_own]
    energy[at] = values.value_milliwh[is_own]
    is_present[at] = np.isin(values.provenance[is_own], (Provenance.MEASURED, Provenance.EDITED))
    is_off = np.zeros(shape, dtype=np.bool_)
    for own, from_s, to_s in off:
        is_within = (starts_s >= from_s + CLOCK_S) & (starts_s + interval_s <= to_s - CLOCK_S)
        is_off[int(np.searchsorted(series_id, own))] |= is_within
    findings: list[Finding] = []
    for first, end, rule_set in iter_ruled_days(plan, day_bounds_s):
        if rule_set.severity_of(rule.code) is not Severity.OFF:
            bounds_s = day_bounds_s[first : end + 1]
            part = slice(*np.searchsorted(starts_s, bounds_s[[0, -1]]).tolist())
            table = EnergyTable(series_id, starts_s[part], interval_s, energy[:, part], is_present[:, part])
            known = Known(day_bounds_s=bounds_s, is_disconnected=is_off[:, part])
            findings += run_rules(table, known, rule_set, [rule])
    return findings
