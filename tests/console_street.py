"""A street that pages can show: one home read every quarter of an hour since October, one bill, findings."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from django.test import Client

from relational import LONG_AGO, NOW, People, Street, install_first, same_again
from wattkeeper.actions.actor import Actor
from wattkeeper.actions.billing.run_billing import run_billing
from wattkeeper.actions.services import Services
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.reading_types import READING_TYPES, Kind
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.data.alarms.queries import FindingDraft, keep_events, keep_findings
from wattkeeper.data.billing.models import TariffVersion
from wattkeeper.data.collection.status import LearnedOfMeter, keep_learned, mark_read
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Channel, Meter, Series
from wattkeeper.interfaces.cli.demo.tariffs import RESIDENTIAL
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import RawBatch, RawFrame, ReadingStore

FIRST_AT = datetime(2026, 9, 30, 16, tzinfo=UTC)  # 1 October, 00:00, in Shanghai
STEP_S = 900
FRAME = bytes.fromhex("6801000000012668910833333333D216")
LogIn = Callable[[Actor], Client]
_LIVE = {"voltage_l1_v": 2301, "current_l1_a": 4210, "power_import_w": 9600}


@dataclass(frozen=True)
class Home:
    """Ids of what pages show."""

    meter_id: int
    point_id: int
    series_id: int
    tariff_id: int
    bill_id: int


def make_home(people: People, street: Street, services: Services) -> Home:
    """Let the street's first meter be read since October and billed for it."""
    store = services.store
    assert store is not None
    install_first(people, street, services)
    Meter.objects.filter(id=street.meter_id).update(has_relay=True)
    channel = Channel.objects.get(meter_id=street.meter_id, reading_type="energy_import_register_kwh")
    batch = register_batch(people.tenant.id, channel.id)
    store.insert_raw([batch, live_batch(people.tenant.id, street.meter_id)])
    mark_read([channel.id])
    span = int(batch.measured_at_s[0]), int(batch.measured_at_s[-1])
    mark_dirty(tenant_id=people.tenant.id, now=NOW, reason="test", channels={channel.id: span})
    derive(store, people.tenant.id)
    version_id = add_tariff_version(
        actor=people.administrator, now=NOW, name="Homes · 居民", document=RESIDENTIAL
    )
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    set_contract(
        actor=people.administrator,
        now=NOW,
        usage_point_id=street.point_id,
        tariff_id=tariff_id,
        at=LONG_AGO,
    )
    report = run_billing(
        actor=people.operator, now=NOW, services=services, first=date(2026, 10, 1), end=date(2026, 11, 1)
    )
    tell_states(people.tenant.id, street)
    series_id = Series.objects.get(usage_point_id=street.point_id).id
    return Home(street.meter_id, street.point_id, series_id, tariff_id, report.issued_ids[0])


def same_home(people: People, street: Street, services: Services) -> Home:
    """Make the home, or write its rows again."""
    return same_again(make_home, people, street, services=services)


def move_in(people: People, home: Home) -> None:
    """Let another contract hold at the home from 13 October on, by the same tariff."""
    set_contract(
        actor=people.administrator,
        now=NOW,
        usage_point_id=home.point_id,
        tariff_id=home.tariff_id,
        at=FIRST_AT + timedelta(days=12),
    )


def register_batch(tenant_id: int, channel_id: int) -> RawBatch:
    """Return the register at each quarter of an hour: about 9 kWh a day, more in the evening."""
    first_s = int(FIRST_AT.timestamp())
    stamps = np.arange(first_s, int(NOW.timestamp()) - STEP_S, STEP_S, dtype=np.int64)
    hour = (stamps + 8 * 3600) // 3600 % 24
    used = np.where((hour >= 18) & (hour < 23), 22, 6) + (stamps // STEP_S) % 3
    value = 123_456 + np.concatenate(([0], np.cumsum(used[:-1])))
    return _batch(tenant_id, 1, channel_id, stamps, value, Source.PROFILE)


def live_batch(tenant_id: int, meter_id: int) -> RawBatch:
    """Return one live value of some of a meter's channels."""
    at_s = int(NOW.timestamp()) - 30
    channels = {
        row.reading_type: row.id
        for row in Channel.objects.filter(meter_id=meter_id)
        if READING_TYPES[row.reading_type].kind is Kind.INSTANT
    }
    known = [(channels[name], value) for name, value in _LIVE.items()]
    ids = np.array([row[0] for row in known], dtype=np.int64)
    values = np.array([row[1] for row in known], dtype=np.int64)
    return _batch(tenant_id, 2, ids, np.full(len(known), at_s), values, Source.LIVE)


def derive(store: ReadingStore, tenant_id: int) -> None:
    """Derive what is dirty."""
    report = run_once(pipeline_ports(store, tenant_id, lambda: NOW), NOW, advance_rule=register_advance)
    assert not report.failures, report.failures


def tell_states(tenant_id: int, street: Street) -> None:
    """Let one meter answer and the other be silent; leave a finding and an event."""
    keep_learned(
        [
            LearnedOfMeter(street.meter_id, NOW, is_answering=True, clock_offset_s=-3, relay_state_code=1),
            LearnedOfMeter(street.other_meter_id, NOW, is_answering=False, error_code="session.no-answer"),
        ]
    )
    at = NOW - timedelta(hours=3)
    keep_findings(
        [
            FindingDraft(
                tenant_id,
                "collection.silent",
                f"meter:{street.other_meter_id}",
                at,
                meter_id=street.other_meter_id,
            )
        ],
        now=NOW,
    )
    keep_events([(tenant_id, street.meter_id, "relay.connected", at, {})])


def _batch(
    tenant_id: int, batch_id: int, channel_id: object, stamps: object, values: object, source: Source
) -> RawBatch:
    measured_at_s = np.asarray(stamps, dtype=np.int64)
    zeros = np.zeros(len(measured_at_s), dtype=np.int64)
    received_at_s = int(NOW.timestamp())
    return RawBatch(
        tenant_id=tenant_id,
        batch_id=batch_id,
        received_at_s=received_at_s,
        channel_id=zeros + np.asarray(channel_id, dtype=np.int64),
        measured_at_s=measured_at_s,
        value=np.asarray(values, dtype=np.int64),
        flags=zeros,
        source=zeros + int(source),
        frame_index=zeros,
        frames=(RawFrame(1, 1, received_at_s, FRAME),),
    )
