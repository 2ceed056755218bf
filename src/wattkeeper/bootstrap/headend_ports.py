"""The head-end's ports on the relational side and the readings store."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
from django.db import close_old_connections

from wattkeeper.core.kernel.quality import Source
from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_events, keep_findings
from wattkeeper.data.collection import plans, status
from wattkeeper.data.collection.jobs import report_job
from wattkeeper.data.collection.models import Link
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Meter
from wattkeeper.headend.dial_in import SCHEME
from wattkeeper.headend.ports import ChannelPlan, DevicePlan, DeviceReport, LinkPlan, Stranger, Transport
from wattkeeper.store.api import RawBatch, ReadingStore

CLOCK_TOLERANCE_S = 180
SILENT_AFTER_COUNT = 3
STRANGER_RULE = "collection.stranger"
GRID_SOURCES = (int(Source.PROFILE), int(Source.PUSH), int(Source.FILE))


class DataPlan:
    """Links and devices as the registry has them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="counters")

    def revision(self) -> str:
        """Return a token that changes whenever a plan changes."""
        return plans.plan_revision()

    def links(self) -> Sequence[LinkPlan]:
        """Return every active link with its devices."""
        return [_link(link) for link in plans.list_plans(folder=self._folder)]

    def reserve_counters(self, device_id: int, count: int) -> int:
        """Reserve invocation counters durably and return the first.

        A driver asks in the middle of a step, on the event loop's thread, where the database may not be used:
        the loop waits a few milliseconds, once in as many frames as are reserved.
        """
        return self._pool.submit(_reserve, device_id, count).result()


def _reserve(meter_id: int, count: int) -> int:
    try:
        return plans.reserve_counters(meter_id=meter_id, count=count)
    finally:
        close_old_connections()


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
        self._known_channel_ids: set[int] = set()

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        """Store the batches durably and mark their windows."""
        self._store.insert_raw(batches)
        own: dict[int, list[RawBatch]] = defaultdict(list)
        for batch in batches:
            own[batch.tenant_id].append(batch)
        for tenant_id, delivered in own.items():
            channels = _spans_of(delivered)
            fresh = channels.keys() - self._known_channel_ids
            if fresh:
                status.mark_read(fresh)
                self._known_channel_ids |= fresh
            mark_dirty(tenant_id=tenant_id, now=self._now(), reason="READS", channels=channels)


def _spans_of(batches: Sequence[RawBatch]) -> dict[int, tuple[int, int]]:
    """Return the oldest and newest instant of each channel in the batches."""
    channel_id = np.concatenate([batch.channel_id for batch in batches])
    at_s = np.concatenate([batch.measured_at_s for batch in batches])
    firsts = np.flatnonzero(np.diff(channel_id, prepend=-1))  # runs of one channel: few, or one a read
    if not len(firsts):
        return {}
    oldest_s, newest_s = np.minimum.reduceat(at_s, firsts), np.maximum.reduceat(at_s, firsts)
    order = np.argsort(channel_id[firsts], kind="stable")
    channels, starts = np.unique(channel_id[firsts][order], return_index=True)
    oldest_s = np.minimum.reduceat(oldest_s[order], starts)
    newest_s = np.maximum.reduceat(newest_s[order], starts)
    spans = zip(oldest_s.tolist(), newest_s.tolist(), strict=True)
    return dict(zip(channels.tolist(), spans, strict=True))


