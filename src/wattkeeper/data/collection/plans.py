"""What the head-end is to read: every link and the devices on it. One row a device; no driver known here."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from django.db import transaction

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.collection.keys import open_keys
from wattkeeper.data.collection.models import MAIN, DeviceKey, InvocationCounter, Link
from wattkeeper.data.registry.models import Channel, Installation, Meter

COUNTER_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class PlannedChannel:
    """`step`: the unit of one count."""

    channel_id: int
    reading_type: str
    step: Fraction
    is_profiled: bool


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """A meter from its first installation (`reads_from_s`) to the end of its last (`reads_to_s`)."""

    meter_id: int
    tenant_id: int
    serial_number: str
    family: str
    address: str
    channels: tuple[PlannedChannel, ...]
    interval_s: int
    memory_s: int
    time_zone: str
    reads_from_s: int
    reads_to_s: int | None
    has_relay: bool
    secrets: Mapping[str, bytes]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlannedLink:
    """A line with its devices."""

    link_id: int
    tenant_id: int
    name: str
    transport: str
    endpoint: str
    timeout_s: float
    retries_count: int
    poll_s: int
    devices: tuple[PlannedDevice, ...]


def plan_revision() -> str:
    """Return a token that changes with every change of the registry; one look into an index."""
    newest = (
        AuditRecord.objects.filter(verb__startswith="registry.")
        .order_by("-id")
        .values_list("id", flat=True)
        .first()
    )
    return str(newest or 0)


def list_plans(*, folder: Path, headend: str = MAIN) -> list[PlannedLink]:
    """Return a head-end's links with their installed meters; keys are opened by the key file of `folder`."""
    links = Link.objects.filter(retired_at__isnull=True, headend=headend).order_by("id")
    meters = list(
        Meter.objects.filter(link__headend=headend, installations__isnull=False, retired_at__isnull=True)
        .exclude(family="")
        .select_related("site")
        .distinct()
        .order_by("id")
    )
    ids = [meter.id for meter in meters]
    channels: dict[int, list[PlannedChannel]] = defaultdict(list)
    for row in Channel.objects.filter(meter_id__in=ids).order_by("id"):
        step = Fraction(row.step_numerator, row.step_denominator)
        channels[row.meter_id].append(PlannedChannel(row.id, row.reading_type, step, row.is_profiled))
    spans = _spans(ids)
    keyed = list(DeviceKey.objects.filter(meter_id__in=ids).values_list("meter_id", flat=True).distinct())
    secrets = open_keys(folder, keyed)
    devices: dict[int, list[PlannedDevice]] = defaultdict(list)
    for meter in meters:
        if meter.link_id is not None:
            devices[meter.link_id].append(
                _device(meter, channels[meter.id], spans[meter.id], secrets.get(meter.id, {}))
            )
    return [
        PlannedLink(
            link_id=link.id,
            tenant_id=link.tenant_id,
            name=link.name,
            transport=link.transport,
            endpoint=link.endpoint,
            timeout_s=link.timeout_ms / 1000,
            retries_count=link.retries_count,
            poll_s=link.poll_s,
            devices=tuple(devices[link.id]),
        )
        for link in links
    ]


def reserve_counters(*, meter_id: int, count: int) -> int:
    """Reserve `count` invocation counters of a meter durably and return the first; none is given twice.

    :raises WattkeeperError: ``keys.counters-used-up``: the meter needs a new key first
    """
    with transaction.atomic():
        InvocationCounter.objects.get_or_create(meter_id=meter_id)
        counter = InvocationCounter.objects.select_for_update().get(meter_id=meter_id)
        first = counter.next_counter
        if first + count > COUNTER_MAX:
            raise WattkeeperError("keys.counters-used-up", meter_id=meter_id)
        counter.next_counter = first + count
        counter.save(update_fields=["next_counter"])
    return first


def _spans(meter_ids: list[int]) -> dict[int, tuple[datetime, datetime | None]]:
    spans: dict[int, tuple[datetime, datetime | None]] = {}
    for row in Installation.objects.filter(meter_id__in=meter_ids).order_by("starts_at"):
        starts_at = spans[row.meter_id][0] if row.meter_id in spans else row.starts_at
        spans[row.meter_id] = (starts_at, row.ends_at)
    return spans


def _device(
    meter: Meter,
    channels: list[PlannedChannel],
    span: tuple[datetime, datetime | None],
    secrets: Mapping[str, bytes],
) -> PlannedDevice:
    return PlannedDevice(
        meter_id=meter.id,
        tenant_id=meter.tenant_id,
        serial_number=meter.serial_number,
        family=meter.family,
        address=meter.address,
        channels=tuple(channels),
        interval_s=meter.interval_s,
        memory_s=meter.memory_days * 86_400,
        time_zone=meter.site.time_zone,
        reads_from_s=to_seconds(span[0]),
        reads_to_s=None if span[1] is None else to_seconds(span[1]),
        has_relay=meter.has_relay,
        secrets=secrets,
        settings=meter.settings,
    )
