"""Withdraw a read that a person noted: it stays where it is, and counts no more."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from django.db.models import Q, QuerySet

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.registry.deliver_field_reads import deliver_field_reads
from wattkeeper.actions.registry.display_reads import drop_display_read, find_display_read
from wattkeeper.actions.registry.installing import mark_points_dirty
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.second_person import person_of
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.readings.moved import most_moved_counts
from wattkeeper.core.readings.settle import is_untrusted
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.models import FieldRead
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.data.registry.models import Installation, Meter, Series
from wattkeeper.data.registry.quantities import DEFAULT_QUANTITY
from wattkeeper.data.vee.models import ReadWithdrawal, StoredEdit
from wattkeeper.data.vee.queries import edit_approval_milliwh
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.standing import nearest_standing, standing_reads

State = StoredEdit.State


def withdraw_read(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    meter_id: int,
    at: datetime,
    reason: str,
    quantity: str = DEFAULT_QUANTITY,
) -> int:
    """
    Let what was noted of a register at an instant count no more, and return the withdrawal's id.

    All is then as if it had never been noted; the noted read and its corrections stay. Below the tenant's
    threshold of changed energy that holds at once; from there on it waits for a second person
    (`approve_withdrawal`). Noted again, the read counts again.

    :raises WattkeeperError: ``registry.not-found``, ``readings.no-register``, ``readings.not-noted``,
        ``readings.withdrawal-reason``, ``readings.withdrawal-waits``, ``vee.edit-person``,
        ``store.not-running``
    """
    actor.require(Role.OPERATOR)
    author_id = person_of(actor)
    if not reason.strip():
        raise WattkeeperError("readings.withdrawal-reason", field="reason")
    meter = Meter.objects.filter(tenant_id=actor.tenant_id, id=meter_id).first()
    if meter is None:
        raise WattkeeperError("registry.not-found", kind="meter", id=meter_id)
    read = find_display_read(meter, at=at, quantity=quantity)
    if services.store is None:
        raise WattkeeperError("store.not-running", is_permanent=False, folder=str(services.data_folder))
    withdrawal = ReadWithdrawal(
        tenant_id=actor.tenant_id,
        field_read=read,
        changed_milliwh=_moved_milliwh(services.store, read, quantity),
        reason=reason,
        author_id=author_id,
        recorded_at=now,
    )
    _record(actor=actor, now=now, withdrawal=withdrawal)
    deliver_field_reads(services=services, now=now)
    return withdrawal.id


@audited("vee.withdraw-read")
def _record(entry: Entry, *, actor: Actor, now: datetime, withdrawal: ReadWithdrawal) -> None:
    read = withdrawal.field_read
    if read.withdrawals.filter(state=State.PENDING).exists():
        raise WattkeeperError("readings.withdrawal-waits")
    is_large = withdrawal.changed_milliwh >= edit_approval_milliwh(actor.tenant_id)
    withdrawal.state = State.PENDING if is_large else State.IN_FORCE
    withdrawal.save()
    if not is_large:
        drop_and_mark(withdrawal, now=now)
    entry.subject = f"withdrawal:{withdrawal.id}"
    entry.detail = {
        "meter_id": read.channel.meter_id,
        "reading_type": read.channel.reading_type,
        "at": read.measured_at,
        "value_count": read.value_count,
        "set_to_count": read.set_to_count,
        "changed_milliwh": withdrawal.changed_milliwh,
        "reason": withdrawal.reason,
        "state": withdrawal.state,
    }


def drop_and_mark(withdrawal: ReadWithdrawal, *, now: datetime) -> None:
    """Let the read count no more, and what it told be derived again."""
    read = withdrawal.field_read
    drop_display_read(read, now=now)
    mark_points_dirty(
        installed_at(read).values_list("usage_point_id", flat=True),
        tenant_id=read.tenant_id,
        from_at=read.measured_at,
        to_at=read.measured_at + timedelta(seconds=1),
        now=now,
        reason="field-read",
    )


def installed_at(read: FieldRead) -> QuerySet[Installation]:
    """Return where the meter was when its display was read, both ends of an installation included."""
    at = read.measured_at
    return Installation.objects.filter(
        Q(ends_at=None) | Q(ends_at__gte=at), meter_id=read.channel.meter_id, starts_at__lte=at
    )


def _moved_milliwh(store: ReadingStore, read: FieldRead, quantity: str) -> int:
    """Return the most energy, primary, that a noted read can have moved."""
    modulus = None if read.channel.register_digits is None else 10**read.channel.register_digits
    return ceil(most_moved_counts(_ways(store, read), modulus) * _milliwh_of_a_count(read, quantity))


def _ways(store: ReadingStore, read: FieldRead) -> Iterator[tuple[int, int]]:
    """Yield the ways between the read and what stands without it: of its instant, else its neighbours."""
    after = read.value_count if read.set_to_count is None else read.set_to_count
    tenant_id, channel_ids, at_s = read.tenant_id, [read.channel_id], to_seconds(read.measured_at)
    there = standing_reads(store, tenant_id, channel_ids, at_s, at_s + 1)
    others = there.value[(there.source != Source.FIELD) & ~is_untrusted(there.flags)].tolist()
    if others:
        yield from ((after, other) for other in others)
        return
    last = nearest_standing(store, tenant_id, channel_ids, at_s, before=True)
    following = nearest_standing(store, tenant_id, channel_ids, at_s + 1, before=False)
    yield from ((value, read.value_count) for value in last.value.tolist())
    yield from ((after, value) for value in following.value.tolist())


def _milliwh_of_a_count(read: FieldRead, quantity: str) -> Fraction:
    """Return the energy of one count where the meter was then, by the largest multiplier."""
    points = installed_at(read).values("usage_point_id")
    ids = list(
        Series.objects.filter(usage_point_id__in=points, quantity=quantity).values_list("id", flat=True)
    )
    rates = [
        row.step_milliwh * period.ratio
        for facts in get_series_facts(ids).values()
        for row in facts.registers
        if row.channel_id == read.channel_id
        for period in row.multipliers
    ]
    return max(rates, default=Fraction(0))
