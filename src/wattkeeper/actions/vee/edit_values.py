"""Edit the energy of intervals: an input beside raw reads, with a reason and, when large, a second person."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import EARLIEST, own
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds, interval_start_s, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.vee.apportion import apportion
from wattkeeper.core.vee.edits import Edit, check_edit
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.models import Installation, Series, UsagePoint
from wattkeeper.data.vee.marks import mark_spans
from wattkeeper.data.vee.models import StoredEdit
from wattkeeper.data.vee.queries import changed_alone_milliwh, edit_approval_milliwh
from wattkeeper.store.api import ReadingStore

INTERVALS_MAX_COUNT = 3200  # a month of quarter hours
ALONE = timedelta(days=31)  # what somebody changes in this time without a second person adds up: ours
_NOBODY_YET = -1


def edit_values(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    series_id: int,
    starts_at: datetime,
    energy_milliwh: Sequence[int],
    reason_code: int,
    reason: str = "",
) -> int:
    """
    Let consecutive intervals from `starts_at` hold other energies, and return the edit's id.

    Below the tenant's threshold of changed energy it is in force at once; from there on, together with what
    its author alone changed of the series in the `ALONE` before, it waits for a second person
    (`approve_edit`). It holds until it is withdrawn or a different, verified value is measured.

    :raises WattkeeperError: ``registry.not-found``, ``vee.edit-*``, ``store.not-running``
    """
    actor.require(Role.OPERATOR)
    if actor.user_id is None:
        raise WattkeeperError("vee.edit-person")
    series = _series_of(actor, series_id)
    from_s = _checked_start(actor, series, starts_at, len(energy_milliwh), now)
    if services.measured is None or services.store is None:
        raise WattkeeperError("store.not-running", is_permanent=False, folder=str(services.data_folder))
    to_s = from_s + len(energy_milliwh) * series.interval_s
    edit = Edit(
        edit_id=0,
        starts_at_s=from_s,
        energy_milliwh=tuple(energy_milliwh),
        rejected_milliwh=tuple(services.measured(actor.tenant_id, series.id, from_s, to_s)),
        standing_milliwh=_standing(services.store, series, from_s, to_s),
        reason_code=reason_code,
        author_id=actor.user_id,
        recorded_at_s=int(now.timestamp()),
        reason=reason,
    )
    check_edit(replace(edit, approver_id=_NOBODY_YET))
    return _record(actor=actor, now=now, series_id=series.id, edit=edit)


def spread_evenly(total_milliwh: int, count: int) -> list[int]:
    """Return a span's energy in equal parts that add up to it exactly."""
    return apportion([1] * count, total_milliwh)


@audited("vee.edit-values")
def _record(entry: Entry, *, actor: Actor, now: datetime, series_id: int, edit: Edit) -> int:
    series = own(Series, series_id, actor=actor)
    Series.objects.select_for_update().get(id=series.id)  # edits of a series are added up one after another
    alone_milliwh = changed_alone_milliwh(series_id=series.id, author_id=edit.author_id, since=now - ALONE)
    is_large = edit.changed_milliwh + alone_milliwh >= edit_approval_milliwh(actor.tenant_id)
    state = StoredEdit.State.PENDING if is_large else StoredEdit.State.IN_FORCE
    to_s = edit.starts_at_s + len(edit.energy_milliwh) * series.interval_s
    stored = StoredEdit.objects.create(
        tenant_id=actor.tenant_id,
        series=series,
        starts_at=from_seconds(edit.starts_at_s),
        ends_at=from_seconds(to_s),
        energy_milliwh=list(edit.energy_milliwh),
        rejected_milliwh=list(edit.rejected_milliwh),
        changed_milliwh=edit.changed_milliwh,
        reason_code=edit.reason_code,
        reason=edit.reason,
        state=state,
        author_id=edit.author_id,
        recorded_at=now,
    )
    if not is_large:
        mark_edit(stored, now=now)
    entry.subject = f"edit:{stored.id}"
    entry.detail = {
        "series_id": series.id,
        "starts_at": stored.starts_at,
        "ends_at": stored.ends_at,
        "changed_milliwh": stored.changed_milliwh,
        "alone_milliwh": alone_milliwh,
        "reason_code": stored.reason_code,
        "state": state.value,
    }
    return stored.id


def mark_edit(edit: StoredEdit, *, now: datetime) -> None:
    """Let the intervals of an edit be derived again."""
    span = to_seconds(edit.starts_at), to_seconds(edit.ends_at)
    mark_spans(tenant_id=edit.tenant_id, spans={edit.series_id: [span]}, now=now, reason="edit")


def _standing(store: ReadingStore, series: Series, from_s: int, to_s: int) -> tuple[int | None, ...]:
    """Return what stands in each interval now, None for nothing."""
    rows = store.measurements(series.tenant_id, [series.id], from_s, to_s)
    is_there = rows.provenance != Provenance.MISSING
    known = dict(zip(rows.starts_at_s[is_there].tolist(), rows.value_milliwh[is_there].tolist(), strict=True))
    return tuple(known.get(at_s) for at_s in range(from_s, to_s, series.interval_s))


def _series_of(actor: Actor, series_id: int) -> Series:
    series = (
        Series.objects.select_related("usage_point__site")
        .filter(tenant_id=actor.tenant_id, id=series_id)
        .first()
    )
    if series is None:
        raise WattkeeperError("registry.not-found", kind="series", id=series_id)
    return series


def _checked_start(actor: Actor, series: Series, starts_at: datetime, count: int, now: datetime) -> int:
    """Return the first second; intervals of a series count from local midnight."""
    if starts_at.tzinfo is None:
        raise WattkeeperError("registry.instant-naive")
    point = series.usage_point
    if point.kind == UsagePoint.Kind.VIRTUAL:
        raise WattkeeperError("vee.edit-virtual", usage_point=point.code)
    from_s, zone = int(starts_at.timestamp()), ZoneInfo(point.site.time_zone)
    length = timedelta(seconds=series.interval_s * count)
    is_sound = 0 < count <= INTERVALS_MAX_COUNT and EARLIEST <= starts_at <= now - length
    is_sound = is_sound and not starts_at.microsecond
    if not is_sound or interval_start_s(from_s, series.interval_s, zone) != from_s:
        raise WattkeeperError(
            "vee.edit-span", interval_s=series.interval_s, limit_count=INTERVALS_MAX_COUNT, field="starts_at"
        )
    held = Installation.objects.filter(
        tenant_id=actor.tenant_id, usage_point_id=series.usage_point_id, starts_at__lt=starts_at + length
    )
    if not held.exclude(ends_at__lte=starts_at).exists():
        raise WattkeeperError("vee.edit-uninstalled", usage_point=point.code)
    return from_s
