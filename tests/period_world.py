"""Stored days, months and intervals of a street in Shanghai, and what the rules over periods say of them."""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from relational import NOW, People
from wattkeeper.actions.vee.add_rule_set import add_rule_set
from wattkeeper.actions.vee.assign_rule_set import assign_rule_set
from wattkeeper.bootstrap.period_rules import judge_periods
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.core.readings.rollups import DAY, MONTH, RollUpRows
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.data.alarms.models import Finding
from wattkeeper.store.api import Measurements, ReadingStore

TODAY_S = to_seconds(NOW.replace(hour=16)) - 86_400  # the last midnight in Shanghai
SHANGHAI = ZoneInfo("Asia/Shanghai")


def store_days(
    store: ReadingStore, ours: People, series_id: int, measured: dict[int, int], run_id: int
) -> None:
    """Store days by how long ago they began, in days, with so many measured intervals of 96."""
    rows = [
        (DAY, series_id, TODAY_S - 86_400 * ago, 96, 10 * count, count, 0, 0, 0, 0)
        for ago, count in measured.items()
    ]
    columns = np.array(rows, dtype=np.int64).T.copy()
    nothing = {name: np.full(len(rows), run_id) for name in RollUpRows.__slots__}
    days = RollUpRows(**(nothing | dict(zip(RollUpRows.__slots__, columns, strict=False))))
    store.insert_roll_ups(ours.tenant.id, run_id, days)


def assign(ours: People, document: dict[str, Any], days_ago: int) -> None:
    """Assign a rule set to every series from a day on."""
    rule_set_id = add_rule_set(actor=ours.administrator, now=NOW, document=document)
    starts_date = (NOW - timedelta(days=days_ago)).date()
    assign_rule_set(actor=ours.administrator, now=NOW, starts_date=starts_date, rule_set_id=rule_set_id)


def judge(store: ReadingStore, ours: People) -> list[tuple[str, int, int, dict[str, int]]]:
    """Return the open findings after judging: rule, days ago of start and end, evidence."""
    judge_periods(store, tenant_id=ours.tenant.id, now=NOW, rule_set=RuleSet())
    return [
        (
            finding.rule,
            (TODAY_S - to_seconds(finding.starts_at)) // 86_400,
            (TODAY_S - to_seconds(finding.ends_at or NOW)) // 86_400,
            finding.evidence,
        )
        for finding in Finding.objects.filter(state="OPEN").order_by("starts_at")
    ]


def store_months(
    store: ReadingStore, ours: People, series_id: int, energy: dict[int, int], run_id: int
) -> None:
    """Store whole months of quarters that began so many months ago, in Shanghai."""
    local = NOW.astimezone(SHANGHAI).date()
    for ago, milliwh in energy.items():
        place = local.year * 12 + local.month - 1 - ago
        bounds_s = [
            to_seconds(local_midnight(date(at // 12, at % 12 + 1, 1), SHANGHAI)) for at in (place, place + 1)
        ]
        count = (bounds_s[1] - bounds_s[0]) // 900
        figures = [MONTH, series_id, bounds_s[0], count, milliwh, count, 0, 0, 0, 0, run_id]
        store.insert_roll_ups(ours.tenant.id, run_id, RollUpRows(*np.array(figures, dtype=np.int64)[:, None]))


def store_quarters(
    store: ReadingStore, ours: People, series_id: int, rows: list[tuple[int, int, int]], run_id: int = 1
) -> None:
    """Store measured intervals: instant, milliwatt-hours, flags."""
    starts_at_s, value, flags = np.array(rows, dtype=np.int64).T
    same = {
        name: np.full(len(rows), number)
        for name, number in (("series", series_id), ("measured", Provenance.MEASURED), ("run", run_id))
    }
    store.insert_measurements(
        ours.tenant.id,
        Measurements(
            same["series"],
            starts_at_s,
            value,
            same["measured"],
            flags,
            np.full(len(rows), Method.NONE),
            same["run"],
        ),
    )
