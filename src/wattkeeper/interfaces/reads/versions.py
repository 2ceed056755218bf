"""What was ever known of one interval: each version with its run, rules and findings, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds, interval_start_s, to_seconds
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.past import findings_as_of
from wattkeeper.data.audit.former_lengths import length_changes
from wattkeeper.data.collection.queries import get_run_as_of, list_runs
from wattkeeper.data.registry.models import Series
from wattkeeper.data.vee.models import StoredEdit
from wattkeeper.data.vee.queries import EditRow, list_edits
from wattkeeper.data.vee.schedules import load_schedule
from wattkeeper.interfaces.reads.intervals import IntervalRow, rows_of
from wattkeeper.interfaces.reads.lengths import length_of_s
from wattkeeper.store.api import ReadingStore

VERSIONS_MAX_COUNT = 100


@dataclass(frozen=True, slots=True)
class IntervalVersion:
    """One version of a value: of how long an interval, known from when on, judged by which rule set."""

    row: IntervalRow
    interval_s: int
    recorded_at: datetime | None
    known_from: datetime | None
    rule_set: str
    code_version: str


@dataclass(frozen=True, slots=True)
class IntervalHistory:
    """Every version of an interval, the codes of what was found about it, and the edits that name it."""

    versions: tuple[IntervalVersion, ...]
    rules: tuple[str, ...]
    edits: tuple[EditRow, ...]


def run_as_of(*, tenant_id: int, at: datetime | None) -> int | None:
    """Return the run that answers as of an instant; None for now, 0 where nothing was known yet.

    :raises WattkeeperError: ``registry.instant-naive``
    """
    if at is None:
        return None
    if at.tzinfo is None:
        raise WattkeeperError("registry.instant-naive")
    return get_run_as_of(tenant_id=tenant_id, at=at) or 0


def interval_history(store: ReadingStore, *, series: Series, starts_at_s: int) -> IntervalHistory:
    """Return what was ever known of one interval, its newest `VERSIONS_MAX_COUNT` versions first."""
    changes = length_changes(series.tenant_id, series.id)
    rows: list[IntervalRow] = []
    run_id: int | None = None
    while len(rows) < VERSIONS_MAX_COUNT:
        values = store.measurements(
            series.tenant_id, [series.id], starts_at_s, starts_at_s + 1, as_of_run_id=run_id
        )
        rows += rows_of(values)
        run_id = int(values.run_id[0]) - 1 if len(values.run_id) else _run_before(series, changes, run_id)
        if run_id is None:
            break
    return IntervalHistory(
        tuple(_versions(store, rows, series, changes)),
        tuple(rules_at(series, starts_at_s)),
        tuple(_edits(series, starts_at_s)),
    )


def rules_at(series: Series, starts_at_s: int) -> list[str]:
    """Return the codes of open findings about an interval as long as one is now."""
    span = starts_at_s, starts_at_s + series.interval_s
    zone = ZoneInfo(series.usage_point.site.time_zone)
    found = rules_between(series.tenant_id, series.id, series.interval_s, zone, *span)
    return found.get(starts_at_s, [])


def rules_between(
    tenant_id: int,
    series_id: int,
    interval_s: int,
    zone: ZoneInfo,
    from_s: int,
    to_s: int,
    as_of: datetime | None = None,
) -> dict[int, list[str]]:
    """Return the codes of findings by the starts of the intervals in [from_s, to_s) that they name.

    Those that are open, or were `as_of` an instant.
    """
    rows = (
        findings_as_of(tenant_id, as_of)
        .filter(
            subject_key=f"series:{series_id}",
            then_state=Finding.State.OPEN,
            starts_at__lt=from_seconds(to_s),
            then_ends_at__gt=from_seconds(from_s),
        )
        .order_by("rule", "starts_at")
    )
    found: dict[int, list[str]] = {}
    for rule, starts_at, ends_at in rows.values_list("rule", "starts_at", "then_ends_at"):
        first_s = max(interval_start_s(to_seconds(starts_at), interval_s, zone), from_s)
        end_s = to_s if ends_at is None else min(to_seconds(ends_at), to_s)
        for at_s in range(first_s, end_s, interval_s):
            own = found.setdefault(at_s, [])
            if rule not in own:
                own.append(rule)
    return found


def _run_before(series: Series, changes: Sequence[tuple[datetime, int]], run_id: int | None) -> int | None:
    """Return the newest run before `run_id` that was known when the length changed."""
    known = [get_run_as_of(tenant_id=series.tenant_id, at=changed_at) for changed_at, _ in changes]
    return next((each for each in known if each is not None and (run_id is None or each < run_id)), None)


def _versions(
    store: ReadingStore,
    rows: Sequence[IntervalRow],
    series: Series,
    changes: Sequence[tuple[datetime, int]],
) -> list[IntervalVersion]:
    runs = list_runs(row.run_id for row in rows)
    found = []
    for row in rows:
        run = runs.get(row.run_id)
        found.append(
            IntervalVersion(
                row=row,
                interval_s=length_of_s(
                    store, series, changes, row.starts_at_s, row.run_id, run.recorded_at if run else None
                ),
                recorded_at=run.recorded_at if run else None,
                known_from=run.stored_at if run else None,
                rule_set=_rule_set(series, row.starts_at_s, run.recorded_at if run else None),
                code_version=run.code_version if run else "",
            )
        )
    return found


def _rule_set(series: Series, starts_at_s: int, at: datetime | None) -> str:
    """Return the code of the rule set that was in force for the interval, as it was known at an instant."""
    schedule = load_schedule(series.tenant_id, as_of=at, series_ids=[series.id])
    return schedule.plan_of(series.id, series.usage_point.site.time_zone).at(starts_at_s).code


def _edits(series: Series, starts_at_s: int) -> list[EditRow]:
    ids = StoredEdit.objects.filter(
        series=series, starts_at__lte=from_seconds(starts_at_s), ends_at__gt=from_seconds(starts_at_s)
    ).values_list("id", flat=True)
    wanted = set(ids)
    if not wanted:
        return []
    page = list_edits(tenant_id=series.tenant_id, series_id=series.id, limit_count=200)
    return [edit for edit in page.items if edit.edit_id in wanted]
