"""The head-end's ports on the relational side and the readings store."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
from django.db import close_old_connections

from wattkeeper.core.kernel.known_ids import KnownIds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.data.alarms.queries import FindingDraft, keep_findings
from wattkeeper.data.collection import plans, status
from wattkeeper.data.collection.models import MAIN
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Meter
from wattkeeper.headend.dial_in import SCHEME
from wattkeeper.headend.ports import ChannelPlan, DevicePlan, LinkPlan, Transport
from wattkeeper.store.api import RawBatch, ReadingStore

KEY_WORN_RULE = "collection.key-worn"
KEY_WORN_AT_COUNT = 2_000_000_000  # of 2**32: time enough to change the key before it is used up
GRID_SOURCES = (int(Source.PROFILE), int(Source.PUSH), int(Source.FILE))


class DataPlan:
    """Links and devices as the registry has them."""

    def __init__(self, folder: Path, now: Callable[[], datetime], headend: str = MAIN) -> None:
        self._folder = folder
        self._headend = headend
        self._now = now
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="counters")

    def revision(self) -> str:
        """Return a token that changes whenever a plan changes."""
        return plans.plan_revision()

    def links(self) -> Sequence[LinkPlan]:
        """Return every active link of this head-end with its devices."""
        return [_link(link) for link in plans.list_plans(folder=self._folder, headend=self._headend)]

    def reserve_counters(self, device_id: int, count: int) -> int:
        """Reserve invocation counters durably and return the first.

        A driver asks in the middle of a step, on the event loop's thread, where the database may not be used:
        the loop waits a few milliseconds, once in as many frames as are reserved.
        """
        return self._pool.submit(self._reserve_in_its_thread, device_id, count).result()

    def _reserve_in_its_thread(self, device_id: int, count: int) -> int:
        try:
            return reserve_counters(device_id, count, self._now())
        finally:
            close_old_connections()


def reserve_counters(meter_id: int, count: int, now: datetime) -> int:
    """Reserve counters; a key that is nearly used up is a finding."""
    first = plans.reserve_counters(meter_id=meter_id, count=count)
    if first + count >= KEY_WORN_AT_COUNT:
        _tell_key_worn(meter_id, first, now)
    return first


def _tell_key_worn(meter_id: int, counter: int, now: datetime) -> None:
    """One finding a day: a key is to be changed long before its counters are used up."""
    meter = Meter.objects.get(id=meter_id)
    day_at = now.replace(hour=0, minute=0, second=0, microsecond=0)
    draft = FindingDraft(
        meter.tenant_id,
        KEY_WORN_RULE,
        f"meter:{meter_id}",
        day_at,
        meter_id=meter_id,
        evidence={"counter": counter},
    )
    keep_findings([draft], now=now)


def _link(link: plans.PlannedLink) -> LinkPlan:
    return LinkPlan(
        link_id=link.link_id,
        tenant_id=link.tenant_id,
        name=link.name,
        transport=_transport(link),
        endpoint=link.endpoint,
        timeout_s=link.timeout_s,
        retries_count=link.retries_count,
        poll_s=link.poll_s,
        devices=tuple(_device(device) for device in link.devices),
    )


def _transport(link: plans.PlannedLink) -> Transport:
    """Devices dial in where the endpoint of a TCP link says so; a release before takes it for a dead line."""
    is_dialled = link.transport == Transport.TCP.value and link.endpoint.startswith(f"{SCHEME}:")
    return Transport.LISTEN if is_dialled else Transport(link.transport)


def _device(device: plans.PlannedDevice) -> DevicePlan:
    return DevicePlan(
        device_id=device.meter_id,
        tenant_id=device.tenant_id,
        serial_number=device.serial_number,
        family=device.family,
        address=device.address,
        channels=tuple(
            ChannelPlan(channel.channel_id, channel.reading_type, channel.step, channel.is_profiled)
            for channel in device.channels
        ),
        interval_s=device.interval_s,
        memory_s=device.memory_s,
        time_zone=device.time_zone,
        reads_from_s=device.reads_from_s,
        reads_to_s=device.reads_to_s,
        has_relay=device.has_relay,
        secrets=device.secrets,
        settings=device.settings,
    )


class StoreHoldings:
    """What the store already holds of a device's profile."""

    def __init__(self, store: ReadingStore) -> None:
        self._store = store

    def stamps_held(
        self, tenant_id: int, channel_ids: Sequence[int], from_s: int, to_s: int
    ) -> Mapping[int, Sequence[int]]:
        """Return, per channel, the profile instants held in the span."""
        held = self._store.stamps_held(tenant_id, channel_ids, from_s, to_s, sources=GRID_SOURCES)
        return {channel_id: stamps.tolist() for channel_id, stamps in held.items()}


class StoreSink:
    """Stores batches, then marks what they touch dirty: in this order nothing stored is left underived."""

    def __init__(self, store: ReadingStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._read_before = KnownIds()

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        """Store the batches durably and mark their windows."""
        self._store.insert_raw(batches)
        own: dict[int, list[RawBatch]] = defaultdict(list)
        for batch in batches:
            own[batch.tenant_id].append(batch)
        for tenant_id, delivered in own.items():
            channels = _spans_of(delivered)
            fresh = self._read_before.missing(channels.series_id)
            if len(fresh):
                status.mark_read(fresh.tolist())
                self._read_before.add(fresh)
            mark_dirty(tenant_id=tenant_id, now=self._now(), reason="READS", channels=channels)


def _spans_of(batches: Sequence[RawBatch]) -> Spans:
    """Return the span of each channel in the batches, rising, to a second after its newest instant."""
    channel_id = np.concatenate([batch.channel_id for batch in batches])
    at_s = np.concatenate([batch.measured_at_s for batch in batches])
    if not len(channel_id):
        return Spans.of(())
    is_next = channel_id[1:] != channel_id[:-1]
    firsts = np.flatnonzero(np.append(True, is_next))  # runs of one channel: few, or one a read
    oldest_s, newest_s = np.minimum.reduceat(at_s, firsts), np.maximum.reduceat(at_s, firsts)
    order = np.argsort(channel_id[firsts], kind="stable")
    channels, starts = np.unique(channel_id[firsts][order], return_index=True)
    oldest_s = np.minimum.reduceat(oldest_s[order], starts)
    newest_s = np.maximum.reduceat(newest_s[order], starts)
    return Spans(channels, oldest_s, newest_s + 1)
