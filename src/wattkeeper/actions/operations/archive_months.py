"""Move old months out of the readings store into files, and back."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.operations.archive_records import (
    ARCHIVED,
    REMOVED,
    RESTORED,
    known_as,
    known_months,
    record_month,
)
from wattkeeper.actions.operations.places import Places
from wattkeeper.actions.operations.progress import Progress, unwatched
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, to_seconds
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import close_gone
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.store import archive
from wattkeeper.store.archive import Manifest
from wattkeeper.store.archive_lock import archive_lock
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.windows import month_of, shift_month

LATE_RULE = "collection.late-for-archive"
OPEN_MONTHS_COUNT = 2  # this month and the one before are still being read
Note = Callable[[str, Manifest], None]  # told what was done to a month


def archive_months(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    before_month: int,
    keeps_rows: bool = False,
    on_progress: Progress = unwatched,
) -> Iterator[Manifest]:
    """
    Yield each month (yyyymm, UTC) before `before_month` as its file is written and proved.

    With `keeps_rows` the months stay in the store too. Interrupted, it goes on where it was.

    :raises WattkeeperError: ``accounts.not-allowed``, ``store.not-running``, ``operations.month-open``,
        ``store.archive-*``: what was not proved is still in the store
    """
    actor.require(Role.ADMINISTRATOR)
    if before_month > first_open(now):
        raise WattkeeperError("operations.month-open", month=before_month, first_open=first_open(now))
    store, folder = store_of(services), Places.of(services.data_folder).archive
    note = partial(record_month, actor, now)
    with archive_lock(folder):
        settle(store, folder, note)
    held = [(table, month) for table in archive.MONTHLY for month in archive.months_of(store, table)]
    leaving = [(table, month) for table, month in held if month < before_month]
    for index, (table, month) in enumerate(leaving):
        on_progress("operations.step-archiving", index, len(leaving))
        with archive_lock(folder):
            manifest = archive_one(store, folder, table, month, note, keeps_rows=keeps_rows)
        if manifest is not None:
            yield manifest


def archive_one(
    store: HttpReadingStore, folder: Path, table: str, month: int, note: Note, *, keeps_rows: bool = False
) -> Manifest | None:
    """Archive one month of a table under the archive's lock; None where nothing is to be written.

    :raises WattkeeperError: ``store.archive-*``
    """
    if keeps_rows and month in archive.away_months(folder, [table]):
        return None  # what came since waits for its month
    manifest = archive.archive_month(store, folder, table, month)
    if manifest is None:
        return None
    if not keeps_rows:
        archive.remove_month(store, folder, manifest)
    note(ARCHIVED if keeps_rows else REMOVED, manifest)
    return manifest


def settle(store: HttpReadingStore, folder: Path, note: Note) -> None:
    """Finish, or take back, what was interrupted; write down what was done and not written down."""
    for table in archive.MONTHLY:
        archive.bring_back(store, folder, table)
    archive.finish_destroying(folder)
    removed = [found for found in archive.list_manifests(folder) if archive.is_removed(folder, found)]
    known = known_months(REMOVED) if removed else set()
    for manifest in removed:
        if known_as(manifest) not in known:
            note(REMOVED, manifest)


def restore_months(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    from_month: int,
    to_month: int,
    on_progress: Progress = unwatched,
) -> Iterator[Manifest]:
    """
    Yield each archived month of the closed range as it is back in the store.

    What was destroyed stays away; the rest of its month comes back.

    :raises WattkeeperError: ``accounts.not-allowed``, ``store.not-running``, ``store.archive-damaged``,
        ``store.archive-busy``, ``operations.months-destroyed`` if nothing is left of the range
    """
    actor.require(Role.ADMINISTRATOR)
    store, folder = store_of(services), Places.of(services.data_folder).archive
    note = partial(record_month, actor, now)
    with archive_lock(folder):
        settle(store, folder, note)  # else what an interrupted removal set aside would come back as well
    away = [found for found in archive.iter_away(folder) if from_month <= found.month <= to_month]
    returning = [found for found in away if archive.is_removed(folder, found)]
    if away and not returning:
        raise WattkeeperError("operations.months-destroyed", first=from_month, last=to_month)
    for index, manifest in enumerate(returning):
        on_progress("operations.step-returning", index, len(returning))
        with archive_lock(folder):
            archive.restore_month(store, folder, manifest)
        note(RESTORED, manifest)
        yield manifest
    _derive_late(actor.tenant_id, now, horizon_s=archive.horizon_s(folder))


def _derive_late(tenant_id: int, now: datetime, *, horizon_s: int) -> None:
    """Mark what could not be derived while its month was away, and close its findings."""
    for finding in Finding.objects.filter(tenant_id=tenant_id, rule=LATE_RULE, state=Finding.State.OPEN):
        if finding.ends_at is None or to_seconds(finding.starts_at) < horizon_s:
            continue
        series_id = int(finding.subject_key.removeprefix("series:"))
        period = Period(finding.starts_at, finding.ends_at)
        mark_dirty(tenant_id=tenant_id, now=now, reason="restored", series={series_id: period})
        close_gone(tenant_id=tenant_id, rule=LATE_RULE, subject_key=finding.subject_key, now=now)


def first_open(now: datetime) -> int:
    """Return the first month (yyyymm, UTC) that is still being read."""
    return shift_month(month_of(now), 1 - OPEN_MONTHS_COUNT)


def store_of(services: Services) -> HttpReadingStore:
    """Return the readings store.

    :raises WattkeeperError: ``store.not-running``
    """
    if not isinstance(services.store, HttpReadingStore):
        raise WattkeeperError("store.not-running", is_permanent=False)
    return services.store
