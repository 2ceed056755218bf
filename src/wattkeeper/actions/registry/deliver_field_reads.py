"""Hand reads off displays over to the readings store."""

import secrets
from collections import defaultdict
from datetime import datetime

import numpy as np
from django.db import transaction

from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.readings.told import WITHDRAWN_COUNT, mark_correction
from wattkeeper.data.collection.models import FieldRead
from wattkeeper.data.collection.status import mark_read
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.store.api import RawBatch

_BATCH_COUNT = 5000
NO_FRAME = -1


def deliver_field_reads(*, services: Services, now: datetime) -> int:
    """
    Deliver what was kept and return how many reads that were; 0 when the store can't be reached.

    Called after each verb that keeps one, and by the worker for what was left: the read is kept in its verb's
    transaction, so nothing is lost, and delivering it twice stores it once.
    """
    waiting = list(FieldRead.objects.filter(delivered_at__isnull=True).order_by("id")[:_BATCH_COUNT])
    if services.store is None or not waiting:
        return 0
    by_tenant: dict[int, list[FieldRead]] = defaultdict(list)
    for read in waiting:
        by_tenant[read.tenant_id].append(read)
    count = 0
    for tenant_id, reads in by_tenant.items():  # what the store refuses of one stops no other
        try:
            services.store.insert_raw([_batch(tenant_id, reads, now)])
        except OSError:
            break
        except WattkeeperError as error:
            if error.is_permanent:
                continue
            break
        _note_delivered(tenant_id, reads, now)
        count += len(reads)
    return count


def _batch(tenant_id: int, reads: list[FieldRead], now: datetime) -> RawBatch:
    channel_id, measured_at_s, value, flags = np.array([row_of(read) for read in reads], dtype=np.int64).T
    zeros = np.zeros(len(reads), dtype=np.int64)
    return RawBatch(
        tenant_id=tenant_id,
        batch_id=secrets.randbits(63),
        received_at_s=int(now.timestamp()),
        channel_id=channel_id,
        measured_at_s=measured_at_s,
        value=value,
        flags=flags,
        source=zeros + int(Source.FIELD),
        frame_index=zeros + NO_FRAME,
    )


def row_of(read: FieldRead) -> tuple[int, int, int, int]:
    """Return what the store keeps of a read: channel, instant, value and flags."""
    flags = mark_correction(read.correction_index, is_withdrawal=read.is_withdrawal)
    return read.channel_id, to_seconds(read.measured_at), _value_after(read), int(flags)


def _value_after(read: FieldRead) -> int:
    """Return what the register showed from then on; `WITHDRAWN_COUNT` for what says that nothing was read."""
    if read.is_withdrawal:
        return WITHDRAWN_COUNT
    return read.value_count if read.set_to_count is None else read.set_to_count


def _note_delivered(tenant_id: int, reads: list[FieldRead], now: datetime) -> None:
    spans: dict[int, tuple[int, int]] = {}
    for read in reads:
        at_s = to_seconds(read.measured_at)
        oldest_s, newest_s = spans.get(read.channel_id, (at_s, at_s))
        spans[read.channel_id] = (min(oldest_s, at_s), max(newest_s, at_s))
    with transaction.atomic():
        mark_read(spans)
        mark_dirty(tenant_id=tenant_id, now=now, reason="field-read", channels=spans)
        FieldRead.objects.filter(id__in=[read.id for read in reads]).update(delivered_at=now)
