"""Move old months out of the readings store into files, and back."""

from collections.abc import Iterator
from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.operations.places import Places
from wattkeeper.actions.operations.progress import Progress, unwatched
from wattkeeper.actions.operations.record import record_operation
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, to_seconds
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import close_gone
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.store import archive
from wattkeeper.store.archive import Manifest
from wattkeeper.store.client import HttpReadingStore

LATE_RULE = "collection.late-for-archive"
OPEN_MONTHS_COUNT = 2  # this month and the one before are still being read


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
    if before_month > _first_open(now):
        raise WattkeeperError("operations.month-open", month=before_month, first_open=_first_open(now))
    store, folder = _store(services), Places.of(services.data_folder).archive
    for table in archive.MONTHLY:
        archive.bring_back(store, table)
    held = [(table, month) for table in archive.MONTHLY for month in archive.months_of(store, table)]
    leaving = [(table, month) for table, month in held if month < before_month]
    for index, (table, month) in enumerate(leaving):
        on_progress("operations.step-archiving", index, len(leaving))
        manifest = archive.archive_month(store, folder, table, month)
        if manifest is None:
            continue
        if not keeps_rows:
            archive.remove_month(store, folder, manifest)
        _record(actor, now, "archived" if keeps_rows else "removed", manifest)
        yield manifest


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

    :raises WattkeeperError: ``accounts.not-allowed``, ``store.not-running``, ``store.archive-damaged``
    """
    actor.require(Role.ADMINISTRATOR)
    store, folder = _store(services), Places.of(services.data_folder).archive
    manifests = [found for found in archive.list_manifests(folder) if archive.is_removed(folder, found)]
    returning = [found for found in manifests if from_month <= found.month <= to_month]
    for index, manifest in enumerate(returning):
        on_progress("operations.step-returning", index, len(returning))
        archive.restore_month(store, folder, manifest)
        _record(actor, now, "restored", manifest)
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


def _first_open(now: datetime) -> int:
    months = now.year * 12 + now.month - 1 - (OPEN_MONTHS_COUNT - 1)
    return months // 12 * 100 + months % 12 + 1


def _store(services: Services) -> HttpReadingStore:
    if not isinstance(services.store, HttpReadingStore):
        raise WattkeeperError("store.not-running", is_permanent=False)
    return services.store


def _record(actor: Actor, now: datetime, what: str, manifest: Manifest) -> None:
    detail = {
        "table": manifest.table,
        "month": manifest.month,
        "rows": manifest.rows_count,
        "sha256": manifest.file_sha256,
    }
    record_operation(actor=actor, now=now, what=f"archive-{what}", detail=detail)