class DataReports:
    """Keeps what sessions learned; turns lasting silence, wrong clocks and lost links into findings."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._silent_ids: set[int] = set()
        self._wrong_clock_ids: set[int] = set()
        self._tenant_of: dict[int, int] = {}

    def report_devices(self, reports: Sequence[DeviceReport]) -> None:
        """Keep what was learned of devices."""
        if not reports:
            return
        status.keep_learned(
            [
                status.LearnedOfMeter(
                    meter_id=report.device_id,
                    at=report.at,
                    is_answering=report.is_answering,
                    error_code=report.error_code,
                    clock_offset_s=report.clock_offset_s,
                    relay_state_code=None if report.relay_state is None else int(report.relay_state),
                    failures_count=report.failures_count,
                )
                for report in reports
            ]
        )
        for report in reports:
            self._judge_silence(report)
            self._judge_clock(report)

    def _judge_silence(self, report: DeviceReport) -> None:
        is_silent = not report.is_answering and report.failures_count >= SILENT_AFTER_COUNT
        if is_silent and report.device_id not in self._silent_ids:
            self._silent_ids.add(report.device_id)
            self._open("collection.silent", report, {"error_code": report.error_code or ""})
            self._tell("meter.silent", report)
        elif report.is_answering and report.device_id in self._silent_ids:
            self._silent_ids.discard(report.device_id)
            self._close("collection.silent", report)
            self._tell("meter.answering", report)

    def _judge_clock(self, report: DeviceReport) -> None:
        if report.clock_offset_s is None:
            return
        is_wrong = abs(report.clock_offset_s) > CLOCK_TOLERANCE_S
        if is_wrong and report.device_id not in self._wrong_clock_ids:
            self._wrong_clock_ids.add(report.device_id)
            self._open("collection.clock", report, {"clock_offset_s": report.clock_offset_s})
        elif not is_wrong and report.device_id in self._wrong_clock_ids:
            self._wrong_clock_ids.discard(report.device_id)
            self._close("collection.clock", report)

    def report_link(self, link_id: int, at: datetime, *, is_up: bool, error_code: str | None) -> None:
        """Keep a link's state; a link that is down is a finding until it is up again."""
        tenant_id = status.keep_link_state(link_id=link_id, at=at, is_up=is_up, error_code=error_code)
        if tenant_id is None:
            return
        subject_key = f"link:{link_id}"
        if is_up:
            close_gone(tenant_id=tenant_id, rule="collection.link-down", subject_key=subject_key, now=at)
            return
        evidence = {"error_code": error_code or ""}
        keep_findings(
            [FindingDraft(tenant_id, "collection.link-down", subject_key, at, evidence=evidence)], now=at
        )

    def report_stranger(self, stranger: Stranger, untold_count: int) -> None:
        """Keep that somebody unknown connected: one finding a day for each address, port and tenant."""
        evidence = {
            "peer": stranger.peer,
            "port": stranger.port,
            "error_code": stranger.error_code,
            "said": stranger.said.hex(),
            "serial_number": stranger.serial_number,
            "link_id": stranger.link_id or 0,
            "untold_count": untold_count,
        }
        day_at = stranger.at.replace(hour=0, minute=0, second=0, microsecond=0)
        subject_key = _stranger_key(stranger.port, stranger.peer)
        drafts = [
            FindingDraft(tenant_id, STRANGER_RULE, subject_key, day_at, evidence=evidence)
            for tenant_id in stranger.tenant_ids
        ]
        keep_findings(drafts, now=stranger.at)

    def report_known(self, link_id: int, peer: str, port: int, at: datetime) -> None:
        """Close what was found of the address while it was unknown."""
        tenant_id = Link.objects.values_list("tenant_id", flat=True).get(id=link_id)
        close_gone(tenant_id=tenant_id, rule=STRANGER_RULE, subject_key=_stranger_key(port, peer), now=at)

    def report_progress(self, *, done_count: int, total_count: int, label: str) -> None:
        """Keep how far the fetch of memories has come."""
        report_job(
            "collection.memory", label, done_count=done_count, total_count=total_count, now=self._now()
        )

    def _open(self, rule: str, report: DeviceReport, evidence: Mapping[str, int | str]) -> None:
        draft = FindingDraft(
            self._tenant(report.device_id),
            rule,
            f"meter:{report.device_id}",
            report.at,
            meter_id=report.device_id,
            evidence=evidence,
        )
        keep_findings([draft], now=report.at)

    def _close(self, rule: str, report: DeviceReport) -> None:
        tenant_id = self._tenant(report.device_id)
        close_gone(tenant_id=tenant_id, rule=rule, subject_key=f"meter:{report.device_id}", now=report.at)

    def _tell(self, code: str, report: DeviceReport) -> None:
        keep_events([(self._tenant(report.device_id), report.device_id, code, report.at, {})])

    def _tenant(self, meter_id: int) -> int:
        if meter_id not in self._tenant_of:
            self._tenant_of[meter_id] = Meter.objects.values_list("tenant_id", flat=True).get(id=meter_id)
        return self._tenant_of[meter_id]


def _stranger_key(port: int, peer: str) -> str:
    return f"listener:{port}:{peer}"
