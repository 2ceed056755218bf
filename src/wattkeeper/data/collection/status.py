"""What the head-end learned: device states, links up or down, first reads of channels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db import transaction

from wattkeeper.data.alarms.models import EndDeviceEvent
from wattkeeper.data.collection.models import Link, MeterStatus
from wattkeeper.data.registry.models import Channel
from wattkeeper.data.registry.plain_facts import among
from wattkeeper.data.upserts import upsert

LINK_UP, LINK_DOWN = "link.up", "link.down"
_CHUNK_COUNT = 8192
_LEARNED_FIELDS = (
    "is_answering",
    "reported_at",
    "answered_at",
    "error_code",
    "failures_count",
    "clock_offset_s",
    "relay_state_code",
    "relay_read_at",
)


@dataclass(frozen=True, slots=True)
class LearnedOfMeter:
    """What one session learned of a meter; None where it learned nothing."""

    meter_id: int
    at: datetime
    is_answering: bool
    error_code: str | None = None
    clock_offset_s: int | None = None
    relay_state_code: int | None = None
    failures_count: int = 0


def keep_learned(learned: Sequence[LearnedOfMeter]) -> None:
    """Keep the newest state of each meter; what a session did not learn stays as it was."""
    with transaction.atomic():
        known = {
            status.meter_id: status
            for status in MeterStatus.objects.select_for_update().filter(
                meter_id__in={row.meter_id for row in learned}
            )
        }
        made: dict[int, MeterStatus] = {}
        for row in sorted(learned, key=lambda row: row.at):
            status = known.get(row.meter_id) or made.setdefault(
                row.meter_id, MeterStatus(meter_id=row.meter_id, reported_at=row.at)
            )
            _apply(status, row)
        for status in known.values():
            status.pk = None  # the meter is the key of the upsert
        rows = [*known.values(), *made.values()]
        upsert(MeterStatus, rows, key=["meter"], update=_LEARNED_FIELDS)


def keep_link_state(*, link_id: int, at: datetime, is_up: bool, error_code: str | None) -> int | None:
    """Keep whether a link is up, an event where that changed; return its tenant, None without such a link."""
    with transaction.atomic():
        link = Link.objects.select_for_update().filter(id=link_id).first()
        if link is None:
            return None
        if link.is_up is not is_up:
            link.changed_at = at
            EndDeviceEvent.objects.create(
                tenant_id=link.tenant_id,
                code=LINK_UP if is_up else LINK_DOWN,
                occurred_at=at,
                detail={"link_id": link.id, "link": link.name, "error_code": error_code or ""},
            )
        link.is_up = is_up
        link.error_code = error_code or ""
        link.save(update_fields=["is_up", "changed_at", "error_code"])
        return link.tenant_id


def mark_read(channel_ids: Iterable[int]) -> None:
    """Note that these channels have reads: their meters can only be retired from now on."""
    ids = np.unique(np.array(list(channel_ids), dtype=np.int64))
    for start in range(0, len(ids), _CHUNK_COUNT):
        chunk = ids[start : start + _CHUNK_COUNT]
        unread = Channel.objects.filter(among("id", chunk), has_reads=False).values_list("id", flat=True)
        fresh = np.intersect1d(chunk, np.array(list(unread), dtype=np.int64))
        if len(fresh):
            Channel.objects.filter(id__in=fresh.tolist(), has_reads=False).update(has_reads=True)


def _apply(status: MeterStatus, row: LearnedOfMeter) -> None:
    status.reported_at = row.at
    status.is_answering = row.is_answering
    status.error_code = row.error_code or ""
    status.failures_count = row.failures_count
    if row.is_answering:
        status.answered_at = row.at
    if row.clock_offset_s is not None:
        status.clock_offset_s = row.clock_offset_s
    if row.relay_state_code is not None:
        status.relay_state_code = row.relay_state_code
        status.relay_read_at = row.at
