"""When supplies were switched off: what the read-backs of commands say."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.db.models import Q

from wattkeeper.core.commands.states import Kind, State
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import Installation


@dataclass(frozen=True, slots=True)
class Disconnection:
    """A supply that was read back as disconnected at `starts_at`.

    `asked_at`: when a reconnection was sent, from when on it may have been on; `ends_at`: when it was read
    back as connected. None: not yet. Either is at the latest when the meter was taken away.
    """

    usage_point_id: int
    starts_at: datetime
    asked_at: datetime | None
    ends_at: datetime | None


def list_disconnections(tenant_id: int) -> list[Disconnection]:
    """Return every disconnection of a tenant's supplies that was verified."""
    verified = Q(state=State.VERIFIED.value, read_back_at__isnull=False)
    is_off = Q(kind=Kind.DISCONNECT.value, relay_state_code=int(RelayState.DISCONNECTED)) & verified
    rows = (
        Command.objects.filter(tenant_id=tenant_id)
        .filter(is_off | Q(kind=Kind.RECONNECT.value, sent_at__isnull=False))
        .values_list("meter_id", "kind", "sent_at", "read_back_at", "relay_state_code")
    )
    # a disconnection counts once it was read back, a reconnection from when it was sent
    events = [
        (meter, at, kind, read_back_at, relay)
        for meter, kind, sent_at, read_back_at, relay in rows
        for at in [read_back_at if kind == Kind.DISCONNECT.value else sent_at]
        if at is not None
    ]
    events.sort(key=lambda event: event[:2])
    if not events:
        return []
    places = _installations(tenant_id)
    return [
        _cut(span, place)
        for meter, own in groupby(events, key=lambda event: event[0])
        for span in _spans([event[1:] for event in own])
        for place in places.get(meter, ())
        if place.starts_at <= span.starts_at and (place.ends_at is None or span.starts_at < place.ends_at)
    ]


def _installations(tenant_id: int) -> dict[int, list[Installation]]:
    """Return where the meters stood that were ever to be disconnected."""
    found: dict[int, list[Installation]] = {}
    rows = Installation.objects.filter(
        meter__tenant_id=tenant_id, meter__commands__kind=Kind.DISCONNECT.value
    ).distinct()
    for row in rows:
        found.setdefault(row.meter_id, []).append(row)
    return found


def _spans(
    events: list[tuple[datetime, str, datetime | None, int | None]],
) -> Iterator[Disconnection]:
    """Yield the disconnections of one meter, of no usage point yet."""
    starts_at: datetime | None = None
    asked_at: datetime | None = None
    for at, kind, read_back_at, relay_state_code in events:
        if kind == Kind.DISCONNECT.value:
            if starts_at is not None and asked_at is not None:
                yield Disconnection(0, starts_at, asked_at, at)
                starts_at, asked_at = None, None
            starts_at = starts_at or at
        elif starts_at is not None:
            asked_at = asked_at or at
            if relay_state_code == int(RelayState.CONNECTED):
                yield Disconnection(0, starts_at, asked_at, read_back_at)
                starts_at, asked_at = None, None
    if starts_at is not None:
        yield Disconnection(0, starts_at, asked_at, None)


def _cut(span: Disconnection, place: Installation) -> Disconnection:
    ends = [each for each in (place.ends_at,) if each is not None]
    asked_at = min([*ends, *([span.asked_at] if span.asked_at else [])], default=None)
    ends_at = min([*ends, *([span.ends_at] if span.ends_at else [])], default=None)
    return Disconnection(place.usage_point_id, span.starts_at, asked_at, ends_at)
