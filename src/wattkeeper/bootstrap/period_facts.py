"""What the rules over periods know of outages and disconnections, and use while disconnected (V14)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Flag
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.inactive import StoredValues, judge_inactive
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.core.vee.table import Mask
from wattkeeper.data.commands.disconnections import Disconnection, list_disconnections
from wattkeeper.data.registry.measured_spans import MeasuredSpan
from wattkeeper.store.api import ReadingStore

TOGETHER_COUNT = 200  # series whose weeks of intervals are read together
FOREVER_S = 2**40

Off = Mapping[int, Sequence[Disconnection]]


def load_off(tenant_id: int) -> Off:
    """Return the disconnections of a tenant, by usage point."""
    found: dict[int, list[Disconnection]] = {}
    for each in list_disconnections(tenant_id):
        found.setdefault(each.usage_point_id, []).append(each)
    return found


def find_off_days(spans: Sequence[MeasuredSpan], off: Off, day_bounds_s: Int64s) -> Mask:
    """Return on which days (series, days) the supply of a series was off for a while."""
    is_off = np.zeros((len(spans), len(day_bounds_s) - 1), dtype=np.bool_)
    for row, span in enumerate(spans):
        for each in off.get(span.usage_point_id, ()):
            ends_s = FOREVER_S if each.ends_at is None else _seconds(each.ends_at)
            is_off[row] |= (day_bounds_s[:-1] < ends_s) & (day_bounds_s[1:] > _seconds(each.starts_at))
    return is_off


def find_dark_days(store: ReadingStore, tenant_id: int, series_id: Int64s, day_bounds_s: Int64s) -> Mask:
    """Return on which days (series, days) a power failure is stored for series, which rise."""
    is_dark = np.zeros((len(series_id), len(day_bounds_s) - 1), dtype=np.bool_)
    for start in range(0, len(series_id), TOGETHER_COUNT):
        own = series_id[start : start + TOGETHER_COUNT].tolist()
        values = store.measurements(tenant_id, own, int(day_bounds_s[0]), int(day_bounds_s[-1]))
        is_lost = (np.asarray(values.flags) & int(Flag.POWER_LOST)) != 0
        day = np.searchsorted(day_bounds_s, values.starts_at_s[is_lost], side="right") - 1
        is_dark[np.searchsorted(series_id, values.series_id[is_lost]), day] = True
    return is_dark


def judge_off(
    store: ReadingStore,
    tenant_id: int,
    spans: Sequence[MeasuredSpan],
    off: Off,
    *,
    day_bounds_s: Int64s,
    plan: RulePlan,
) -> list[Finding]:
    """Return where energy was used while a supply was surely off."""
    concerned = [span for span in spans if span.usage_point_id in off]
    findings: list[Finding] = []
    for interval_s in sorted({span.interval_s for span in concerned}):
        own = [span for span in concerned if span.interval_s == interval_s]
        for start in range(0, len(own), TOGETHER_COUNT):
            findings += _judge_some(
                store, tenant_id, own[start : start + TOGETHER_COUNT], off, day_bounds_s, plan
            )
    return findings


def _judge_some(
    store: ReadingStore,
    tenant_id: int,
    spans: Sequence[MeasuredSpan],
    off: Off,
    day_bounds_s: Int64s,
    plan: RulePlan,
) -> list[Finding]:
    from_s, to_s = int(day_bounds_s[0]), int(day_bounds_s[-1])
    surely = [
        (span.series_id, _seconds(each.starts_at), FOREVER_S if asked_at is None else _seconds(asked_at))
        for span in spans
        for each in off[span.usage_point_id]
        for asked_at in [each.asked_at]
    ]
    surely = [each for each in surely if each[1] < to_s and each[2] > from_s]
    if not surely:
        return []
    ids = sorted({each[0] for each in surely})
    found = store.measurements(tenant_id, ids, from_s, to_s)
    values = StoredValues(
        found.series_id,
        found.starts_at_s,
        found.value_milliwh,
        np.asarray(found.provenance, dtype=np.int64),
    )
    return judge_inactive(
        values,
        surely,
        series_id=np.array(ids, dtype=np.int64),
        interval_s=spans[0].interval_s,
        day_bounds_s=day_bounds_s,
        plan=plan,
    )


def _seconds(instant: datetime) -> int:
    return to_seconds(instant.replace(microsecond=0))
