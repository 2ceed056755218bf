"""Let readings go that are older than anybody wants: into the archive's files, and out of those."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from wattkeeper.actions.operations.archive_months import archive_one, settle, store_of
from wattkeeper.actions.operations.archive_records import (
    DESTROYED,
    known_as,
    known_months,
    record_for_all,
    restored_since,
)
from wattkeeper.actions.operations.places import Places
from wattkeeper.actions.operations.retention_holds import DESTROY, Hold, find_holds
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.data.alarms.past import forget_past
from wattkeeper.data.collection.models import Retention
from wattkeeper.data.collection.retention import RetentionRule, rules_in_force
from wattkeeper.store import archive
from wattkeeper.store.archive import Manifest
from wattkeeper.store.archive_lock import archive_lock
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.windows import month_of, month_span, shift_month

TABLES_OF: dict[str, tuple[str, ...]] = {
    Retention.Kind.FRAMES: ("raw_frame",),
    Retention.Kind.READS: ("raw_receipt", "raw_read"),
    Retention.Kind.VALUES: ("measurement", "rate_day"),
}
_VALUES_TABLE = "measurement"
ARCHIVE = "archive"
RESTORED_STAYS = timedelta(days=30)  # a month that somebody put back is looked at


@dataclass(frozen=True, slots=True)
class Due:
    """A month of a table that is older than its rule lets it be: `step` is ``archive`` or ``destroy``.

    `held_by`: the code of what still needs it; empty where it goes. `held_at`: the usage points, by code, of
    the organisation that asks, where it is needed, the oldest first; `held_elsewhere`: others need it too.
    `rows_count`: of the store, or the file.
    """

    month: int
    step: str
    kind: str
    table: str
    rows_count: int
    held_by: str = ""
    held_at: tuple[str, ...] = ()
    held_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class _Looked:
    now: datetime
    store: HttpReadingStore
    away: dict[tuple[str, int], Manifest]
    holds: list[Hold]
    restored: set[tuple[str, int]]
    tenant_id: int | None

    def held(self, due: Due) -> Due:
        """Return what is due with what holds it."""
        if (due.table, due.month) in self.restored:
            return replace(due, held_by="operations.held-restored")
        holds = (hold for hold in self.holds if hold.holds(due.month, due.kind, due.step))
        hold = next(holds, None)
        if hold is None:
            return due
        needs = [need for month, need in hold.needs if month <= due.month]
        own = dict.fromkeys(need.usage_point for need in needs if need.tenant_id == self.tenant_id)
        is_elsewhere = any(need.tenant_id != self.tenant_id for need in needs)
        return replace(due, held_by=hold.code, held_at=tuple(own), held_elsewhere=is_elsewhere)


def list_due(*, services: Services, now: datetime, tenant_id: int | None = None) -> list[Due]:
    """
    Return what is due, oldest month first, and what holds it; nothing is changed.

    `tenant_id`: who asks, and is told at which of its own usage points.

    :raises WattkeeperError: ``store.not-running``
    """
    rules = rules_in_force()
    if not rules:
        return []
    away = archive.list_manifests(folder := Places.of(services.data_folder).archive)
    looked = _Looked(
        now,
        store_of(services),
        {(found.table, found.month): found for found in away if archive.is_removed(folder, found)},
        find_holds(now),
        restored_since(now - RESTORED_STAYS),
        tenant_id,
    )
    due = [
        found for rule in rules for table in TABLES_OF[rule.kind] for found in _due_of(looked, rule, table)
    ]
    return sorted(due, key=lambda found: found.month)


def keep_retention(*, services: Services, now: datetime) -> int:
    """
    Archive or destroy one month of one table, the oldest that goes; return how many were done.

    Interrupted anywhere, it goes on where it was. What can't be done now stands in the way of nothing else.

    :raises WattkeeperError: ``store.*``, if nothing could be done; ``leases.lost``
    """
    if not rules_in_force():
        return 0
    store, folder = store_of(services), Places.of(services.data_folder).archive
    with archive_lock(folder):
        settle(store, folder, partial(record_for_all, now))
        failure: WattkeeperError | None = None
        for due in list_due(services=services, now=now):
            if due.held_by:
                continue
            try:
                _do(store, folder, now, due)
            except WattkeeperError as error:
                if not error.code.startswith("store.archive-"):
                    raise
                failure = failure or error
            else:
                return 1
    if failure is not None:
        raise failure
    return 0


def _due_of(looked: _Looked, rule: RetentionRule, table: str) -> Iterator[Due]:
    this_month, store_count, file_count = (
        month_of(looked.now),
        rule.store_months_count,
        rule.file_months_count,
    )
    assert store_count is not None
    stored = archive.count_months(looked.store, table)
    in_files = {month: found.rows_count for (name, month), found in looked.away.items() if name == table}
    for month in sorted(stored.keys() | in_files.keys()):
        is_file_old = file_count is not None and month < shift_month(this_month, -file_count)
        if month in stored:  # what came late to an archived month waits until its file goes
            is_due = month < shift_month(this_month, -store_count) and (month not in in_files or is_file_old)
            step, rows_count = ARCHIVE, stored[month]
        else:
            is_due, step, rows_count = is_file_old, DESTROY, in_files[month]
        if is_due:
            yield looked.held(Due(month, step, rule.kind, table, rows_count))


def _do(store: HttpReadingStore, folder: Path, now: datetime, due: Due) -> None:
    note = partial(record_for_all, now)
    if due.step == ARCHIVE:
        archive_one(store, folder, due.table, due.month, note)
        return
    manifests = archive.list_manifests(folder)
    (manifest,) = (found for found in manifests if (found.table, found.month) == (due.table, due.month))
    archive.require_whole(folder, manifest)
    if known_as(manifest) not in known_months(DESTROYED):
        note(DESTROYED, manifest)
    if due.table == _VALUES_TABLE:
        _forget_past(store, manifests, due.month)
    archive.destroy_month(folder, manifest)


def _forget_past(store: HttpReadingStore, manifests: Sequence[Manifest], gone_month: int) -> None:
    """Let go how findings stood before the first month of values that is left: nobody asks as of then."""
    in_files = {found.month for found in manifests if found.table == _VALUES_TABLE}
    left = (in_files | set(archive.months_of(store, _VALUES_TABLE))) - {gone_month}
    first = min(left, default=shift_month(gone_month, 1))
    forget_past(before=from_seconds(month_span(first)[0]))
